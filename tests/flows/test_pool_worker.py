"""No worker of a pool outlives the process that it works for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from flows.pool_worker import end_with_parent
from tests.flows.conftest import ROOT

POOL = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from flows.pool_worker import end_with_parent

def work(path):
    end_with_parent()
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def alive(pid: int) -> bool:
    """Whether a process still does something: one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_ends_soon_after_its_parent_was_killed(tmp_path: Path) -> None:
    script, noted = tmp_path / "pool.py", tmp_path / "pid"
    script.write_text(POOL)
    parent = subprocess.Popen([sys.executable, script, noted], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (noted.exists() and noted.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = int(noted.read_text())
    assert alive(worker)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    deadline = time.monotonic() + 20
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def test_a_process_without_a_pool_goes_on() -> None:
    end_with_parent()
