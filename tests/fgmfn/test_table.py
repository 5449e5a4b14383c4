"""Any table with pictures, texts and labels becomes a source, and says what is wrong with it where it cannot."""

from __future__ import annotations

import csv
import gzip
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
    named = [(*row, ("train", "dev", "test", "train")[number // 2 % 4]) for number, row in enumerate(ROWS)]
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


UNLIKE = [
    ("pos", "positive", "other"),
    ("neg", "negative", "other"),
    ("neutral", "NEU", "other"),
    ("yes", "Y", "no"),
    ("True", "1", "no"),
    ("False", "no", "yes"),
    ("−1", "-1", "0"),
    ("-0", "0", "1"),
    ("1,0", "1", "0"),
    ("1e0", "1", "0"),
    ("pоsitive", "positive", "x"),
    ("pοsitive", "positive", "x"),
    ("А", "A", "B"),
    ("(positive)", "positive", "x"),
    ("“bad”", "bad", "x"),
    ("bad!", "bad", "x"),
    ("posi\u00adtive", "positive", "x"),
    ("posi\u200btive", "positive", "x"),
    ("négatif", "ne\u0301gatif", "x"),
    ("very–bad", "very bad", "x"),
    ("VeryBad", "very bad", "x"),
    ("5.0 stars", "5 stars", "x"),
]
"""Two spellings of a class, and another class."""


@pytest.mark.parametrize("labels", UNLIKE, ids=repr)
def test_labels_that_most_read_as_one_are_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="look like one class") as refused:
        open_source(table_of(tmp_path / "t.csv", label=labels * 12))
    assert all(repr(one) in str(refused.value) for one in labels[:2])
    assert repr(labels[2]) not in str(refused.value)


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
    names = ["-1", "0", "1", "2.5", "post", "posters", "C", "C++", "a/b", "ab"]
    source = open_source(table_of(tmp_path / "t.csv", label=names * 8))
    assert source.class_names == ("-1", "0", "1", "2.5", "C", "C++", "a/b", "ab", "post", "posters")
    assert any("'post' and 'posters'" in note for note in source.notes)


@pytest.mark.parametrize(
    "names",
    [
        ("A", "A-", "A+", "B"),
        ("1.5 stars", "15 stars", "1-5 stars"),
        ("1000001", "1000002", "1000003"),
        ("inf", "-inf", "0"),
        ("+", "-", "0"),
        ("positive", "non-positive", "neutral"),
        ("t", "y", "a"),
        ("id1", "id10", "id2"),
        ("group a", "group b", "group c"),
        ("moral", "amoral"),
        ("<5", ">5", "5%"),
        ("-1", "0", "1"),
        ("-2", "-1", "0", "1", "2"),
        ("True", "False"),
        ("बुरा", "अच्छा", "बुरी"),
        ("хорошо", "плохо"),
        ("🙂", "🙁"),
        ("C", "C#", "C++"),
        (str(10**29 + 1), str(10**29 + 2)),
    ],
)
def test_distinct_classes_are_taken_without_a_word(tmp_path: Path, names: tuple[str, ...]) -> None:
    source = open_source(table_of(tmp_path / "t.csv", label=names * 12))
    assert set(source.class_names) == set(names)
    assert not any("alike" in note for note in source.notes)


@pytest.mark.parametrize("own", [*UNLIKE, ("none", "mild", "severe"), ("unknown", "known"), ("-1", "0", "1", "2")])
def test_the_setting_labels_keeps_classes_apart_or_maps_them_to_one(tmp_path: Path, own: tuple[str, ...]) -> None:
    table = table_of(tmp_path / "t.csv", label=own * 12, text=[f"t {row}" for row in range(len(own) * 12)])
    with pytest.raises(DataError, match=r"labels = \{"):
        open_source(table)
    apart = open_source(table, SourceSettings(labels={name.strip(): name for name in own} | {n: n for n in own}))
    assert set(apart.class_names) == set(own)
    mapped = open_source(table, SourceSettings(labels=dict.fromkeys(own, "x") | {own[0]: "y"}))
    assert mapped.class_names == ("x", "y")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_the_setting_labels_names_missing_ones_in_every_format(tmp_path: Path, name: str) -> None:
    labels = ["mild", "severe", "" if name == "t.csv" else None] * 8
    splits = ["train"] * 18 + ["test"] * 6
    settings = SourceSettings(labels={"": "healthy"})
    assert open_source(table_of(tmp_path / name, label=labels), settings).class_names == ("healthy", "mild", "severe")
    hidden = table_of(tmp_path / name, label=["mild", "severe"] * 9 + ["mild"] * 6, split=splits)
    assert open_source(hidden).splits["test"].scorable
    hidden = table_of(tmp_path / name, label=["mild", "severe"] * 9 + ["secret", "mystery"] * 3, split=splits)
    settings = SourceSettings(labels={"secret": "", "mystery": ""})
    assert not open_source(hidden, settings).splits["test"].scorable


def test_a_setting_for_no_label_is_said(tmp_path: Path) -> None:
    source = open_source(table_of(tmp_path / "t.csv", label=["a", "b"] * 8), SourceSettings(labels={"c": "a"}))
    assert "no label is spelled 'c', as [source] labels says" in source.notes


def test_a_rare_label_one_letter_off_a_frequent_one_is_refused_and_a_frequent_one_is_said(tmp_path: Path) -> None:
    for slip in ("postive", "positivee", "posiitve", "posutive", "positiv"):
        with pytest.raises(DataError, match="look like one class") as refused:
            open_source(table_of(tmp_path / "t.csv", label=["positive", "negative"] * 20 + [slip]))
        assert repr(slip) in str(refused.value)
        source = open_source(table_of(tmp_path / "t.csv", label=["positive", "negative", slip] * 8))
        assert any("alike" in note and repr(slip) in note for note in source.notes)


@pytest.mark.parametrize("labels", [[str(row / 7)[:6] for row in range(60)] * 3, [f"id{row}" for row in range(30)]])
def test_numbers_on_a_scale_and_names_of_rows_are_no_classes(tmp_path: Path, labels: list[str]) -> None:
    with pytest.raises(DataError, match="these are no classes; name another column by label"):
        open_source(table_of(tmp_path / "t.csv", label=labels))


@pytest.mark.parametrize("pair", [("1", "positive"), ("0", "neutral"), (True, "bad"), (2, "neg")])
def test_numbers_or_truth_values_beside_words_are_refused(tmp_path: Path, pair: tuple[Any, str]) -> None:
    with pytest.raises(DataError, match="stand for classes"):
        open_source(table_of(tmp_path / "t.jsonl", label=[*pair, "good", "good"] * 6))


@pytest.mark.parametrize(
    "missing",
    [
        *sorted(MISSING),
        "NaN",
        " N/A ",
        "NULL",
        "None",
        "--",
        "—",
        "(null)",
        "N.A.",
        "[none]",
        "?? ",
        "Unlabeled",
        "NOT  labeled",
    ],
)
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


@pytest.mark.parametrize("classes", [("0", "1"), ("0", "1", "2"), ("1", "2", "3")])
def test_minus_1_among_the_labels_of_a_split_is_a_missing_one(tmp_path: Path, classes: tuple[str, ...]) -> None:
    splits = ["train"] * 6 * len(classes) + ["test"] * 4
    file = table_of(tmp_path / "t.csv", label=[*classes * 6, *classes[:2], "-1", "-1"], split=splits)
    with pytest.raises(DataError, match=r"no label \('-1', nor have 1 other rows one\)"):
        open_source(file)


def test_labels_of_a_split_that_training_does_not_know_are_said_or_refused(tmp_path: Path) -> None:
    table_of(tmp_path / "train.csv", label=["a", "b"] * 6)
    table_of(tmp_path / "test.csv", label=["a", "c", "c"], text=["x", "y", "z"])
    assert "2 test rows are of a class that no training row has: c" in open_source(tmp_path).notes
    table_of(tmp_path / "test.csv", label=["0", "1", "0"], text=["x", "y", "z"])
    with pytest.raises(DataError, match=r"no label of the test split \(0, 1\) is trained on"):
        open_source(tmp_path)


def declared(file: Path, labels: Sequence[Any], **names: list[str]) -> Path:
    """A Parquet file that names the classes of its columns, as the library datasets writes it."""
    return with_features(
        file, labels, {column: {"names": classes, "_type": "ClassLabel"} for column, classes in names.items()}, *names
    )


def with_features(file: Path, labels: Sequence[Any], features: object, *columns: str) -> Path:
    """A Parquet file with what somebody has written of its columns."""
    rows = dict.fromkeys(columns or ("label",), labels) | {"text": [f"{file.stem} {row}" for row in range(len(labels))]}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(rows).replace_schema_metadata(metadata), file)
    return file


SIGNS = ["negative", "neutral", "positive"]


@pytest.mark.parametrize("labels", [[0, 1, 2], [0.0, 1.0, 2.0], ["0", "1", "2"], SIGNS])
@pytest.mark.parametrize(
    "features",
    [
        {"label": {"names": SIGNS, "_type": "ClassLabel"}},
        {"label": {"names": {str(at): name for at, name in enumerate(SIGNS)}}},
        {"label": {"class_label": {"names": {str(at): name for at, name in enumerate(SIGNS)}}}},
        [{"name": "text"}, {"name": "label", "dtype": {"class_label": {"names": SIGNS}}}],
    ],
)
def test_declared_classes_are_taken_for_numbers_and_names_in_every_form(
    tmp_path: Path, labels: list[Any], features: object
) -> None:
    source = open_source(with_features(tmp_path / "t.parquet", labels * 8, features))
    assert source.class_names == tuple(SIGNS)
    for rows in source.splits.values():
        assert rows.label == [int(text.split()[1]) % 3 for text in rows.text]


@pytest.mark.parametrize("features", [None, [], {"label": None}, {"label": []}, {"label": {"names": None}}, [1], "x"])
def test_metadata_without_class_names_leave_the_numbers(tmp_path: Path, features: object) -> None:
    source = open_source(with_features(tmp_path / "t.parquet", [0, 1] * 8, features))
    assert source.class_names == ("0", "1")


@pytest.mark.parametrize("info", [b"null", b"[]", b"7", b'{"info": null}', b"no JSON"])
def test_metadata_of_any_kind_are_read_or_left(tmp_path: Path, info: bytes) -> None:
    table = pa.table({"text": ["a", "b"] * 8, "label": ["c", "d"] * 8})
    pq.write_table(table.replace_schema_metadata({b"huggingface": info}), tmp_path / "t.parquet")
    assert open_source(tmp_path / "t.parquet").class_names == ("c", "d")


@pytest.mark.parametrize(
    ("labels", "names", "hint"),
    [
        (["NEGATIVE", "NEUTRAL"], SIGNS, "did you mean 'negative'"),
        ([" negative", "neutral"], SIGNS, "did you mean 'negative'"),
        (["neg", "neu"], SIGNS, "did you mean 'negative'"),
        (["happy", "negative"], SIGNS, '"happy" = '),
        ([0.5, 1.5], SIGNS, "'0.5' is none of the declared"),
        ([False, True], ["no", "yes"], "did you mean 'no'"),
        ([0, 3], SIGNS, "expected 0 to 2"),
        (["0", "3"], SIGNS, "expected 0 to 2"),
        ([0, -100], SIGNS, "no label"),
        ([0, 1], ["Positive", "positive"], "look like one class"),
    ],
)
def test_labels_beside_the_declared_ones_are_refused_with_a_way_out(
    tmp_path: Path, labels: list[Any], names: list[str], hint: str
) -> None:
    with pytest.raises(DataError, match=hint) as refused:
        open_source(declared(tmp_path / "t.parquet", labels * 8, label=names))
    assert "labels = {" in str(refused.value)


def test_declared_names_that_are_numbers_are_numbered_by_their_place(tmp_path: Path) -> None:
    source = open_source(declared(tmp_path / "t.parquet", [0, 1] * 8, label=["1", "0"]))
    assert source.class_names == ("1", "0")
    assert set(source.splits["train"].label) == {0, 1}
    assert all(label == int(text.split()[1]) % 2 for label, text in zip(*labels_and_texts(source), strict=True))


def labels_and_texts(source: Source) -> tuple[list[int], list[str]]:
    """Of the training rows."""
    return source.splits["train"].label, source.splits["train"].text


def test_a_declared_class_may_be_called_as_a_missing_value_and_labels_rename_it(tmp_path: Path) -> None:
    file = declared(tmp_path / "t.parquet", [0, 1] * 8, label=["none", "mild"])
    assert open_source(file).class_names == ("none", "mild")
    assert open_source(file, SourceSettings(labels={"none": "healthy"})).class_names == ("healthy", "mild")
    assert open_source(file, SourceSettings(labels={"0": "a", "1": "b"})).class_names == ("none", "mild", "a", "b")


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


# --- splits, as files and columns name them ---

TRAIN, DEV, TEST = ("train", "Training", "trn"), ("val", "VALID", "Validation", "dev", "development", "eval"), ("test",)


def three_files(folder: Path, train: str, dev: str, test: str, ending: str = ".csv") -> None:
    """Twelve rows, four and five, in files of these names."""
    for name, size in ((train, 12), (dev, 4), (test, 5)):
        file = folder / f"{name}{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        table_of(
            file, label=[("a", "b")[row % 2] for row in range(size)], text=[f"{name} {row}" for row in range(size)]
        )


