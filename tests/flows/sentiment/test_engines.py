"""Scoring comments with the open lexicon: the main rules, and whatever strangers may write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sentiment.engines import LexiconEngine, NativeEngine, SentimentEngine, Strength, make_engine
from flows.sentiment.lexicon import OPEN_LEXICON, Lexicon
from flows.sentiment.open_lexicon.build import convert, strength

ENGINE = LexiconEngine()


def score(text: str) -> Strength:
    [result] = ENGINE.score([text])
    return result


@pytest.mark.parametrize("text", ["", "   ", "the spoon is on the table", "12345", "。。。", "🙂🙃"])
def test_a_text_without_a_listed_word_is_neutral(text: str) -> None:
    assert score(text) == Strength(1, -1)


def test_a_listed_word_gives_its_strength_and_the_strongest_of_several_counts() -> None:
    assert score("a good spoon") == Strength(2, -1)
    assert score("good, and even excellent") == Strength(3, -1)
    assert score("an excellent spoon in a terrible box") == Strength(3, -3)


def test_a_booster_strengthens_and_a_diminisher_weakens_the_next_word() -> None:
    assert score("very good").positive == score("good").positive + 1
    assert score("extremely good").positive == score("good").positive + 2
    assert score("slightly terrible").negative == score("terrible").negative + 1


def test_a_negation_turns_a_positive_word_and_takes_a_negative_ones_strength() -> None:
    assert score("not excellent").positive == 1
    assert score("not excellent").negative < -1
    assert score("not terrible") == Strength(1, -1)
    assert score("not very terrible") == Strength(1, -1), "a booster in between does not end the negation"
    assert score("not the most terrible").negative == score("terrible").negative, "another word in between does"


def test_repeated_letters_are_mended_and_emphasise() -> None:
    assert score("loooove it").positive == score("love it").positive + 1
    assert score("goooood").positive > score("good").positive


def test_the_second_of_two_strong_words_of_one_sign_counts_more() -> None:
    assert score("terrible horrible").negative < min(score("terrible").negative, score("horrible").negative)


def test_an_exclamation_mark_moves_the_stronger_side_by_one() -> None:
    assert score("terrible!").negative == score("terrible").negative - 1
    assert score("good!").positive == score("good").positive + 1


def test_an_emoticon_adds_to_the_word_before_it() -> None:
    assert score("good :)").positive == score("good").positive + 1
    assert score(":(").negative == -2


def test_strengths_never_leave_the_scale() -> None:
    assert score("extremely loooooove love love!!! :D") == Strength(5, -1)
    assert score("extremely hate hate hate!!! :(") == Strength(1, -5)


@given(st.lists(st.text(max_size=200), max_size=8))
def test_any_texts_give_one_strength_each_within_the_scale(texts: list[str]) -> None:
    results = ENGINE.score(texts)
    assert len(results) == len(texts)
    assert all(1 <= r.positive <= 5 and -5 <= r.negative <= -1 for r in results)
    assert results == [score(text) for text in texts]


def test_a_comment_of_a_million_characters_is_scored() -> None:
    assert score("bad " * 250_000).negative < -1


def test_the_open_lexicon_is_what_its_script_makes_of_ratings(tmp_path: Path) -> None:
    source = tmp_path / "vader_lexicon.txt"
    source.write_text(
        "good\t1.9\t0.9\t[2]\nbad\t-2.5\t0.7\t[-2]\nmeh\t-0.3\t0.6\t[0]\nvery\t1.5\t0.1\t[1]\n:)\t2.0\t1.1\t[2]\n"
    )
    counts = convert(source, tmp_path)
    assert counts["EmotionLookupTable.txt"] == 2, "what is neutral or a booster is no emotion"
    lexicon = Lexicon.read(tmp_path)
    assert (lexicon.words["good"], lexicon.words["bad"], lexicon.emoticons[":)"]) == (2, -4, 1)


@pytest.mark.parametrize(
    ("rating", "expected"),
    [(1.29, 0), (1.3, 2), (2.1, 3), (2.9, 4), (3.4, 5), (-0.59, 0), (-0.6, -2), (-1.8, -3), (-3.6, -5)],
)
def test_the_cuts_are_not_symmetric(rating: float, expected: int) -> None:
    assert strength(rating) == expected


def _copy_lexicon(folder: Path) -> Path:
    for path in OPEN_LEXICON.glob("*.txt"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_stem_matches_every_word_that_begins_with_it(tmp_path: Path) -> None:
    _copy_lexicon(tmp_path)
    (tmp_path / "EmotionLookupTable.txt").write_text("spoon*\t4\nspoonless\t-3\n")
    engine = LexiconEngine(tmp_path)
    assert engine.score(["spoonful", "spoonless", "spoo"]) == [Strength(4, -1), Strength(1, -3), Strength(1, -1)]


def test_a_lexicon_that_cannot_be_read_is_refused_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(SentimentError, match=r"EmotionLookupTable\.txt: No such file"):
        LexiconEngine(tmp_path)
    _copy_lexicon(tmp_path)
    (tmp_path / "BoosterWordList.txt").write_text("very\t1\nquite\tone\n")
    with pytest.raises(SentimentError, match=r"BoosterWordList\.txt, line 2: 'one'"):
        LexiconEngine(tmp_path)
    (tmp_path / "BoosterWordList.txt").write_bytes(b"tr\xe8s\t1\n")
    with pytest.raises(SentimentError, match=r"BoosterWordList\.txt: not UTF-8 at byte 2"):
        LexiconEngine(tmp_path)


def test_the_version_changes_with_the_word_lists(tmp_path: Path) -> None:
    _copy_lexicon(tmp_path)
    assert LexiconEngine(tmp_path).version == ENGINE.version
    (tmp_path / "NegatingWordList.txt").write_text("not\n")
    assert LexiconEngine(tmp_path).version != ENGINE.version


@pytest.mark.parametrize("engine", [ENGINE, NativeEngine()], ids=lambda engine: engine.name)
def test_every_engine_gives_one_strength_a_text_in_their_order(engine: SentimentEngine) -> None:
    texts = ["I love it", "", "what a terrible spoon", "\ud800", "the spoon"]
    alone = [strength for text in texts for strength in engine.score([text])]
    assert engine.score(texts) == alone
    assert alone[0].positive > 1
    assert alone[2].negative < -1


def test_the_native_engine_reads_any_folder_of_lists_and_its_version_changes_with_them(tmp_path: Path) -> None:
    _copy_lexicon(tmp_path)
    assert make_engine("native", lexicon=tmp_path).version == NativeEngine().version
    (tmp_path / "EmotionLookupTable.txt").write_text("spoon*\t4\n")
    engine = make_engine("native", lexicon=tmp_path)
    assert engine.score(["spoonful"]) == [Strength(4, -1)]
    assert engine.version != NativeEngine().version


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SentimentError, match="'vader' is not known"):
        make_engine("vader")
