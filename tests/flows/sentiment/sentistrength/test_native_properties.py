"""What holds for every text."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.sentistrength import NEUTRAL, Scorer, explain

WORDS = """good Good GOOD bad hate loves looove not very extremely slightly miss what's up shock horror broken dreams
haha wahahaha hehehe :) :( ! ?! . ... , : @someone <br> ' " 😀 ❤️ 👍🏽 the day so 3.5 \ud83d"""
PARTS = st.sampled_from(WORDS.split())
SEPARATORS = st.sampled_from(["", " ", " ", "  "])
LISTED = st.lists(st.tuples(PARTS, SEPARATORS), max_size=12).map(lambda parts: "".join(map("".join, parts)))
TEXTS = LISTED | st.text(st.characters(), max_size=40) | st.text("go.d!' b:)", max_size=40)


@given(TEXTS)
def test_strengths_stay_in_range(small: Scorer, small_with_emoji: Scorer, text: str) -> None:
    for scorer in (small, small_with_emoji):
        positive, negative = scorer.score(text)
        assert 1 <= positive <= 5
        assert -5 <= negative <= -1


@given(st.lists(TEXTS, max_size=6))
def test_a_stream_scores_like_text_by_text(small: Scorer, texts: list[str]) -> None:
    assert list(small.score_all(iter(texts))) == [small.score(text) for text in texts]


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
def test_an_explanation_comes_to_the_score(small: Scorer, small_with_emoji: Scorer, text: str) -> None:
    for scorer in (small, small_with_emoji):
        explanation = explain(scorer, text)
        assert explanation.strength == scorer.score(text)
        strengths = [NEUTRAL, *(sentence.strength for sentence in explanation.sentences)]
        assert explanation.strength == (max(s.positive for s in strengths), min(s.negative for s in strengths))


@given(TEXTS)
def test_a_text_scores_the_same_when_its_words_are_remembered(small: Scorer, text: str) -> None:
    assert Scorer(small.lexicon).score(text) == small.score(text) == small.score(text)
