"""Reading folders of word lists as they are found in the wild, and refusing what is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.errors import SentimentError
from flows.sentiment.sentistrength import Lexicon, LexiconError, Reading, Scorer
from flows.sentiment.sentistrength.lookup import Found

Folder = Callable[..., Path]
WORDS = "EmotionLookupTable.txt"


def test_strengths_are_stored_one_nearer_to_neutral_but_boosters_and_emoticons_are_not(folder: Folder) -> None:
    lexicon = Lexicon.read(folder())
    assert [lexicon.find(word) for word in ("good", "hate", "fine")] == [
        Found("good", 1),
        Found("hate", -3),
        Found("fine", 0),
    ]
    assert lexicon.boosters == {"very": 1, "extremely": 2, "slightly": -1}
    assert lexicon.emoticons[":("] == -1
    assert lexicon.idioms[0] == (("what's", "up"), 1)


def test_line_ends_spaces_blank_lines_and_remarks_do_not_matter(folder: Folder) -> None:
    lexicon = Lexicon.read(folder({WORDS: "good \t 2 \tremark\t5\r\n\r\n \nbad*  \t-3\rawful\t-4"}))
    assert lexicon.find("good") == Found("good", 1)
    assert lexicon.find("badly") == Found("bad*", -2)
    assert lexicon.find("awful") == Found("awful", -3)


@pytest.mark.parametrize("line", ["good", "good\t", "good\tmuch", "good\t2.5", "good\t\t2"])
def test_a_line_without_a_whole_number_counts_0_and_is_told(folder: Folder, line: str) -> None:
    lexicon = Lexicon.read(folder({WORDS: f"bad\t-2\n{line}\n"}))
    assert lexicon.find("good") == Found("good", 0)
    [notice] = lexicon.notices
    assert f"{WORDS}, line 2: 'good' has no whole number" in notice


def test_an_entry_listed_twice_with_different_strengths_is_told(folder: Folder) -> None:
    lexicon = Lexicon.read(folder({"EmoticonLookupTable.txt": ":|\t-1\n:)\t1\n:|\t0\n:)\t1\n"}))
    [notice] = lexicon.notices
    assert "EmoticonLookupTable.txt, line 3: ':|' is 0 here and -1 in line 1" in notice
    assert lexicon.emoticons[":|"] in (0, -1)


@pytest.mark.parametrize("name", [WORDS, "BoosterWordList.txt", "NegatingWordList.txt", "EmoticonLookupTable.txt"])
def test_a_missing_list_is_named(folder: Folder, name: str) -> None:
    with pytest.raises(LexiconError, match=f"{name}: missing") as refused:
        Lexicon.read(folder({name: None}))
    assert refused.value.path.name == name
    assert isinstance(refused.value, SentimentError)


@pytest.mark.parametrize("name", ["EnglishWordList.txt", "IdiomLookupTable.txt", "EmojiLookupTable.txt"])
def test_spellings_idioms_and_emoji_may_be_missing(folder: Folder, name: str) -> None:
    assert Scorer.of(folder({name: None}), Reading(emoji=True)).score("looove") == (4, -1)


def test_other_names_of_the_lists_are_known(folder: Folder) -> None:
    lists = {
        "SentimentLookupTable.txt": "gut\t3\n",
        WORDS: None,
        "Dictionary.txt": "gut\n",
        "EnglishWordList.txt": None,
    }
    scorer = Scorer.of(folder(lists))
    assert scorer.score("gut") == (3, -1)
    assert scorer.lexicon.spellings == {"gut"}


def test_an_empty_folder_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match=r"at least EmotionLookupTable.txt, BoosterWordList.txt"):
        Lexicon.read(tmp_path)
    with pytest.raises(LexiconError, match="is not a folder"):
        Lexicon.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("good\t7", "strength 7 of 'good'; expected -5 to 5"),
        ("good\t-99999999999999999999", "expected -5 to 5"),
        ("*\t3", "would match every word"),
        ("go\0od\t3", "not a text file"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_file_and_line(folder: Folder, line: str, reason: str) -> None:
    with pytest.raises(LexiconError, match=reason) as refused:
        Lexicon.read(folder({WORDS: f"bad\t-2\n{line}\n"}))
    assert (refused.value.path.name, refused.value.line) == (WORDS, 2)
    assert f"{WORDS}, line 2: " in str(refused.value)
    assert str(copy.deepcopy(refused.value)) == str(refused.value)


def test_a_list_without_an_entry_is_refused(folder: Folder) -> None:
    with pytest.raises(LexiconError, match=r"BoosterWordList.txt: holds no entry"):
        Lexicon.read(folder({"BoosterWordList.txt": "\r\n\r\n"}))


@pytest.mark.parametrize(
    "encoded",
    [
        *("schön\t3\n".encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252")),
        "schön\t3\n".encode("latin-1") + b"\x81\t2\n",
        "schön\t3\n".encode() + b"d\xe9j\t2\n",
    ],
)
def test_the_encoding_is_found(folder: Folder, encoded: bytes) -> None:
    assert Lexicon.read(folder({WORDS: encoded})).find("schön") == Found("schön", 2)


def test_a_stray_byte_in_an_emoticon_is_read_as_the_original_reads_it(folder: Folder) -> None:
    lexicon = Lexicon.read(folder({"EmoticonLookupTable.txt": b":\x85(\t-1\r\n:)\t1\r\n"}))
    assert lexicon.emoticons == {":\ufffd(": -1, ":)": 1}


def test_the_digest_changes_with_any_list(folder: Folder) -> None:
    before = Lexicon.read(folder()).digest
    assert Lexicon.read(folder()).digest == before
    assert Lexicon.read(folder({"IdiomLookupTable.txt": "what's up\t3\n"})).digest != before
