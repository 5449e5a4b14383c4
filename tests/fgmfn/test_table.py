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

from fgmfn.data import Rows, Source, open_source
from fgmfn.data.labels import MISSING
from fgmfn.data.overlap import linked
from fgmfn.data.table import draw
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
    home = dict(zip(groups, draw(groups, settings), strict=True))
    assert [home[group] for group in groups] == draw(groups, settings)
    assert dict(zip(groups[::-1], draw(groups[::-1], settings), strict=True)) == home


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 9))
def test_drawn_shares_miss_the_promise_by_half_a_group_at_most(sizes: list[int], seed: int) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    settings = SourceSettings(seed=seed, validation=0.2, test=0.1)
    homes = draw(groups, settings)
    for split, share in (("validation", 0.2), ("test", 0.1)):
        number = homes.count(split)
        assert number <= share * len(groups) * 2
        if max(sizes) <= share * len(groups):  # every group fits
            assert abs(number - share * len(groups)) <= max(sizes) / 2


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
    assert len(source.notes) == 1  # of pictures in several splits
    other = [(*row, "left") for row in ROWS]
    drawn = open_source(write_table(tmp_path / "t.csv", other, (*NAMES, "split")))
    aside, shares = drawn.notes
    assert aside == "the column 'split' was left aside: its values, such as 'left', name no splits"
    # Eight rows share each picture.
    kept = "8 rows for {} (20% instead of 10%, since groups of rows are kept whole)"
    assert shares.endswith(f"with seed 0: {kept.format('validation')} and {kept.format('test')}")


# --- tables of other people ---


def table_of(file: Path, **columns: Sequence[Any]) -> Path:
    """A table of columns, the text a number and the label good or bad where they are not given."""
    rows = max(map(len, columns.values()))
    filled = {
        "text": [f"text {row}" for row in range(rows)],
        "label": [("bad", "good")[row % 2] for row in range(rows)],
    }
    return write_table(file, list(zip(*(filled | columns).values(), strict=True)), tuple(filled | columns))


