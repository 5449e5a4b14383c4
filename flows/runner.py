"""Where tasks run, and how a stage's batches go through them: a few in flight, counted as they end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import Task
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from data_catalog.catalog import Catalog
from flows.console import progress
from flows.counts import StageCount, check_nothing_lost
from flows.embedded_server import answers, embedded_server
from flows.errors import SettingsError
from flows.settings import RunnerSettings

log = logging.getLogger("ytb_ads")
# what the stages report is kept by Prefect's server, for runs that nobody watches too; Prefect sets no level
log.setLevel(logging.INFO)

BATCHES_PER_WORKER = 2
"""Batches in flight for each worker: one at work, one waiting, so that memory stays flat."""


def make_task_runner(settings: RunnerSettings) -> TaskRunner[Any]:
    """The task runner that the settings name.

    Raises:
        SettingsError: the cluster's package is not installed.
    """
    if settings.kind == "threads":
        return ThreadPoolTaskRunner(max_workers=settings.workers)
    if settings.kind == "processes":
        return ProcessPoolTaskRunner(max_workers=settings.workers)
    try:
        if settings.kind == "ray":
            from prefect_ray import RayTaskRunner

            return RayTaskRunner(address=settings.address)
        from prefect_dask import DaskTaskRunner

        return DaskTaskRunner(address=settings.address)
    except ImportError as error:
        raise SettingsError(
            f"runner.kind = {settings.kind!r} needs a package that is not installed: "
            f"pip install 'ytb-ads[{settings.kind}]'"
        ) from error


@dataclass(frozen=True)
class Stage:
    """A stage that makes rows of one table from rows of another: the anti-join of the two is its work."""

    name: str
    table: str
    upstream: str
    columns: tuple[str, ...]
    """Columns of the upstream table that a batch needs."""


def run_stage(
    stage: Stage,
    task: Task[Any, StageCount],
    *,
    catalog: Catalog,
    fingerprint: str,
    size: int,
    runner: RunnerSettings,
    **arguments: Any,
) -> StageCount:
    """Do what the stage's table lacks, one task run per batch of upstream rows, and see that nothing was lost.

    Args:
        stage: what is made from what.
        task: called as `task(batch, catalog=..., fingerprint=..., **arguments)`; commits and counts its batch.
        catalog: the tables.
        fingerprint: of the settings and engine that the rows depend on.
        size: rows per batch.
        runner: how many batches run at a time, and how often a failed row is tried in all.
        **arguments: the same for every batch.

    Raises:
        StageError: an upstream row has neither a row nor a drop, or every row was dropped.
        Exception: what a task raised; the batches that had ended are kept.
    """
    batches = catalog.pending(
        stage.table,
        upstream=stage.upstream,
        stage=stage.name,
        fingerprint=fingerprint,
        size=size,
        columns=stage.columns,
        max_attempts=runner.max_attempts,
    )
    count = StageCount(stage.name, stage.upstream)
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
    check_nothing_lost(catalog, stage=stage.name, table=stage.table, upstream=stage.upstream, fingerprint=fingerprint)
    log.info("%s", count)
    return count


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
        stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        # what was logged and told reaches the server before it ends
        stack.callback(EventsWorker.drain_all)
        stack.callback(APILogWorker.drain_all)
        yield
