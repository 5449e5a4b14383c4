"""Health of the service on a real Prefect server: what is deployed, scheduled, late, failed, dead, and who works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Failed, Running, Scheduled

from flows.checks import Check
from flows.health.service import check_service
from flows.service.registration import register
from flows.settings import HealthSettings
from tests.servers import STARTUP_S, prefect_serving


@pytest.fixture(scope="module")
def server(prefect_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of these tests alone: runs of others would be seen as late or failed."""
    with prefect_serving(tmp_path_factory.mktemp("prefect"), prefect_tables) as url:
        yield url


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        yield client


def checks(server: str, now: datetime | None = None) -> dict[str, Check]:
    return {check.name: check for check in check_service(server, HealthSettings(), now or datetime.now(UTC))}


def run_of(client: SyncPrefectClient, deployment: str, minutes_ago: float) -> UUID:
    """A run that was to start some minutes ago."""
    found = client.read_deployment_by_name(deployment)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return client.create_flow_run_from_deployment(found.id, state=Scheduled(scheduled_time=at)).id


def test_a_server_through_a_week(server: str, client: SyncPrefectClient) -> None:
    """One story, as each state follows from the one before and a server takes its time to start."""
    assert checks(server)["deployments"].ok is False
    list(register(server))
    deadline = time.monotonic() + STARTUP_S
    while (found := checks(server))["weekly-rebuild"].ok is not True:  # the scheduler looks every few seconds
        assert time.monotonic() < deadline, found["weekly-rebuild"]
        time.sleep(0.5)
    assert found["server"].ok is True
    assert "never run, the next at" in found["weekly-rebuild"].said
    assert found["train-on-gpu"].said == "never run"
    assert found["running"].said == "nothing runs now"

    assert found["workers of cpu"].ok is False
    client.send_worker_heartbeat("cpu", "one", 30.0)
    assert checks(server)["workers of cpu"].said == "1 online"
    assert checks(server)["workers of gpu"].ok is False

    waits = run_of(client, "build-dataset/weekly-rebuild", minutes_ago=5)
    assert checks(server)["weekly-rebuild"].ok is True
    late = checks(server, datetime.now(UTC) + timedelta(minutes=15))["weekly-rebuild"]
    assert late.ok is False
    assert late.said.startswith("1 run late, since")

    works = run_of(client, "build-dataset/weekly-rebuild", minutes_ago=6)
    client.set_flow_run_state(works, Running(), force=True)
    turn = checks(server, datetime.now(UTC) + timedelta(minutes=15))["weekly-rebuild"]
    assert turn.ok is True, "it waits for the one that runs"
    client.set_flow_run_state(works, Cancelled(), force=True)

    client.set_flow_run_state(waits, Failed(name="GivenUp", message="Traceback ...\nStageError: no"), force=True)
    failed = checks(server)["weekly-rebuild"]
    assert failed.ok is False
    assert failed.said.startswith("given up 0 h ago (StageError: no)")
    assert "none went well yet" in failed.said
    client.set_flow_run_state(run_of(client, "build-dataset/weekly-rebuild", minutes_ago=1), Completed(), force=True)
    assert checks(server)["weekly-rebuild"].ok is True

    runs = run_of(client, "build-dataset/weekly-rebuild", minutes_ago=0)
    client.set_flow_run_state(runs, Running(), force=True)
    assert checks(server)["running"].said == "1 run alive"
    later = datetime.now(UTC) + timedelta(minutes=11)
    silent = checks(server, later)["running"]
    assert silent.ok is False
    assert str(runs) in silent.said
    sign = {
        "id": str(uuid4()),
        "occurred": (later - timedelta(minutes=5)).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{runs}"},
    }
    client.request("POST", "/events", json=[sign])
    deadline = time.monotonic() + STARTUP_S
    while not (alive := checks(server, later)["running"]).ok:  # events are kept in batches
        assert time.monotonic() < deadline, alive
        time.sleep(0.5)
    assert alive.said == "1 run alive"

    client.pause_deployment(client.read_deployment_by_name("build-dataset/weekly-rebuild").id)
    assert checks(server)["weekly-rebuild"].ok is None
    client.pause_deployment(client.read_deployment_by_name("train/train-on-gpu").id)
    found = checks(server)
    assert (found["train-on-gpu"].ok, "workers of gpu" in found, "workers of cpu" in found) == (None, False, True)


def test_without_a_server_that_is_said(tmp_path: Path) -> None:
    [none] = check_service(None, HealthSettings(), datetime.now(UTC))
    assert none.ok is None
    [dead] = check_service("http://127.0.0.1:9/api", HealthSettings(), datetime.now(UTC))
    assert dead.ok is False
    assert "127.0.0.1:9" in dead.said
