"""What this process and its children cost: seconds of the processor and peak memory, as Linux counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


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
