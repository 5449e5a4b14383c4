"""Kill -9 of the flow, the worker, the server and the database, in turn: the same rows in the end, and no hand on it.

    python -m tests.drills.recovery --database sqlite
    python -m tests.drills.recovery --database postgresql --victims database server

Prints a line for each thing that was done or seen. `docs/operations.md` has such a log.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from data_catalog.releases import newest_release, read_manifest, verify_release
from flows import SWITCHES
from flows.sample import render_sample
from flows.service import recovery
from flows.service.registration import register as register_deployments
from tests.servers import Postgres, ask, postgres_running
from tests.youtube_sandbox.extractor import FOLDER as SANDBOX_PLUGINS

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join((str(ROOT), str(SANDBOX_PLUGINS)))
"""Where a process finds the project, and yt-dlp the sandbox."""
VICTIMS = ("flow", "worker", "server", "database")
STAGES = ("frames", "ocr", "sentiment", "release")
PATIENCE_S = 900.0
"""So long a step may take on a busy machine."""
QUICK = {
    "YTB_ADS__FRAMES__COUNT": "2",
    "YTB_ADS__FRAMES__MAX_SIDE": "320",
    "YTB_ADS__OCR__SIDES": "[640]",
    "YTB_ADS__RUNNER__WORKERS": "1",
    "YTB_ADS__RUNNER__BATCH_ADS": "1",
    "YTB_ADS__RUNNER__BATCH_FRAMES": "2",
}


def say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)  # noqa: T201 - what a script says


@dataclass
class Service:
    """A Prefect server and a worker that can be killed and started again."""

    home: Path
    database: Postgres | None = None
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start_server(self) -> None:
        known = {"PREFECT_API_DATABASE_CONNECTION_URL": self.database.asyncpg_url} if self.database else {}
        words = ("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self._start("server", words, {"PREFECT_HOME": str(self.home / "server"), **known})
        wait(lambda: self.ask("health") is True, "the server answers")

    def start_worker(self, pool: str = "cpu") -> None:
        """Start a worker with the waits of its owner's choice; the process manager of a real host would."""
        name = "worker" if pool == "cpu" else f"worker of {pool}"
        words = ("worker", "start", "--pool", pool)
        self._start(name, words, {"PREFECT_HOME": str(self.home / name), "PREFECT_API_URL": self.url})

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The server's answer; None while it is away."""
        try:
            return ask(self.url, path, body)
        except OSError:
            return None

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, name: str, words: tuple[str, ...], environment: dict[str, str]) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                env={**QUICK, **os.environ, **SWITCHES, "PYTHONPATH": PATHS, **environment},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )


def wait(until: Callable[[], Any], what: str) -> Any:
    """Wait for something, whose value is returned; a busy machine needs its time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := until()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        time.sleep(0.2)
    return found


def register(service: Service) -> None:
    """Register the deployments, with waits that a drill has time for."""
    recovery.SILENCE_S, recovery.START_S, recovery.PAUSE_S = 75.0, 120.0, 10.0
    os.environ["YTB_ADS_HOME"] = str(ROOT)
    for line in register_deployments(service.url, "folder:ads"):
        say(line)


def begin(service: Service, source: Path, catalog: Path) -> str:
    """Ask for a rebuild; returns the run's id."""
    deployment = service.ask("deployments/name/build-dataset/weekly-rebuild")
    parameters = {"source": f"folder:{source}", "catalog": str(catalog)}
    return str(service.ask(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"])


def runs_below(service: Service, run: str) -> list[dict[str, Any]]:
    """The stages of a run."""
    return service.ask("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}) or []


def stage_is_running(service: Service, run: str, stage: str) -> bool:
    names = {flow["id"]: flow["name"] for flow in service.ask("flows/filter", {}) or []}
    states = {names.get(child["flow_id"]): child["state_type"] for child in runs_below(service, run)}
    return states.get(stage) == "RUNNING"


def _is_at(service: Service, run: str, stage: str) -> str:
    """The stage, when it is running; `ended` when the run has passed it."""
    if stage_is_running(service, run, stage):
        return stage
    state = (service.ask(f"flow_runs/{run}") or {}).get("state_type")
    return "ended" if state == "COMPLETED" else ""


def flow_process(run: str) -> int | None:
    """The process of a run: the one that its worker's environment names, and whose parent is none of those."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"PREFECT__FLOW_RUN_ID={run}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes()
                if b"prefect" in words:
                    found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    # the innermost one runs the flow
    return next((pid for pid in found if pid not in found.values()), None)


def drill(service: Service, victim: str, stage: str, source: Path, catalog: Path) -> None:
    """Kill one thing while a stage runs, start again what a process manager would, and wait for the release."""
    while True:
        run = begin(service, source, catalog)
        say(f"{victim} at {stage}: run {run[:8]} is asked for")
        if wait(partial(_is_at, service, run, stage), f"{stage} runs") == stage:
            break
        say(f"run {run[:8]} has ended before {stage} was seen, once more")
        shutil.rmtree(catalog)
    if victim in ("flow", "worker"):
        process = wait(lambda: flow_process(run), "the run's process")
        os.kill(process, signal.SIGKILL)
        if victim == "worker":
            service.kill("worker")
            say("worker and flow are killed; the worker is started again")
            service.start_worker()
        else:
            say("flow is killed")
    elif victim == "server":
        service.kill("server")
        say("server is killed")
        time.sleep(15)
        service.start_server()
        say("server is started again")
    else:
        assert service.database, "only PostgreSQL can be killed by itself"
        service.database.kill()
        say("database is killed")
        time.sleep(15)
        service.database.start()
        say("database is started again")
    seen: list[str] = []

    def ended() -> bool:
        state = (service.ask(f"flow_runs/{run}") or {}).get("state") or {}
        if state and (not seen or seen[-1] != state["name"]):
            seen.append(state["name"])
            say(f"run {run[:8]}: {state['name']} {state.get('message') or ''}".rstrip())
        return state.get("type") == "COMPLETED" or state.get("name") == "GivenUp"

    wait(ended, "the run ends")
    assert seen[-1] == "Completed", seen
    for kind in ("flow_runs", "task_runs"):
        left = {kind: {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        # what a worker or a task last told of takes a moment to arrive
        wait(partial(_nothing_is, service, kind, left), f"no {kind} that are dead")
    say(f"{victim} at {stage}: completed, nothing is left running")


def _nothing_is(service: Service, kind: str, left: dict[str, Any]) -> bool:
    return bool(service.ask(f"{kind}/filter", left) == [])


def rows_of(catalog: Path) -> str:
    release = newest_release(catalog / "releases")
    assert verify_release(release) == []
    return str(read_manifest(release)["row_set_hash"])


@contextmanager
def serving(database: str) -> Iterator[Service]:
    """A server and a worker with the deployments registered."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True)))
        postgres = stack.enter_context(postgres_running()) if database == "postgresql" else None
        service = Service(home, postgres)
        stack.callback(service.stop)
        service.start_server()
        register(service)
        service.start_worker()
        yield service


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    words.add_argument("--victims", nargs="+", choices=VICTIMS, default=VICTIMS)
    words.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    words.add_argument("--ads", type=int, default=8)
    given = words.parse_args()
    with serving(given.database) as service:
        source = service.home / "ads"
        render_sample(source, ads=given.ads, seed=0)
        quiet = service.home / "undisturbed"
        run = begin(service, source, quiet)
        wait(lambda: service.ask(f"flow_runs/{run}")["state"]["type"] == "COMPLETED", "an undisturbed run")
        expected = rows_of(quiet)
        say(f"undisturbed: row-set hash {expected[:16]}")
        for victim in given.victims:
            if victim == "database" and not service.database:
                continue
            for stage in given.stages:
                catalog = service.home / "catalog"
                drill(service, victim, stage, source, catalog)
                assert rows_of(catalog) == expected, "other rows than of an undisturbed run"
                shutil.rmtree(catalog)
    say("all drills passed: the same row-set hash each time, no hand on it, nothing left running")


if __name__ == "__main__":
    main()