def sizes(source: Source) -> list[int]:
    """Rows of each split."""
    return [len(rows) for rows in source.splits.values()]


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [
        *((train, "dev", "test") for train in TRAIN),
        *(("train", dev, "test") for dev in DEV),
        *(("train", "dev", test) for test in ("testing", "Test", "tst")),
        ("my_train", "my-dev", "my.test"),
        ("training.data", "data_valid", "test_public"),
        ("train-00000-of-00001-a09b74b3ef9c3b56", "val1", "test"),
        ("train/rows", "validation/rows", "test/rows"),
        ("data/train-0", "data/valid-0", "data/test-0"),
    ],
)
def test_files_and_folders_name_their_splits(tmp_path: Path, train: str, dev: str, test: str) -> None:
    three_files(tmp_path, train, dev, test)
    assert sizes(open_source(tmp_path)) == [12, 4, 5]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("train_val", "called neither"),
        ("Train-old", "are both called train"),
        ("train_labels", "are both called train"),
        ("test_labels", "are both called test"),
        ("train (1)", "are both called train"),
        ("valid", "are both called validation"),
        ("notes", "called neither"),
    ],
)
def test_a_file_that_may_count_rows_twice_or_in_the_wrong_split_is_refused(
    tmp_path: Path, more: str, said: str
) -> None:
    three_files(tmp_path, "train", "dev", "test")
    table_of(tmp_path / f"{more}.csv", label=["a", "b"] * 3)
    with pytest.raises(DataError, match=said) as refused:
        open_source(tmp_path)
    assert "draw = true" in str(refused.value)
    assert sum(sizes(open_source(tmp_path, SourceSettings(draw=True)))) == 27


