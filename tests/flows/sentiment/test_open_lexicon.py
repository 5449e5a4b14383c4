"""The word lists that are shipped: what their script makes of VADER's ratings, and what comments get from them."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sample.storyboard import write_comments
from flows.sentiment.engines import scorer
from flows.sentiment.labelling import dominant_pole
from flows.sentiment.open_lexicon import build
from flows.settings import SentimentSettings

SCORER = scorer()
RATED = "love 3.2|like 1.5|good 1.9|happy 2.7|upset -1.6|annoying -1.7|disgusting -2.4|:) 2.0"
"""The words that emoji stand for, without which no list is converted, and an emoticon."""


def vader(lines: str = "") -> bytes:
    return "\n".join(line.replace(" ", "\t") for line in f"{RATED}|{lines}".split("|")).encode()


def entries(text: str) -> dict[str, int]:
    return {word: int(number) for word, number in (line.split("\t") for line in text.splitlines())}


def positive(text: str) -> int:
    return SCORER.score(text).positive


def negative(text: str) -> int:
    return SCORER.score(text).negative


def test_the_shipped_lists_are_what_the_script_makes_of_the_installed_vader() -> None:
    pytest.importorskip("vaderSentiment")
    lists = build.convert(build.read_vader(build.installed_vader()))
    assert {path.name: path.read_bytes().decode() for path in build.FOLDER.glob("*.txt")} == lists


def test_every_list_is_read_without_a_notice_and_holds_no_entry_twice() -> None:
    assert SCORER.lexicon.notices == ()
    for path in build.FOLDER.glob("*.txt"):
        words = [line.split("\t")[0] for line in path.read_text("utf-8").splitlines()]
        assert words == sorted(set(words)), path.name


@pytest.mark.parametrize(
    ("rating", "expected"),
    [(1.39, 0), (1.4, 2), (2.79, 2), (2.8, 3), (3.4, 4), (0.0, 0), (-0.09, 0), (-0.1, -2), (-1.8, -3), (-3.2, -5)],
)
def test_a_rating_becomes_the_strength_whose_cut_it_passes(rating: float, expected: int) -> None:
    assert build.strength(rating) == expected


@given(st.lists(st.floats(-4, 4), min_size=2))
def test_a_higher_rating_never_gets_a_lower_strength(ratings: list[float]) -> None:
    strengths = [build.strength(rating) for rating in sorted(ratings)]
    assert strengths == sorted(strengths)
    assert not {1, -1} & set(strengths)


def test_neutral_words_boosters_and_negations_are_no_emotions() -> None:
    words = entries(build.convert(vader("splendid 2.9|table 0.3|very 1.5|no -1.2|fire -1.4"))["EmotionLookupTable.txt"])
    assert words["splendid"] == 3
    assert not {"table", "very", "no", "fire"} & set(words)


def test_emoticons_are_one_or_minus_one_and_words_and_those_with_spaces_are_none() -> None:
    raw = vader() + b"\n:D\t3.1\n:(\t-2.2\n;)\t0.9\n:|\t-0.4\n( '}{' )\t1.6\ngr8\t2.7"
    listed = entries(build.convert(raw)["EmoticonLookupTable.txt"])
    assert (listed[":D"], listed[":("], listed[";)"]) == (1, -1, 1)
    assert not {":|", "( '}{' )", "gr8"} & set(listed)
    assert set(listed.values()) == {1, -1}


def test_an_emoji_adds_what_the_word_that_it_stands_for_adds() -> None:
    lists = build.convert(vader())
    words, emoji = entries(lists["EmotionLookupTable.txt"]), entries(lists["EmojiLookupTable.txt"])
    assert emoji["😍"] == words["love"] - 1
    assert emoji["🤮"] == words["disgusting"] + 1


def test_a_list_is_read_from_the_wheel_as_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(vader())
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("vaderSentiment/vader_lexicon.txt", vader())
    assert build.read_vader(tmp_path / "a.whl", any_version=True) == vader()
    assert build.read_vader(tmp_path / "list.txt", any_version=True) == vader()


def test_a_list_of_another_version_is_refused_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(vader())
    with pytest.raises(SentimentError, match=r"list\.txt: the list's sha256 is .*pass --any-version"):
        build.read_vader(tmp_path / "list.txt")


def test_a_missing_file_or_a_wheel_without_the_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SentimentError, match=r"gone\.txt: cannot be read"):
        build.read_vader(tmp_path / "gone.txt")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/list.txt", "")
    with pytest.raises(SentimentError, match=r"other\.whl: holds no vaderSentiment/vader_lexicon\.txt"):
        build.read_vader(tmp_path / "other.whl")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"good\t1.9\nbad", r"line 2: no rating after 'bad'"),
        (b"good\tvery", r"line 1: no rating after 'good'"),
        (b"g\xe9nial\t1.9", r"not UTF-8 at byte 1"),
        (b"good\t1.9", r"emoji stand for 'love', .*no strength"),
    ],
)
def test_what_is_no_list_of_ratings_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(SentimentError, match=message):
        build.convert(raw)


def test_the_command_writes_the_lists_into_the_folder_and_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_bytes(vader())
    build.main(["--vader", str(tmp_path / "list.txt"), "--out", str(tmp_path / "made"), "--any-version"])
    assert "NegatingWordList.txt: " in capsys.readouterr().out
    assert scorer(SentimentSettings(lexicon=tmp_path / "made")).score("I love it") == (3, -1)


def test_the_command_ends_with_an_error_where_it_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .*gone"):
        build.main(["--vader", str(tmp_path / "gone"), "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_an_own_word_says_something_that_vader_does_not() -> None:
    pytest.importorskip("vaderSentiment")
    rows = (line.split("\t") for line in build.installed_vader().read_text("utf-8").splitlines())
    ratings = {row[0]: float(row[1]) for row in rows}
    own = {word: int(number) for number, words in build.OWN["words"].items() for word in words.split()}
    assert [word for word, number in own.items() if word in ratings and build.strength(ratings[word]) == number] == []


SAID = {
    "praise": "❤️|👍🏽|🔥|👏🏿|🥰|😊|💯|🐐|🩷|^_^|<3|what a banger|this song is fire|not bad|can't wait",
    "scorn": "👎|😡|🤮|🖕🏻|🤦‍♂️|💔|🤡|-_-|so cringe|total waste of time|they scammed me",
    "nothing": "😂|🤣|😭|💀|🤔|👀|🐦‍🔥|🇧🇷|👨‍👩‍👧|I bought a kindle fire|pretty much the whole day|I'm dead",
}
"""What today's words, idioms, emoticons and emoji in any skin say of an ad by themselves."""


