"""What `make deploy` registers is scheduled by a real server, on each of the databases that Prefect knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Scheduled

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.releases import read_manifest, write_release
from flows.release.flow import UNTRAINED, WRITTEN, tell_of_release
from flows.runner import artifact_key, work_on
from flows.service.registration import register
from tests.data_catalog.builders import release_row, release_rows
from tests.servers import STARTUP_S, ask, prefect_serving


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server's API with which the deployments are registered, on each database that it can have."""
    if request.param == "sqlite":
        yield request.getfixturevalue("deployed_server")
        return
    import psycopg

    postgres: str = request.getfixturevalue("postgres_server")
    with psycopg.connect(postgres, autocommit=True) as connection:
        name = f"prefect_{uuid4().hex[:8]}"
        connection.execute(f"CREATE DATABASE {name}")
    database = postgres.replace("postgresql://", "postgresql+asyncpg://").replace("/postgres?", f"/{name}?")
    home = tmp_path_factory.mktemp("prefect")
    with prefect_serving(home, PREFECT_API_DATABASE_CONNECTION_URL=database) as url:
        assert any("weekly-rebuild" in line for line in register(url, "youtube"))
        yield url


def test_the_next_runs_of_each_schedule_exist_after_deploying(server: str) -> None:
    scheduled: set[str] = set()
    deadline = time.monotonic() + STARTUP_S  # the server looks for new deployments every five seconds
    while scheduled != {"weekly-rebuild", "daily-refresh"}:
        assert time.monotonic() < deadline, f"runs are scheduled for {scheduled or 'no deployment'}"
        time.sleep(0.5)
        scheduled = scheduled_deployments(server)


def test_a_release_trains_that_release_of_that_catalog_whatever_the_deployment_says(
    server: str, tmp_path: Path
) -> None:
    train = ask(server, "deployments/name/train/train-on-gpu")
    assert train["parameters"] == {}, "the catalog is that of the host which takes the run"
    versions = {str(tmp_path / "shoes"): "2026.11.02", str(tmp_path / "cars"): "2026.11.09.1"}
    rows = {"train": release_rows(release_row("ad"))}
    wanted = set()
    with temporary_settings({PREFECT_API_URL: server}):
        for (root, version), event in zip(versions.items(), (WRITTEN, UNTRAINED), strict=True):
            folder = write_release(Catalog(root).releases_dir, version, rows, {"synthetic": True})
            with chdir(tmp_path):  # a relative place is nothing to the host that is told of it
                tell_of_release(Catalog(Path(root).name), folder, event)
            wanted.add((root, version, read_manifest(folder)["row_set_hash"]))
        with ThreadPoolExecutor(1) as thread:
            thread.submit(EventsWorker.drain_all).result()
    begun: set[tuple[str, str, str]] = set()
    deadline = time.monotonic() + STARTUP_S
    while begun != wanted:
        assert time.monotonic() < deadline, f"trainings of {begun or 'nothing'} are begun"
        time.sleep(0.5)
        runs = ask(server, "flow_runs/filter", {"deployments": {"id": {"any_": [train["id"]]}}})
        # releases of other tests are trained on this server, too
        asked = {tuple(run["parameters"].get(name) for name in ("catalog", "release", "row_set_hash")) for run in runs}
        begun = {each for each in asked if str(each[0]).startswith(str(tmp_path))}


def test_a_run_that_is_due_while_another_one_runs_waits_for_its_end_and_is_not_lost(server: str) -> None:
    rebuild = ask(server, "deployments/name/build-dataset/weekly-rebuild")
    first, second = (ask(server, f"deployments/{rebuild['id']}/create_flow_run", {})["id"] for _ in range(2))

    def due() -> list[str]:
        """What a worker of the pool is given of these two."""
        wanted = {"work_queue_names": ["weekly-rebuild"], "limit": 5}
        given = ask(server, "work_pools/cpu/get_scheduled_flow_runs", wanted)
        return [each["flow_run"]["id"] for each in given if each["flow_run"]["id"] in (first, second)]

    def set_state(run: str, kind: str) -> str:
        asked = {"state": {"type": kind}, "force": True}
        return str(ask(server, f"flow_runs/{run}/set_state", asked)["state"]["type"])

    set_state(first, "RUNNING")  # whether its process is alive or not
    assert due() == []
    assert ask(server, f"flow_runs/{second}")["state_type"] == "SCHEDULED"
    set_state(first, "CRASHED")
    assert due() == [second]
    assert [set_state(run, "CANCELLED") for run in (first, second)] == ["CANCELLED"] * 2


