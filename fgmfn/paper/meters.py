"""Time and memory of a function, on a CPU or a GPU."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

FEWEST = 3
"""Runs that a median is taken of, however long they take."""


@dataclass(frozen=True)
class Repeats:
    """Numbers of runs; both end early when the time is up."""

    warm_up: int
    """Runs beforehand, which are not timed."""
    runs: int
    most_s: float
    """Time for the timed runs; a third of it for those beforehand."""


@dataclass(frozen=True)
class Timing:
    """Seconds per run."""

    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    runs: int


def time_runs(run: Callable[[], object], repeats: Repeats, device: torch.device) -> Timing:
    """Time a function, each time until the device has finished."""
    for _ in _within(repeats.warm_up, repeats.most_s / 3, fewest=1):
        run()
        finish(device)
    seconds = []
    for _ in _within(repeats.runs, repeats.most_s, fewest=min(FEWEST, repeats.runs)):
        started = time.perf_counter()
        run()
        finish(device)
        seconds.append(time.perf_counter() - started)
    lower, median, upper = (float(value) for value in np.percentile(seconds, (25, 50, 75)))
    return Timing(median, lower, upper, len(seconds))


def _within(count: int, most_s: float, *, fewest: int) -> Iterator[int]:
    """Count up to a number, or until the time is up."""
    end = time.perf_counter() + most_s
    for number in range(count):
        if number >= fewest and time.perf_counter() > end:
            return
        yield number


def finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do; a CPU has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Let a GPU's peak start anew from what is held now; a process's peak on a CPU never falls."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Return the most memory held at once, by tensors on a GPU, by the whole process on a CPU; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux alone tells it of this very process; `ru_maxrss` is inherited from the one that started it.
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text("utf-8"), re.MULTILINE) if status.is_file() else None
    return int(found[1]) * 1024 if found else None
