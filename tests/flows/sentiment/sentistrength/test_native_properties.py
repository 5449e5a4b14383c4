"""What holds for every text."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.sentistrength import NEUTRAL, Scorer, explain

WORDS = """good Good GOOD bad hate loves looove not very extremely slightly miss what's up shock horror broken dreams
haha wahahaha hehehe :) :( ! ?! . ... , : @someone <br> ' " 😀 ❤️ 👍🏽 the day so 3.5 \ud83d"""
ODD = ["\x00\x01\x1b[31m", "\ude00", "شكرا", "\u202e", "&#39;bad&#39;", "\u200d", "½²Ⅳ", "İİİİ", "\r\n", "\x85", "1111"]
PARTS = st.sampled_from([*WORDS.split(), *ODD])
SEPARATORS = st.sampled_from(["", " ", " ", "  "])
LISTED = st.lists(st.tuples(PARTS, SEPARATORS), max_size=12).map(lambda parts: "".join(map("".join, parts)))
TEXTS = LISTED | st.text(st.characters(), max_size=40) | st.text("go.d!' b:)", max_size=40)


@given(st.lists(TEXTS, max_size=6), st.randoms(use_true_random=False))
def test_order_does_not_matter(small: Scorer, texts: list[str], chance: random.Random) -> None:
    before = dict(zip(texts, small.score_all(texts), strict=True))
    shuffled = chance.sample(texts, len(texts))
    fresh = Scorer(small.lexicon)
    assert dict(zip(shuffled, fresh.score_all(shuffled), strict=True)) == before


@given(TEXTS, st.sampled_from([" ", "  ", "<br>", "<br><br>", " <br> "]))
def test_appending_an_empty_sentence_changes_nothing(small: Scorer, text: str, empty: str) -> None:
    """A space or a `<br>` and nothing after it; what must end its segment or may not end the text needs the space."""
    assert small.score(text + " " + empty) == small.score(text + " ")
    assert small.score(empty + " " + text) == small.score(text)


@given(TEXTS, TEXTS)
def test_sentences_do_not_touch_each_other(small: Scorer, one: str, other: str) -> None:
    first, second, both = small.score(f"{one} "), small.score(other), small.score(f"{one} <br> {other}")
    assert both == (max(first.positive, second.positive), min(first.negative, second.negative))


@given(TEXTS)
def test_any_text_has_strengths_in_range_with_reasons_for_them_and_the_same_when_its_words_are_remembered(
    small: Scorer, small_with_emoji: Scorer, text: str
) -> None:
    for scorer in (small, small_with_emoji):
        strength, explanation = scorer.score(text), explain(scorer, text)
        assert 1 <= strength.positive <= 5
        assert -5 <= strength.negative <= -1
        assert Scorer(scorer.lexicon, scorer.reading).score(text) == scorer.score(text) == strength
        strengths = [NEUTRAL, *(sentence.strength for sentence in explanation.sentences)]
        strongest = max(s.positive for s in strengths), min(s.negative for s in strengths)
        assert explanation.strength == strength == strongest
