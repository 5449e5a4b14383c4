"""Task runners, the loop that runs a stage's batches on them, and the first steps of every deployment's run."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pyarrow.compute as pc
from prefect import Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.handlers import APILogWorker
from prefect.runtime import deployment as this_deployment
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed, Failed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.inspect import holds_anything
from data_catalog.schemas import TABLES
from flows.console import progress
from flows.embedded_server import answers, embedded_server
from flows.errors import SettingsError, StageError
from flows.home import program_version
from flows.settings import RunnerSettings, Settings
from flows.settled import Settled
from flows.stages import Stage, StageCount

log = logging.getLogger("ytb_ads")
# what the stages report is kept by Prefect's server, for runs that nobody watches too; Prefect sets no level
log.setLevel(logging.INFO)
# of each batch Prefect would note that it began and that it ended
logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)

BATCHES_PER_WORKER = 2
"""Batches in flight for each worker: one at work, one waiting, so that memory stays flat."""
_CONNECT_S = 5.0
MOST_ATTEMPTS = 3
"""A run of a deployment that failed or crashed so often is not started again."""


@contextmanager
def task_runner(settings: RunnerSettings) -> Iterator[TaskRunner[Any]]:
    """The task runner that the settings name, for all stages of the block; a cluster of our own is started once.

    Raises:
        SettingsError: the cluster's package is not installed, or no cluster answers at the address.
    """
    if settings.kind == "threads":
        yield ThreadPoolTaskRunner(max_workers=settings.workers)
    elif settings.kind == "processes":
        yield ProcessPoolTaskRunner(max_workers=settings.workers)
    else:
        with ExitStack() as stack:
            try:
                _refuse_silent(settings)
                cluster = _on_ray(settings) if settings.kind == "ray" else _on_dask(settings)
                runner = stack.enter_context(cluster)
            except ImportError as error:
                raise SettingsError(
                    f"runner.kind = {settings.kind!r} needs a package that is not installed: "
                    f"pip install 'ytb-ads[{settings.kind}]'"
                ) from error
            except OSError as error:  # ConnectionError and TimeoutError among them
                raise SettingsError(
                    f"runner.address = {settings.address!r}: no {settings.kind} cluster answers there ({error})"
                ) from error
            yield runner


def _refuse_silent(settings: RunnerSettings) -> None:
    """Raise OSError where nothing listens at the address: Ray would look for it for minutes."""
    address = settings.address or ""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), _CONNECT_S).close()


@contextmanager
def _on_ray(settings: RunnerSettings) -> Iterator[TaskRunner[Any]]:
    import ray
    from prefect_ray import RayTaskRunner

    local: dict[str, Any] = {} if settings.address else {"num_cpus": settings.workers, "include_dashboard": False}
    ray.init(settings.address or "local", configure_logging=False, log_to_driver=False, **local)
    try:
        yield RayTaskRunner()  # takes the cluster that this process is connected to, and leaves it as it is
    finally:
        ray.shutdown()


@contextmanager
def _on_dask(settings: RunnerSettings) -> Iterator[TaskRunner[Any]]:
    from distributed import LocalCluster
    from prefect_dask import DaskTaskRunner

    if settings.address:
        yield DaskTaskRunner(address=settings.address)
        return
    with LocalCluster(
        settings.workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
    ) as own:
        yield DaskTaskRunner(address=own.scheduler_address)


def run_stage(
    stage: Stage, task: Task[Any, StageCount], catalog: Catalog, all_settings: Settings, /, **arguments: Any
) -> StageCount:
    """Process the upstream rows that have no current row of the stage, one task run per batch, and check the sums.

    Rows and drops whose upstream row is gone are removed. Where all this was found done before, of just these tables,
    nothing is looked at.

    Args:
        stage: its input, output and fingerprint.
        task: called as `task(batch, catalog=..., fingerprint=..., **arguments)`; commits and counts its batch.
        catalog: the tables.
        all_settings: give the fingerprint, the size of a batch, and how many batches run at a time.
        **arguments: the same for every batch.

    Raises:
        StageError: an upstream row has neither a row nor a drop, or every row was dropped.
        Exception: what a task raised; the batches that had ended are kept.
    """
    fingerprint = stage.fingerprint(all_settings)
    runner = all_settings.runner
    count = StageCount(stage.name, stage.upstream)
    settled = Settled.of_stage(catalog, stage, all_settings)
    if settled.is_noted():
        log.info("%s", count)
        return count
    batches = catalog.pending(
        stage.table,
        upstream=stage.upstream,
        stage=stage.name,
        fingerprint=fingerprint,
        size=getattr(runner, stage.batch),
        columns=stage.columns,
        max_attempts=runner.max_attempts,
    )
    in_flight: list[PrefectFuture[StageCount]] = []
    with progress(f"{count.stage}: {count.unit}", batches.rows) as advance:

        def settle_one() -> None:
            future = next(as_completed(in_flight))
            in_flight.remove(future)
            batch = future.result()
            count.add(batch)
            advance(batch.rows_in)

        for batch in batches:
            in_flight.append(task.submit(batch, catalog=catalog, fingerprint=fingerprint, **arguments))
            if len(in_flight) >= BATCHES_PER_WORKER * runner.workers:
                settle_one()
        while in_flight:
            settle_one()
    settled = settled.again()
    if removed := catalog.remove_orphans(stage.name, stage.tables, upstream=stage.upstream):
        log.info("%s: removed %d rows and drops of %s that are gone", stage.name, removed, stage.upstream)
    check_nothing_lost(catalog, stage, fingerprint)
    if not removed and not _to_be_tried_again(catalog, stage, runner.max_attempts):
        settled.note()
    log.info("%s", count)
    return count


def _to_be_tried_again(catalog: Catalog, stage: Stage, max_attempts: int) -> int:
    """The number of the stage's drops that a later run tries again."""
    failed = (pc.field("stage") == stage.name) & (pc.field("kind") == "failed")
    return len(catalog.values("drops", "key", where=failed & (pc.field("attempts") < max_attempts)))