def test_parts_of_a_split_belong_together_and_versions_do_not(tmp_path: Path) -> None:
    three_files(tmp_path, "train-00000-of-00002", "dev", "test")
    table_of(tmp_path / "train-00001-of-00002.csv", label=["a", "b"] * 3)
    assert sizes(open_source(tmp_path)) == [18, 4, 5]
    three_files(tmp_path / "a", "train-00000-of-00002-a09b74b3ef9c3b56", "dev", "test")
    table_of(tmp_path / "a" / "train-00001-of-00002-0cc4d2a1b7e93f58.csv", label=["a", "b"] * 3)
    assert sizes(open_source(tmp_path / "a")) == [18, 4, 5]
    three_files(tmp_path / "b", "train_v1", "dev", "test")
    table_of(tmp_path / "b" / "train_v2.csv", label=["a", "b"] * 3)
    with pytest.raises(DataError, match="are both called train"):
        open_source(tmp_path / "b")


def test_files_of_splits_without_one_for_training_are_refused(tmp_path: Path) -> None:
    three_files(tmp_path, "learn", "dev", "test")
    with pytest.raises(DataError, match="called neither"):
        open_source(tmp_path)
    (tmp_path / "learn.csv").unlink()
    with pytest.raises(DataError, match="none is called train"):
        open_source(tmp_path)
    assert "the splits were drawn" in str(open_source(tmp_path / "test.csv").notes)  # one file is all there is


