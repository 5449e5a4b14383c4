"""The command line: what it refuses and how, what it prints for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from data_catalog.catalog import Catalog
from flows.commands.main import app, main
from flows.errors import SourceError
from tests.flows.conftest import ROOT, Run

pytestmark = pytest.mark.xdist_group("prefect")


def refused(ytb_ads: Run, *arguments: str | Path) -> str:
    done = ytb_ads(*arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "error: " in done.stderr
    return done.stderr


def ask(address: str) -> list[dict[str, Any]]:
    """Everything that the server lists at an address."""
    request = urllib.request.Request(address, data=b"{}", headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return list(json.load(answer))


def test_every_command_has_help_with_an_example() -> None:
    from typer.testing import CliRunner

    for command in ("sample", "build", "status", "train", "deploy", "catalog", "annotate"):
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        if command != "annotate":
            assert "Example: " in shown.output, command


def test_an_empty_and_a_missing_folder_are_refused_with_the_layout_that_is_expected(
    tmp_path: Path, ytb_ads: Run
) -> None:
    (tmp_path / "empty").mkdir()
    for name, said in (("empty", "no ads here"), ("missing", "No such file")):
        error = refused(ytb_ads, "build", "--source", f"folder:{tmp_path / name}", "--catalog", tmp_path / "catalog")
        assert said in error
        assert "ID.info.json" in error
    assert not (tmp_path / "catalog" / "releases").exists()


@pytest.mark.parametrize("source", ["vimeo", "folder:", "s3:bucket"])
def test_an_unknown_source_is_refused(source: str, tmp_path: Path, ytb_ads: Run) -> None:
    assert "expected folder:DIR or youtube" in refused(
        ytb_ads, "build", "--source", source, "--catalog", tmp_path / "catalog"
    )


def test_a_misspelt_setting_is_refused_with_the_nearest_one(tmp_path: Path, ytb_ads: Run) -> None:
    (tmp_path / "my.toml").write_text("[frames]\ncuont = 3\n")
    error = refused(ytb_ads, "build", "--source", f"folder:{tmp_path}", "--config", tmp_path / "my.toml")
    assert "'frames.count'" in error


def test_wrong_usage_ends_with_2(ytb_ads: Run) -> None:
    assert ytb_ads("build", check=False).returncode == 2
    assert ytb_ads("biuld", check=False).returncode == 2


def test_status_of_no_catalog_says_how_to_make_one(tmp_path: Path, ytb_ads: Run) -> None:
    assert "ytb-ads build" in refused(ytb_ads, "status", "--catalog", tmp_path)


def test_what_the_file_system_refuses_is_said_on_one_line(tmp_path: Path, ytb_ads: Run) -> None:
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "one.mp4").write_bytes(b"no video")
    (tmp_path / "file").touch()
    error = refused(ytb_ads, "build", "--source", f"folder:{tmp_path / 'ads'}", "--catalog", tmp_path / "file")
    assert len(error.splitlines()) == 1
    assert str(tmp_path / "file") in error


@pytest.mark.parametrize("command", [("catalog", "tables"), ("catalog", "sql", "SELECT 1"), ("annotate", "queue")])
def test_a_misspelt_catalog_does_not_pass_for_an_empty_one(
    command: tuple[str, ...], tmp_path: Path, ytb_ads: Run
) -> None:
    assert "no catalog here" in refused(ytb_ads, *command, "--catalog", tmp_path / "misspelt")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows", "build", "--source", f"folder:{tmp_path}", "--catalog", str(tmp_path / "c")],
        env={**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: PREFECT_API_URL names http://127.0.0.1:9/api")


def test_training_without_a_release_says_how_to_make_one(tmp_path: Path, ytb_ads: Run) -> None:
    assert "build one with" in refused(ytb_ads, "train", "--catalog", tmp_path, "--config", "tiny")


def test_a_refusal_from_a_strangers_text_cannot_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise SourceError("[bold]\x1b[2Jgone")

    monkeypatch.setattr("flows.commands.main.app", refuse)
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == "error: [bold]\\x1b[2Jgone\n"


@pytest.mark.slow
def test_files_that_cannot_be_used_are_told_and_cost_nothing_else(sample: Path, tmp_path: Path, ytb_ads: Run) -> None:
    import shutil

    ads, catalog = tmp_path / "ads", tmp_path / "catalog"
    shutil.copytree(sample, ads)
    infos = sorted(ads.rglob("*.info.json"))
    (ads / "notjson00001.info.json").write_text("{ this is not JSON", "utf-8")
    twin = next(path for path in infos[0].parent.iterdir() if path.suffix == ".mp4")
    shutil.copy(twin, twin.with_suffix(".webm"))
    unused = len(infos)
    done = ytb_ads("build", "--source", f"folder:{ads}", "--catalog", catalog)
    assert "info_not_json" in done.stderr
    assert "info_not_json" in done.stdout
    table = Catalog(catalog)
    assert table.count("ads") == unused, "every other ad is taken in"
    drops = {drop["key"]: drop for drop in table.read("drops", where="stage = 'source'").to_pylist()}
    assert drops["notjson00001.info.json"]["video_id"] == "notjson00001"
    [repeated] = [drop for drop in drops.values() if drop["reason"] == "repeated_id"]
    assert repeated["key"].endswith(".webm")
    assert twin.name in repeated["detail"]

    status = json.loads(ytb_ads("status", "--catalog", catalog, "--json").stdout)
    assert status["funnel"][0]["drops"] == {drop["reason"]: 1 for drop in drops.values()}
    queue = json.loads(ytb_ads("annotate", "queue", "--catalog", catalog, "--json").stdout)
    assert {entry["video_id"] for entry in queue} == set(table.read("labels")["video_id"].to_pylist())
    assert "report" in ytb_ads("build", "--source", f"folder:{ads}", "--catalog", catalog).stdout


@pytest.mark.slow
def test_a_class_that_nobody_is_in_stops_the_release_with_what_other_thresholds_would_give(
    sample: Path, tmp_path: Path, ytb_ads: Run
) -> None:
    (tmp_path / "strict.toml").write_text("[sentiment]\nnegative = -5\n")
    error = refused(
        ytb_ads,
        *("build", "--source", f"folder:{sample}", "--catalog", tmp_path / "catalog"),
        *("--config", tmp_path / "strict.toml"),
    )
    for aggregation in ("dominant", "dominant_with_neutral", "scale"):
        assert aggregation in error
    assert "quantile" in error
    assert not list((tmp_path / "catalog" / "releases").glob("2*"))


def test_deploying_without_a_server_says_how_to_start_one(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "flows", "deploy"],
        env={**environment, "PREFECT_HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "prefect server start" in done.stderr


@pytest.mark.slow
def test_deploying_registers_the_rebuild_the_release_and_the_training(ytb_ads: Run, prefect_server: str) -> None:
    for _ in range(2):
        ytb_ads("deploy")
    deployments = {deployment["name"]: deployment for deployment in ask(f"{prefect_server}/deployments/filter")}
    assert deployments["weekly-rebuild"]["schedules"][0]["schedule"]["cron"] == "0 3 * * 1"
    assert deployments["daily-refresh"]["schedules"][0]["schedule"]["timezone"] == "America/Los_Angeles"
    assert deployments["train-on-gpu"]["work_pool_name"] == "gpu"
    automations = ask(f"{prefect_server}/automations/filter")
    assert {tuple(each["trigger"]["expect"]): each["actions"][0]["deployment_id"] for each in automations} == {
        ("ytb-ads.review.closed",): deployments["after-review"]["id"],
        ("ytb-ads.release.written",): deployments["train-on-gpu"]["id"],
    }
    assert len(automations) == 2
