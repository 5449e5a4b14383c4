"""Sentences, terms and spellings, as the description's examples have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.sentistrength.tokens import (
    Kind,
    Tokenizer,
    cut_repeated_characters,
    segments,
    sentence_pieces,
)

TOKENIZER = Tokenizer({":)", ":-("}, {"love", "yes", "good", "the"})


@pytest.mark.parametrize(
    ("segment", "pieces"),
    [
        ("", []),
        ("day", [("day", False)]),
        ("day.", [("day.", True)]),
        ("day.)", [("day.)", True)]),
        ("day.Good", [("day.", True), ("Good", False)]),
        ("3.5", [("3.", True), ("5", False)]),
        ("so...£3", [("so...", True), ("£3", False)]),
        ("so.é", [("so.é", True)]),
        ("so<br>good", [("so", True), ("good", False)]),
        ("so.<br>good", [("so.", True), ("good", False)]),
        ("<br>", [("", True)]),
        ("what?'no'", [("what?", True), ("'no'", False)]),
    ],
)
def test_a_segment_is_cut_where_sentences_end(segment: str, pieces: list[tuple[str, bool]]) -> None:
    assert list(sentence_pieces(segment)) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("so.a", ["so.a"]),
        ("so.ab", ["so.", "ab"]),
        ("so.a ", ["so.", "a"]),
        ("x3?'", ["x3?'"]),
        ('x3?"', ["x3?'"]),
        ("1.2.3", ["1.", "2.3"]),
        ("so<br>a", ["so", "a"]),
        ("so.a\n", ["so.", "a"]),
    ],
)
def test_the_last_character_of_a_text_begins_no_sentence(text: str, pieces: list[str]) -> None:
    found = "".join(token.written or "|" for segment in segments(text) for token in TOKENIZER.tokens(segment))
    assert found.strip("|").split("|") == pieces


@pytest.mark.parametrize(
    ("segment", "terms"),
    [
        ("it's", ["it's"]),
        ("'tis", ["'", "tis"]),
        ("dogs'", ["dogs", "'"]),
        ("what'''s", ["what", "''", "'", "s"]),
        ("**'good", ["**", "'", "good"]),
        ("so\u200d'tis", ["so", "\u200d", "'", "tis"]),
        ("£5_@", ["£5_@"]),
        ("@user_1:", ["@user_1", ":"]),
        ("good:)", ["good", ":)"]),
        (":)good", [":)", "good"]),
        ("50%", ["50", "%"]),
        ("a½b", ["a", "½", "b"]),
        ("日本語", ["日本語"]),
        ("a😀b", ["a", "😀", "b"]),
        ("𝐇i", ["𝐇", "i"]),
        ('"good"', ["'", "good", "'"]),
    ],
)
def test_a_segment_is_cut_into_words_and_the_rest(segment: str, terms: list[str]) -> None:
    assert [token.written for token in TOKENIZER.tokens(segment)] == terms


def test_an_emoticon_is_one_only_at_the_end_of_its_segment() -> None:
    assert [t.kind for t in TOKENIZER.tokens("good:)")] == [Kind.WORD, Kind.EMOTICON]
    assert [t.kind for t in TOKENIZER.tokens(":)good")] == [Kind.PUNCTUATION, Kind.WORD]


@pytest.mark.parametrize(
    ("word", "cut", "letters"),
    [
        ("loooove", "loove", "oo"),
        ("yesss", "yess", "s"),
        ("good", "good", ""),
        ("aardvark", "ardvark", "a"),
        ("grrr", "gr", "rr"),
        ("DIII", "DII", "I"),
        ("XXXly", "XXly", "X"),
        ("AAa", "A", "Aa"),
        ("aAA", "aA", "A"),
        ("2000000", "200", "0000"),
        ("111", "11", "1"),
        ("1111", "11", "11"),
        ("____", "__", "__"),
        ("$$$$a££££", "$$a££", "$$££"),
        ("a@@@@", "a@@", "@@"),
        ("ıIII", "ıI", "II"),
        ("iİII", "iİ", "II"),
        ("ſSsſ", "ſS", "sſ"),
        ("ßẞßß", "ßẞ", "ßß"),
        ("日日日日", "日日", "日日"),
        ("٣٣٣٣", "٣٣", "٣٣"),
        ("_", "_", ""),
    ],
)
def test_repeated_characters_are_cut_to_what_a_word_may_have(word: str, cut: str, letters: str) -> None:
    assert cut_repeated_characters(word) == (cut, letters)


@pytest.mark.parametrize(
    ("word", "spelling", "letters"),
    [
        ("Loooove", "love", "ooo"),
        ("yesss", "yes", "ss"),
        ("gooood", "good", "oo"),
        ("thhe", "the", "h"),
        ("LOVEe", "lovee", ""),
        ("loooove@x", "loove@x", "oo"),
        ("moviehaha", "haha", "ieha"),
        ("hahahaha", "hahahaha", ""),
        ("AHAHAHA", "ahahaha", ""),
    ],
)
def test_a_word_is_mended_to_a_known_spelling(word: str, spelling: str, letters: str) -> None:
    assert TOKENIZER.spell(word) == (spelling, letters)


@given(st.text("ab'.!?:)<br>\"😀é ½"))
def test_no_character_is_lost_between_the_terms(text: str) -> None:
    for segment in text.split(" "):
        written = "".join(token.written for token in TOKENIZER.tokens(segment))
        assert written == segment.replace('"', "'").replace("<br>", "")