@pytest.mark.parametrize(("said", "text"), [(said, text) for said, texts in SAID.items() for text in texts.split("|")])
def test_a_bare_comment_is_praise_scorn_or_nothing(said: str, text: str) -> None:
    assert (positive(text) > 1, negative(text) < -1) == (said == "praise", said == "scorn")


def test_a_row_of_hearts_says_more_than_one_and_a_heart_strengthens_a_word() -> None:
    assert positive("❤️❤️❤️") > positive("❤️")
    assert positive("love it") < positive("love ❤️")


def test_boosters_negations_emoticons_and_lengthened_words_count() -> None:
    assert positive("extremely good") == positive("very good") + 1 == positive("good") + 2
    assert negative("slightly disgusting") == negative("disgusting") + 1
    assert SCORER.score("not disgusting") == (1, -1)
    assert negative("don't love it") < -1
    assert positive("good :)") == positive("good") + 1
    assert positive("loooove it") > positive("love it")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("mood", "sign"), [("positive", 1), ("negative", -1), ("mixed", 0)])
def test_ads_of_the_sample_are_labelled_by_their_mood(mood: str, sign: int, seed: int) -> None:
    comments = write_comments(mood, "kettle", 60, random.Random(seed), 0)
    poles = [dominant_pole(*SCORER.score(comment["text"])) for comment in comments]
    mean = fmean(pole for pole in poles if pole)
    assert (mean > 2.5) - (mean <= -2.5) == sign, mean
