"""`ytb-ads deploy`: register `prefect.yaml` with a running server: work pools, queues, deployments, recovery."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.console import say
from flows.errors import SettingsError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

PREFECT_YAML = Path(__file__).resolve().parents[2] / "prefect.yaml"
DEFAULT_SOURCE = "folder:ads"
ONLY_OF_YOUTUBE = "daily-refresh"
"""Deployment that has nothing to do for ads of a folder, and fails without a key of YouTube's API."""

SILENCE_S = 300.0
"""A run that shows no sign of life for so long is taken for dead; it sends one every 30 seconds."""
START_S = 900.0
"""A run that a worker has taken and not begun after so long is taken for dead."""
PAUSE_S = 60.0
"""Pause before a run that failed or crashed is tried again."""

app = typer.Typer()


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy")
def deploy() -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and what starts them again.

    Work pools and queues are made where they are missing. The refresh is registered for the source `youtube` alone.
    """
    from prefect.settings import PREFECT_API_URL

    for line in register(PREFECT_API_URL.value()):
        say(line)


def register(server: str | None, source: str | None = None) -> Iterator[str]:
    """Make the work pools and queues that are missing and register every deployment; yields what was done.

    A second call updates what the first one registered, and removes a refresh that the source has no use for.

    Args:
        server: address of the server's API.
        source: what the rebuild reads; by default `YTB_ADS_SOURCE`, or else the folder `ads`.

    Raises:
        SettingsError: no server is named or it does not answer, or a deployment is refused.
    """
    import httpx
    import yaml
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.crawl.flow import source_folder

    if not PREFECT_YAML.is_file():
        raise SettingsError(
            f"{PREFECT_YAML.name} lies in a checkout of the project, not in an installed package: deploy from one"
        )
    if not server:
        raise SettingsError(
            "no Prefect server is named: start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    source = source or os.environ.get("YTB_ADS_SOURCE") or DEFAULT_SOURCE
    of_folder = source_folder(source) is not None
    known: list[dict[str, Any]] = yaml.safe_load(PREFECT_YAML.read_text("utf-8"))["deployments"]
    useless = [_full_name(each) for each in known if of_folder and each["name"] == ONLY_OF_YOUTUBE]
    wanted = [each for each in known if _full_name(each) not in useless]
    names = [_full_name(each) for each in wanted]
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            yield from (f"work pool {pool}: made" for pool in _make_pools(client, wanted))
            _deploy(server, source, wanted)
            for name in useless:
                with suppress(ObjectNotFound):
                    client.delete_deployment(client.read_deployment_by_name(name).id)
                    yield f"deployment {name}: removed, as the source is {source}"
            for automation in recovery([str(client.read_deployment_by_name(name).id) for name in names]):
                _register_automation(client, automation)
    except httpx.HTTPError as error:
        raise SettingsError(f"the Prefect server at {server} cannot be used: {error}") from error
    yield f"deployments: registered ({', '.join(names)})"
    yield "start a worker with: prefect worker start --pool cpu   (on the GPU host: --pool gpu)"


def recovery(deployments: list[str]) -> list[AutomationCore]:
    """Automations that end dead runs of these deployments as *Crashed*, and start what failed or crashed again.

    The server starts a run again, and not the run itself (Prefect's `retries`): it may be the process that is gone.

    Args:
        deployments: ids.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    def automation(name: str, after: set[str], expect: set[str], within_s: float, action: ChangeFlowRunState) -> Any:
        trigger = EventTrigger(
            after={f"prefect.flow-run.{event}" for event in after},
            expect={f"prefect.flow-run.{event}" for event in expect},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "deployment",
                "prefect.resource.id": [f"prefect.deployment.{id_}" for id_ in deployments],
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        )
        return AutomationCore(name=f"ytb-ads: {name}", trigger=trigger, actions=[action])

    def crash(message: str) -> ChangeFlowRunState:
        return ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)

    return [
        automation(
            "end runs that show no sign of life",
            {"heartbeat"},
            {"*"},
            SILENCE_S,
            crash(f"No sign of life for {SILENCE_S:.0f} seconds: the process or its machine is gone."),
        ),
        automation(
            "end runs that a worker took and never began",
            {"Pending"},
            {"Running", "Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Late"},
            START_S,
            crash(f"Taken by a worker and not begun within {START_S:.0f} seconds: the worker is gone."),
        ),
        automation(
            "start runs again that failed or crashed",
            {"Failed", "Crashed"},
            {"AwaitingRetry", "Scheduled", "Late", "Pending", "Running", "Completed", "Cancelled"},
            PAUSE_S,
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="It failed or crashed.", force=False
            ),
        ),
    ]


def _register_automation(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make it, or bring the one of its name up to date."""
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        return
    client.update_automation(found[0].id, automation)
    for superfluous in found[1:]:
        client.delete_automation(superfluous.id)


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
        "YTB_ADS_HOME": str(PREFECT_YAML.parent),
        "YTB_ADS_CATALOG": "catalog",
        **os.environ,
        "YTB_ADS_SOURCE": source,
        "PREFECT_API_URL": server,
    }
    names = [word for each in deployments for word in ("--name", each["name"])]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *names, "--prefect-file", str(PREFECT_YAML)],
        env=environment,
        cwd=PREFECT_YAML.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SettingsError(f"prefect deploy failed: {said[-1] if said else done.returncode}")
