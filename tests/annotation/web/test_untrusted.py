"""Texts of strangers on a page: nothing in them acts on what is around them."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

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


def test_a_tower_of_marks_is_cut_to_what_a_language_needs() -> None:
    assert harmless("a" + "\u0301" * 500) == "a" + "\u0301" * 4


def test_a_million_characters_are_cut_and_say_so() -> None:
    shown = harmless("x" * 1_000_000)
    assert len(shown) < MAX_SHOWN + 20
    assert shown.endswith("(cut)")


def test_in_an_attribute_a_text_is_one_isolated_line() -> None:
    assert isolated("one\ntwo \u202ethree") == "\u2068one two \ufffdthree\u2069"
