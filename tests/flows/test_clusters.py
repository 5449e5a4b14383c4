"""A build on a cluster of two nodes, one of which is lost amid the work: the release of a build on threads."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import newest_release, read_manifest
from flows.errors import SettingsError
from flows.runner import task_runner
from flows.settings import RunnerSettings
from tests.flows.conftest import Built, Run

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow]

BIN = Path(sys.executable).parent
NODE_STARTED_S = 90


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def processes(*commands: list[str], log: Path) -> Iterator[list[psutil.Process]]:
    """Processes that end with all they have started."""
    begun: list[psutil.Process] = []
    try:
        for command in commands:
            with log.open("ab") as output:
                begun.append(psutil.Process(subprocess.Popen(command, stdout=output, stderr=output).pid))
            time.sleep(3 if len(begun) == 1 else 0)  # the others look for the first
        yield begun
    finally:
        for process in begun:
            end(process)


def end(process: psutil.Process) -> None:
    """Kill a process and all that it has started, as when a machine is lost."""
    with suppress(psutil.NoSuchProcess):
        for each in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        process.wait(timeout=20)


@contextmanager
def ray_nodes(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Address of a cluster of two nodes, and the process of the second."""
    import ray.util

    address = f"{ray.util.get_node_ip_address()}:{free_port()}"  # a loopback address is none to Ray
    start = [str(BIN / "ray"), "start", "--block", "--num-cpus=1"]
    head = [
        *start,
        "--head",
        "--disable-usage-stats",
        f"--port={address.partition(':')[2]}",
        "--include-dashboard=false",
    ]
    with processes(head, [*start, f"--address={address}"], log=folder / "nodes.log") as (_, second):
        yield address, second


@contextmanager
def dask_nodes(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The same of Dask: a scheduler and two workers."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = [str(BIN / "dask"), "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"]
    worker = [str(BIN / "dask"), "worker", address, "--nthreads=1", "--no-dashboard", f"--local-directory={folder}"]
    with processes(scheduler, worker, worker, log=folder / "nodes.log") as (_, _, second):
        yield address, second


@pytest.mark.parametrize(("kind", "nodes"), [("ray", ray_nodes), ("dask", dask_nodes)])
def test_a_node_that_is_lost_costs_its_batches_a_retry_and_nothing_else(
    kind: str,
    nodes: Callable[[Path], Iterator[tuple[str, psutil.Process]]],
    built: Built,
    ytb_ads: Run,
    sample: Path,
    quick: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # its token would be written into the user's folder
    with nodes(tmp_path) as (address, second):  # type: ignore[attr-defined]  # a context manager
        config = tmp_path / "cluster.toml"
        runner = f'kind = "{kind}"\naddress = "{address}"\nworkers = 2\nbatch_ads = 1\n'
        config.write_text(quick.read_text() + f"[runner]\n{runner}")
        catalog = Catalog(tmp_path / "catalog")

        def lose() -> None:
            while catalog.count("frames") < 5:
                time.sleep(0.05)
            end(second)

        watcher = threading.Thread(target=lose, daemon=True)
        watcher.start()
        ytb_ads("build", "--source", f"folder:{sample}", "--catalog", catalog.root, "--config", config)
        assert not second.is_running()
    with_threads, on_cluster = (
        read_manifest(newest_release(folder / "releases"))["row_set_hash"]
        for folder in (built.catalog, tmp_path / "catalog")
    )
    assert on_cluster == with_threads


@pytest.mark.parametrize(("kind", "address"), [("ray", "127.0.0.1:{port}"), ("dask", "tcp://127.0.0.1:{port}")])
def test_an_address_where_nothing_listens_is_refused_at_once(kind: str, address: str) -> None:
    settings = RunnerSettings.model_validate({"kind": kind, "address": address.format(port=free_port())})
    with pytest.raises(SettingsError, match=rf"runner\.address.*no {kind} cluster answers"), task_runner(settings):
        pass