@pytest.mark.parametrize("column", ["split", "Split", " SPLIT", "set", "subset", "part"])
@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training ", "development", "TESTING"), ("train set", "dev_set", "test-set")]
)
def test_a_column_that_names_splits_is_taken_whatever_it_is_called(
    tmp_path: Path, column: str, names: tuple[str, ...]
) -> None:
    splits = [names[0]] * 12 + [names[1]] * 4 + [names[2]] * 4
    file = table_of(tmp_path / "t.csv", **{column: splits})
    assert sizes(open_source(file)) == [12, 4, 4]
    assert "the splits were drawn" in str(open_source(file, SourceSettings(draw=True)).notes)


@pytest.mark.parametrize("odd", ["trainval", "unused", "", "tset", None])
def test_an_odd_split_is_refused_though_most_values_are_odd(tmp_path: Path, odd: str | None) -> None:
    with pytest.raises(DataError, match=r"split .*; expected train.*draw = true"):
        open_source(table_of(tmp_path / "t.jsonl", split=["train"] * 4 + [odd] * 8))


def test_columns_and_files_that_disagree_on_splits_are_refused(tmp_path: Path) -> None:
    both = table_of(tmp_path / "t.csv", one=["train", "train", "test"] * 4, other=["train", "test", "test"] * 4)
    with pytest.raises(DataError, match="the columns 'one' and 'other' name splits"):
        open_source(both)
    assert sizes(open_source(both, SourceSettings(split="one"))) == [8, 0, 4]
    (tmp_path / "b").mkdir()
    for name in ("train", "test"):
        table_of(tmp_path / "b" / f"{name}.csv", split=["train"] * 6)
    with pytest.raises(DataError, match="stands in a file of the test split"):
        open_source(tmp_path / "b")
    assert sizes(open_source(tmp_path / "b", SourceSettings(split="split"))) == [12, 0, 0]