def check_nothing_lost(catalog: Catalog, stage: Stage, fingerprint: str) -> None:
    """Rows in = rows out + drops, over the whole tables; and some rows out where there were rows in.

    Raises:
        StageError: an upstream row has neither a current row of this stage nor a drop, or every row was dropped.
    """
    table, upstream = stage.table, stage.upstream
    [key] = TABLES[upstream].key
    # a failed row may be tried again by a later run, but it has its drop: one attempt is enough here
    lost = catalog.pending(
        table, upstream=upstream, stage=stage.name, fingerprint=fingerprint, size=1, columns=[key], max_attempts=1
    )
    wanted = catalog.count(upstream)
    if lost.rows:
        raise StageError(
            f"stage {stage.name}: {lost.rows} of {wanted} rows of {upstream} have neither a row in {table} nor a drop, "
            f"{next(lost)[key][0].as_py()!r} first; run the build again, and report this if it stays"
        )
    reasons = Counter(catalog.values("drops", "reason", where=pc.field("stage") == stage.name))
    # with fewer drops than rows some came through
    if not wanted or reasons.total() < wanted:
        return
    if not catalog.current(table, upstream=upstream, fingerprint=fingerprint, columns=[key]).num_rows:
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        raise StageError(f"stage {stage.name}: none of {wanted} rows of {upstream} came through ({why})")


def run_name(what: str, of: str) -> str:
    """A name by which a run is found again: `rebuild 2026-11-29 youtube`."""
    return f"{what} {datetime.now(UTC):%Y-%m-%d} {of}"


def artifact_key(what: str, catalog: Catalog) -> str:
    """Key under which the server keeps something of a catalog: `funnel-ads-3f2a9c`, another one for each place."""
    place = str(catalog.place.absolute())
    name = re.sub("[^a-z0-9]+", "-", place.rpartition("/")[2].lower()).strip("-")
    return f"{what}-{name or 'catalog'}-{hashlib.sha256(place.encode()).hexdigest()[:6]}"


def work_on(catalog: Catalog, *tags: str) -> None:
    """Tag this run with the catalog that it works on; a deployment's run logs it, and refuses one that is gone.

    Args:
        catalog: of the tables.
        *tags: what else the run is found by.

    Raises:
        CatalogError: nothing is there, and the server keeps the funnel of a release that was, as where a shared folder
            is not mounted. A build would begin anew, with another key of authors, and spend its quota again.
    """
    if not this_run.id:  # the function alone was called
        return
    place = catalog.place.absolute()
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(this_run.id), tags=sorted({*this_run.tags, f"catalog:{place}", *tags}))
        if not this_deployment.id:  # somebody has just named it
            return
        empty = not holds_anything(catalog)
        log.info("catalog: %s%s", place, ", where nothing is yet" if empty else "")
        key = artifact_key("funnel", catalog)
        known = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        if empty and client.read_latest_artifacts(artifact_filter=known):
            raise CatalogError(
                f"{place}: nothing is there, and the Prefect server keeps the funnel of a release that was; mount or "
                f"restore it, or, to begin anew, run `prefect artifact delete {key}` first"
            )


