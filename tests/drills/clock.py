"""A wall clock that a drill moves, for every process that it starts: Prefect's server, workers, runs, PostgreSQL."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def can_move_clocks() -> bool:
    """Whether the library can be built here."""
    return os.uname().sysname == "Linux" and shutil.which("cc") is not None


class Clock:
    """The time in a file that the processes share; they see a move at once, and it only goes forward."""

    def __init__(self, folder: Path, start: datetime) -> None:
        """Build the library in a folder that every user may enter, and set the clock.

        Args:
            folder: of library and file.
            start: what the clock shows now.
        """
        self._file, self._library = folder / "clock", folder / "clock.so"
        words = ("cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE), "-ldl")
        subprocess.run(words, check=True)
        self._ahead_s = 0
        self._write(start)

    @property
    def environment(self) -> dict[str, str]:
        """What a process must find in its environment to go by this clock."""
        return {"LD_PRELOAD": str(self._library), "DRILL_CLOCK": str(self._file)}

    def now(self) -> datetime:
        """The time that the processes see."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)

    def move_to(self, moment: datetime) -> None:
        """Let it be later; a moment that is past is passed over."""
        if moment > self.now():
            self._write(moment)

    def _write(self, moment: datetime) -> None:
        self._ahead_s = round((moment - datetime.now(UTC)).total_seconds())
        with self._file.open("r+b" if self._file.exists() else "xb") as file:  # in place: others have it mapped
            file.write(struct.pack("=q", self._ahead_s))
        self._file.chmod(0o644)
