"""Rows as files: read back by other libraries, nothing is lost, and nothing half written is left."""

from __future__ import annotations

import base64
import csv
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_catalog import TABLES, Catalog, CatalogError
from data_catalog.export import export_rows
from tests.data_catalog.builders import rows

PICTURE = b"\xff\xd8\xff\x00\x01"
AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
TEXT = 'one "quoted", two\nlines\r\nand \x1b[31m ünï 😀'


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path / "catalog")
    comments = ({"comment_id": f"c{i}", "video_id": "v", "text": TEXT, "published_at": AT} for i in range(2500))
    catalog.merge("comments", rows("comments", *comments))
    word = {"text": "SALE", "confidence": 0.5, "box": [1.0, 2.0, 3.0, 4.5]}
    catalog.merge("texts", rows("texts", {"frame_id": "v:0", "video_id": "v", "words": [word], "n_words": 1}))
    catalog.merge("frames", rows("frames", {"frame_id": "v:0", "image": {"bytes": PICTURE, "path": "v-0.jpg"}}))
    return catalog


def test_parquet_is_the_table_with_the_meaning_of_its_columns(catalog: Catalog, tmp_path: Path) -> None:
    counted: list[float] = []
    assert export_rows(catalog, "comments", tmp_path / "c.parquet", counted.append) == 2500
    assert sum(counted) == 2500
    read = pq.read_table(tmp_path / "c.parquet")
    assert read.sort_by("comment_id") == catalog.read("comments").sort_by("comment_id")
    assert read.schema.equals(TABLES["comments"].schema)
    assert (read.schema.field("text").metadata or {})[b"meaning"] == b"the text as written"
    export_rows(catalog, "frames", tmp_path / "f.parquet")
    assert pq.read_table(tmp_path / "f.parquet")["image"].to_pylist() == [{"bytes": PICTURE, "path": "v-0.jpg"}]


def test_csv_is_read_back_by_pythons_reader(catalog: Catalog, tmp_path: Path) -> None:
    export_rows(catalog, "SELECT text, published_at, like_count FROM comments LIMIT 2", tmp_path / "c.CSV")
    with (tmp_path / "c.CSV").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["text", "published_at", "like_count"],
            *[[TEXT, "2026-11-23T08:30:00+00:00", ""]] * 2,
        ]
    export_rows(catalog, "SELECT words, image FROM texts JOIN frames USING (frame_id)", tmp_path / "w.csv")
    with (tmp_path / "w.csv").open(encoding="utf-8", newline="") as file:
        _, (words, image) = csv.reader(file)
    assert json.loads(words) == [{"text": "SALE", "confidence": 0.5, "box": [1.0, 2.0, 3.0, 4.5]}]
    assert base64.b64decode(json.loads(image)["bytes"]) == PICTURE


def test_json_lines_hold_one_row_each(catalog: Catalog, tmp_path: Path) -> None:
    assert export_rows(catalog, "comments", tmp_path / "c.jsonl") == 2500
    lines = (tmp_path / "c.jsonl").read_text("utf-8").split("\n")
    assert len(lines) == 2501
    assert json.loads(lines[7])["text"] == TEXT
    query = "SELECT 'nan'::DOUBLE AS n, 1.5::DECIMAL(4,2) AS d, DATE '2026-11-23' AS day, [1, 2] AS list"
    export_rows(catalog, query, tmp_path / "q.jsonl")
    assert json.loads((tmp_path / "q.jsonl").read_text()) == {
        "n": "nan",
        "d": 1.5,
        "day": "2026-11-23",
        "list": [1, 2],
    }


def test_what_cannot_be_written_leaves_nothing_behind(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.csv").write_text("old")
    with pytest.raises(CatalogError, match=r"the ending says the format; give one of \.parquet, \.csv, \.jsonl"):
        export_rows(catalog, "comments", folder / "c.xlsx")
    with pytest.raises(CatalogError, match=r"(?s)lables.*To ask for: comments, frames, texts"):
        export_rows(catalog, "SELECT * FROM lables", folder / "c.csv")
    with pytest.raises(CatalogError, match="gone"):
        export_rows(catalog, "gone", folder / "c.csv")
    with pytest.raises(CatalogError, match="Conversion Error"):  # in the middle of the rows
        export_rows(catalog, "SELECT CAST(text AS INT) FROM comments", folder / "old.csv")
    with pytest.raises(CatalogError, match="cannot be written"):
        export_rows(catalog, "comments", folder / "missing" / "c.csv")
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("old.csv", "old")]


def test_a_file_system_that_is_read_only_is_said_and_nothing_else(catalog: Catalog, tmp_path: Path) -> None:
    place = tmp_path / "read-only"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root alone")
    try:
        with pytest.raises(CatalogError) as refused:
            export_rows(catalog, "comments", place / "c.csv")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert str(refused.value) == f"{place}/c.csv: cannot be written (Read-only file system)"


def test_rows_that_would_lose_a_column_and_what_is_no_query_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    for query in ("SELECT 1 AS a, 2 AS a", "SELECT * FROM texts t JOIN frames f ON t.frame_id = f.frame_id"):
        with pytest.raises(CatalogError, match="two columns are named"):
            export_rows(catalog, query, tmp_path / "x.csv")
    for query in ("SELECT 1; SELECT 2", "CREATE TABLE x AS SELECT 1", "SET threads = 1", "-- nothing at all"):
        with pytest.raises(CatalogError, match="expected one query that gives rows"):
            export_rows(catalog, query, tmp_path / "x.csv")
    late = "SELECT CASE WHEN i = 500000 THEN error('late') ELSE i END AS i FROM range(1000000) t(i)"
    with pytest.raises(CatalogError, match="late") as caught:
        export_rows(catalog, late, tmp_path / "x.csv")
    assert "cannot be written" not in str(caught.value)
    assert not (tmp_path / "x.csv").exists()