def begin_run() -> State[Any] | None:
    """Clear up after an attempt of this run that crashed; a state to end with where it was tried too often.

    Says so where another version of the package registered the deployment than runs here.

    The server starts a run of a deployment again that failed or crashed (`ytb-ads deploy` sees to that).
    """
    if not this_run.id:  # the function alone was called
        return None
    with get_client(sync_client=True) as client:
        run_id = UUID(this_run.id)
        registered = this_deployment.version
        if registered and registered != (here := program_version()):
            log.warning(
                "ytb-ads %s registered this deployment, and %s runs it on %s: install the same on every host, and run "
                "`ytb-ads deploy` again",
                *(registered, here, socket.gethostname()),
            )
        if not this_deployment.id or this_run.run_count <= 1:
            return None
        _end_left_over(client, run_id)
        attempt = attempt_of(this_run.run_count)
        if attempt > MOST_ATTEMPTS:
            return Failed(
                name="GivenUp",
                message=f"Failed or crashed {MOST_ATTEMPTS} times, at last: {_last_fault(client, run_id)}",
            )
    log.info("attempt %d of %d: what the one before did is kept", attempt, MOST_ATTEMPTS)
    return None


def attempt_of(run_count: int) -> int:
    """Attempt that a run makes, from 1; the one beyond the last gives up, and by hand the run may be started anew."""
    return (run_count - 1) % (MOST_ATTEMPTS + 1) + 1


def _last_fault(client: SyncPrefectClient, run_id: UUID) -> str:
    """The last line of what the server was told when the run failed or crashed last."""
    bad = [state for state in client.read_flow_run_states(run_id) if state.is_failed() or state.is_crashed()]
    last = max(bad, key=lambda state: state.timestamp, default=None)
    return (((last and last.message) or "").strip().splitlines() or ["its log says why"])[-1]


def _end_left_over(client: SyncPrefectClient, run_id: UUID) -> None:
    """End what is marked as running below a run whose process is gone; nobody else would."""
    unfinished = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED]
    ended: State[Any] = Crashed(message="The process of its parent is gone.")
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished))
    of_run = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]), state=state)
    children = [child.id for child in client.read_flow_runs(flow_run_filter=of_run)]
    of_these = FlowRunFilter(id=FlowRunFilterId(any_=[run_id, *children]))
    tasks = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=unfinished)))
    for task in client.read_task_runs(flow_run_filter=of_these, task_run_filter=tasks):
        client.set_task_run_state(task.id, ended, force=True)
    for child in children:
        client.set_flow_run_state(child, ended, force=True)


@contextmanager
def in_foreground() -> Iterator[None]:
    """Run flows for somebody who waits: on a server of their own, unless `PREFECT_API_URL` names one.

    Without heartbeats, whose thread holds up the end of each flow by up to a second.
    """
    with ExitStack() as stack:
        url = PREFECT_API_URL.value() or stack.enter_context(embedded_server())
        if not answers(url):
            raise SettingsError(
                f"PREFECT_API_URL names {url}, where no Prefect server answers; start one there with "
                "`prefect server start`, or unset the variable to run on a server of this command's own"
            )
        stack.enter_context(_told_to_all(url))
        stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        # what was logged and told reaches the server before it ends
        stack.callback(EventsWorker.drain_all)
        stack.callback(APILogWorker.drain_all)
        yield


@contextmanager
def _told_to_all(url: str) -> Iterator[None]:
    """Name the server to the processes that are started and to the threads that do not know temporary settings.

    Prefect starts a server of its own for them otherwise, which outlives this process.
    """
    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = url
    refresh_global_settings_context()
    try:
        yield
    finally:
        del os.environ["PREFECT_API_URL"]
        if before is not None:
            os.environ["PREFECT_API_URL"] = before
        refresh_global_settings_context()
