"""Register the contents of `prefect.yaml` with a running server: work pools, queues, deployments, recovery."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Scheduled

from data_catalog.errors import StorageError
from data_catalog.storage import place_of
from flows.crawl.flow import source_folder
from flows.errors import SettingsError
from flows.home import CATALOG_VARIABLE, program_version
from flows.service.notifications import find_block, register_notifications
from flows.service.pools import DATA, check_pool, environment, job_variables, make_pool
from flows.service.recovery import recovery, register_automation
from flows.settings import Settings, load_settings
from flows.settings.deploy import DeploySettings, PoolSettings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PREFECT_YAML = Path(__file__).with_name("prefect.yaml")
DEFAULT_SOURCE = "folder:ads"
ONLY_OF_YOUTUBE = "daily-refresh"
"""Deployment that has nothing to do for ads of a folder, and fails without a key of YouTube's API."""


def register(
    server: str | None,
    source: str | None = None,
    catalog: str | None = None,
    settings: Settings | None = None,
) -> Iterator[str]:
    """Make the work pools and queues that are missing and register every deployment; yields what was done.

    A second call updates what the first one registered, and removes a refresh that the source has no use for.

    Args:
        server: address of the server's API.
        source: what the rebuild reads; by default `YTB_ADS_SOURCE`, or else the folder `ads`.
        catalog: its place on every host; a folder is made absolute here. By default each worker's host names its own.
        settings: types of the work pools, and what is notified of, and how; by default those of this folder.

    Raises:
        SettingsError: no server is named or it does not answer, a pool is of another type, or a deployment or the
            notifications' block is refused.
    """
    if not server:
        raise SettingsError(
            "no Prefect server is named: start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    settings = settings or load_settings()
    source = source or os.environ.get("YTB_ADS_SOURCE") or DEFAULT_SOURCE
    place = str(place_of(catalog).absolute()) if catalog else None
    of_folder = source_folder(source) is not None
    for pool, of_pool in settings.deploy:
        check_pool(pool, of_pool)
    known = [
        _filled(each, source, place, getattr(settings.deploy, each["work_pool"]["name"]))
        for each in yaml.safe_load(PREFECT_YAML.read_text("utf-8"))["deployments"]
    ]
    useless = [_full_name(each) for each in known if of_folder and each["name"] == ONLY_OF_YOUTUBE]
    wanted = [each for each in known if _full_name(each) not in useless]
    names = [_full_name(each) for each in wanted]
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            sender = find_block(client, settings.notify.block) if settings.notify.block else None
            for pool, of_pool in settings.deploy:
                if make_pool(client, pool, of_pool):
                    yield f"work pool {pool}: made, of type {of_pool.type}"
            _make_queues(client, wanted)
            _deploy(server, wanted)
            for name in useless:
                with suppress(ObjectNotFound):
                    client.delete_deployment(client.read_deployment_by_name(name).id)
                    yield f"deployment {name}: removed, as the source is {source}"
            deployed = [str(client.read_deployment_by_name(name).id) for name in names]
            for run in _ask_again(client, deployed):
                yield f"run {run}: waited in a work pool that is gone, and is asked for again"
            for automation in recovery(deployed):
                register_automation(client, automation)
            yield from register_notifications(client, sender, deployed, settings.health.late_minutes)
    except httpx.HTTPError as error:
        raise SettingsError(f"the Prefect server at {server} cannot be used: {error}") from error
    yield f"deployments: registered ({', '.join(names)}), version {program_version()}"
    yield from _say_catalogs(place, settings.deploy)
    yield "start a worker with: prefect worker start --pool cpu   (on the GPU host: --pool gpu)"


def _full_name(deployment: Mapping[str, Any]) -> str:
    """`build-dataset/weekly-rebuild`: the flow's name and the deployment's."""
    function = str(deployment["entrypoint"]).rpartition(".")[2]
    return f"{function.replace('_', '-')}/{deployment['name']}"


def _filled(deployment: Mapping[str, Any], source: str, catalog: str | None, pool: PoolSettings) -> dict[str, Any]:
    """A deployment with what its owner decides."""
    name = deployment["work_pool"]["name"]
    env = {**deployment["work_pool"]["job_variables"]["env"], **environment(pool)}
    return {
        **deployment,
        "version": program_version(),
        "parameters": {
            **({"source": source} if _full_name(deployment).startswith("build-dataset/") else {}),
            **({"catalog": catalog} if catalog else {}),
        },
        "work_pool": {**deployment["work_pool"], "job_variables": {**job_variables(name, pool), "env": env}},
    }


def _make_queues(client: SyncPrefectClient, deployments: Sequence[Mapping[str, Any]]) -> None:
    """Make the missing queues, through which one run goes at a time."""
    for each in deployments:
        pool, queue = each["work_pool"]["name"], each["work_pool"]["work_queue_name"]
        with suppress(ObjectAlreadyExists):  # the owner may have given it another limit
            client.create_work_queue(queue, work_pool_name=pool, concurrency_limit=1)


def _ask_again(client: SyncPrefectClient, deployments: Sequence[str]) -> Iterator[str]:
    """Put runs whose work pool was deleted, which no worker would ever be given, into the queue that there is now.

    Yields:
        The names of the runs; those that a schedule has made are left to it.
    """
    waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))
    for deployment in map(UUID, deployments):
        mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=waits), deployment_filter=mine)
        for run in (run for run in runs if run.work_queue_id is None):
            if run.auto_scheduled:  # a cancelled one would keep its time from the schedule
                client.delete_flow_run(run.id)
                continue
            due: State[Any] = Scheduled(scheduled_time=run.next_scheduled_start_time)
            client.create_flow_run_from_deployment(
                deployment, parameters=run.parameters, state=due, name=run.name, tags=run.tags
            )
            gone: State[Any] = Cancelled(message="Its work pool is gone; it was asked for again.")
            client.set_flow_run_state(run.id, gone, force=True)
            yield run.name


def _say_catalogs(place: str | None, pools: DeploySettings) -> Iterator[str]:
    """Yield the place of the tables of each pool's runs, and whether it can be reached from this host."""
    for name, pool in pools:
        if place:
            there = place
        elif pool.type == "process":
            there = f"that of each worker, which {CATALOG_VARIABLE} names in its environment or .env"
        else:
            there = pool.catalog or f"{DATA}/catalog, in {pool.data}"
        yield f"catalog of pool {name}: {there}"
    for bucket in sorted({each for each in (place, *(pool.catalog for _, pool in pools)) if each and "://" in each}):
        try:
            place_of(bucket).is_dir()
        except StorageError as error:
            yield f"warning: catalog {bucket} cannot be asked from this host: {error}"


def _deploy(server: str, deployments: Sequence[Mapping[str, Any]]) -> None:
    """Let Prefect's own command line read the deployments from a file, without prompts."""
    file = {**yaml.safe_load(PREFECT_YAML.read_text("utf-8")), "deployments": list(deployments)}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as filled:
        yaml.safe_dump(file, filled)
        filled.flush()
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", filled.name],
            env={**os.environ, "PREFECT_API_URL": server},
            cwd=PREFECT_YAML.parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SettingsError(f"prefect deploy failed: {said[-1] if said else done.returncode}")
