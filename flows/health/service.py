"""Health of the service: the Prefect server, its schedules and workers, and runs that failed, are late or are dead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from flows.checks import Check, age_in_words
from flows.errors import SettingsError
from flows.settings import HealthSettings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

OUR_FLOWS = ("build-dataset", "refresh", "release-reviewed", "train")
_RUNS = 200
"""Runs of one deployment that are looked back upon."""
_HEARTBEAT = "prefect.flow-run.heartbeat"
_START = "prefect server start, and name it in PREFECT_API_URL"


def check_service(server: str | None, settings: HealthSettings, now: datetime, block: str = "") -> list[Check]:
    """Check a Prefect server and what is deployed there.

    Args:
        server: address of its API.
        settings: limits.
        now: the moment to compare with.
        block: the one through which notifications are to be sent.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if not server:
        return [Check("server", None, "none is named: nobody looks at schedules, workers and runs", _START)]
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            checks = [Check("server", True, f"{server}, Prefect {client.api_version()}")]
            deployments = [each for each in client.read_deployments() if _flow_of(client, each) in OUR_FLOWS]
            if not deployments:
                return [*checks, Check("deployments", False, "none is registered", "ytb-ads deploy")]
            for deployment in sorted(deployments, key=lambda each: each.name):
                checks.append(_check_deployment(client, deployment, settings, now))
            checks += _check_workers(client, deployments)
            checks.append(_check_silent(client, deployments, settings, now))
            return [*checks, *_check_notifications(client, block, now)] if block else checks
    except (httpx.HTTPError, RuntimeError) as error:
        said = str(error).strip().splitlines()
        return [Check("server", False, f"{server}: {said[0] if said else type(error).__name__}", _START)]


def _flow_of(client: SyncPrefectClient, deployment: DeploymentResponse) -> str:
    return client.read_flow(deployment.flow_id).name


def _check_deployment(
    client: SyncPrefectClient, deployment: DeploymentResponse, settings: HealthSettings, now: datetime
) -> Check:
    """Its schedule and its last runs; a failure after which a run went well is past."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
    from prefect.client.schemas.sorting import FlowRunSort

    name = deployment.name
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    runs = client.read_flow_runs(deployment_filter=mine, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_RUNS)
    begun = [run for run in runs if (run.expected_start_time or now) <= now]
    to_come = sorted(
        run.expected_start_time for run in runs if run.expected_start_time and run.expected_start_time > now
    )
    ended = [run for run in begun if run.state and run.state.is_final()]
    last = ended[0] if ended else None
    good = next((run for run in ended if run.state and run.state.is_completed()), None)
    said = _last_words(last, now) + (f", the next at {to_come[0]:%Y-%m-%d %H:%M} UTC" if to_come else "")
    look = f"prefect flow-run logs {last.id}" if last else ""

    if deployment.paused:
        return Check(name, None, f"paused; {said}", f"prefect deployment resume '{name}'")
    schedules = [each for each in deployment.schedules if each.active]
    if deployment.schedules and not schedules:
        return Check(name, None, f"its schedule is switched off; {said}", "switch it on in the server's pages")
    if schedules and not to_come:
        return Check(
            name, False, f"no run is scheduled; {said}", "see the server's own log: its scheduler is not at work"
        )
    late = [run for run in begun if _is_late(run, now - timedelta(minutes=settings.late_minutes))]
    if late and not any(run.state and run.state.is_running() for run in begun):  # else they wait for their turn
        since = min(run.expected_start_time for run in late if run.expected_start_time)
        pool = deployment.work_pool_name
        return Check(name, False, f"{_runs(late)} late, since {since:%Y-%m-%d %H:%M} UTC", f"a worker for {pool}")
    if last is not None and last is not good:
        after = f"; the last good one: {_last_words(good, now)}" if good else "; none went well yet"
        return Check(name, False, said + after, look)
    if len(to_come) > 1 and good and now - _end(good, now) > 1.5 * (to_come[1] - to_come[0]):
        return Check(name, False, f"{said}: longer ago than its schedule says", "see the server's own log")
    return Check(name, True, said)


def _is_late(run: FlowRun, limit: datetime) -> bool:
    waits = run.state is not None and (run.state.is_scheduled() or run.state.is_pending())
    return waits and run.expected_start_time is not None and run.expected_start_time < limit


def _check_workers(client: SyncPrefectClient, deployments: Sequence[DeploymentResponse]) -> Iterator[Check]:
    pools = {pool.name: pool for pool in client.read_work_pools()}
    # who has no GPU host pauses the training, and wants no worker for it
    for name in sorted({each.work_pool_name for each in deployments if each.work_pool_name and not each.paused}):
        title, start = f"workers of {name}", f"prefect worker start --pool {name}"
        if name not in pools:
            yield Check(title, False, "there is no such pool", "ytb-ads deploy")
            continue
        if pools[name].is_paused:
            yield Check(title, None, "the pool is paused", f"prefect work-pool resume {name}")
            continue
        workers = client.read_workers_for_work_pool(name)
        online = [worker.name for worker in workers if worker.status is not None and worker.status.value == "ONLINE"]
        if online:
            yield Check(title, True, f"{len(online)} online")
        else:
            yield Check(title, False, f"none online, {len(workers)} known", start)


def _check_silent(
    client: SyncPrefectClient, deployments: Sequence[DeploymentResponse], settings: HealthSettings, now: datetime
) -> Check:
    """Runs that the server takes for running and that give no sign of life."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter

    running = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[each.id for each in deployments])),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": [StateType.RUNNING]}}}),
    )
    limit = now - timedelta(minutes=settings.silent_minutes)
    silent = []
    for run in running:
        if run.start_time and run.start_time > limit:
            continue
        signs = client.read_events(
            EventFilter(
                event=EventNameFilter(name=[_HEARTBEAT]),
                resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
                occurred=EventOccurredFilter.model_validate({"since": limit, "until": now}),
            ),
            limit=1,
        )
        if not signs.events:
            silent.append(run)
    if not silent:
        return Check("running", True, f"{_runs(running)} alive" if running else "nothing runs now")
    names = ", ".join(f"{run.name} ({run.id})" for run in silent)
    return Check(
        "running",
        False,
        f"{names}: no heartbeat for {settings.silent_minutes:g} minutes",
        "prefect flow-run cancel, and run again",
    )


