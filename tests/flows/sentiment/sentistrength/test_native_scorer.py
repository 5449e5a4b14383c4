"""One sentence per rule of the scoring, and texts that strangers may write."""

from __future__ import annotations

import copy
import time
from itertools import count, islice

import pytest

from flows.sentiment.sentistrength import NEUTRAL, Scorer, explain
from flows.sentiment.sentistrength import scorer as scorer_module

RULES = {
    "the strongest word of either sign counts": {
        "": (1, -1),
        "the day": (1, -1),
        "good day": (2, -1),
        "a wonderful day so awful": (4, -3),
        "fine": (1, -1),
        "loving it": (1, -1),
        "loves it": (3, -1),
        "watergate": (1, -3),
        "superscammer": (1, -4),
    },
    "a booster strengthens and a negation turns the next word": {
        "very good": (3, -1),
        "extremely good": (4, -1),
        "slightly hate it": (1, -3),
        "very day good": (2, -1),
        "not good": (1, -1),
        "not very good": (1, -2),
        "not hate": (1, -1),
        "not so good": (2, -1),
        "never wonderful": (1, -2),
    },
    "neighbours letters marks and emoticons add to a word": {
        "love wonderful day": (5, -1),
        "love day wonderful": (4, -1),
        "awful hate": (1, -5),
        "looooove": (4, -1),
        "soooooo": (2, -1),
        "yessss": (2, -1),
        "good!": (3, -1),
        "hate! good": (2, -5),
        "! good": (2, -1),
        "good :)": (3, -1),
        "bad :(": (1, -3),
        ":)": (2, -1),
        "I miss you": (2, -2),
    },
    "a word that looks like a name does not count": {
        "Good day": (2, -1),
        "the Good day": (1, -1),
        "the GOOD day": (2, -1),
        ": Good": (2, -1),
        "@someone Good": (2, -1),
        "the day. Good": (2, -1),
    },
    "an idiom takes the place of its words": {
        "what's up": (2, -1),
        "what's. up": (1, -1),
        "so shock horror": (1, -3),
        "shock horrror": (1, -3),
        "broken dreams": (1, -4),
        "broken": (1, -1),
    },
}


@pytest.mark.parametrize(
    ("text", "strengths"),
    [pytest.param(*row, id=f"{rule}: {row[0]}") for rule, rows in RULES.items() for row in rows.items()],
)
def test_a_rule_of_the_scoring(small: Scorer, text: str, strengths: tuple[int, int]) -> None:
    assert small.score(text) == strengths


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
    "text",
    [
        "\x00\x01\x1b[31m",
        "\ud83d",
        "\ude00\ud83d good",
        "شكرا جزيلا \u202e good",
        "&lt;b&gt;good&lt;/b&gt; &amp; &#39;bad&#39;",
        "\u200d\ufe0f",
        "½²Ⅳ",
        "İİİİİİİİ",
        "<br><br>",
        "'\"'\"",
        "...!!!???",
        "\t\r\n\x85\u2028",
    ],
)
def test_odd_characters_give_a_score(small: Scorer, small_with_emoji: Scorer, text: str) -> None:
    for scorer in (small, small_with_emoji):
        strength = scorer.score(text)
        assert 1 <= strength.positive <= 5
        assert -5 <= strength.negative <= -1
        assert explain(scorer, text).strength == strength


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