@pytest.mark.parametrize("name", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_test_file_without_the_column_of_labels_has_hidden_ones(tmp_path: Path, name: str) -> None:
    three_files(tmp_path, "train", "dev", "test", name)
    (tmp_path / f"test{name}").unlink()
    write_table(tmp_path / f"test{name}", [("x",), ("y",)], ("text",))
    source = open_source(tmp_path)
    assert (sizes(source), source.splits["test"].scorable) == ([12, 4, 2], False)
    assert "the labels of the test split are hidden: it is not scored" in source.notes


def test_a_split_of_one_class_or_without_rows_is_said(tmp_path: Path) -> None:
    file = table_of(tmp_path / "t.csv", label=["a", "b"] * 6 + ["a"] * 4, split=["train"] * 12 + ["test"] * 4)
    assert open_source(file).notes == (
        "no row is for validation, as the splits are given",
        "all 4 rows of the test split are 'a': its labels may be hidden, its scores then mean nothing",
    )


@pytest.mark.parametrize("rows", range(2, 12))
def test_drawn_splits_train_on_every_class(tmp_path: Path, rows: int) -> None:
    labels = [("a", "b", "c")[row % 3] for row in range(rows)]
    for seed in range(5):
        source = open_source(table_of(tmp_path / "t.csv", label=labels), SourceSettings(seed=seed))
        assert set(source.splits["train"].label) == {*range(len(source.class_names))}
        assert rows != 3 or "instead of 10%, since there are only 3 rows" in source.notes[0]


# --- how tables are written ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_delimiter_that_the_header_shows_is_read(tmp_path: Path, delimiter: str, name: str, encoding: str) -> None:
    texts = [f"é {row}; a, b | c" for row in range(20)]
    with (tmp_path / name).open("w", newline="", encoding=encoding) as out:
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerows([("text", "label"), *((text, "ab"[row % 2]) for row, text in enumerate(texts))])
    source = open_source(tmp_path / name)
    assert {text for rows in source.splits.values() for text in rows.text} == set(texts)


@pytest.mark.parametrize(
    ("name", "closing"), [("t.csv", 'they said"'), ("t.csv", 'they" said'), ("t.tsv", 'they said"')]
)
def test_marks_that_swallow_rows_are_refused_and_the_setting_reads_them(
    tmp_path: Path, name: str, closing: str
) -> None:
    texts = [f"offer {row}" for row in range(20)]
    texts[4], texts[9] = '"So good', closing
    rows = [("text", "label", "brand"), *((text, "ab"[row % 2], "x") for row, text in enumerate(texts))]
    delimiter = "\t" if name.endswith("tsv") else ","
    (tmp_path / name).write_text("\n".join(delimiter.join(row) for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"the 6 lines up to line 11 .*each reads as a row.*quotes in \[source\]"):
        open_source(tmp_path / name)
    source = open_source(tmp_path / name, SourceSettings(quotes=False))
    assert {text for rows in source.splits.values() for text in rows.text} == set(texts)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("order", [("text", "label"), ("label", "text")])
def test_texts_of_several_lines_are_no_swallowed_rows(tmp_path: Path, quoting: Any, order: tuple[str, str]) -> None:
    texts = [f"Hello, friend {row}\nbuy now, please\n\nthanks, all" for row in range(20)]
    records = [{"text": text, "label": "ab"[row % 2]} for row, text in enumerate(texts)] + [
        {"text": f"one line {row}", "label": "ab"[row % 2]} for row in range(4)
    ]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, order, quoting=quoting)
        writer.writeheader()
        writer.writerows(records)
    assert sum(sizes(open_source(tmp_path / "t.csv"))) == 24


def test_a_tsv_of_cells_with_and_without_quotes_is_refused(tmp_path: Path) -> None:
    rows = [f"offer {row}\t{'ab'[row % 2]}" for row in range(20)]
    rows[3], rows[5] = '"see ""more"" 3"\tb', '"fresh" offer\tb'
    (tmp_path / "t.tsv").write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=r"line 5 has a cell within quotation marks.*quotes in \[source\]"):
        open_source(tmp_path / "t.tsv")
    assert sum(sizes(open_source(tmp_path / "t.tsv", SourceSettings(quotes=True)))) == 20


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "the file has no rows"),
        ("t.csv", b"text,label\n", "the file has no rows"),
        ("t.jsonl", b"\n", "the file has no rows"),
        ("t.csv", "text,label\ncafé,a\n".encode("cp1252"), "save it as UTF-8"),
        ("t.csv", "text,label\nab,a\n".encode("utf-16-le"), "UTF-16 without a mark"),
        ("t.csv", gzip.compress(b"text,label\n", mtime=0), "compressed; unpack it"),
        ("t.csv", b'text,label\n"say \\"hi\\", ok",a\n', "marks within those are doubled"),
        ("t.csv.gz", b"", "unpack it"),
        ("t.json", b"[]", "one object a line"),
        ("t.ndjson", b"{}", "call it .jsonl"),
        ("t.feather", b"", "write it as Parquet"),
        ("t.xlsx", b"", "save it as CSV"),
        ("t.jsonl", b"[{}]", "write one object a line"),
        ("nowhere.csv", None, "no such file or folder"),
        ("data/state.json", b"{}", "by to_parquet"),
        ("good/0.png", b"", "pictures in folders, but no table"),
        ("data.json", b"[]", "one object a line"),
    ],
)
def test_tables_that_cannot_be_read_say_what_to_do(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / "x" / name
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    folders = {"data/state.json": file.parent, "good/0.png": file.parents[1], "data.json": file.parent}
    with pytest.raises(DataError, match=message):
        open_source(folders.get(name, file))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_texts_that_are_missing_are_counted_in_every_format(tmp_path: Path, name: str) -> None:
    texts: list[str | None] = [f"offer {row}" for row in range(20)]
    texts[2:7] = ["nan", " None ", "", "  ", "<NA>"] if name == "t.csv" else ["nan", None, "", "  ", "null"]
    source = open_source(table_of(tmp_path / name, text=texts))
    assert "5 of 20 rows have no text" in source.notes
    assert sum(not text.strip() for rows in source.splits.values() for text in rows.text) == 5


def test_a_truth_value_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.jsonl:2: the column 'text' holds bool"):
        open_source(table_of(tmp_path / "t.jsonl", text=["a", True] * 8))


# --- where pictures are ---

ENCODED = picture((1, 2, 3))


@pytest.mark.parametrize(
    "name", ["0.png", "pictures/0.jpg", " 0.jpg ", ".\\0.jpg", "file:///somewhere/0.jpg", "~/0.jpg", "000", "00.jpg"]
)
def test_a_picture_that_is_there_under_another_name_is_hinted_at(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path)
    with pytest.raises(DataError, match=r"may be '0\.jpg', which is there"):
        open_source(table_of(tmp_path / "t.csv", image=[name] * 16), SourceSettings(images=tmp_path))


def test_ten_missing_pictures_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    names = [f"x{row}.jpg" for row in range(30)]
    with pytest.raises(DataError, match=r"30 of 30 pictures are missing.*x9\.jpg and 20 others$"):
        open_source(table_of(tmp_path / "t.csv", image=names), SourceSettings(images=tmp_path))


@pytest.mark.parametrize("name", ["../beside.jpg", "/beside.jpg"])
def test_a_picture_outside_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "beside.jpg").write_bytes(ENCODED)
    tmp_path = tmp_path / "inside"
    tmp_path.mkdir()
    with pytest.raises(DataError, match=r"not the name of a file in .*names another\)$"):
        open_source(table_of(tmp_path / "t.csv", image=[name] * 16), SourceSettings(images=tmp_path))


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(len(ENCODED)), pa.dictionary(pa.int32(), pa.binary())],
    ids=str,
)
def test_bytes_of_every_type_are_pictures(tmp_path: Path, kind: Any) -> None:
    column = pa.array([ENCODED] * 16).cast(kind) if kind != pa.dictionary(pa.int32(), pa.binary()) else None
    column = pa.array([ENCODED] * 16).dictionary_encode() if column is None else column
    texts = [f"t {row}" for row in range(16)]
    table = pa.table({"image": column, "text": texts, "label": ["a", "b"] * 8, "split": ["train", "test"] * 8})
    pq.write_table(table.set_column(2, "label", pa.array(["a", "a", "b", "b"] * 4)), tmp_path / "t.parquet")
    rows = open_source(tmp_path / "t.parquet").splits["test"]
    assert rows.pictures is not None
    assert [rows.pictures.read(row) for row in range(8)] == [ENCODED] * 8


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ([ENCODED], "holds list"),
        ([{"bytes": ENCODED, "path": "x"}], "holds list"),
        ({"data": ENCODED}, "holds dict"),
        ("A" * 300, r"base64\?"),
        ("data:image/png;base64,AAAA", r"base64\?"),
        ("AB/" * 2000, r"base64\?"),
        (True, "holds bool"),
    ],
    ids=["list", "structs", "struct", "base64", "address", "slashes", "truth"],
)
@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_what_is_no_picture_is_refused_unless_none_are_asked_for(
    tmp_path: Path, value: Any, held: str, name: str
) -> None:
    if name == "t.jsonl":
        value = json.loads(json.dumps(value, default=lambda content: content.hex()))
    file = table_of(tmp_path / name, image=[value] * 16)
    with pytest.raises(DataError, match=f"the column 'image' .*{held}"):
        open_source(file)
    assert open_source(file, SourceSettings(image="")).splits["train"].pictures is None


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_row_without_a_picture_is_named(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path)
    names = ["0.jpg", "1.jpg", "2.jpg", "" if name == "t.csv" else None] * 4
    with pytest.raises(DataError, match=r"t\.[a-z]+:[0-9:]+: no picture, nor have 3 other rows one"):
        open_source(table_of(tmp_path / name, image=names))


