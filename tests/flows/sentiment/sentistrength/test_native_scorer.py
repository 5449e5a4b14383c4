"""One sentence per rule of the scoring, and texts that strangers may write."""

from __future__ import annotations

import copy
import time
from itertools import count, islice
from pathlib import Path

import pytest

from flows.sentiment.sentistrength import NEUTRAL, Scorer, explain
from flows.sentiment.sentistrength import scorer as scorer_module

RULES = [line.split("\t") for line in Path(__file__).with_name("rules.tsv").read_text("utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("rule", "text", "positive", "negative"), RULES)
def test_a_rule_of_the_scoring(small: Scorer, rule: str, text: str, positive: str, negative: str) -> None:
    assert small.score(text) == (int(positive), int(negative)), rule


@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("so😀", 2, -1),
        ("😀😀👍", 4, -1),
        ("👍🏽", 2, -1),
        ("bad😡", 1, -4),
        ("❤", 3, -1),
        ("❤️so", 3, -1),
        ("❤️‍🔥", 4, -1),
        ("good😀 :)", 4, -1),
        (":)😀", 3, -1),
        ("🙃", 1, -1),
    ],
)
def test_listed_emoji_count_like_emoticons_wherever_they_stand(
    small: Scorer, small_with_emoji: Scorer, text: str, positive: int, negative: int
) -> None:
    assert small_with_emoji.score(text) == (positive, negative)
    assert explain(small_with_emoji, text).strength == (positive, negative)


def test_emoji_do_not_count_unless_asked_for(small: Scorer) -> None:
    assert small.score("so😀 👍 😡") == NEUTRAL


@pytest.mark.parametrize(
    "unit", ["a", "aab", "haha", "x.", ".", "!", "'a", ". ", "<br>", "good ", "😀", "what's ", "\n"]
)
def test_a_comment_takes_time_in_proportion_to_its_length(small_with_emoji: Scorer, unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        small_with_emoji.score(text)
        return time.process_time() - start

    assert seconds(200_000) < 20 * seconds(20_000) + 1


def test_a_stream_is_scored_as_it_comes(small: Scorer) -> None:
    endless = (f"good{number} day" for number in count())
    assert list(islice(small.score_all(endless), 3)) == [NEUTRAL] * 3


def test_memory_stays_bounded_over_ever_new_words(small: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer_module, "_SEGMENTS", 64)
    monkeypatch.setattr(scorer_module, "_WORDS", 32)
    scorer = Scorer(small.lexicon)
    for _ in scorer.score_all(f"word{number} {number}" for number in range(1000)):
        pass
    kept = [len(cache) + len(cache._old) for cache in (scorer._segments, scorer._words)]
    assert kept[0] <= 2 * 64
    assert kept[1] <= 2 * 32
    assert scorer.score("very good") == (3, -1)


def test_a_scorer_can_be_sent_to_another_process(small_with_emoji: Scorer) -> None:
    again = copy.deepcopy(small_with_emoji)  # by the same protocol as pickle
    assert again.score("good😀!") == small_with_emoji.score("good😀!")
