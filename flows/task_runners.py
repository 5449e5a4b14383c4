"""Task runners by the settings: threads, processes, or one Ray or Dask cluster for a whole build."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.errors import SettingsError
from flows.settings import RunnerSettings

_CONNECT_S = 5.0


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
    ray.init(settings.address, configure_logging=False, log_to_driver=False, **local)
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
