"""A scheduled rebuild that meets its quota's end: a real server, a real worker, and the run that goes on by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_catalog.catalog import Catalog
from flows.crawl.data_api.quota import next_reset
from tests.flows.conftest import PATHS, ROOT
from tests.servers import ask
from tests.youtube_sandbox import Sandbox, SandboxSettings, random_world, serve

pytestmark = pytest.mark.slow

KEY = "AIzaSandboxKeyOfAScheduledRun0123456789"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world = random_world(seed=5, videos=8, comments_per_video=150)
    with serve(world, SandboxSettings(keys=(KEY,))) as running:
        yield running


def test_a_scheduled_run_without_quota_ends_paused_and_another_one_goes_on_by_itself_on_the_next_day(
    sandbox: Sandbox, deployed_server: str, tmp_path: Path
) -> None:
    settings, tables = tmp_path / "ytb_ads.toml", Catalog(tmp_path / "catalog")
    settings.write_text(settings_with(sandbox, tmp_path, units=6), "utf-8")
    parameters = {"source": "youtube", "catalog": tables.root, "config": str(settings)}
    begun = datetime.now(UTC)
    run = start(deployed_server, "build-dataset/weekly-rebuild", parameters)
    work(deployed_server)

    ended = ask(deployed_server, f"flow_runs/{run['id']}")
    assert ended["state"]["name"] == "Paused"
    assert "today's units" in ended["state"]["message"]
    assert sandbox.counts[KEY]["units"] == 6
    assert 0 < tables.count("comments") < comments_of(sandbox)

    said = [line["message"] for line in logs(deployed_server) if line["name"] == "ytb_ads"]
    assert "candidates: 8 new" in said, "a run's own lines reach the server"

    [later] = waiting(deployed_server, parameters)
    assert later["deployment_id"] == run["deployment_id"]
    due = datetime.fromisoformat(later["expected_start_time"]) - next_reset(begun)
    assert timedelta(0) < due < timedelta(hours=1)

    # the next day has come
    settings.write_text(settings_with(sandbox, tmp_path, units=1000), "utf-8")
    ask(deployed_server, f"flow_runs/{later['id']}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    work(deployed_server)
    assert tables.count("comments") == comments_of(sandbox)
    assert waiting(deployed_server, parameters) == []
    for known in ask(deployed_server, "flow_runs/filter", {}) + logs(deployed_server):
        assert KEY not in json.dumps(known)


def comments_of(sandbox: Sandbox) -> int:
    return sum(len(sandbox.world.api_comments(video_id)) for video_id in sandbox.world.videos)


def logs(server: str) -> list[dict[str, Any]]:
    """The newest lines that the server has."""
    return list(ask(server, "logs/filter", {"sort": "TIMESTAMP_DESC", "limit": 200}))


def waiting(server: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    """Runs with these parameters that are yet to come."""
    of_type = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    runs: list[dict[str, Any]] = ask(server, "flow_runs/filter", of_type)
    return [run for run in runs if parameters.items() <= run["parameters"].items()]


def settings_with(sandbox: Sandbox, folder: Path, units: int) -> str:
    ids = folder / "ids.txt"
    ids.write_text("\n".join(sandbox.world.videos), "utf-8")
    return (
        f'[crawl]\nendpoint = "{sandbox.url}"\nsite = "{sandbox.url}"\n[crawl.quota]\nunits_per_day = {units}\n'
        f'[crawl.categories.all]\ncount = 8\nids = "{ids}"\n[media]\npause_s = [0, 0]\nrequest_pause_s = 0\n'
    )


def start(server: str, deployment: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Ask for a run of a deployment, as its schedule would."""
    found = ask(server, f"deployments/name/{deployment}")
    return dict(ask(server, f"deployments/{found['id']}/create_flow_run", {"parameters": parameters}))


def work(server: str) -> None:
    """Let a worker do what is due, and no more."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--run-once"],
        env={**os.environ, "PREFECT_API_URL": server, "PYTHONPATH": PATHS, "YTB_ADS__CRAWL__API_KEY": KEY},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
