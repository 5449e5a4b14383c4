"""Behaves as the original SentiStrength does in its stdin mode, with this project's scorer, and fails as it is told to.

It takes the original's own arguments, `-D... -jar JAR stdin sentidata FOLDER/`, and runs as a program of its own
(`command`) or, which starts at once, as a thread with the pipes of one (`InProcess`). `starts.log` beside the archive
has one line, the process's number, for every start. `faults.json` within the archive says how it fails:

- before it reads: `refuses` says so on standard output, `refuses_in_error` on standard error; `never_answers`; `greets`
  so many lines; `ignores_terminate`
- at a line that holds such a text: `dies_on`; `dies_once_on`, which the next process answers; `hangs_on`; `skips`;
  `answers_twice`; `strays_on` says something before the answer, `late_stray_on` a moment after it; `endless_on` begins
  a line and never ends it
- always: `dies_every` so many lines; `in_pieces`, byte by byte; `separator` between the strengths and `columns` after;
  `noise_bytes` on standard error with every line; `neutral_always`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from subprocess import TimeoutExpired
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.sentiment.sentistrength import Scorer

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "#Change_TermWeight"
HOUR_S = 3600.0


def archive(path: Path, **faults: Any) -> Path:
    """An archive in which `faults.json` says how the stand-in fails."""
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("faults.json", json.dumps(faults))
    return path


def command(path: Path) -> Path:
    """An executable at `path` that takes Java's arguments and starts the stand-in."""
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{Path(__file__).resolve()}" "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


@cache
def scorer(folder: Path) -> Scorer:
    """Our scorer over these word lists."""
    from flows.sentiment.sentistrength import Scorer

    return Scorer.of(folder)


class StandIn:
    """The program: one answer a line, in order, or the fault that the line brings about.

    Args:
        arguments: Java's.
        out: standard output, unbuffered.
        err: standard error.
        killed: set when the program shall end.
    """

    def __init__(self, arguments: Sequence[str], out: IO[bytes], err: IO[bytes], killed: threading.Event) -> None:
        *options, _, jar, mode, _, folder = arguments
        if mode != "stdin" or "-Dfile.encoding=UTF-8" not in options or not folder.endswith("/"):
            sys.exit(f"unexpected arguments: {arguments}")
        with zipfile.ZipFile(jar) as opened:
            self.faults: dict[str, Any] = json.loads(opened.read("faults.json"))
        self.out, self.err, self.killed = out, err, killed
        self.beside = Path(jar).parent
        self.scorer = scorer(Path(folder))
        self.n_read = 0
        with (self.beside / "starts.log").open("a", encoding="utf-8") as log:
            log.write(f"{os.getpid()}\n")

    def run(self, given: Iterable[bytes]) -> None:
        r"""Answer lines, split as BufferedReader.readLine does: at `\n`, `\r` and `\r\n`, and at nothing else."""
        if self.faults.get("ignores_terminate"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if refusal := self.faults.get("refuses"):
            self.say(refusal)
            sys.exit(1)
        if refusal := self.faults.get("refuses_in_error"):
            sys.exit(refusal)
        if self.faults.get("never_answers"):
            self.killed.wait(HOUR_S)
        for _ in range(self.faults.get("greets", 0)):
            self.say("SentiStrength, reading from stdin")
        for ended in given:
            for line in ended.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                if self.killed.is_set():
                    return
                self.read(line.decode("utf-8", "replace"))

    def read(self, line: str) -> None:
        """Answer a line."""
        self.n_read += 1
        self.err.write(b"warning\n" * (self.faults.get("noise_bytes", 0) // 8))
        met = self.beside / f"met-{sha256(line.encode()).hexdigest()[:16]}"
        dies_once = self.meets("dies_once_on", line) and not met.exists()
        if dies_once:
            met.touch()
        if dies_once or self.meets("dies_on", line) or self.n_read > self.faults.get("dies_every", self.n_read):
            sys.exit(f"Exception in thread main: cannot score {line[:50]!r}")
        if self.meets("hangs_on", line):
            self.killed.wait(HOUR_S)
        while self.meets("endless_on", line):
            self.say("la" * 10_000, end="")
        if self.meets("strays_on", line):
            self.say("a line that nobody asked for")
        if COMMAND in line:
            sys.exit("a text has commanded it")  # worse: the original obeys
        for _ in range(0 if self.meets("skips", line) else 2 if self.meets("answers_twice", line) else 1):
            self.say(self.score(line))
        if self.meets("late_stray_on", line):
            threading.Timer(0.05, self.say, ["a line that nobody asked for"]).start()

    def meets(self, fault: str, line: str) -> bool:
        """Whether there is such a fault and the line brings it about."""
        return fault in self.faults and self.faults[fault] in line

    def say(self, line: str, end: str = "\n") -> None:
        """Print at once, as Java's println does."""
        said = (line + end).encode()
        step = 1 if self.faults.get("in_pieces") else len(said)
        for at in range(0, len(said), step):
            self.out.write(said[at : at + step])

    def score(self, line: str) -> str:
        """The strengths of a line as they are printed."""
        positive, negative = (1, -1) if self.faults.get("neutral_always") else self.scorer.score(line)
        return f"{positive}{self.faults.get('separator', chr(9))}{negative}\t{self.faults.get('columns', '')}"


class InProcess:
    """The stand-in in a thread, as `subprocess.Popen` has a program."""

    def __init__(self, command: Sequence[str], log: IO[bytes]) -> None:
        (given, to), (of, said) = os.pipe(), os.pipe()
        self.stdin, self.stdout = open(to, "wb", 0), open(of, "rb", 0)  # noqa: PTH123, SIM115 - as of Popen
        self.returncode: int | None = None
        self._killed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(command[1:], given, said, log), daemon=True)
        self._thread.start()

    def _run(self, arguments: Sequence[str], given: int, said: int, log: IO[bytes]) -> None:
        code = 0
        with open(given, "rb") as lines, open(said, "wb", 0) as out:
            try:
                StandIn(arguments, out, log, self._killed).run(lines)
            except SystemExit as end:
                code = 1
                log.write(f"{end.code}\n".encode() if isinstance(end.code, str) else b"")
            except BrokenPipeError:
                code = -signal.SIGPIPE
            self.returncode = -signal.SIGTERM if self._killed.is_set() else code

    def terminate(self) -> None:
        """End: what waits is woken, and there is no more to read."""
        self._killed.set()
        self.stdin.close()

    kill = terminate

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when the thread has ended."""
        self._thread.join(timeout)
        if self._thread.is_alive() or self.returncode is None:
            raise TimeoutExpired("stand-in", timeout or 0)
        return self.returncode


def without_tables() -> None:
    """Make the scorer's imports short: the tables, which its errors' package brings along, take ten times as long."""
    package = ModuleType("data_catalog")
    package.__path__ = [str(ROOT / "data_catalog")]
    sys.modules["data_catalog"] = package
    sys.path.insert(0, str(ROOT))


if __name__ == "__main__":
    without_tables()
    with open(1, "wb", 0) as out, open(2, "wb", 0) as err:
        StandIn(sys.argv[1:], out, err, threading.Event()).run(sys.stdin.buffer)
