"""The reasons for a score, word by word."""

from __future__ import annotations

from flows.sentiment.sentistrength import Scorer, explain


def reasons(scorer: Scorer, text: str) -> dict[str, tuple[str, ...]]:
    return {step.written: step.reasons for sentence in explain(scorer, text).sentences for step in sentence.steps}


def test_every_rule_that_acted_on_a_word_is_told(small: Scorer) -> None:
    told = reasons(small, "not very gooood :)! the Good day")
    assert told["not"] == ("negates what follows",)
    assert told["very"] == ("boosts the next word +1",)
    assert told["gooood"] == (
        "spelt 'good'",
        "listed as 'good' +1",
        "emphasised by 'oo' +0.6",
        "boosted by the word before +1",
        "negated",
    )
    assert told["day"] == ()
    assert reasons(small, "the Good day")["Good"] == ("a name, so not scored",)


def test_an_idiom_an_emoticon_and_a_neighbour_are_told(small: Scorer) -> None:
    assert reasons(small, "what's up")["what's"] == ("idiom +1",)
    assert reasons(small, "good :)")[":)"] == ("emoticon, added to the word before",)
    assert reasons(small, ":)")[":)"] == ("emoticon",)
    assert "second strong word in a row +1" in reasons(small, "wonderful loves")["loves"]


def test_a_sentence_tells_how_it_came_to_its_strengths(small: Scorer) -> None:
    [first, second, third] = explain(small, "very good! I miss you. wonderful loves!").sentences
    assert first.strength == (4, -1)
    assert first.reasons == (
        "strongest +2 and +0, one further from 0 and rounded: 3 -1",
        "the exclamation mark makes the positive strength one stronger",
    )
    assert second.reasons[1:] == ("with 'miss' in it, a positive of 1 is 2",)
    assert third.reasons[-1] == "5 and -5 are the strongest there are"


def test_an_exclamation_before_any_word_does_not_count(small: Scorer) -> None:
    assert reasons(small, "!!! good")["!!!"] == ("exclamation before any word, not counted",)
    assert small.score("!!! good") == small.score("good")
