"""The Twitter sets: their published counts, columns by position, and every missing picture named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fgmfn.data import open_source
from fgmfn.errors import DataError
from fgmfn.settings import SourceSettings
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
