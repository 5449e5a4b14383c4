"""A row of a release is followed back to where it came from, and the page is safe to open."""

from __future__ import annotations

import io
import json
import re
import shutil
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from data_catalog.catalog import Catalog
from data_catalog.checks import all_rules, broken, check
from data_catalog.errors import CatalogError
from data_catalog.privacy.forget import forget_ad
from data_catalog.releases import newest_release, read_manifest
from data_catalog.schemas import LABELS, SPLITS, TABLES
from flows.commands.main import app
from flows.look.page import provenance_html, render_provenance, split_reason
from flows.look.provenance import PARTS, explain_row
from flows.release.card import plain
from flows.settings import Settings, load_settings

HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e"


def released(release: Path, split: str) -> list[dict[str, Any]]:
    files = sorted((release / "data").glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def put(catalog: Catalog, table: str, *rows: dict[str, object]) -> None:
    catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))


@pytest.fixture
def settings(quick: Path) -> Settings:
    return load_settings(quick)


def test_the_first_and_last_row_of_every_split_are_what_the_release_says(seeded: Path, settings: Settings) -> None:
    release = newest_release(seeded / "releases")
    for split in SPLITS:
        rows = released(release, split)
        for number in {0, len(rows) - 1}:
            found = explain_row(Catalog(seeded), f"{release.name}:{split}:{number}", settings)
            row = rows[number]
            assert (found.frame_id, found.video_id) == (row["frame_id"], row["video_id"])
            [placed] = found.rows
            assert (placed.split, placed.row, placed.draw) == (split, number, row["draw"])
            assert (placed.label, placed.mean_score) == (LABELS[row["label"]], row["mean_score"])
            [frame] = found.frames
            assert frame.jpeg == row["image"]["bytes"]
            assert " ".join(frame.words) == row["text"]
            assert frame.at_s == row["timestamp_s"]
            assert found.label is not None
            assert found.label["label"] == LABELS[row["label"]]
            assert found.sentiment is not None
            assert found.sentiment.sentiment["mean_score"] == row["mean_score"]
            assert not found.notes
            assert not found.told


def test_an_ad_has_all_its_rows_frames_and_drops(seeded: Path, settings: Settings) -> None:
    release = newest_release(seeded / "releases")
    row = released(release, "train")[0]
    found = explain_row(Catalog(seeded), row["video_id"], settings)
    expected = [r["frame_id"] for split in SPLITS for r in released(release, split) if r["video_id"] == row["video_id"]]
    assert [placed.frame_id for placed in found.rows] == expected
    sampled = Catalog(seeded).read("frames", ["frame_id"], f"video_id = '{row['video_id']}'")
    assert len(found.frames) == sampled.num_rows
    unkept = {f"{row['video_id']}:{frame.index}" for frame in found.frames} - set(expected)
    assert unkept <= {drop["key"] for drop in found.drops}


def test_it_is_told_from_the_tables_of_that_time(copied: Path, settings: Settings) -> None:
    tables = Catalog(copied)
    release = newest_release(Path(tables.root) / "releases")
    row = released(release, "test")[0]
    other = LABELS[1 - row["label"]]
    [label] = tables.read("labels", where=f"video_id = '{row['video_id']}'").to_pylist()
    put(tables, "labels", {**label, "label": other, "decided_by": "verifier"})
    vote = {"review_id": "1", "video_id": row["video_id"], "reviewer": "r1", "verdict": other, "note": HOSTILE}
    put(tables, "reviews", {**vote, "at": datetime(2026, 11, 23, tzinfo=UTC), "excluded_frames": []})
    [text] = tables.read("texts", where=f"frame_id = '{row['frame_id']}'").to_pylist()
    put(tables, "texts", {**text, "words": text["words"][:1], "n_words": 1})

    then = explain_row(tables, f"{release.name}:{row['frame_id']}", settings)
    assert then.label is not None
    assert (then.label["label"], then.reviews) == (LABELS[row["label"]], ())
    assert not then.told

    # history is purged table by table: only what is told from that table changes, and that is said beside it
    tables.purge("labels")
    mixed = explain_row(tables, f"{release.name}:{row['frame_id']}", settings)
    assert mixed.label is not None
    assert mixed.label["decided_by"] == "verifier"
    assert (mixed.frames, mixed.reviews, mixed.sentiment) == (then.frames, (), then.sentiment)
    assert mixed.told == {
        "label": "told as of now from labels (its history of that time was purged); not what the release was made of; "
        f"label: {LABELS[row['label']]} in the release, {other} here"
    }
    for table in ("texts", "drops", "comments", "frames"):
        tables.purge(table)
    now = explain_row(tables, f"{release.name}:{row['frame_id']}", settings)
    assert "words of frame" in now.told["frames"]
    assert now.told["drops"].endswith("it may have changed since the release")
    assert now.told["comments"].endswith("the release holds the same")
    assert now.told.keys() == {"label", "frames", "drops", "comments"}
    shown = io.StringIO()
    Console(file=shown, width=400).print(render_provenance(now))
    page = unescape(provenance_html(now))
    for said in now.told.values():
        assert said in shown.getvalue()
        assert said in page
    assert page.index("<h2>Label") < page.index(now.told["label"]) < page.index("<h2>Comments")


