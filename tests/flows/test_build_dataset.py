"""The whole way: the same release every time, whatever happens in between, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import list_releases, newest_release, read_manifest, verify_release
from flows.build_dataset import build_dataset
from tests.flows.conftest import ROOT, Built, Run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]


@pytest.fixture(scope="session")
def undisturbed(built: Built) -> Path:
    """A catalog built in one go."""
    return built.catalog


def row_set_hash(catalog: Path) -> str:
    return str(read_manifest(newest_release(catalog / "releases"))["row_set_hash"])


def drop_keys(catalog: Path) -> set[tuple[str, str, str]]:
    drops = Catalog(catalog).read("drops", ["stage", "key", "reason"]).to_pylist()
    return {(drop["stage"], drop["key"], drop["reason"]) for drop in drops}


def test_the_release_is_sound_and_has_both_classes(undisturbed: Path) -> None:
    folder = newest_release(undisturbed / "releases")
    assert verify_release(folder) == []
    manifest = read_manifest(folder)
    assert manifest["synthetic"] is True
    for split, counts in manifest["splits"].items():
        assert all(counts["by_label"].values()), f"{split} lacks a class"
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "croissant.json",
        "data",
        "manifest.json",
        "report.html",
    }
    for document in ("README.md", "report.html"):
        assert "synthetic" in (folder / document).read_text("utf-8").lower()


def test_a_second_run_does_nothing_and_says_so(undisturbed: Path, sample: Path, ytb_ads: Run) -> None:
    versions = Catalog(undisturbed).versions()
    again = ytb_ads("build", "--source", f"folder:{sample}", "--catalog", undisturbed)
    for stage in ("source", "frames", "ocr", "scores", "review"):
        assert f"{stage}: nothing left to do" in again.stderr
    assert "holds these rows already, nothing to write" in again.stderr
    assert Catalog(undisturbed).versions() == versions
    assert len(list_releases(undisturbed / "releases")) == 1


def test_a_fresh_catalog_gives_the_same_rows(undisturbed: Path, sample: Path, tmp_path: Path, prefect_api: str) -> None:
    moved = tmp_path / "elsewhere" / "ads"
    shutil.copytree(sample, moved)
    written = build_dataset(source=f"folder:{moved}", catalog=str(tmp_path / "catalog"))
    assert written.new
    assert row_set_hash(tmp_path / "catalog") == row_set_hash(undisturbed)
    newest = {"artifacts": {"key": {"any_": ["funnel"]}}, "sort": "CREATED_DESC", "limit": 1}
    request = urllib.request.Request(
        f"{prefect_api}/artifacts/filter", json.dumps(newest).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        [funnel] = json.load(answer)
    assert [row["stage"] for row in json.loads(funnel["data"])] == [step.name for step in written.funnel]
    assert "Synthetic" in funnel["description"]


def test_a_run_killed_in_every_stage_and_started_again_gives_the_same_release(
    undisturbed: Path, sample: Path, tmp_path: Path, ytb_ads: Run, prefect_server: str
) -> None:
    catalog = tmp_path / "catalog"
    arguments = ["build", "--source", f"folder:{sample}", "--catalog", str(catalog)]
    for table in ("ads", "frames", "texts", "comment_scores"):
        kill_when_it_comes_to(catalog / "tables" / table / "_delta_log", arguments, prefect_server)
        assert not list_releases(catalog / "releases")
    ytb_ads(*arguments)
    assert verify_release(newest_release(catalog / "releases")) == []
    assert row_set_hash(catalog) == row_set_hash(undisturbed)
    assert drop_keys(catalog) == drop_keys(undisturbed)


def kill_when_it_comes_to(log: Path, arguments: list[str], server: str) -> None:
    """Let a run go on until it has written to a table for the first time."""
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


def test_a_damaged_release_is_not_taken_for_done(undisturbed: Path, sample: Path, tmp_path: Path, ytb_ads: Run) -> None:
    catalog = tmp_path / "catalog"
    shutil.copytree(undisturbed, catalog)
    [lost] = (newest_release(catalog / "releases") / "data").glob("test-*")
    lost.unlink()
    arguments = ("--source", f"folder:{sample}", "--catalog", catalog)
    refused = ytb_ads("build", *arguments, check=False)
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert lost.name in refused.stderr
    shutil.move(lost.parent.parent, tmp_path / "away")
    ytb_ads("build", *arguments)
    assert row_set_hash(catalog) == row_set_hash(undisturbed)


def test_other_settings_than_the_builds_show_what_awaits_the_next_one(
    undisturbed: Path, ytb_ads: Run, tmp_path: Path
) -> None:
    (tmp_path / "three.toml").write_text("[frames]\ncount = 3\n")
    status = json.loads(
        ytb_ads("status", "--catalog", undisturbed, "--config", tmp_path / "three.toml", "--json").stdout
    )
    [words] = [step for step in status["funnel"] if "more than" in step["name"]]
    assert words["rows_in"] == words["rows_out"] + sum(words["drops"].values())
    assert words["drops"]["awaits_the_next_build"] == words["rows_in"]


def test_every_ad_and_every_frame_is_in_the_release_or_in_the_drops(undisturbed: Path, sample: Path) -> None:
    catalog = Catalog(undisturbed)
    drops = catalog.read("drops").to_pylist()
    assert all(drop["reason"] and drop["detail"] for drop in drops)
    dropped = {drop["key"] for drop in drops} | {drop["video_id"] for drop in drops if drop["stage"] == "source"}
    released = set()
    for path in (newest_release(catalog.releases_dir) / "data").glob("*.parquet"):
        rows = pq.read_table(path, columns=["video_id", "frame_id"])
        released |= set(rows["video_id"].to_pylist()) | set(rows["frame_id"].to_pylist())
    ids = {json.loads(path.read_text("utf-8"))["id"] for path in sample.rglob("*.info.json")}
    assert len(ids) == 12
    assert ids <= released | dropped
    frames = set(catalog.read("frames", ["frame_id"])["frame_id"].to_pylist())
    assert frames <= released | dropped
    assert {"unreadable_video", "too_few_words", "no_comments"} <= {drop["reason"] for drop in drops}


def test_no_ad_is_in_two_splits(undisturbed: Path) -> None:
    home: dict[Any, str] = {}
    for path in (newest_release(undisturbed / "releases") / "data").glob("*.parquet"):
        split = path.name.split("-")[0]
        for video_id in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist():
            assert home.setdefault(video_id, split) == split


def test_more_ads_are_added_without_touching_the_rows_of_the_others(
    undisturbed: Path, sample: Path, tmp_path: Path, ytb_ads: Run
) -> None:
    catalog, ads = tmp_path / "catalog", tmp_path / "ads"
    shutil.copytree(undisturbed, catalog)
    shutil.copytree(sample, ads)
    info = next(path for path in sorted(ads.rglob("*.info.json")) if json.loads(path.read_text("utf-8"))["comments"])
    video = next(path for path in info.parent.glob(info.name.removesuffix(".info.json") + ".*") if path != info)
    values = json.loads(info.read_text("utf-8")) | {"id": "newcomer001"}
    values["comments"] = [comment | {"id": f"new{n}"} for n, comment in enumerate(values["comments"])]
    (ads / "late").mkdir()
    (ads / "late" / "newcomer001.info.json").write_text(json.dumps(values), "utf-8")
    shutil.copy(video, ads / "late" / f"newcomer001{video.suffix}")
    done = ytb_ads("build", "--source", f"folder:{ads}", "--catalog", catalog)
    assert "source: 1 new or changed ads in" in done.stderr
    assert "frames: 1 ads in" in done.stderr
    [row] = Catalog(catalog).read("ads", ["category"], where="video_id = 'newcomer001'").to_pylist()
    assert row["category"] == "late"
