"""CPU seconds and peak memory of this process and its children, as Linux counts them."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def cpu_of_children() -> float:
    """CPU seconds of this process's children, living and ended, and of theirs."""
    ticks = sum(sum(map(int, fields[11:15])) for _, fields in _children())
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_of_children_mb() -> float:
    """The most memory that each of this process's children has held, summed."""
    return sum(peak_mb(folder) for folder, _ in _children())


def peak_mb(folder: Path) -> float:
    """The most memory that a process has held; its folder is `/proc/ID`, or `/proc/self`."""
    lines = (folder / "status").read_text().splitlines()
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def _children() -> Iterator[tuple[Path, list[str]]]:
    """Folders and states of this process's children."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[1]) == os.getpid():
            yield stat.parent, fields


class TreeCost:
    """CPU seconds and memory of everything that this process starts in the `with` block, orphans included.

    A daemon whose parent has ended, as Ray leaves them, becomes a child of this process, so the tree stays whole.
    Both ways to count are too low: Linux's sum leaves out processes whose parent did not wait for them, and sampling
    every tenth of a second misses what ends in between. The larger value is used.
    """

    INTERVAL_S = 0.1
    LOOKS_PER_MEMORY = 10
    """Memory takes longer to read than seconds do."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.peak_mb = 0.0
        """The most that all held at one moment; what several share is counted once."""
        self._seen: dict[tuple[int, float], float] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._before_s = _waited_for_s()
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._watch.join()
        left = psutil.Process().children(recursive=True)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=10)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        self.cpu_s = max(sum(self._seen.values()), _waited_for_s() - self._before_s)

    def _look_on(self) -> None:
        looks = 0
        while not self._over.wait(self.INTERVAL_S):
            processes = psutil.Process().children(recursive=True)
            for process in processes:
                with suppress(psutil.Error):
                    used = process.cpu_times()
                    self._seen[process.pid, process.create_time()] = used.user + used.system
            if looks % self.LOOKS_PER_MEMORY == 0:
                self.peak_mb = max(self.peak_mb, sum(map(_own_share_mb, processes)))
            looks += 1


def _waited_for_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_share_mb(process: psutil.Process) -> float:
    """Memory of a process; of what it shares with n others, the n-th part."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # ended meanwhile
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)
