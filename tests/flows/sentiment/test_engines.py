"""The engines behind one protocol: which there are, when their answers may change, and whether emoji count."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sentiment.engines import (
    OPEN_LEXICON,
    NativeEngine,
    SentimentEngine,
    Strength,
    make_engine,
    reading_of,
    scorer,
)
from flows.sentiment.sentistrength import AS_ORIGINAL, Reading
from flows.settings import SentimentSettings
from tests.sentistrength_stand_in import archive

ENGINE = NativeEngine()
READ = Reading(straighten_apostrophes=True, ignore_addresses=True)


def native(lexicon: Path | None = None, **settings: Any) -> SentimentEngine:
    """The native engine over these lists."""
    return make_engine(SentimentSettings(lexicon=lexicon, **settings))


def lists(folder: Path, *, without: str = "", **changed: str) -> Path:
    """A copy of the open lexicon with other contents in these files, and without one of them."""
    folder.mkdir(exist_ok=True)
    for path in OPEN_LEXICON.glob("*.txt"):
        if path.name != without:
            shutil.copy(path, folder)
    for name, text in changed.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "the spoon is on the table", "12345", "。。。", "https://a.b/c"])
def test_a_text_without_a_listed_word_is_neutral(text: str) -> None:
    assert ENGINE.score([text]) == [Strength(1, -1)]


def test_a_text_is_as_strong_as_its_strongest_words() -> None:
    [good, love, mixed] = ENGINE.score(["a good spoon", "I love this good spoon", "I love it but it is terrible"])
    assert 1 < good.positive < love.positive
    assert good.negative == -1
    assert mixed.positive > 1 > -1 > mixed.negative


@given(st.lists(st.text(st.characters(codec=None)), max_size=6))
def test_one_strength_a_text_in_their_order(texts: list[str]) -> None:
    engine: SentimentEngine = ENGINE
    assert engine.score(texts) == [answer for text in texts for answer in engine.score([text])]


def test_a_line_break_is_a_space_to_every_engine() -> None:
    assert ENGINE.score(["good\nspoon"]) == ENGINE.score(["good\r\nspoon"]) == ENGINE.score(["good spoon"])


def test_the_version_changes_with_the_lists_and_with_what_counts(tmp_path: Path) -> None:
    same = native(lists(tmp_path / "same"), emoji=True, straighten_apostrophes=True, ignore_addresses=True)
    assert same.version == ENGINE.version
    versions = {
        ENGINE.version,
        native(emoji=False).version,
        native(straighten_apostrophes=False).version,
        native(ignore_addresses=False).version,
        native(lists(tmp_path / "other", NegatingWordList="not\n")).version,
        native(lists(tmp_path / "none", without="EmojiLookupTable.txt")).version,
        native(lists(tmp_path / "none", without="EmojiLookupTable.txt"), emoji=True).version,
    }
    assert len(versions) == 7


def test_emoji_count_with_the_projects_lists_and_with_others_only_when_asked(tmp_path: Path) -> None:
    others = lists(tmp_path / "lists", without="EmojiLookupTable.txt")
    assert (
        NativeEngine().score(["😍"]) == native(OPEN_LEXICON).score(["😍"]) == native(others, emoji=True).score(["😍"])
    )
    assert NativeEngine().score(["😍"])[0].positive > 1
    for engine in (native(others), native(emoji=False)):
        assert engine.score(["😍"]) == [Strength(1, -1)]


def test_a_folders_own_list_of_emoji_is_the_one_that_counts(tmp_path: Path) -> None:
    own = lists(tmp_path / "lists", EmojiLookupTable="😍\t-3\n")
    assert native(own, emoji=True).score(["😍"])[0].negative < -1


def test_any_folder_of_lists_can_be_read(tmp_path: Path) -> None:
    engine = native(lists(tmp_path / "lists", EmotionLookupTable="spoon*\t4\n"))
    assert engine.score(["spoonful"]) == [Strength(4, -1)]
    assert scorer(SentimentSettings(lexicon=tmp_path / "lists")).score("spoonful") == Strength(4, -1)


def test_lines_that_are_read_otherwise_than_meant_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    native(lists(tmp_path / "lists", EmotionLookupTable="love 3\ngood\t2\ngood\t3\n" + "bad -2\n" * 2))
    assert "line 1: 'love 3' has no whole number after it" in caplog.messages[0]
    assert caplog.messages[-1] == "and 1 more lines like these; they are read all the same"


def test_lists_that_cannot_be_read_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(SentimentError, match=r"BoosterWordList\.txt: missing"):
        native(lists(tmp_path / "lists", without="BoosterWordList.txt"))


def test_java_is_refused_without_its_archive_and_with_emoji(tmp_path: Path) -> None:
    assert make_engine(SentimentSettings(engine="java", jar=archive(tmp_path / "a.jar"), java="sh")).name == "java"
    with pytest.raises(SentimentError, match=r"`sentiment\.jar` names"):
        make_engine(SentimentSettings(engine="java"))
    with pytest.raises(SentimentError, match="counts no emoji"):
        make_engine(SentimentSettings(engine="java", jar=tmp_path, emoji=True))


def test_lines_that_differ_in_their_apostrophe_alone_have_the_same_strengths(shared_data: Path) -> None:
    lines = (shared_data.parent / "cases" / "texts" / "curly_apostrophes.txt").read_text("utf-8").splitlines()
    assert len(lines) % 2 == 0
    assert ENGINE.score(lines[::2]) == ENGINE.score(lines[1::2])
    as_original = native(straighten_apostrophes=False)
    assert as_original.score(lines[::2]) != as_original.score(lines[1::2])


@pytest.mark.parametrize("apostrophe", "\u2018\u2019\u201b\u02b9\u02bb\u02bc\u2032\uff07\ua78c\u055a\x92`´")
def test_any_sign_that_people_type_for_an_apostrophe_negates(apostrophe: str) -> None:
    straight = ["I don't love it", "it isn't bad", "I DIDN'T hate it"]
    assert ENGINE.score([text.replace("'", apostrophe) for text in straight]) == ENGINE.score(straight)


def test_an_accent_that_draws_a_face_is_no_apostrophe() -> None:
    assert READ.scored("(´・ω・`) don´t") == "(´・ω・`) don't"


def test_of_lines_with_an_address_the_other_words_count(shared_data: Path) -> None:
    lines = (shared_data.parent / "cases" / "texts" / "addresses.txt").read_text("utf-8").splitlines()
    assert ENGINE.score(lines) == ENGINE.score(["nice"]) * len(lines)
    assert native(ignore_addresses=False).score(lines) != ENGINE.score(lines)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("HTTP://HATE.COM/BAD, nice", ", nice"),
        ("nice (https://x.com/hate).", "nice ( )."),
        ("nice <https://x.com/hate>!", "nice < >!"),
        ("https://x.com/hate?bad=war#awful... nice", "... nice"),
        ("http://en.wikipedia.org/wiki/War_(hate) nice", "nice"),
        ("[bad](http://x.com/war)nice", "[bad]( )nice"),
        ("*http://hate.com/bad* nice", "* * nice"),
        ("nicehttps://t.co/hate", "nice"),
        ("https://t.co/hate😍", "😍"),
        ("www.hate.com. nice", ". nice"),
        ("hate.com/bad! nice", "! nice"),
        ("youtu.be/hate nice", "nice"),
        ("terrible.com nice", "nice"),
        ("HATE.ORG nice", "nice"),
        ("hate.co.uk war.de nice", "nice"),
        ("war.com?q=hate nice", "nice"),
        ("hate.biz:8080 nice", "nice"),
        ("192.168.1.1/hate nice", "nice"),
        ("http://localhost:3000/hate nice", "nice"),
        ("hate@bad.com nice", "nice"),
        ("mailto:Terrible.War@bad.co.uk nice", "nice"),
        ("https://münchen-hass.de/böse nice", "nice"),
        ("http://xn--hate-x.xn--p1ai/war nice", "nice"),
        ("война.рф/hate nice", "nice"),
        ("I love it.So good", None),
        ("9.5/10", None),
        ("and/or bad...good", None),
        ("@hate 10:30", None),
        ("e.g./i.e. bad", None),
    ],
)
def test_an_address_is_left_out_and_what_stands_around_it_stays(text: str, left: str | None) -> None:
    assert READ.scored(text).strip() == (text if left is None else left)


@pytest.mark.parametrize(
    "unit", ["a", "a.", "a.b", "http://", "a@", "www.", "a.a/", "a-", "1.1.", "http://(", "mailto:"]
)
def test_looking_for_addresses_takes_time_in_proportion_to_the_length(unit: str) -> None:
    start = time.process_time()
    READ.scored(unit * (100_000 // len(unit)))
    assert time.process_time() - start < 2


@given(st.text(st.characters(codec=None)) | st.text("http://w.a@b’ )"))
def test_reading_a_text_twice_changes_nothing_more(text: str) -> None:
    for reading in (READ, AS_ORIGINAL):
        once = reading.scored(text)
        assert reading.scored(once).split() == once.split()
    assert once == text


def test_the_originals_lists_are_read_as_the_original_does_until_a_setting_says_otherwise(shared_data: Path) -> None:
    lexicon = shared_data / "sentistrength" / "lists"
    assert reading_of(SentimentSettings(lexicon=lexicon)) == AS_ORIGINAL
    texts = ["I don’t love it", "fine http://x.com/hate"]
    engine = native(lexicon, straighten_apostrophes=True, ignore_addresses=True)
    assert engine.score(texts) == native(lexicon).score(["I don't love it", "fine"]) != native(lexicon).score(texts)
    assert engine.version != native(lexicon).version


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("🩷", "❤️"),
        ("🩵🏽", "❤️"),
        ("🤦🏽‍♂️", "🤦"),
        ("🙂‍↔️", "a"),
        ("🧑‍🤝‍🧑", "a"),
        ("🧑🏽‍🤝‍🧑🏿", "a"),
        ("❤️‍🔥", "😍"),
        ("😍\U0001faff", "😍"),
        ("\U0001faff", "a"),
        ("🫨🫩", "a"),
        ("❤️\u200d", "❤️"),
    ],
)
def test_an_emoji_is_one_whatever_python_knows_of_it(text: str, same_as: str) -> None:
    assert ENGINE.score([text]) == ENGINE.score([same_as])