def test_structs_with_some_bytes_missing_are_refused(tmp_path: Path) -> None:
    values = [{"bytes": ENCODED if row % 2 else None, "path": "x.jpg"} for row in range(16)]
    with pytest.raises(DataError, match="row 0 and 7 others of 16 have a path in the column 'image' but no bytes"):
        open_source(table_of(tmp_path / "t.parquet", image=values))
    values[1] = {"bytes": None, "path": None}
    with pytest.raises(DataError, match="row 0 and 7 others"):
        open_source(table_of(tmp_path / "t.parquet", image=values))
    with pytest.raises(DataError, match=r"t\.parquet:0:1: no picture"):
        open_source(table_of(tmp_path / "t.parquet", image=[values[3], values[1]] * 8))


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        ({"images": ["0.jpg"] * 16}, "no column 'image'; it may be 'images'"),
        ({"photo_path": ["0.jpg"] * 16}, "it may be 'photo_path'"),
        ({"image": ["https://example.org/0.jpg"] * 16}, "web addresses, which are not fetched"),
        ({"image": ["0.jpg"] * 16}, "none lies beside the table"),
    ],
)
def test_why_rows_have_no_pictures_is_said(tmp_path: Path, columns: dict[str, list[str]], note: str) -> None:
    assert any(note in said for said in open_source(table_of(tmp_path / "t.csv", **columns)).notes)


@pytest.mark.parametrize(("size", "said"), [((300, 20), True), ((9, 120), True), ((290, 30), False)])
@pytest.mark.parametrize("inside", [True, False])
def test_pictures_that_are_strips_are_counted(tmp_path: Path, size: tuple[int, int], said: bool, inside: bool) -> None:
    write_pictures(tmp_path)
    (tmp_path / "strip.jpg").write_bytes(picture((1, 2, 3), size=size))
    names = ["0.jpg", "1.jpg", "strip.jpg", "strip.jpg"] * 4
    values = [(tmp_path / name).read_bytes() for name in names] if inside else names
    notes = open_source(table_of(tmp_path / "t.parquet", image=values)).notes
    assert ("the pictures of 8 rows are strips, 10 times as long as broad or more" in notes) == said
