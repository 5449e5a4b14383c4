"""The Twitter sets: their published counts, columns by position, and every missing picture named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fgmfn.data import Source, open_source
from fgmfn.data.overlap import linked
from fgmfn.errors import DataError
from fgmfn.inputs import Words
from fgmfn.settings import SourceSettings
from tests.fgmfn.conftest import Run
from tests.fgmfn.releases import LINES, picture, write_set

COUNTS = {
    "twitter2015": {"train": (368, 1883, 928), "validation": (149, 670, 303), "test": (113, 607, 317)},
    "twitter2017": {"train": (416, 1638, 1508), "validation": (144, 517, 515), "test": (168, 573, 493)},
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_sets_have_their_published_counts(name: str, shared_data: Path) -> None:
    source = open_source(name, SourceSettings(data_dir=shared_data / "twitter"))
    assert source.class_names == ("negative", "neutral", "positive")
    for split, expected in COUNTS[name].items():
        rows = source.splits[split]
        assert tuple(Counter(rows.label)[label] for label in range(3)) == expected
        assert [text[slice(*span)] for text, span in zip(rows.text, rows.span, strict=True)] == rows.target


def test_a_quotation_mark_does_not_swallow_the_lines_behind_it(tmp_path: Path) -> None:
    rows = open_source("twitter2015", SourceSettings(data_dir=write_set(tmp_path))).splits["train"]
    assert rows.text == ['"So good , Ann !', "no Bob Lee again", "C"]
    assert rows.span == [(11, 14), (3, 10), (0, 1)]


def test_every_missing_picture_is_named_and_none_replaced(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    settings = SourceSettings(data_dir=write_set(tmp_path), images=tmp_path / "images")
    with pytest.raises(DataError, match=r"2 of 2 pictures are missing.*: a\.jpg, b\.jpg"):
        open_source("twitter2015", settings)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "images" / name).write_bytes(picture((9, 9, 9), seed=ord(name[0])))
    rows = open_source("twitter2015", settings).splits["train"]
    assert rows.pictures is not None
    assert rows.pictures.read(1) == (tmp_path / "images" / "b.jpg").read_bytes()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\t2\ta.jpg\tno target", "line 2 has 4 columns"),
        ("1\t3\ta.jpg\t$T$\tx", "label '3' in line 2; expected 0, 1 or 2"),
        ("1\t1\ta.jpg\tnone\tx", r"line 2 has 0 marks \$T\$"),
        ("1\t1\ta.jpg\t$T$ $T$\tx", r"line 2 has 2 marks"),
    ],
)
def test_a_line_that_is_not_what_it_must_be_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source("twitter2015", SourceSettings(data_dir=write_set(tmp_path, [line])))


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path) -> None:
    settings = SourceSettings(data_dir=write_set(tmp_path, ["1\t1\t../x.jpg\t$T$\tx"]), images=tmp_path / "2015")
    with pytest.raises(DataError, match="not the name of a file in"):
        open_source("twitter2015", settings)


def test_without_a_folder_the_option_is_named() -> None:
    with pytest.raises(DataError, match="--data-dir"):
        open_source("twitter2015")


def test_the_checksum_follows_the_rows_and_not_the_pictures_folder(tmp_path: Path) -> None:
    one = open_source("twitter2015", SourceSettings(data_dir=write_set(tmp_path / "1")))
    same = open_source("twitter2015", SourceSettings(data_dir=write_set(tmp_path / "2")))
    other = open_source(
        "twitter2015",
        SourceSettings(data_dir=write_set(tmp_path / "3", [*LINES[:2], LINES[2].replace("a.jpg", "c.jpg")])),
    )
    assert one.checksums == same.checksums
    assert one.row_set_hash == same.row_set_hash
    assert one.checksums["train"] != other.checksums["train"]


# --- captions ---

CAPTIONS = {"a.jpg": "A dog .", "b.jpg": "Bob Lee with a hat", "unused.jpg": "Nobody"}


def captioned(folder: Path, content: Any = CAPTIONS, **settings: Any) -> Source:
    """A set with a file of captions, which is named in its settings unless they name another one."""
    settings = {"captions": Path("captions.json")} | settings
    if not (folder / "2015").exists():
        write_set(folder)
    (folder / "2015" / "captions.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return open_source("twitter2015", SourceSettings(data_dir=folder, **settings))


def test_words_decide_what_is_read_as_a_sentence(tmp_path: Path) -> None:
    sources = {words: captioned(tmp_path, words=words) for words in ("text", "auxiliary", "both")}
    plain, alone, both = (one.splits["test"] for one in sources.values())
    assert plain.text == ['"So good , Ann !', "no Bob Lee again", "C"]
    assert plain.auxiliary == ["A dog .", "Bob Lee with a hat", "A dog ."]
    assert alone.text == plain.auxiliary
    assert both.text == [
        '"So good , Ann ! [SEP] A dog .',
        "no Bob Lee again [SEP] Bob Lee with a hat",
        "C [SEP] A dog .",
    ]
    # a caption's own "Bob Lee" is no target, and without a text there is none
    assert (both.target, both.span, both.has_targets) == (plain.target, plain.span, True)
    assert (alone.target, alone.span, alone.has_targets) == ([""] * 3, [(0, 0)] * 3, False)
    assert alone.auxiliary is both.auxiliary is None  # nothing is read twice


def test_other_words_are_other_inputs_of_the_same_cases(tmp_path: Path) -> None:
    opened = [captioned(tmp_path, words=words) for words in ("text", "auxiliary", "both")]
    opened.append(open_source("twitter2015", SourceSettings(data_dir=tmp_path)))  # without captions at all
    for names in ([one.row_set_hash for one in opened], [one.checksums["test"] for one in opened]):
        assert len(set(names)) == 4
    assert len({one.case_checksums["test"] for one in opened}) == 1
    assert opened[-1].case_checksums == opened[-1].checksums
    for one in opened:
        rows = one.splits["test"]
        assert (rows.name, rows.label) == (opened[0].splits["test"].name, [2, 0, 1])
        assert linked(rows, grouped=True) == ["a.jpg", "b.jpg", "a.jpg"]
        part = rows.take([2, 0])
        assert part.case_checksum == opened[0].splits["test"].take([2, 0]).case_checksum
        assert part.case_checksum != rows.case_checksum
    changed = captioned(tmp_path, CAPTIONS | {"a.jpg": "A cat ."}, words="auxiliary")
    assert changed.row_set_hash != opened[1].row_set_hash
    assert changed.case_checksums == opened[1].case_checksums


def test_every_row_without_a_caption_is_named_and_counted_and_an_empty_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"captions\.json: 6 of 9 rows have no caption: train\.tsv row 1 \(a\.jpg\), "):
        captioned(tmp_path, {"b.jpg": "x"}, words="text")
    captions = CAPTIONS | {"a.jpg": " "}
    assert "6 of 9 rows have none" in captioned(tmp_path, captions, words="auxiliary").notes[-1]
    assert captioned(tmp_path, captions, words="both").splits["test"].text[2] == "C"
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(json.dumps(CAPTIONS))
    rows = captioned(tmp_path, "not read", words="both", captions=elsewhere).splits["train"]
    assert rows.text[2] == "C [SEP] A dog ."


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ("{", "captions.json: cannot be read as captions"),
        ("[]", "expected a JSON object"),
        ('{"a.jpg": 1, "b.jpg": ""}', "expected a JSON object with a text for each"),
        ('{"a.jpg": "A cat .", "b.jpg": "", "a.jpg": "A dog ."}', "a.jpg occurs twice, with different texts"),
    ],
)
def test_a_file_of_other_captions_is_refused(tmp_path: Path, captions: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        captioned(tmp_path, captions, words="both")


@pytest.mark.parametrize("words", ["auxiliary", "both"])
def test_a_tables_auxiliary_column_is_read_alike_and_its_splits_are_drawn_as_ever(tmp_path: Path, words: Words) -> None:
    lines = [f"text {number % 40},{('bad', 'good')[number % 2]},caption {number % 7}" for number in range(80)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label,seen", *lines]))
    plain = open_source(tmp_path / "rows.csv", SourceSettings(auxiliary="seen"))
    other = open_source(tmp_path / "rows.csv", SourceSettings(auxiliary="seen", words=words))
    assert plain.case_checksums == other.case_checksums
    assert plain.row_set_hash != other.row_set_hash
    for split, rows in plain.splits.items():
        assert other.splits[split].name == rows.name
        expected = [
            further if words == "auxiliary" else f"{text} [SEP] {further}"
            for text, further in zip(rows.text, rows.auxiliary or (), strict=True)
        ]
        assert other.splits[split].text == expected
    with pytest.raises(DataError, match="no auxiliary texts: name their column by auxiliary"):
        open_source(tmp_path / "rows.csv", SourceSettings(words=words))
    with pytest.raises(DataError, match=r"captions = 'seen' in .* is for the Twitter sets"):
        open_source(tmp_path / "rows.csv", SourceSettings(captions=Path("seen")))


def test_every_picture_of_the_sets_has_a_caption(shared_data: Path) -> None:
    for name in COUNTS:
        both, text = (
            open_source(name, SourceSettings(data_dir=shared_data / "twitter", words=words))
            for words in ("both", "text")
        )
        assert "have none" not in both.notes[-1]
        for split in COUNTS[name]:
            one, other = both.splits[split], text.splits[split]
            assert [row[slice(*span)] for row, span in zip(one.text, one.span, strict=True)] == other.target
            assert all(row.startswith(f"{own} [SEP] ") for row, own in zip(one.text, other.text, strict=True))


def test_models_that_read_other_words_are_compared_on_the_same_rows(run: Run, tmp_path: Path) -> None:
    captioned(tmp_path)
    data = ("--data", "twitter2015", "--data-dir", tmp_path)
    folders = {}
    for words in ("text", "both"):
        code, out, err = run(
            "train", "--model", "tfidf", *data, "--words", words, "--output", tmp_path / words, "--json"
        )
        assert code == 0
        (trained,) = json.loads(out)
        folders[words] = trained["checkpoint"]
        assert ("models read the auxiliary texts" in err) == (words != "text")
    code, out, err = run("compare", folders["both"], folders["text"], "--json")
    found = json.loads(out)
    assert (code, found["rows"], found["groups"]) == (0, 3, 2)
    assert found["a"]["checksum"] != found["b"]["checksum"]
    assert "other words of the same rows" in run("compare", folders["both"], folders["text"])[2]
    code, out, err = run("evaluate", folders["both"], *data)
    assert (code, "words = 'text', but" in err, "--words" in err) == (1, True, True)
    code, out, err = run("predict", folders["both"], "--text", "So good , Ann !", "--target", "Ann")
    assert (code, "give the auxiliary texts (--auxiliary)" in err) == (1, True)