def _check_notifications(client: SyncPrefectClient, block: str, now: datetime) -> Iterator[Check]:
    """The block, the automations that send through it, and what came of the last message."""
    from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter

    from flows.service.notifications import PREFIX, find_block

    title, again = "notifications", "ytb-ads deploy --try-notification"
    try:
        find_block(client, block)
    except SettingsError as error:
        yield Check(title, False, str(error), again)
        return
    senders = [each for each in client.read_automations() if each.name.startswith(PREFIX)]
    if not senders or not all(each.enabled for each in senders):
        off = ", ".join(each.name.removeprefix(PREFIX) for each in senders if not each.enabled)
        yield Check(title, None, f"switched off: {off}" if off else "none is set up", again)
        return
    ended = client.read_events(
        EventFilter(
            event=EventNameFilter(name=[f"prefect.automation.action.{end}" for end in ("executed", "failed")]),
            resource=EventResourceFilter(id=[f"prefect.automation.{each.id}" for each in senders]),
            occurred=EventOccurredFilter.model_validate({"since": now - timedelta(days=30), "until": now}),
        ),
        limit=1,
    ).events
    if ended and ended[0].event.endswith(".failed"):
        yield Check(title, False, f"the last one could not be sent: {ended[0].payload.get('reason')}", again)
    else:
        yield Check(title, True, f"sent through {block}")


def tell_of_failures(server: str, catalog: str, checks: Sequence[Check]) -> None:
    """Tell the server of checks that have failed, so that it may send a notification, if it can be told."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.service.notifications import UNHEALTHY, send_event

    failed = [{"name": each.name, "said": each.said, "todo": each.todo} for each in checks if each.ok is False]
    if failed:
        with (
            suppress(httpx.HTTPError),
            temporary_settings({PREFECT_API_URL: server}),
            get_client(sync_client=True) as client,
        ):
            send_event(client, UNHEALTHY, f"ytb-ads.catalog.{catalog}", {"catalog": catalog, "failed": failed})


def _last_words(run: FlowRun | None, now: datetime) -> str:
    if run is None or run.state is None:
        return "never run"
    state = re.sub("(?<=[a-z])(?=[A-Z])", " ", run.state.name or run.state.type.value).lower()
    why = "" if run.state.is_completed() else (run.state.message or "").strip().rpartition("\n")[2]
    return f"{state} {age_in_words(now - _end(run, now))} ago" + (f" ({why})" if why else "")


def _end(run: FlowRun, now: datetime) -> datetime:
    return run.end_time or run.expected_start_time or now


def _runs(runs: Sequence[Any]) -> str:
    return f"{len(runs)} run" if len(runs) == 1 else f"{len(runs)} runs"
