"""Values as texts that do nothing but stand there."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from data_catalog.printing import is_new_emoji, printable, shown


@given(st.text())
def test_printable_text_holds_no_character_that_acts(text: str) -> None:
    out = printable(text)
    assert all(character.isprintable() or is_new_emoji(character) for character in out)
    if text.isprintable():
        assert out == text


def test_an_emoji_newer_than_pythons_table_stays_and_other_unknown_characters_do_not() -> None:
    new, kept = "🩷🫨🫩", "\U0001faff\U0001fc00"
    assert printable(new + kept) == new + kept
    assert printable("\u0378\ue000") == "\\u0378\\ue000"


def test_long_texts_are_cut_and_pictures_are_named_by_kind_and_size() -> None:
    assert shown("x" * 1_000_000, 10) == "xxxxxxxxx…"
    assert shown("\x00" * 50, 10) == "\\x00\\x00\\…"
    assert shown({"bytes": b"\xff\xd8\xff" + bytes(34_000), "path": "a.jpg"}) == "<34 kB jpeg>"
    assert shown(b"\x89PNG\r\n\x1a\n") == "<8 B png>"
    assert shown([{"text": "SALE", "box": [0.5, 1.0]}]) == '[{"text": "SALE", "box": [0.5, 1.0]}]'
    assert (shown(None), shown(0.1 + 0.2), shown(True)) == ("", "0.3", "True")
    assert shown(datetime(2026, 11, 24, 1, 2, 3, 4, UTC)) == "2026-11-24 01:02:03+00:00"
