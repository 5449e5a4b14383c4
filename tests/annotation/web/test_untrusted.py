"""Texts of strangers on a page: nothing in them acts on what is around them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.events import clean_text
from annotation.untrusted import MAX_SHOWN, bdi, harmless, isolated

ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)
"""Lone surrogates too."""


@given(ANY_TEXT)
def test_no_control_surrogate_or_direction_character_is_left(text: str) -> None:
    left = {
        c
        for c in harmless(text)
        if unicodedata.category(c) in ("Cc", "Cs")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    assert left <= {"\n", "\t"}


@given(ANY_TEXT)
def test_no_text_makes_an_element(text: str) -> None:
    inner = str(bdi(text)).removeprefix("<bdi>").removesuffix("</bdi>")
    assert not set("<>\"'") & set(inner)


def test_other_languages_and_emoji_stay_as_they_are() -> None:
    for text in ("שלום עולם", "مرحبا", "नमस्ते", "👩‍👩‍👧 🏳️‍🌈 🩷🫨", "é", "ไม่ดี"):
        assert harmless(text) == text


NEWER = (
    "\U0002ebf0",  # Unicode 15.1: an ideograph of extension I
    "\U0001fae9\U0001fac6\U0001fabe\U0001fadc",  # 16: face with bags under its eyes, fingerprint, tree, root vegetable
    "\U00010d4a\U000105c0",  # 16: letters of Garay and Todhri
    "\U0001faea\U0001fa8a\U0001facd\U0001f6d8",  # 17: distorted face, trombone, orca, landslide
    "\U00010940\U0001e6c0",  # 17: letters of Sidetic and Tai Yo
    "\u20c1",  # 17: the Saudi riyal
)


@pytest.mark.parametrize("text", NEWER)
def test_characters_newer_than_pythons_table_are_shown_and_kept(text: str) -> None:
    assert harmless(f"so {text}!") == f"so {text}!"
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "character",
    "\u0000\u0007\u001b\u007f\u0085\ud800\udfff\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff\ue000\U000f0000\U00100000"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\u2060\ufeff\u2065\ufff0\ufff8\U000e0002\U000e0fff",
)
def test_known_bad_characters_are_not_shown(character: str) -> None:
    assert harmless(f"a{character}\U0001faeab") == "a\ufffd\U0001faeab"
    assert character not in isolated(f"a{character}b")[1:-1]


@pytest.mark.parametrize("hostile", ["\u202egpj.exe", "\u2067\u2067\u2067", "\u2069\u202e\U0001faea", "\u202a" * 200])
def test_hostile_directions_beside_a_new_emoji_stay_harmless(hostile: str) -> None:
    left = harmless(f"\U0001faea{hostile}\U0001faea")
    assert left.startswith("\U0001faea")
    assert left.endswith("\U0001faea")
    assert not set(left) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_a_tower_of_marks_is_cut_to_what_a_language_needs() -> None:
    assert harmless("a" + "\u0301" * 500) == "a" + "\u0301" * 4


def test_a_million_characters_are_cut_and_say_so() -> None:
    shown = harmless("x" * 1_000_000)
    assert len(shown) < MAX_SHOWN + 20
    assert shown.endswith("(cut)")


def test_in_an_attribute_a_text_is_one_isolated_line() -> None:
    assert isolated("one\ntwo \u202ethree") == "\u2068one two \ufffdthree\u2069"
