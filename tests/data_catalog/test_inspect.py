"""Looking at tables: SQL over all of them, and strangers' texts printed without doing anything."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from data_catalog import Catalog, CatalogError
from data_catalog.inspect import connect, count_rows, json_lines, render, run_sql, show_rows
from data_catalog.printing import printable
from data_catalog.releases.verification import FORMAT, WRITTEN_FIELDS
from data_catalog.schemas import RELEASE_SCHEMA
from data_catalog.tables.duck import connect_duckdb
from tests.data_catalog.builders import rows


def put_release(catalog: Catalog, version: str, **rows_of: int) -> None:
    data = Path(catalog.root) / "releases" / version / "data"
    manifest: dict[str, object] = {name: {} for name in WRITTEN_FIELDS} | {
        "format": FORMAT,
        "created_at": "2026-11-23T09:00:00+00:00",
    }
    files: dict[str, object] = {}
    manifest["files"] = files
    data.mkdir(parents=True)
    for split, n in rows_of.items():
        made = [{"frame_id": f"{version}{split}{i}", "label": i % 2} for i in range(n)]
        file = data / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(made, schema=RELEASE_SCHEMA), file)
        files[f"data/{file.name}"] = {"size_bytes": file.stat().st_size}
    (data.parent / "manifest.json").write_text(json.dumps(manifest))


def printed(table: pa.Table, width: int = 300) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(render(table))
    return out.getvalue()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path)
    catalog.merge("labels", rows("labels", *({"video_id": f"v{i}", "label": "positive"} for i in range(30))))
    catalog.merge("texts", rows("texts", {"frame_id": "v1:0", "video_id": "v1", "text": "SALE", "n_words": 1}))
    return catalog


def test_every_table_that_exists_can_be_joined(catalog: Catalog) -> None:
    found = run_sql(catalog, "SELECT text, label FROM texts JOIN labels USING (video_id)")
    assert found.to_pylist() == [{"text": "SALE", "label": "positive"}]


def test_releases_are_one_view_and_the_newest_another(catalog: Catalog) -> None:
    put_release(catalog, "2026.11.23", train=2, validation=1)
    put_release(catalog, "2026.11.23.10", train=4, test=1)
    put_release(catalog, "2026.11.23.9", train=3)
    counted = run_sql(catalog, "SELECT version, split, count(*) AS n FROM releases GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in counted.to_pylist()] == [
        ("2026.11.23", "train", 2),
        ("2026.11.23", "validation", 1),
        ("2026.11.23.10", "test", 1),
        ("2026.11.23.10", "train", 4),
        ("2026.11.23.9", "train", 3),
    ]
    assert run_sql(catalog, "SELECT DISTINCT version FROM release").to_pylist() == [{"version": "2026.11.23.10"}]


def test_a_damaged_release_is_named_and_the_tables_still_answer(catalog: Catalog) -> None:
    put_release(catalog, "2026.11.23", train=2)
    (catalog.releases_dir / "2026.11.23/data/train-00000-of-00001.parquet").write_bytes(b"nothing like it")
    with pytest.raises(CatalogError, match=r"release 2026\.11\.23: .* has 15 bytes, not .*catalog verify 2026\.11\.23"):
        run_sql(catalog, "FROM releases")
    assert run_sql(catalog, "FROM labels").num_rows == 30


def test_a_wrong_query_says_what_is_wrong_and_what_there_is(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"(?s)lables.*To ask for: texts, labels$"):
        run_sql(catalog, "SELECT * FROM lables")
    with pytest.raises(CatalogError, match="syntax error"):
        run_sql(catalog, "SELEKT 1")
    with pytest.raises(CatalogError, match="no catalog here; `ytb-ads build"):
        run_sql(Catalog(Path(catalog.root) / "elsewhere"), "FROM ads")


def test_a_query_finds_no_variables_of_the_program_loads_nothing_and_writes_nothing(
    catalog: Catalog, tmp_path: Path
) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(CatalogError, match="secret does not exist"):
        run_sql(catalog, "FROM secret")
    assert secret.num_rows == 1
    with pytest.raises(CatalogError, match="operations are disabled"):
        run_sql(catalog, "FROM 'https://127.0.0.1:1/x.parquet'")
    target = tmp_path / "written.csv"
    with pytest.raises(CatalogError, match="expected one query that gives rows"):
        run_sql(catalog, f"COPY (SELECT 1 AS a) TO '{target}'")
    assert not target.exists()
    for opened in (connect(catalog), connect_duckdb(memory_limit="1GB")):
        with opened as connection:
            settings = connection.sql("SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions'")
            assert settings.fetchall() == [("false",)] * 2


def test_every_connection_of_the_program_is_opened_where_extensions_are_turned_off() -> None:
    opened = [
        path.name
        for package in ("annotation", "data_catalog", "flows", "fgmfn")
        for path in (Path(__file__).parents[2] / package).rglob("*.py")
        if "duckdb.connect(" in path.read_text(encoding="utf-8")
    ]
    assert opened == ["duck.py"]


def test_rows_are_shown_by_column_condition_and_limit(catalog: Catalog) -> None:
    assert show_rows(catalog, "labels").num_rows == 20
    assert show_rows(catalog, "labels", limit=None).num_rows == 30
    found = show_rows(catalog, "labels", columns=["video_id"], where="video_id > 'v7'", limit=5)
    assert sorted(found.to_pydict()["video_id"]) == ["v8", "v9"]
    assert show_rows(catalog, "ads", columns=["title"]).column_names == ["title"]
    put_release(catalog, "2026.11.23", train=2)
    assert show_rows(catalog, "release", columns=["version", "split", "draw"], limit=1).to_pylist() == [
        {"version": "2026.11.23", "split": "train", "draw": None}
    ]
    assert count_rows(catalog, "releases") == 2
    assert count_rows(catalog, "release", "label = 1") == 1
    with pytest.raises(CatalogError, match="release has no column 'y'; it has version, split, image, text"):
        show_rows(catalog, "release", columns=["y"])
    with pytest.raises(CatalogError, match=r"no table 'x'; to ask for: texts, labels, releases, release$"):
        show_rows(catalog, "x")
    with pytest.raises(CatalogError, match="labels has no column 'y'"):
        show_rows(catalog, "labels", columns=["y"])


HOSTILE = [
    "\x1b]0;title\x07\x1b[31mred\x1b[2J",
    "user\u202egnp.exe",
    "\u2066isolated\u2069 zero\u200bwidth",
    "line\nbreak\r\ttab\x08\x7f\x9b",
    "para\u2028graph\u2029",
    "[bold red]markup[/] [link=https://x]y[/link] :boom: [/nonsense]",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_wrote_is_printed_as_text(text: str) -> None:
    out = printed(pa.table({text: [text]}))
    assert printable(text) in out
    assert not set(out) & set("\x1b\x07\x08\x7f\x9b\r\t\u202e\u2066\u2069\u200b\u2028\u2029")
    assert out.count("\n") == 5, "one header, one row, three rules"


def test_json_lines_are_plain_json_that_other_programs_read(catalog: Catalog) -> None:
    table = pa.table(
        {
            "text": ["\x1b[31m\u202e\n"],
            "nan": [float("nan")],
            "at": [datetime(2026, 1, 1, tzinfo=UTC)],
            "day": [date(2026, 1, 2)],
            "image": [{"bytes": b"\xff\xd8\xff", "path": None}],
        }
    )
    (line,) = json_lines(table)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")) == {
        "text": "\x1b[31m\u202e\n",
        "nan": None,
        "at": "2026-01-01T00:00:00+00:00",
        "day": "2026-01-02",
        "image": {"bytes": "<3 B jpeg>", "path": None},
    }
    (total,) = json_lines(run_sql(catalog, "SELECT sum(n_words) AS n, avg(n_words) AS mean FROM texts"))
    assert json.loads(total) == {"n": 1, "mean": 1.0}
