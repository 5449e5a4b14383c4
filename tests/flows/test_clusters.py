"""A build on a cluster: its own, one for all stages; and one of two nodes, of which one is lost amid a batch."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import newest_release, read_manifest
from flows.errors import SettingsError
from flows.runner import task_runner
from flows.settings import RunnerSettings
from tests.flows.conftest import Built, Run

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
ROOT = str(Path(__file__).resolve().parents[2])
NODE_STARTED_S = 90
TASKS = {"sample-frames", "fingerprint-ads", "read-frames", "score-comments"}


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
                # the scheduler is asked by a function of this module
                started = subprocess.Popen(
                    command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": ROOT}
                )
                begun.append(psutil.Process(started.pid))
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


@dataclass(frozen=True)
class Nodes:
    """A cluster of two nodes, as the operating system and the cluster itself know it."""

    address: str
    first: psutil.Process
    second: psutil.Process
    busy: Callable[[psutil.Process], bool]
    """Whether a node is at work on a task at the moment."""
    attempts: Callable[[], list[int]]
    """How often each task was given to a node, by the cluster's own record."""


def halted(nodes: Nodes) -> bool:
    """Halt the second node amid a task; one that has just finished its task goes on."""
    own = [nodes.second, *nodes.second.children(recursive=True)]
    for each in own:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    time.sleep(0.5)  # what it had sent arrives
    if nodes.busy(nodes.second):
        return True
    for each in own:
        with suppress(psutil.NoSuchProcess):
            each.resume()
    return False


@contextmanager
def ray_nodes(folder: Path) -> Iterator[Nodes]:
    import ray.util
    from ray._private.state import GlobalState
    from ray._raylet import GcsClientOptions  # type: ignore[attr-defined]  # compiled

    address = f"{ray.util.get_node_ip_address()}:{free_port()}"  # a loopback address is none to Ray
    start = [str(BIN / "ray"), "start", "--block", "--num-cpus=1"]
    port = address.partition(":")[2]
    head = [*start, "--head", "--disable-usage-stats", f"--port={port}", "--include-dashboard=false"]

    def busy(node: psutil.Process) -> bool:
        # Ray names a process after the task that it is at
        titles = [title(each) for each in node.children(recursive=True)]
        return any(each.startswith("ray::") and each != "ray::IDLE" for each in titles)

    def attempts() -> list[int]:
        events = [event for event in record._get_all_task_events() if event.task_info.name in TASKS]
        return list(Counter(event.task_id for event in events).values())

    record = GlobalState()
    with processes(head, [*start, f"--address={address}"], log=folder / "nodes.log") as (first, second):
        record._initialize_global_state(  # what is public needs the dashboard
            GcsClientOptions.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
        )
        wait_for(lambda: sum(node["Alive"] for node in record.node_table()) == 2)
        yield Nodes(address, first, second, busy, attempts)
        record.disconnect()


@contextmanager
def dask_nodes(folder: Path) -> Iterator[Nodes]:
    from distributed import Client

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = [str(BIN / "dask"), "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"]
    worker = [str(BIN / "dask"), "worker", address, "--nthreads=1", "--no-dashboard", f"--local-directory={folder}"]
    with (
        processes(scheduler, worker, worker, log=folder / "nodes.log") as (_, first, second),
        Client(address, timeout=NODE_STARTED_S, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, NODE_STARTED_S)
        process_of = client.run(os.getpid)

        def busy(node: psutil.Process) -> bool:
            mine = {node.pid, *(child.pid for child in node.children(recursive=True))}
            return any(keys for worker, keys in client.processing().items() if process_of[worker] in mine)

        def attempts() -> list[int]:
            return list(Counter(client.run_on_scheduler(given_to_workers)).values())

        yield Nodes(address, first, second, busy, attempts)


def given_to_workers(dask_scheduler: Any) -> list[str]:
    """Key of a task for each time that the scheduler gave it to a worker."""
    return [str(change.key) for change in dask_scheduler.transition_log if change.finish == "processing"]


def title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline()).strip()
    return ""


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + NODE_STARTED_S
    while not done():
        assert time.monotonic() < until, "the nodes do not come up"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "part", "most"),
    [("ray", "raylet/raylet", 1), ("processes", "prefect.server.api.server", 0)],
)
def test_a_build_starts_one_cluster_for_all_its_stages_and_no_second_server(
    kind: str,
    part: str,
    most: int,
    ytb_ads: Run,
    sample: Path,
    quick: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")  # of a cluster that is none of ours, and gone
    for file in sorted(sample.glob("*/*.mp4"))[:2]:
        shutil.copy(file, tmp_path)
        shutil.copy(file.with_suffix(".info.json"), tmp_path)
    config = tmp_path / "own.toml"
    config.write_text(quick.read_text() + f'[source]\ncategory = "cars"\n[runner]\nkind = "{kind}"\nworkers = 1\n')
    before = {child.pid for child in psutil.Process().children()}
    seen: dict[int, str] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            started = psutil.Process().children()  # what they fork has their titles for a moment
            seen.update({child.pid: title(child) for child in started if child.pid not in before})

    watcher = threading.Thread(target=look)
    watcher.start()
    command = ["--source", f"folder:{tmp_path}", "--catalog", tmp_path / "catalog", "--config", config]
    done = ytb_ads("build", *command, check=False)  # two ads are too few for a release
    over.set()
    watcher.join()
    assert Catalog(tmp_path / "catalog").count("comment_scores"), done.stderr
    assert sum(part in words for words in seen.values()) == most, seen


@pytest.mark.parametrize(("kind", "start"), [("ray", ray_nodes), ("dask", dask_nodes)])
def test_a_node_that_is_lost_costs_its_batch_a_retry_and_nothing_else(
    kind: str,
    start: Callable[[Path], AbstractContextManager[Nodes]],
    built: Built,
    ytb_ads: Run,
    sample: Path,
    quick: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # its token would be written into the user's folder
    worked: set[psutil.Process] = set()
    with start(tmp_path) as nodes:
        config = tmp_path / "cluster.toml"
        runner = f'kind = "{kind}"\naddress = "{nodes.address}"\nworkers = 2\nbatch_ads = 1\n'
        config.write_text(quick.read_text() + f"[runner]\n{runner}")
        catalog = Catalog(tmp_path / "catalog")

        def lose() -> None:
            while nodes.second.is_running():
                at_work = {node for node in (nodes.first, nodes.second) if nodes.busy(node)}
                worked.update(at_work)
                if len(worked) == 2 and nodes.second in at_work and catalog.count("frames") >= 5 and halted(nodes):
                    end(nodes.second)
                time.sleep(0.1)

        watcher = threading.Thread(target=lose, daemon=True)
        watcher.start()
        ytb_ads("build", "--source", f"folder:{sample}", "--catalog", catalog.root, "--config", config)
        assert not nodes.second.is_running()
        watcher.join()
        attempts = sorted(nodes.attempts())
    assert worked == {nodes.first, nodes.second}
    batches = 12 + 12 + 2 + 1  # of ads for frames and for fingerprints, of frames, of comments
    again = attempts.count(2)
    assert attempts == [1] * (batches - again) + [2] * again
    # Dask gives a node a second batch to wait there, and keeps on it the result of one before until it is fetched
    assert 1 <= again <= (1 if kind == "ray" else 3)
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
