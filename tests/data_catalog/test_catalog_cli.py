"""`ytb-ads catalog ...`: results on standard output, refusals in one line on standard error with code 1."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner, Result

from data_catalog import LABELS, TABLES, Catalog
from data_catalog.errors import ReleaseError
from data_catalog.releases import write_release
from data_catalog.schemas import RELEASE_SCHEMA
from fgmfn.data import find_release as find_fgmfn_release
from flows.commands.catalog import catalog_app
from flows.train import release_folder

app = typer.Typer()
app.add_typer(catalog_app, name="catalog")


@app.callback()
def main() -> None:
    """The command that the catalog's commands hang below."""


def rows(table: str, *values: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=TABLES[table].schema)


def run(root: Path | str, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["catalog", *words], env={"YTB_ADS_CATALOG": str(root)})
    assert result.exit_code == code, result.output
    return result


def said(root: Path, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run(root, *words, "--json").stdout.splitlines()]


def refused(root: Path | str, *words: str) -> str:
    result = run(root, *words, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalog = Catalog(tmp_path)
    catalog.merge("texts", rows("texts", *({"frame_id": f"v{i}:0", "text": "SALE", "n_words": i} for i in range(9))))
    catalog.merge("comments", rows("comments", {"comment_id": "c", "text": "\x1b[31m[bold]hi[/bold]"}))
    return tmp_path


def put_release(root: Path, version: str, n: int, parent: str | None = None, **facts: object) -> None:
    def split(name: str, first: int) -> pa.Table:
        made = [
            {
                "image": {"bytes": b"\xff\xd8\xff" + bytes([i]), "path": f"{i}.jpg"},
                "text": f"word {i}",
                "label": i % len(LABELS),
                "video_id": f"{name}{i}",
                "frame_id": f"{name}{i}:0",
                "category": "food",
                "timestamp_s": 1.0,
                "mean_score": 0.5,
                "n_words": 2,
                "draw": 0,
            }
            for i in range(first)
        ]
        return pa.Table.from_pylist(made, schema=RELEASE_SCHEMA)

    splits = {"train": split("a", n), "validation": split("b", 2), "test": split("c", 2)}
    manifest = {
        "created_at": datetime.now(UTC).isoformat(),
        "synthetic": True,
        "settings": {},
        "seed": 0,
        "engines": {},
        "table_versions": {},
        "parent": parent,
        "funnel": [],
    }
    write_release(root / "releases", version, splits, manifest | facts, {})


def test_tables_are_listed_with_rows_version_and_key(root: Path) -> None:
    out = run(root, "tables").stdout
    assert "texts" in out
    assert "frame_id" in out
    assert [(t["name"], t["rows"], t["version"], t["key"]) for t in said(root, "tables")] == [
        ("comments", 1, 1, ["comment_id"]),
        ("texts", 9, 1, ["frame_id"]),
    ]


def test_rows_are_shown_by_condition_columns_and_limit(root: Path) -> None:
    found = said(root, "show", "texts", "--where", "n_words > 5", "--columns", "frame_id, n_words", "--limit", "2")
    assert found == [{"frame_id": "v6:0", "n_words": 6}, {"frame_id": "v7:0", "n_words": 7}]
    assert "v8:0" in run(root, "show", "texts").stdout


def test_a_strangers_comment_neither_colours_nor_marks_up_the_terminal(root: Path) -> None:
    out = run(root, "show", "comments", "--columns", "text").stdout
    assert "\\x1b[31m[bold]hi[/bold]" in out
    assert "\x1b" not in out


def test_sql_answers_over_tables_and_says_how_much_it_left_out(root: Path) -> None:
    assert said(root, "sql", "SELECT sum(n_words) AS n FROM texts") == [{"n": 36}]
    long = run(root, "sql", "SELECT * FROM range(250)")
    assert "199" in long.stdout
    assert "50 more rows; --json prints all of them" in long.stderr
    assert len(said(root, "sql", "SELECT * FROM range(250)")) == 250


def test_history_lists_commits_newest_first(root: Path) -> None:
    assert [(c["version"], c["rows_written"]) for c in said(root, "history", "texts")] == [(1, 9), (0, None)]
    assert "CREATE TABLE" in run(root, "history", "texts").stdout


def test_releases_are_listed_verified_and_compared(root: Path) -> None:
    put_release(root, "2026.11.16", 4)
    put_release(root, "2026.11.23", 6, parent="2026.11.16", engines={"ocr": "other \x1b[31m1"})

    assert [(r["version"], r["rows"]["train"]) for r in said(root, "releases")] == [  # type: ignore[index]
        ("2026.11.16", 4),
        ("2026.11.23", 6),
    ]
    listed = run(root, "releases").stdout
    assert "train 6" in listed
    assert "synthetic" in listed
    assert "release 2026.11.23 is whole" in run(root, "verify").stdout
    assert "release 2026.11.16 is whole" in run(root, "verify", "2026.11.16").stdout
    out = run(root, "diff", "2026.11.16", "2026.11.23").stdout
    assert "a4:0, a5:0" in out
    assert "2 rows of 2 frames, 2 ads" in out
    assert "\x1b" not in out
    (found,) = said(root, "diff", "2026.11.16", "2026.11.23")
    assert (found["frames_added"], found["ads_added"], found["ads_gone"]) == (["a4:0", "a5:0"], ["a4", "a5"], [])
    assert found["engines"] == {"ocr": [None, "other \x1b[31m1"]}
    assert said(root, "diff") == said(root, "diff", "2026.11.16") == [found], "by itself: the newest and its parent"
    assert said(root, "diff", "2026.11.23") == [found], "the newest alone, too"


def test_what_has_no_parent_or_is_not_there_is_not_compared(root: Path) -> None:
    put_release(root, "2026.11.16", 4)
    put_release(root, "2026.11.23", 4, parent="2026.11.20")
    there = "there are 2026.11.16, 2026.11.23"
    assert refused(root, "diff", "2026.01.01", "2026.11.16") == f"error: 2026.01.01: no such release; {there}"
    assert refused(root, "diff", "2026.11.16", "x") == f"error: x: no such release; {there}"
    assert refused(root, "verify", "2026.01.01") == f"error: 2026.01.01: no such release; {there}"
    gone = "error: the parent of release 2026.11.23, 2026.11.20, is gone; name the release to compare with, "
    assert refused(root, "diff") == refused(root, "diff", "2026.11.23") == f"{gone}there are 2026.11.16"
    assert said(root, "diff", "2026.11.16")[0]["older"] == "2026.11.16"
    shutil.rmtree(root / "releases/2026.11.16")
    assert refused(root, "diff") == f"{gone}there are no others"
    put_release(root, "2026.11.16", 4)
    shutil.rmtree(root / "releases/2026.11.23")
    assert "2026.11.16 is the first, it has no parent" in refused(root, "diff")
    assert "2026.11.16 is the first, it has no parent" in refused(root, "diff", "2026.11.16")
    assert "the same rows" in run(root, "diff", "2026.11.16", "2026.11.16").stdout


def test_every_command_means_the_same_by_the_newest(root: Path) -> None:
    put_release(root, "2030.01.01", 4, created_at="2030-01-01T00:00:00+00:00")
    put_release(root, "2026.11.23", 6, parent="2030.01.01", created_at="2026-11-23T00:00:00+00:00")
    assert [r["version"] for r in said(root, "releases") if r["newest"]] == ["2026.11.23"]
    assert "2026.11.23 *" in run(root, "releases").stdout
    assert "release 2026.11.23 is whole" in run(root, "verify").stdout
    assert said(root, "diff")[0]["newer"] == "2026.11.23"
    assert said(root, "sql", "SELECT DISTINCT version FROM release") == [{"version": "2026.11.23"}]
    assert release_folder(Catalog(root), None).name == "2026.11.23"
    assert release_folder(Catalog(root), "2030.01.01").name == "2030.01.01"
    assert release_folder(Catalog(root), str(root)) == root
    with pytest.raises(ReleaseError, match=r"2026\.01\.01: no such release; there are 2026\.11\.23, 2030\.01\.01"):
        release_folder(Catalog(root), "2026.01.01")
    assert find_fgmfn_release(root / "releases").name == "2026.11.23"
    (root / "releases/2026.11.23/manifest.json").write_text("{")
    for command in (["verify"], ["diff"], ["releases"], ["sql", "FROM release"]):
        assert "2026.11.23/manifest.json: is not JSON" in refused(root, *command)


def test_an_older_release_that_cannot_be_read_is_named_and_in_nobodys_way(root: Path) -> None:
    put_release(root, "2026.11.16", 4)
    put_release(root, "2026.11.23", 6, parent="2026.11.16")
    (root / "releases/2026.11.16/manifest.json").write_text("{")
    for words in (["releases"], ["sql", "FROM releases"], ["show", "release"]):
        shown = run(root, *words)
        assert "2026.11.23" in shown.stdout
        assert "2026.11.16/manifest.json: is not JSON" in shown.stderr
    assert "2026.11.16/manifest.json: is not JSON" in refused(root, "diff")


def test_releases_are_shown_and_described_as_tables_are(root: Path) -> None:
    assert "To ask for: comments, texts" in refused(root, "show", "release")
    put_release(root, "2026.11.23", 4)
    assert [row["version"] for row in said(root, "show", "release", "--where", "split = 'test'")] == ["2026.11.23"] * 2
    assert "4 more rows" in run(root, "show", "releases", "--limit", "4").stderr
    assert len(said(root, "show", "release", "--as-of", "2026.11.23")) == 8
    assert run(root, "describe", "release").stdout == run(root, "describe", "releases").stdout
    assert "tables are listings, " in refused(root, "describe", "relese")
    assert refused(root, "describe", "relese").endswith(", release")


def test_a_changed_release_does_not_verify(root: Path) -> None:
    put_release(root, "2026.11.23", 4)
    (file,) = (root / "releases/2026.11.23/data").glob("test-*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    result = run(root, "verify", code=1)
    assert "test-" in result.stdout
    assert "2026.11.23 is not what was written" in result.stderr


def test_refusals_are_one_line_with_the_place(root: Path, tmp_path: Path) -> None:
    assert "no table 'x'" in refused(root, "show", "x")
    assert "no table 'x'" in refused(root, "history", "x")
    assert "has no column 'y'" in refused(root, "show", "texts", "--columns", "y")
    assert "To ask for: comments, texts" in refused(root, "sql", "SELECT * FROM x")
    assert "syntax error" in refused(root, "show", "texts", "--where", "n_words >")
    assert "holds no release" in refused(root, "verify")
    assert "2026.01.01: no such release; there are none" in refused(root, "diff", "2026.01.01", "2026.01.02")
    assert "is no place for a catalog" in refused("s3:/bucket/x", "releases")
    assert "\\x1b" in refused(root, "sql", "\x1b[31m")


def test_wrong_usage_ends_with_two(root: Path) -> None:
    run(root, "show", code=2)
    run(root, "show", "texts", "--limit", "-1", code=2)
    run(root, "nonsense", code=2)


def test_the_option_names_the_catalog_before_the_environment(root: Path, tmp_path: Path) -> None:
    assert "no catalog here" in run(root, "tables", "--catalog", str(tmp_path / "empty"), code=1).output
