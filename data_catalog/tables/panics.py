"""Keep Rust's panic reports off standard error.

Where a disk is full or a connection ends in the middle of a file, the object store below deltalake panics in a thread
of its own, and Rust's panic hook writes a report with a stack trace to file descriptor 2. The same fault comes to
Python as an exception, which has all the information.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ENOUGH_BYTES = 1_000_000_000
"""With so much free space a local disk is taken for one that no single commit fills."""
_PANIC = re.compile(rb"thread '.*' (\(\d+\) )?panicked at ")
_TRACE = re.compile(rb"stack backtrace:$|note: |\s+\d+: |\s+at ")


def may_fail_midway(location: str) -> bool:
    """Tell whether a write to that place may end in the middle of a file: it is remote, or space is short."""
    if "://" in location or resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return True
    there = next((place for place in (Path(location), *Path(location).parents) if place.exists()), Path("/"))
    return shutil.disk_usage(there).free < _ENOUGH_BYTES


@contextmanager
def panics_unheard() -> Iterator[None]:
    """Pass on what comes to file descriptor 2 line by line, but for reports of panics."""
    _STANDARD_ERROR.enter()
    try:
        yield
    finally:
        _STANDARD_ERROR.leave()


class _StandardError:
    """Descriptor 2 of this process, led through a filter while anybody is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._heard = -1
        self._pump = threading.Thread()

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                read_end, write_end = os.pipe()
                self._heard = os.dup(2)
                # a child that is started meanwhile keeps the pipe: its words are passed on while this process lives
                self._pump = threading.Thread(target=_pass_on, args=(read_end, os.dup(2)), daemon=True)
                self._pump.start()
                os.dup2(write_end, 2)
                os.close(write_end)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                os.dup2(self._heard, 2)
                os.close(self._heard)
                self._pump.join(timeout=1)


_STANDARD_ERROR = _StandardError()


def _pass_on(read_end: int, heard: int) -> None:
    with open(read_end, "rb", buffering=0) as pipe, open(heard, "wb", buffering=0) as out:
        left, held, in_report = b"", b"", 0
        with suppress(OSError):  # nobody reads standard error any more
            while data := pipe.read(65536):
                *lines, left = (left + data).split(b"\n")
                for line in lines:
                    if _PANIC.match(line):
                        # an empty line comes before it, and the message behind it
                        held, in_report = b"", 2
                    elif in_report == 2:
                        in_report = 1
                    elif in_report and _TRACE.match(line):
                        continue
                    else:
                        in_report = 0
                        out.write(held + (line + b"\n" if line else b""))
                        held = b"" if line else b"\n"
            out.write(held + left)