@pytest.mark.parametrize(
    "spellings",
    [
        ("good", "GOOD"),
        ("good", " good "),
        ("good", "good\u00a0"),
        ("very good", "very_good"),
        ("ﬁne", "fine"),
        ("1", "1.0"),
        ("1", "01"),
        ("-1", "-1.00"),
        ("1", "+1"),
        ("2", "２"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_two_spellings_of_a_class_are_refused_with_their_places(
    tmp_path: Path, spellings: tuple[str, str], name: str
) -> None:
    labels = [(*spellings, "bad", "bad")[row % 4] for row in range(40)]
    with pytest.raises(DataError, match="look like one class") as refused:
        open_source(table_of(tmp_path / name, label=labels))
    assert all(repr(one) in str(refused.value) for one in spellings)


def test_classes_that_differ_are_not_taken_for_spellings(tmp_path: Path) -> None:
    names = ["-1", "0", "1", "2.5", "pos", "positive", "C", "C++", "a/b", "ab"]
    source = open_source(table_of(tmp_path / "t.csv", label=names * 8))
    assert source.class_names == ("-1", "0", "1", "2.5", "C", "C++", "a/b", "ab", "pos", "positive")
    assert any("'pos' and 'positive'" in note for note in source.notes)


@pytest.mark.parametrize("missing", [*sorted(MISSING), "NaN", " N/A ", "NULL", "None"])
def test_a_missing_label_is_refused_by_its_row(tmp_path: Path, missing: str) -> None:
    labels = ["good", "bad"] * 8
    labels[5] = missing
    with pytest.raises(DataError, match=r"t\.csv:7: no label"):
        open_source(table_of(tmp_path / "t.csv", label=labels))


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_missing_number_is_a_missing_label_and_others_are_whole(
    tmp_path: Path, name: str, missing: float | None
) -> None:
    labels: list[float | None] = [0.0, 1.0, 2.0] * 8
    assert open_source(table_of(tmp_path / name, label=labels)).class_names == ("0", "1", "2")
    labels[5] = missing
    with pytest.raises(DataError, match="no label"):
        open_source(table_of(tmp_path / name, label=labels))


@pytest.mark.parametrize("hidden", ["-1", "", "hidden", "nan"])
def test_a_split_whose_labels_are_hidden_is_kept_and_not_scored(tmp_path: Path, hidden: str) -> None:
    for split, labels in (("train", ["a", "b"] * 6), ("dev", ["a", "b"]), ("test", [hidden] * 4)):
        table_of(tmp_path / f"{split}.csv", label=labels, text=[f"{split} {row}" for row in range(len(labels))])
    source = open_source(tmp_path)
    assert (source.class_names, source.notes) == (
        ("a", "b"),
        ("the labels of the test split are hidden: it is not scored",),
    )
    assert [(len(rows), rows.scorable) for rows in source.splits.values()] == [(12, True), (2, True), (4, False)]


def test_labels_of_a_split_that_training_does_not_know_are_said_or_refused(tmp_path: Path) -> None:
    table_of(tmp_path / "train.csv", label=["a", "b"] * 6)
    table_of(tmp_path / "test.csv", label=["a", "c", "c"], text=["x", "y", "z"])
    assert "2 test rows are of a class that no training row has: c" in open_source(tmp_path).notes
    table_of(tmp_path / "test.csv", label=["0", "1", "0"], text=["x", "y", "z"])
    with pytest.raises(DataError, match=r"no label of the test split \(0, 1\) is trained on"):
        open_source(tmp_path)


def declared(file: Path, labels: Sequence[int | None], **names: list[str]) -> None:
    """A Parquet file that names the classes of its columns, as the library datasets writes it."""
    rows = dict.fromkeys(names, labels) | {"text": [f"{file.stem} {row}" for row in range(len(labels))]}
    features = {column: {"names": classes, "_type": "ClassLabel"} for column, classes in names.items()}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(rows).replace_schema_metadata(metadata), file)


def test_classes_are_those_of_the_labels_column_and_of_each_file(tmp_path: Path) -> None:
    declared(tmp_path / "train.parquet", [0, 1] * 6, label=["dull", "funny"], mood=["sad", "glad"])
    declared(tmp_path / "dev.parquet", [0, 1], label=["funny", "dull"], mood=["glad", "sad"])
    declared(tmp_path / "test.parquet", [-1, -1], label=["dull", "funny"], mood=["sad", "glad"])
    source = open_source(tmp_path, SourceSettings(label="mood"))
    assert (source.class_names, source.splits["validation"].label) == (("sad", "glad"), [1, 0])
    assert not source.splits["test"].scorable
    assert open_source(tmp_path).class_names == ("dull", "funny")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("t.csv", "text,label,label\na,b,c\n"),
        ("t.tsv", "text\tlabel\tlabel\na\tb\tc\n"),
        ("t.jsonl", '{"text": "a", "label": "b", "label": "c"}\n'),
    ],
)
def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path, name: str, written: str) -> None:
    (tmp_path / name).write_text(written)
    with pytest.raises(DataError, match="'label' stands there more than once"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("column", ["text", "label", "group"])
@pytest.mark.parametrize("value", [["a", "b"], {"a": "b"}, b"a"])
def test_lists_and_bytes_are_no_words(tmp_path: Path, column: str, value: object) -> None:
    file = tmp_path / "t.parquet"
    table = {"text": ["a", "b"] * 4, "label": ["c", "d"] * 4} | {column: [value] * 8}
    pq.write_table(pa.table(table), file)
    with pytest.raises(DataError, match=f"column '{column}' holds {type(value).__name__}"):
        open_source(file, SourceSettings(group="group" if column == "group" else None))


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE])
def test_a_tsv_is_read_as_it_was_written(tmp_path: Path, quoting: Any) -> None:
    texts = [f'"{row}" she said, "no"' if row % 2 else f'- see "more" {row}' for row in range(40)]
    texts[7] = "two\nlines" if quoting != csv.QUOTE_NONE else '"So good , he'
    file = tmp_path / "t.tsv"
    with file.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.writer(out, delimiter="\t", quoting=quoting, quotechar=None if quoting == csv.QUOTE_NONE else '"')
        writer.writerows([("text", "label"), *((text, "ab"[row % 2]) for row, text in enumerate(texts))])
    source = open_source(file)
    assert {text for rows in source.splits.values() for text in rows.text} == set(texts)


