"""Tell a running server what stands in `prefect.yaml`: work pools, queues, deployments, recovery."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.crawl.flow import source_folder
from flows.errors import SettingsError
from flows.service.notifications import find_block, register_notifications
from flows.service.recovery import recovery, register_automation
from flows.settings import Settings, load_settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PREFECT_YAML = Path(__file__).with_name("prefect.yaml")
DEFAULT_SOURCE = "folder:ads"
ONLY_OF_YOUTUBE = "daily-refresh"
"""Deployment that has nothing to do for ads of a folder, and fails without a key of YouTube's API."""


def register(server: str | None, source: str | None = None, settings: Settings | None = None) -> Iterator[str]:
    """Make the work pools and queues that are missing and register every deployment; yields what was done.

    A second call updates what the first one registered, and removes a refresh that the source has no use for.

    Args:
        server: address of the server's API.
        source: what the rebuild reads; by default `YTB_ADS_SOURCE`, or else the folder `ads`.
        settings: say what is notified of, and how; by default those of this folder.

    Raises:
        SettingsError: no server is named or it does not answer, or a deployment or the notifications' block is refused.
    """
    if not server:
        raise SettingsError(
            "no Prefect server is named: start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    settings = settings or load_settings()
    source = source or os.environ.get("YTB_ADS_SOURCE") or DEFAULT_SOURCE
    of_folder = source_folder(source) is not None
    known: list[dict[str, Any]] = yaml.safe_load(PREFECT_YAML.read_text("utf-8"))["deployments"]
    useless = [_full_name(each) for each in known if of_folder and each["name"] == ONLY_OF_YOUTUBE]
    wanted = [each for each in known if _full_name(each) not in useless]
    names = [_full_name(each) for each in wanted]
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            sender = find_block(client, settings.notify.block) if settings.notify.block else None
            yield from (f"work pool {pool}: made" for pool in _make_pools(client, wanted))
            _deploy(server, source, wanted)
            for name in useless:
                with suppress(ObjectNotFound):
                    client.delete_deployment(client.read_deployment_by_name(name).id)
                    yield f"deployment {name}: removed, as the source is {source}"
            deployed = [str(client.read_deployment_by_name(name).id) for name in names]
            for automation in recovery(deployed):
                register_automation(client, automation)
            yield from register_notifications(client, sender, deployed, settings.health.late_minutes)
    except httpx.HTTPError as error:
        raise SettingsError(f"the Prefect server at {server} cannot be used: {error}") from error
    yield f"deployments: registered ({', '.join(names)})"
    yield "start a worker with: prefect worker start --pool cpu   (on the GPU host: --pool gpu)"


def _full_name(deployment: Mapping[str, Any]) -> str:
    """`build-dataset/weekly-rebuild`: the flow's name and the deployment's."""
    function = str(deployment["entrypoint"]).rpartition(":")[2]
    return f"{function.replace('_', '-')}/{deployment['name']}"


def _make_pools(client: SyncPrefectClient, deployments: list[dict[str, Any]]) -> list[str]:
    """Make the pools that are missing, and the queues, through which one run goes at a time; returns the new pools."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    known, made = {pool.name for pool in client.read_work_pools()}, []
    for each in deployments:
        pool, queue = each["work_pool"]["name"], each["work_pool"]["work_queue_name"]
        if pool not in known:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
            known.add(pool)
            made.append(pool)
        try:
            client.create_work_queue(queue, work_pool_name=pool, concurrency_limit=1)
        except ObjectAlreadyExists:
            continue  # the owner may have given it another limit
    return made


def _deploy(server: str, source: str, deployments: list[dict[str, Any]]) -> None:
    """Let Prefect's own command line read the file, without prompts."""
    environment = {
        "YTB_ADS_HOME": str(PREFECT_YAML.parents[2]),
        "YTB_ADS_CATALOG": "catalog",
        **os.environ,
        "YTB_ADS_SOURCE": source,
        "PREFECT_API_URL": server,
    }
    names = [word for each in deployments for word in ("--name", each["name"])]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *names, "--prefect-file", str(PREFECT_YAML)],
        env=environment,
        cwd=PREFECT_YAML.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SettingsError(f"prefect deploy failed: {said[-1] if said else done.returncode}")
