"""The short form of `tests/drills/recovery.py`: a killed run ends as another one would, and nobody has to help."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.service import recovery
from tests.drills.recovery import Service, begin, flow_process, rows_of, runs_below, stage_is_running, wait
from tests.flows.conftest import QUICK_ENVIRONMENT

pytestmark = pytest.mark.slow


@pytest.fixture
def service(deployed_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The tests' server, whose automations wait a few seconds only, and a worker."""
    for name, value in {**QUICK_ENVIRONMENT, "PREFECT_WORKER_QUERY_SECONDS": "1"}.items():
        monkeypatch.setenv(name, value)
    running = Service(tmp_path, port=int(deployed_server.rpartition(":")[2].split("/")[0]))
    deployments = [each["id"] for each in running.ask("deployments/filter", {})]
    with temporary_settings({PREFECT_API_URL: deployed_server}), get_client(sync_client=True) as client:

        def register() -> None:
            for automation in recovery.recovery(deployments):
                client.update_automation(client.read_automations_by_name(automation.name)[0].id, automation)

        with monkeypatch.context() as patch:
            patch.setattr(recovery, "PAUSE_S", 10.0)
            register()
        running.start_worker()
        yield running
        running.stop()
        register()


def test_a_run_whose_process_is_killed_is_started_again_and_gives_the_same_rows(
    service: Service, sample: Path, seeded: Path, tmp_path: Path
) -> None:
    run = begin(service, sample, tmp_path / "catalog")
    wait(partial(stage_is_running, service, run, "frames"), "frames are sampled")
    process = flow_process(run)
    assert process
    os.kill(process, signal.SIGKILL)

    def completed() -> bool:
        answer = service.ask(f"flow_runs/{run}")  # nothing, while the server is too busy
        return answer is not None and bool(answer["state_type"] == "COMPLETED")

    wait(completed, "the run is completed")
    assert rows_of(tmp_path / "catalog") == rows_of(seeded)
    ended = service.ask(f"flow_runs/{run}")
    assert ended["run_count"] == 2
    assert ended["name"].startswith("rebuild ")
    assert set(ended["tags"]) == {f"catalog:{tmp_path / 'catalog'}", f"source:folder:{sample}"}
    states = {child["state_type"] for child in runs_below(service, run)}
    assert states <= {"COMPLETED", "CRASHED"}, "what the dead process left as running has ended"
    assert {child["name"] for child in runs_below(service, run)} == {
        *("crawl-folder", "frames", "ocr", "sentiment", "review", "release")
    }
    of_parent = {"logs": {"flow_run_id": {"any_": [run]}}}

    def said() -> list[str]:
        return [line["message"] for line in service.ask("logs/filter", of_parent) or []]

    def has_every_stage() -> bool:
        stages = ("source: ", "frames: ", "ocr: ", "sentiment: ", "review: ", "release: ")
        return all(any(line.startswith(stage) for line in said()) for stage in stages)

    wait(has_every_stage, "the run's log has every stage")  # lines reach the server in batches
    assert "attempt 2 of 3: what the one before did is kept" in said()
    assert not [line for line in said() if "task run" in line.lower()]
