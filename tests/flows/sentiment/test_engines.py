"""The engines behind one protocol: which there are, when their answers may change, and whether emoji count."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sentiment.engines import OPEN_LEXICON, NativeEngine, SentimentEngine, Strength, make_engine, scorer
from tests.sentistrength_stand_in import archive

ENGINE = NativeEngine()


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
    same = NativeEngine(lists(tmp_path / "same"), emoji=True)
    assert same.version == ENGINE.version
    versions = {
        ENGINE.version,
        NativeEngine(emoji=False).version,
        NativeEngine(lists(tmp_path / "other", NegatingWordList="not\n")).version,
        NativeEngine(lists(tmp_path / "none", without="EmojiLookupTable.txt")).version,
        NativeEngine(lists(tmp_path / "none", without="EmojiLookupTable.txt"), emoji=True).version,
    }
    assert len(versions) == 5


def test_emoji_count_with_the_projects_lists_and_with_others_only_when_asked(tmp_path: Path) -> None:
    others = lists(tmp_path / "lists", without="EmojiLookupTable.txt")
    assert (
        NativeEngine().score(["😍"])
        == NativeEngine(OPEN_LEXICON).score(["😍"])
        == NativeEngine(others, emoji=True).score(["😍"])
    )
    assert NativeEngine().score(["😍"])[0].positive > 1
    for engine in (NativeEngine(others), NativeEngine(emoji=False)):
        assert engine.score(["😍"]) == [Strength(1, -1)]


def test_a_folders_own_list_of_emoji_is_the_one_that_counts(tmp_path: Path) -> None:
    own = lists(tmp_path / "lists", EmojiLookupTable="😍\t-3\n")
    assert NativeEngine(own, emoji=True).score(["😍"])[0].negative < -1


def test_any_folder_of_lists_can_be_read(tmp_path: Path) -> None:
    engine = make_engine("native", lexicon=lists(tmp_path / "lists", EmotionLookupTable="spoon*\t4\n"))
    assert engine.score(["spoonful"]) == [Strength(4, -1)]
    assert scorer(tmp_path / "lists").score("spoonful") == Strength(4, -1)


def test_lines_that_are_read_otherwise_than_meant_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scorer(lists(tmp_path / "lists", EmotionLookupTable="love 3\ngood\t2\ngood\t3\n" + "bad -2\n" * 2))
    assert "line 1: 'love 3' has no whole number after it" in caplog.messages[0]
    assert caplog.messages[-1] == "and 1 more lines like these; they are read all the same"


def test_lists_that_cannot_be_read_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(SentimentError, match=r"BoosterWordList\.txt: missing"):
        make_engine("native", lexicon=lists(tmp_path / "lists", without="BoosterWordList.txt"))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SentimentError, match="'vader' is not known; expected one of native, java"):
        make_engine("vader")


def test_java_is_refused_without_its_archive_and_with_emoji(tmp_path: Path) -> None:
    assert make_engine("java", jar=archive(tmp_path / "a.jar"), java="sh").name == "java"
    with pytest.raises(SentimentError, match=r"`sentiment\.jar` names"):
        make_engine("java")
    with pytest.raises(SentimentError, match="counts no emoji"):
        make_engine("java", jar=tmp_path, emoji=True)