def test_a_page_of_votes_and_strangers_texts_is_safe_to_open(copied: Path, settings: Settings) -> None:
    tables = Catalog(copied)
    ad = tables.values("labels", "video_id")[0]
    vote = {"review_id": "1", "video_id": ad, "reviewer": "r1", "verdict": "positive", "note": HOSTILE}
    put(tables, "reviews", {**vote, "at": datetime(2026, 11, 23, tzinfo=UTC), "excluded_frames": []})
    shutil.rmtree(f"{tables.root}/releases")
    found = explain_row(tables, ad, settings)
    assert [review["reviewer"] for review in found.reviews] == ["r1"]
    assert "no release yet" in found.notes[0]
    page = provenance_html(found)
    assert "alert(1)" in page
    assert "<script" not in page
    assert not re.search(r"[\x1b\u202e]", page)
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)


@pytest.mark.parametrize("table", ["labels", "ads"])
def test_a_table_that_is_gone_or_was_made_anew_is_never_taken_for_that_of_the_release(
    table: str, copied: Path, settings: Settings
) -> None:
    tables = Catalog(copied)
    release = newest_release(Path(tables.root) / "releases")
    place = f"{release.name}:test:0"
    before = explain_row(tables, place, settings)
    rows = tables.read(table)
    shutil.rmtree(copied / "tables" / table)
    part = next(name for name, of_part in PARTS.items() if table in of_part)
    if table == "ads":
        with pytest.raises(CatalogError, match=r"which is not in the tables, nor in their history"):
            explain_row(tables, place, settings)
    else:
        assert "the table is gone" in explain_row(tables, place, settings).told[part]
    # as many versions as the release saw, all of later commits
    tables.replace(table, rows)
    while tables.versions()[table] < read_manifest(release)["table_versions"][table]:
        tables.replace(table, rows.slice(0, 0))
        tables.replace(table, rows)
    made_at = datetime.fromisoformat(read_manifest(release)["created_at"])
    assert min(commit.at for commit in tables.history(table)) > made_at
    after = explain_row(tables, place, settings)
    assert after.told.keys() == {part}
    assert f"{table} (the table was made anew since); the release holds the same" in after.told[part]
    assert (after.label, after.split, after.frames) == (before.label, before.split, before.frames)


def test_a_released_row_of_an_ad_that_was_forgotten_is_said_to_be_one(copied: Path, settings: Settings) -> None:
    tables = Catalog(copied)
    release = newest_release(Path(tables.root) / "releases")
    row = released(release, "test")[0]
    forget_ad(tables, row["video_id"])
    said = (
        rf"{release.name}:test:0 is frame {row['frame_id']} of ad {row['video_id']}, which was forgotten: .*"
        "delete this release"
    )
    for asked in (f"{release.name}:test:0", f"{release.name}:{row['frame_id']}", row["video_id"]):
        with pytest.raises(CatalogError, match=said if "test" in asked else "which was forgotten"):
            explain_row(tables, asked, settings)
    with pytest.raises(CatalogError, match=r"has no ad nobody;"):
        explain_row(tables, "nobody:0", settings)


