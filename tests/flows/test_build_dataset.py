"""The whole build: the same release every time, whatever happens in between, and nothing lost."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, tzinfo
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import ad_held
from data_catalog.releases import diff_releases, list_releases, newest_release, read_manifest, verify_release
from data_catalog.releases.verification import manifest_sha256
from data_catalog.schemas import TABLES
from data_catalog.tables.forgotten import digest_of_ad
from fgmfn.data import find_release
from flows.build_dataset import build_dataset
from flows.funnel import FunnelStep
from flows.release.facts import sum_counts
from flows.release.flow import Release
from tests.flows.ads import add_copy
from tests.flows.conftest import ROOT, Run
from tests.servers import ask

pytestmark = pytest.mark.slow


def artifacts_of(server: str, catalog: Path) -> list[dict[str, Any]]:
    """The newest of each kind that the server shows of a catalog."""
    found = ask(server, "artifacts/latest/filter", {})
    return [artifact for artifact in found if str(catalog) in (artifact["description"] or "")]


def row_set_hash(catalog: Path) -> str:
    return str(read_manifest(newest_release(catalog / "releases"))["row_set_hash"])


def drop_keys(catalog: Path) -> set[tuple[str, str, str]]:
    drops = Catalog(catalog).read("drops", ["stage", "key", "reason"]).to_pylist()
    return {(drop["stage"], drop["key"], drop["reason"]) for drop in drops}


def released(catalog: Path, *columns: str) -> list[tuple[str, dict[str, Any]]]:
    """Rows of the newest release, each with its split."""
    files = sorted((newest_release(catalog / "releases") / "data").glob("*.parquet"))
    return [
        (path.name.split("-")[0], row)
        for path in files
        for row in pq.read_table(path, columns=list(columns)).to_pylist()
    ]


def test_the_release_is_sound_and_has_both_classes(seeded: Path) -> None:
    folder = newest_release(seeded / "releases")
    assert verify_release(folder) == []
    manifest = read_manifest(folder)
    assert manifest["synthetic"] is True
    for split, counts in manifest["splits"].items():
        assert all(counts["by_label"].values()), f"{split} lacks a class"
    documents = {"README.md", "croissant.json", "manifest.json", "pictures.json", "report.html"}
    assert {path.name for path in folder.iterdir()} == {"data", *documents}
    for document in ("README.md", "report.html"):
        assert "synthetic" in (folder / document).read_text("utf-8").lower()


def test_every_ad_and_every_frame_is_in_the_release_or_in_the_drops(seeded: Path, sample: Path) -> None:
    catalog = Catalog(seeded)
    drops = catalog.read("drops").to_pylist()
    assert all(drop["reason"] and drop["detail"] for drop in drops)
    dropped = {drop["key"] for drop in drops} | {drop["video_id"] for drop in drops if drop["stage"] == "source"}
    kept = {value for _, row in released(seeded, "video_id", "frame_id") for value in row.values()}
    ids = {json.loads(path.read_text("utf-8"))["id"] for path in sample.rglob("*.info.json")}
    assert len(ids) == 12
    assert ids <= kept | dropped
    assert set(catalog.values("frames", "frame_id")) <= kept | dropped
    assert {"unreadable_video", "too_few_words", "no_comments"} <= {drop["reason"] for drop in drops}


def test_no_ad_is_in_two_splits(seeded: Path) -> None:
    home: dict[str, str] = {}
    for split, row in released(seeded, "video_id"):
        assert home.setdefault(row["video_id"], split) == split


def give_first_hash(release: Path, catalog: Path) -> None:
    """Let a release look as the first version of the program wrote it, whose hash left columns out."""
    names = ("frame_id", "draw", "label", "text", "timestamp_s", "image", "category", "mean_score")
    digests = []
    for split, row in released(catalog, *names):
        values = row | {"image": hashlib.sha256(row["image"]["bytes"]).hexdigest()}
        identity = [split, *(values[name] for name in names)]
        digests.append(hashlib.sha256(json.dumps(identity, separators=(",", ":")).encode()).digest())
    manifest = read_manifest(release)
    del manifest["row_set_hash_version"]
    manifest["row_set_hash"] = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
    manifest["manifest_sha256"] = manifest_sha256(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))


def test_a_second_run_does_nothing_and_says_so(copied: Path, sample: Path, quick: Path, ytb_ads: Run) -> None:
    versions, newest = Catalog(copied).versions(), newest_release(copied / "releases")
    give_first_hash(newest, copied)
    assert verify_release(newest) == []
    again = ytb_ads("build", "--source", f"folder:{sample}", "--catalog", copied, "--config", quick)
    for stage in ("source", "frames", "ocr", "scores", "review"):
        assert f"{stage}: nothing left to do" in again.stderr
    assert "holds these rows already, nothing to write" in again.stderr
    assert "its training is asked for again" in again.stderr, "no training has succeeded"
    assert Catalog(copied).versions() == versions
    assert len(list_releases(copied / "releases")) == 1


def test_a_forgetting_that_was_stopped_is_finished_by_the_next_build(
    copied: Path, sample: Path, quick: Path, ytb_ads: Run
) -> None:
    catalog = Catalog(copied)
    ad = min(row["video_id"] for split, row in released(copied, "video_id") if split == "train")
    hashes = catalog.values("comments", "author_hash")
    author = max(set(hashes), key=hashes.count)
    for kind, digest in (("ad", digest_of_ad(ad)), ("author", author)):  # as a full disk leaves it: noted, not done
        row = {"digest": digest, "kind": kind, "at": datetime.now(UTC)}
        catalog.merge("forgotten", pa.Table.from_pylist([row], schema=TABLES["forgotten"].schema))
    said = ytb_ads("build", "--source", f"folder:{sample}", "--catalog", copied, "--config", quick).stderr
    assert "forgotten, and removed only now: 1 ads, comments of 1 authors" in said
    assert ad_held(catalog, ad).rows == {}
    assert author not in catalog.values("comments", "author_hash")
    assert ad not in {row["video_id"] for _, row in released(copied, "video_id")}


def test_a_fresh_catalog_gives_the_same_rows_and_one_funnel_in_every_place(
    seeded: Path, sample: Path, quick: Path, tmp_path: Path, prefect_api: str, ytb_ads: Run
) -> None:
    moved, catalog = tmp_path / "elsewhere" / "ads", tmp_path / "catalog"
    shutil.copytree(sample, moved)
    written = build_dataset(source=f"folder:{moved}", catalog=str(catalog), config=str(quick))
    assert isinstance(written, Release)
    assert written.new
    assert row_set_hash(catalog) == row_set_hash(seeded)

    shown = [(*cells[:3], ", ".join(cells.dropped) or "none") for cells in map(FunnelStep.cells, written.funnel)]
    [artifact] = artifacts_of(prefect_api, catalog)
    assert re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", artifact["data"], re.MULTILINE)[1:] == shown
    assert "Synthetic" in artifact["data"]
    assert (written.folder / "report.html").as_uri() in artifact["data"]
    card = (written.folder / "README.md").read_text("utf-8").split("## Funnel\n")[1].split("## ")[0].replace("\\", "")
    assert re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", card, re.MULTILINE)[1:] == shown
    report = unescape((written.folder / "report.html").read_text("utf-8")).split("<h2>Funnel</h2>")[1]
    of_step = r"<tr><td>(.+)</td><td.*>(.+)</td><td.*>(.+)</td>\s*<td>(.+)</td></tr>"
    assert re.findall(of_step, report.split("</table>")[0]) == shown
    status = ("status", "--catalog", catalog, "--config", quick)
    told = ytb_ads(*status).stdout
    assert [cell for row in shown for cell in row if not all(part in told for part in cell.split(", "))] == []
    steps = json.loads(ytb_ads(*status, "--json").stdout)["funnel"]
    assert steps == read_manifest(written.folder)["funnel"] == [step.as_json() for step in written.funnel]

    by_name = {step.name: step for step in written.funnel}
    [chosen] = [row for row in written.yields.rows if row.chosen]
    labelled = by_name["ads labelled by their comments"].rows_out
    assert (chosen.positive.with_frames or 0) + (chosen.negative.with_frames or 0) == labelled
    all_rows = sum_counts(written.table1)
    assert by_name["ads in the release"].rows_out == all_rows.ads
    assert by_name["frames in the release"].rows_out == all_rows.frames
    assert by_name["balanced rows"].rows_out == all_rows.rows


def test_a_run_killed_in_every_stage_and_started_again_gives_the_same_release(
    seeded: Path, sample: Path, quick: Path, tmp_path: Path, ytb_ads: Run, prefect_server: str
) -> None:
    catalog = tmp_path / "catalog"
    arguments = ["build", "--source", f"folder:{sample}", "--catalog", str(catalog), "--config", str(quick)]
    for table in ("ads", "frames", "texts", "comment_scores"):
        kill_when_it_comes_to(catalog / "tables" / table / "_delta_log", arguments, prefect_server)
        assert not list_releases(catalog / "releases")
    ytb_ads(*arguments)
    assert verify_release(newest_release(catalog / "releases")) == []
    assert row_set_hash(catalog) == row_set_hash(seeded)
    assert drop_keys(catalog) == drop_keys(seeded)


def kill_when_it_comes_to(log: Path, arguments: list[str], server: str) -> None:
    """Let a run continue until it has written to a table for the first time."""
    assert not list(log.glob("*.json")), "an earlier run was not killed in time"
    killed = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        env={
            **os.environ,
            "PREFECT_API_URL": server,
            "PYTHONPATH": str(ROOT),
            # batches of one ad and two frames, so that there is a middle
            "YTB_ADS__RUNNER__BATCH_ADS": "1",
            "YTB_ADS__RUNNER__BATCH_FRAMES": "2",
            "YTB_ADS__RUNNER__BATCH_COMMENTS": "20",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(log.glob("*.json")) and time.monotonic() < deadline:
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    assert list(log.glob("*.json")), "the run never came to this table"
    killed.send_signal(signal.SIGKILL)
    killed.wait()


def test_a_damaged_release_is_not_taken_for_done(
    seeded: Path, copied: Path, sample: Path, quick: Path, tmp_path: Path, ytb_ads: Run
) -> None:
    [lost] = (newest_release(copied / "releases") / "data").glob("test-*")
    lost.unlink()
    arguments = ("build", "--source", f"folder:{sample}", "--catalog", copied, "--config", quick)
    refused = ytb_ads(*arguments, check=False)
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert lost.name in refused.stderr
    shutil.move(lost.parent.parent, tmp_path / "away")
    ytb_ads(*arguments)
    assert row_set_hash(copied) == row_set_hash(seeded)


class Clock:
    """Stands for `datetime` where a release asks for the time."""

    at = datetime(2030, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, zone: tzinfo) -> datetime:
        return cls.at.astimezone(zone)


def test_what_changed_is_said_everywhere_and_a_clock_that_came_back_leaves_nothing_stale(
    seeded: Path, copied: Path, sample: Path, quick: Path, tmp_path: Path, ytb_ads: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.release.facts.datetime", Clock)
    told_server: list[dict[str, Any]] = []

    def tell(event: str, **facts: Any) -> None:
        if event == "ytb-ads.release.written":
            told_server.append(facts["payload"])

    monkeypatch.setattr("flows.release.flow.emit_event", tell)
    strict = tmp_path / "strict.toml"
    strict.write_text(quick.read_text() + "[sentiment]\npositive = 3.4\n")

    def build(config: Path) -> str:
        return ytb_ads("build", "--source", f"folder:{sample}", "--catalog", copied, "--config", config).stderr

    first = newest_release(copied / "releases")
    assert "ads that changed their split since the parent: 0 (the first release" in (first / "README.md").read_text()
    assert f"since {first.name}: ads gone: 1, " in build(strict)
    ahead = newest_release(copied / "releases")
    assert (ahead.name, read_manifest(ahead)["lineage"]) == ("2030.01.01", [first.name])
    filled, still = (read_manifest(folder)["split"]["filled"] for folder in (first, ahead))
    assert still
    assert set(still) <= set(filled)
    said_placed = [
        "where a split had no ad of their class" in (one / "README.md").read_text() for one in (first, ahead)
    ]
    assert said_placed == [True, False]

    Clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    assert "holds these rows already" in build(strict)
    forgotten = min(row["video_id"] for split, row in released(copied, "video_id") if split == "test")
    ytb_ads("catalog", "forget", forgotten, "--yes", "--catalog", copied)
    said = build(strict)
    assert "ads gone: 1, " in said
    assert "its parent is of 2030-01-01, later than the clock says" in said
    assert "ads that changed their split since the parent: 0" in said
    back = newest_release(copied / "releases")
    assert (back.name, read_manifest(back)["lineage"]) == ("2030.01.01.1", ["2030.01.01", first.name])
    assert "holds these rows already" in build(strict)
    assert (
        json.loads(ytb_ads("status", "--catalog", copied, "--config", strict, "--json").stdout)["release"] == back.name
    )
    assert find_release(copied / "releases") == back
    assert len(list_releases(copied / "releases")) == 3

    shutil.rmtree(copied / "tables" / "splits")
    assert "holds these rows already" in build(strict), "the splits are inherited from the releases"
    kept = {row["video_id"]: row["split"] for row in Catalog(copied).read("splits").to_pylist()}
    home = {row["video_id"]: split for split, row in released(seeded, "video_id")}
    assert kept == {ad: split for ad, split in home.items() if ad != forgotten}

    found = diff_releases(ahead, back)
    assert (found.ads_gone, found.moved, found.relabelled) == ((forgotten,), {}, {})
    assert read_manifest(back)["changes"] == json.loads(json.dumps(found.published()))
    assert [payload["version"] for payload in told_server] == ["2030.01.01", "2030.01.01.1"]
    assert json.loads(json.dumps(told_server[1]["changes"])) == read_manifest(back)["changes"]
    [told] = ytb_ads("catalog", "diff", "--catalog", copied, "--json").stdout.splitlines()
    assert json.loads(told) == json.loads(json.dumps(found.as_json()))
    for document in ("README.md", "report.html", "manifest.json"):
        text = (back / document).read_text("utf-8")
        assert forgotten not in text
        assert "ads that changed their split since the parent: 0" in text or document == "manifest.json"
    assert {row["video_id"]: split for split, row in released(copied, "video_id")}.items() <= home.items()


def test_other_settings_than_the_builds_show_what_awaits_the_next_one(
    seeded: Path, ytb_ads: Run, tmp_path: Path
) -> None:
    (tmp_path / "two.toml").write_text("[frames]\ncount = 2\n")
    status = json.loads(ytb_ads("status", "--catalog", seeded, "--config", tmp_path / "two.toml", "--json").stdout)
    [sampled] = [step for step in status["funnel"] if step["name"] == "ads with frames"]
    assert (sampled["rows_out"], sampled["drops"]) == (0, {"awaits_the_next_build": sampled["rows_in"]})


def test_files_that_cannot_be_used_are_named_and_new_ads_leave_the_rows_of_the_others(
    seeded: Path, copied: Path, sample: Path, quick: Path, tmp_path: Path, ytb_ads: Run
) -> None:
    ads = tmp_path / "ads"
    shutil.copytree(sample, ads)
    [labelled, *_] = sorted(Catalog(seeded).values("labels", "video_id"))
    twin = add_copy(ads, of=labelled, as_id="newcomer001", folder="late")
    shutil.copy(twin, twin.with_suffix(".webm"))
    (ads / "notjson00001.info.json").write_text("{ this is not JSON", "utf-8")
    done = ytb_ads("build", "--source", f"folder:{ads}", "--catalog", copied, "--config", quick)
    assert "source: 1 new or changed ad in" in done.stderr
    assert "frames: 1 ad in" in done.stderr
    assert "info_not_json" in done.stderr
    assert "info_not_json" in done.stdout

    tables = Catalog(copied)
    assert tables.count("ads") == 13, "every other ad is read"
    [row] = tables.read("ads", ["category"], where="video_id = 'newcomer001'").to_pylist()
    assert row["category"] == "late"
    before, after = (dict.fromkeys(map(str, released(path, "frame_id"))) for path in (seeded, copied))
    assert before.keys() <= after.keys(), "no row of another ad is touched"
    drops = {drop["key"]: drop for drop in tables.read("drops", where="stage = 'source'").to_pylist()}
    assert drops["notjson00001.info.json"]["video_id"] == "notjson00001"
    [repeated] = [drop for drop in drops.values() if drop["reason"] == "repeated_id"]
    assert repeated["key"].endswith(".webm")
    assert twin.name in repeated["detail"]

    status = json.loads(ytb_ads("status", "--catalog", copied, "--config", quick, "--json").stdout)
    assert status["funnel"][0]["drops"] == {drop["reason"]: 1 for drop in drops.values()}
    queue = json.loads(ytb_ads("annotate", "queue", "--catalog", copied, "--json").stdout)
    assert {entry["video_id"] for entry in queue} == set(tables.values("labels", "video_id"))


def test_a_class_that_nobody_is_in_stops_the_release_with_what_other_thresholds_would_give(
    copied: Path, sample: Path, tmp_path: Path, quick: Path, ytb_ads: Run
) -> None:
    shutil.rmtree(copied / "releases")
    (tmp_path / "strict.toml").write_text(quick.read_text() + "[sentiment]\nnegative = -5\n")
    arguments = ("build", "--source", f"folder:{sample}", "--catalog", copied, "--config", tmp_path / "strict.toml")
    refused = ytb_ads(*arguments, check=False)
    assert refused.returncode == 1
    for said in ("dominant", "dominant_with_neutral", "scale", "quantile"):
        assert said in refused.stderr
    assert not list((copied / "releases").glob("2*"))