def test_a_jsonl_with_a_mark_at_its_start_is_read(tmp_path: Path) -> None:
    file = table_of(tmp_path / "t.jsonl", label=["a", "b"] * 8)
    file.write_text(file.read_text("utf-8"), "utf-8-sig")
    assert sum(map(len, open_source(file).splits.values())) == 16


def test_most_splits_with_one_odd_value_are_splits(tmp_path: Path) -> None:
    splits = ["train"] * 8 + ["dev", "test"]
    spelled = open_source(table_of(tmp_path / "t.csv", split=[" Train ", *splits[1:]]))
    assert [len(rows) for rows in spelled.splits.values()] == [8, 1, 1]
    assert spelled.notes == ("in the column 'split', ' Train ' were read in small letters and without blanks",)
    with pytest.raises(DataError, match=r"t\.csv:2: split 'trian'"):
        open_source(table_of(tmp_path / "t.csv", split=["trian", *splits[1:]]))


def test_pictures_are_found_by_names_without_suffix_or_in_other_capitals(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    names = [("0", "1.JPG", "2.jpg", "3", "4.Jpg")[row % 5] for row in range(40)]
    source = open_source(table_of(tmp_path / "t.csv", image=names))
    for rows in source.splits.values():
        for row, name in enumerate(rows.picture):
            assert rows.pictures.read(row) == (tmp_path / f"{name[0]}.jpg").read_bytes()
    (tmp_path / "3.png").write_bytes(b"other")
    with pytest.raises(DataError, match=r"'3' may be 3\.jpg or 3\.png"):
        open_source(tmp_path / "t.csv")
    pq.write_table(pa.table({"image": [0] * 16, "text": ["x"] * 16, "label": ["a", "b"] * 8}), tmp_path / "t.parquet")
    assert open_source(tmp_path / "t.parquet").splits["train"].pictures.read(0) == (tmp_path / "0.jpg").read_bytes()


def test_a_picture_that_is_not_whole_is_named_with_its_row_before_training(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    whole = (tmp_path / "3.jpg").read_bytes()
    source = open_source(write_table(tmp_path / "t.csv"))
    source.check_pictures()
    (tmp_path / "3.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"t\.csv:\d+, picture 3\.jpg: its picture cannot be decoded"):
        open_source(tmp_path / "t.csv").check_pictures()


@given(st.lists(st.tuples(st.sampled_from("abc "), st.sampled_from("xyz "), st.sampled_from("12345")), min_size=1))
def test_rows_of_one_picture_or_text_are_linked_and_empty_texts_link_none(rows: list[tuple[str, str, str]]) -> None:
    texts, pictures = [row[0].strip() for row in rows], [row[1] + row[2] if row[1].strip() else "" for row in rows]
    names = [str(number) for number in range(len(rows))]
    groups = linked(
        Rows(names, texts, texts, texts, [(0, 0)] * len(rows), [0] * len(rows), pictures, None, False), grouped=False
    )
    # Rows reach each other over others that share a text or a picture with them: Warshall's closure.
    near = [
        [
            one == other or any(a and a == b for a, b in ((texts[one], texts[other]), (pictures[one], pictures[other])))
            for other in range(len(rows))
        ]
        for one in range(len(rows))
    ]
    for middle in range(len(rows)):
        for one in range(len(rows)):
            if near[one][middle]:
                near[one] = [a or b for a, b in zip(near[one], near[middle], strict=True)]
    assert [[groups[one] == groups[other] for other in range(len(rows))] for one in range(len(rows))] == near


def test_what_given_splits_share_is_said(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    image, text = ["0.jpg"] * 3 + ["1.jpg", "2.jpg", "3.jpg"], ["a", "b", "c", "d", "d", "e"]
    splits = ["train", "train", "test", "train", "dev", "test"]
    source = open_source(table_of(tmp_path / "t.csv", image=image, text=text, split=splits))
    assert source.notes == (
        "1 texts stand in more than one split, on 1 of the validation rows: scores measure memory there",
        "1 pictures stand in more than one split, on 1 of the test rows: scores measure memory there",
    )