def test_runs_that_wait_in_a_pool_that_is_deleted_are_asked_for_again_by_the_next_deploying(
    deployed_server: str,
) -> None:
    wanted = {"catalog": "/data/of-a-deleted-pool", "release": "2026.11.02"}
    with temporary_settings({PREFECT_API_URL: deployed_server}), get_client(sync_client=True) as client:
        train = client.read_deployment_by_name("train/train-on-gpu")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        due: State[Any] = Scheduled(scheduled_time=tomorrow)
        lost = client.create_flow_run_from_deployment(train.id, parameters=wanted, state=due, name="lost", tags=["of"])
        client.delete_work_pool("gpu")
        assert client.read_flow_run(lost.id).work_queue_id is None, "the pool's end is the run's"
        said = list(register(deployed_server, "youtube"))
        assert "run lost: waited in a work pool that is gone, and is asked for again" in said
        mine = DeploymentFilter(id=DeploymentFilterId(any_=[train.id]))
        runs = [
            run for run in client.read_flow_runs(deployment_filter=mine) if run.parameters.items() >= wanted.items()
        ]
        [again] = [run for run in runs if run.id != lost.id]
        assert again.work_queue_id == client.read_deployment_by_name("train/train-on-gpu").work_queue_id
        assert (again.name, set(again.tags) >= {"of"}, again.state_type) == ("lost", True, StateType.SCHEDULED)
        assert again.next_scheduled_start_time == tomorrow
        assert client.read_flow_run(lost.id).state_type == StateType.CANCELLED
        assert not [line for line in register(deployed_server, "youtube") if line.startswith("run ")], "once is enough"
        client.set_flow_run_state(again.id, Cancelled(), force=True)


def test_a_schedule_goes_on_after_its_pool_was_deleted(deployed_server: str) -> None:
    with temporary_settings({PREFECT_API_URL: deployed_server}), get_client(sync_client=True) as client:
        rebuild = client.read_deployment_by_name("build-dataset/weekly-rebuild")
        mine = DeploymentFilter(id=DeploymentFilterId(any_=[rebuild.id]))

        def coming() -> list[FlowRun]:
            runs = client.read_flow_runs(deployment_filter=mine)
            return [run for run in runs if run.auto_scheduled and run.state_type == StateType.SCHEDULED]

        def wait_for_runs() -> list[FlowRun]:
            deadline = time.monotonic() + STARTUP_S
            while not (found := coming()):
                assert time.monotonic() < deadline
                time.sleep(0.5)
            return found

        before = sorted(str(run.expected_start_time) for run in wait_for_runs())
        client.delete_work_pool("cpu")
        list(register(deployed_server, "youtube"))
        after = wait_for_runs()
        assert all(run.work_queue_id for run in after)
        assert min(str(run.expected_start_time) for run in after) == before[0], "no Monday is lost"


def test_a_deployments_run_refuses_a_catalog_that_is_gone_and_says_which_one_it_works_on(
    deployed_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ytb_ads")
    monkeypatch.chdir(tmp_path)
    with temporary_settings({PREFECT_API_URL: deployed_server}), get_client(sync_client=True) as client:
        rebuild = client.read_deployment_by_name("build-dataset/weekly-rebuild")
        run = client.create_flow_run_from_deployment(rebuild.id, state=Cancelled())
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(run.id))
        new = Catalog("catalog")
        work_on(new, "source:youtube")
        assert f"catalog: {tmp_path / 'catalog'}, where nothing is yet" in caplog.text
        assert set(client.read_flow_run(run.id).tags) >= {f"catalog:{tmp_path / 'catalog'}", "source:youtube"}

        key = artifact_key("funnel", new)
        assert key == artifact_key("funnel", Catalog(tmp_path / "catalog")), "one place is one catalog"
        artifact = client.create_artifact(ArtifactCreate(key=key, type="markdown", data="# Release"))
        with pytest.raises(CatalogError, match=f"nothing is there.*prefect artifact delete {key}"):
            work_on(new)
        write_release(new.releases_dir, "2026.11.02", {"train": release_rows(release_row("ad"))}, {"synthetic": True})
        work_on(new)
        client.delete_artifact(artifact.id)


def scheduled_deployments(server: str) -> set[str]:
    """Names of the deployments that have a run in the state Scheduled which their schedule made."""
    of_state = {"flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}}}
    runs = [run for run in ask(server, "flow_runs/filter", of_state) if run["auto_scheduled"]]
    return {ask(server, f"deployments/{deployment}")["name"] for deployment in {run["deployment_id"] for run in runs}}
