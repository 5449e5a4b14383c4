"""Any table with pictures, texts and labels becomes a source, and says what is wrong with it where it cannot."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgmfn.data import Source, open_source
from fgmfn.data.table import _draw
from fgmfn.errors import DataError
from fgmfn.settings import SourceSettings
from tests.fgmfn.releases import picture

ROWS = [(f"{number % 5}.jpg", f'text {number}, he said "no"', ("bad", "good")[number % 2]) for number in range(40)]

NAMES = ("image", "text", "label")


def write_pictures(folder: Path) -> None:
    """Five pictures."""
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(picture((40 * number, 9, 9), seed=number))


def write_table(file: Path, rows: Sequence[tuple[str, ...]] = ROWS, names: tuple[str, ...] = NAMES) -> Path:
    """The rows in the format that the file's name says."""
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    elif file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), file)
    elif file.suffix == ".csv":
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, names)
            writer.writeheader()
            writer.writerows(records)
    else:
        file.write_text("\n".join("\t".join(row) for row in [names, *rows]), encoding="utf-8")
    return file


def everything(source: Source) -> set[tuple[str, int, bytes]]:
    """Text, label and picture of all rows."""
    return {
        (rows.text[row], rows.label[row], rows.pictures.read(row))
        for rows in source.splits.values()
        for row in range(len(rows))
        if rows.pictures
    }


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_every_format_gives_the_same_rows_with_their_pictures(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path)
    source = open_source(write_table(tmp_path / name))
    assert source.class_names == ("bad", "good")
    assert everything(source) == {
        (text, int(label == "good"), (tmp_path / image).read_bytes()) for image, text, label in ROWS
    }
    assert all(len(rows) for rows in source.splits.values())


def test_pictures_within_parquet_are_read_from_there_and_named_by_their_content(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    contents = [(tmp_path / image).read_bytes() for image, _, _ in ROWS]
    plain = {"text": [row[1] for row in ROWS], "label": [row[2] for row in ROWS]}
    nested = [{"bytes": content, "path": None} for content in contents]
    for name, column in (("a", contents), ("b", nested)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(plain | {"image": column}), tmp_path / name / "rows.parquet", row_group_size=7)
    one, other = open_source(tmp_path / "a"), open_source(tmp_path / "b")
    assert everything(one) == everything(other)
    assert one.checksums == other.checksums


def test_files_named_by_split_are_the_splits(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for name, rows in (("train-00000", ROWS[:20]), ("dev", ROWS[20:26]), ("test", ROWS[26:])):
        write_table(tmp_path / f"{name}.csv", rows)
    assert [len(rows) for rows in open_source(tmp_path).splits.values()] == [20, 6, 14]


def test_a_column_may_name_the_split_and_all_columns_may_be_named_otherwise(tmp_path: Path) -> None:
    rows = [(f"good {number}", str(number % 2), "good", ("train", "dev", "test")[number % 3]) for number in range(12)]
    file = write_table(tmp_path / "t.csv", rows, ("words", "stars", "about", "part"))
    settings = SourceSettings(text="words", label="stars", target="about", split="part")
    source = open_source(file, settings)
    assert [len(rows) for rows in source.splits.values()] == [4, 4, 4]
    train = source.splits["train"]
    assert (train.has_targets, train.span[0], train.pictures) == (True, (0, 4), None)


@pytest.mark.parametrize(
    ("settings", "rows", "message"),
    [
        ({"label": "lable"}, ROWS, "no column 'lable'; did you mean 'label'"),
        ({}, [(*ROWS[0][:2], "")], r"t\.csv:2: no label"),
        ({}, [("7.jpg", "x", "good"), ("0.jpg", "y", "bad")], r"1 of 2 pictures are missing.*: 7\.jpg"),
        ({"split": "text"}, ROWS, "split 'text 0.*expected train, validation"),
        ({"test": 0.0, "validation": 0.0}, [("0.jpg", "x", "good")], "rows of 1 class"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, settings: dict[str, Any], rows: list[tuple[str, ...]], message: str
) -> None:
    write_pictures(tmp_path)
    with pytest.raises(DataError, match=message):
        open_source(write_table(tmp_path / "t.csv", rows), SourceSettings(**settings))


def test_a_text_longer_than_a_cell_may_usually_be_is_read(tmp_path: Path) -> None:
    rows = [("x" * 200_000, "a"), *((f"t {number}", "ab"[number % 2]) for number in range(9))]
    source = open_source(write_table(tmp_path / "t.csv", rows, ("text", "label")))
    assert max(len(text) for rows in source.splits.values() for text in rows.text) == 200_000


@given(st.lists(st.text(max_size=3), min_size=1, max_size=60), st.integers(0, 5))
def test_no_group_stands_in_two_splits_and_the_order_of_rows_does_not_matter(groups: list[str], seed: int) -> None:
    settings = SourceSettings(seed=seed)
    home = dict(zip(groups, _draw(groups, settings), strict=True))
    assert [home[group] for group in groups] == _draw(groups, settings)
    assert dict(zip(groups[::-1], _draw(groups[::-1], settings), strict=True)) == home


def test_other_bytes_under_the_same_file_name_are_other_rows(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    table = write_table(tmp_path / "t.csv")
    before = open_source(table)
    assert open_source(table).checksums == before.checksums
    (tmp_path / "3.jpg").write_bytes(picture((1, 2, 3), seed=99))
    after = open_source(table)
    assert after.checksums != before.checksums
    assert after.row_set_hash != before.row_set_hash


def test_a_table_with_none_of_its_pictures_beside_it_serves_models_of_words(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    rows = open_source(table).splits["train"]
    assert rows.pictures is None
    (tmp_path / "0.jpg").write_bytes(picture((1, 2, 3)))
    with pytest.raises(DataError, match="4 of 5 pictures are missing"):
        open_source(table)


def test_a_column_called_split_is_taken_for_one(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    named = [(*row, ("train", "dev", "test", "train")[number % 4]) for number, row in enumerate(ROWS)]
    source = open_source(write_table(tmp_path / "t.csv", named, (*NAMES, "split")))
    assert {split: len(rows) for split, rows in source.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    assert source.notes == ()
    other = [(*row, "left") for row in ROWS]
    drawn = open_source(write_table(tmp_path / "t.csv", other, (*NAMES, "split")))
    assert drawn.notes == ("the splits were drawn from one table with seed 0, 10% for validation and 10% for test",)