def test_an_ad_that_the_newest_release_does_not_hold_is_sought_in_the_others(copied: Path, settings: Settings) -> None:
    tables = Catalog(copied)
    first = newest_release(Path(tables.root) / "releases")
    row = released(first, "train")[0]
    forget_ad(tables, row["video_id"])
    later = first.with_name("2030.01.01")
    shutil.copytree(first, later)
    manifest = read_manifest(later) | {"version": later.name, "parent": first.name, "lineage": [first.name]}
    (later / "manifest.json").write_text(json.dumps(manifest))
    for file in (later / "data").glob("*.parquet"):
        rows = pq.read_table(file)
        pq.write_table(rows.filter(pc.field("video_id") != row["video_id"]), file)
    for asked in (row["video_id"], row["frame_id"]):
        with pytest.raises(CatalogError, match=rf"is in no table any more.*still contain it: {first.name}\. "):
            explain_row(tables, asked, settings)


def test_a_place_that_is_written_wrongly_is_answered_with_how_it_is_written(seeded: Path, settings: Settings) -> None:
    name = newest_release(seeded / "releases").name
    for asked in (f"{name}:0", f"{name}:foo:1", f"{name}:train:-1", name):
        with pytest.raises(CatalogError, match=rf"{asked}: .*no such row; write RELEASE:SPLIT:ROW .* as {name}:test:0"):
            explain_row(Catalog(seeded), asked, settings)


def test_a_damaged_file_of_a_release_is_refused_in_a_sentence(copied: Path, settings: Settings) -> None:
    release = newest_release(copied / "releases")
    [file] = (release / "data").glob("train-*.parquet")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CatalogError, match=rf"cannot be read .*catalog verify {release.name}`, then restore"):
        explain_row(Catalog(copied), f"{release.name}:test:0", settings)


def test_the_card_says_what_the_rules_found_and_the_page_why_the_split(seeded: Path, settings: Settings) -> None:
    release = newest_release(seeded / "releases")
    results = check(Catalog(seeded), all_rules())
    card = (release / "README.md").read_text("utf-8")
    held = sum(result.verdict == "holds" for result in results)
    assert f"{held} of {len(results)} data-quality rules hold" in card
    assert not broken(results)
    for result in results:
        assert (result.verdict == "warning") == (plain(result.rule.meaning) in card)
    found = explain_row(Catalog(seeded), f"{release.name}:test:0", settings)
    assert found.split is not None
    assert found.split["split"] == "test"
    assert split_reason(found) in provenance_html(found)


def test_what_is_not_there_is_said(seeded: Path, settings: Settings, tmp_path: Path) -> None:
    tables = Catalog(seeded)
    release = newest_release(Path(tables.root) / "releases")
    rows = released(release, "test")
    with pytest.raises(CatalogError, match=rf"test has rows 0 to {len(rows) - 1}, none of number 999"):
        explain_row(tables, f"{release.name}:test:999", settings)
    with pytest.raises(CatalogError, match=r"has no frame 99; ask for the ad alone"):
        explain_row(tables, f"{rows[0]['video_id']}:99", settings)
    with pytest.raises(CatalogError, match="has no ad nobody; `ytb-ads catalog show ads"):
        explain_row(tables, "nobody", settings)
    dropped = next(d for d in tables.read("drops").to_pylist() if d["reason"] == "too_few_words")
    left_out = explain_row(tables, dropped["key"], settings)
    assert left_out.rows == ()
    assert [frame.kept for frame in left_out.frames] == [False]


def test_the_command_prints_a_page_and_writes_one(seeded: Path, quick: Path, tmp_path: Path) -> None:
    release = newest_release(seeded / "releases")
    row = released(release, "test")[0]
    words = ["catalog", "explain", row["frame_id"], "--catalog", str(seeded), "--config", str(quick)]

    done = CliRunner().invoke(app, [*words, "--html", str(tmp_path / "row.html")])
    assert done.exit_code == 0, done.output
    for said in (release.name, "test", row["text"].split()[0], LABELS[row["label"]], "decided by comments", "mean"):
        assert said in done.stdout
    assert (tmp_path / "row.html").read_text("utf-8").count("<rect") == row["n_words"]

    as_json = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert as_json["rows"][0]["frame_id"] == row["frame_id"]
    assert CliRunner().invoke(app, [*words, "--html", str(tmp_path / "no" / "row.html")]).exit_code == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["row.html"]
