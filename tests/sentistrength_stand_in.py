"""Behaves as the original SentiStrength does in its stdin mode, with this project's scorer, and fails as it is told to.

It takes the original's own arguments, `-D... -jar JAR stdin sentidata FOLDER/`, and runs as a program of its own
(`command`) or, which starts at once, as a thread with the pipes of one (`InProcess`). How it fails stands in
`faults.json` within the archive; `starts.log` beside the archive has one line, the process's number, for every start.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from subprocess import TimeoutExpired
from types import ModuleType
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from flows.sentiment.sentistrength import Scorer

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "#Change_TermWeight"
HOUR_S = 3600.0


@dataclass(frozen=True)
class Faults:
    """What goes wrong, where a line holds such a text; by default nothing does."""

    refuses: str = ""
    """It says so and ends before it reads anything."""
    refuses_in_error: str = ""
    never_answers: bool = False
    greets: int = 0
    """Lines that it says before it reads anything."""
    dies_on: str = ""
    dies_once_on: str = ""
    """The first time that it meets such a line; the next process answers it."""
    dies_every: int = 0
    """After so many lines."""
    hangs_on: str = ""
    skips: str = ""
    answers_twice: str = ""
    strays_on: str = ""
    """It says something before the answer."""
    late_stray_on: str = ""
    """It says something a moment after the answer."""
    endless_on: str = ""
    """It begins a line and never ends it."""
    in_pieces: bool = False
    """It writes byte by byte."""
    separator: str = "\t"
    """Stands between the strengths."""
    columns: str = ""
    """Stands after the strengths."""
    noise_bytes: int = 0
    """Written to standard error with every line."""
    ignores_terminate: bool = False
    neutral_always: bool = False


def archive(path: Path, faults: Faults) -> Path:
    """An archive in which `faults.json` says how the stand-in fails."""
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("faults.json", json.dumps(asdict(faults)))
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
            self.faults = Faults(**json.loads(opened.read("faults.json")))
        self.out, self.err, self.killed = out, err, killed
        self.beside = Path(jar).parent
        self.scorer = scorer(Path(folder))
        self.n_read = 0
        with (self.beside / "starts.log").open("a", encoding="utf-8") as log:
            log.write(f"{os.getpid()}\n")

    def run(self, given: Iterable[bytes]) -> None:
        r"""Answer lines, split as BufferedReader.readLine does: at `\n`, `\r` and `\r\n`, and at nothing else."""
        faults = self.faults
        if faults.ignores_terminate:
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if faults.refuses:
            self.say(faults.refuses)
        if faults.refuses or faults.refuses_in_error:
            sys.exit(faults.refuses_in_error or 1)
        if faults.never_answers:
            self.killed.wait(HOUR_S)
        for _ in range(faults.greets):
            self.say("SentiStrength, reading from stdin")
        for ended in given:
            for line in ended.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                if self.killed.is_set():
                    return
                self.read(line.decode("utf-8", "replace"))

    def read(self, line: str) -> None:
        """Answer a line."""
        faults = self.faults
        self.n_read += 1
        self.err.write(b"warning\n" * (faults.noise_bytes // 8))
        if holds(line, faults.dies_on) or self.dies_now(line):
            sys.exit(f"Exception in thread main: cannot score {line[:50]!r}")
        if holds(line, faults.hangs_on):
            self.killed.wait(HOUR_S)
        while holds(line, faults.endless_on):
            self.say("la" * 10_000, end="")
        if holds(line, faults.strays_on):
            self.say("a line that nobody asked for")
        answer = self.obey(line) if COMMAND in line else self.score(line)
        for _ in range(0 if holds(line, faults.skips) else 2 if holds(line, faults.answers_twice) else 1):
            self.say(answer)
        if holds(line, faults.late_stray_on):
            threading.Timer(0.05, self.say, ["a line that nobody asked for"]).start()

    def say(self, line: str, end: str = "\n") -> None:
        """Print at once, as Java's println does."""
        said = (line + end).encode()
        for piece in [said[at : at + 1] for at in range(len(said))] if self.faults.in_pieces else [said]:
            self.out.write(piece)

    def score(self, line: str) -> str:
        """The strengths of a line as they are printed."""
        positive, negative = (1, -1) if self.faults.neutral_always else self.scorer.score(line)
        return f"{positive}{self.faults.separator}{negative}\t{self.faults.columns}"

    def obey(self, line: str) -> str:
        """Change the strength of a listed word for the rest of the process; without tabs, die of it."""
        from flows.sentiment.sentistrength import Scorer

        if line.count("\t") < 2:
            sys.exit("Exception in thread main: ArrayIndexOutOfBounds")
        _, word, strength, *_ = line.split("\t")
        lexicon = self.scorer.lexicon
        if word not in lexicon.sentiment.words:
            return "0"
        strengths = list(lexicon.sentiment.strengths)
        strengths[lexicon.sentiment.words.index(word)] = int(strength)
        self.scorer = Scorer(replace(lexicon, sentiment=replace(lexicon.sentiment, strengths=tuple(strengths))))
        return "1"

    def dies_now(self, line: str) -> bool:
        """Whether this line is the last for this process, though not for the next."""
        if self.faults.dies_every and self.n_read > self.faults.dies_every:
            return True
        met = self.beside / f"met-{sha256(line.encode()).hexdigest()[:16]}"
        if not holds(line, self.faults.dies_once_on) or met.exists():
            return False
        met.touch()
        return True


def holds(line: str, part: str) -> bool:
    """Whether there is such a fault and the line brings it about."""
    return part != "" and part in line


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
                code = -13
            self.returncode = -15 if self._killed.is_set() else code

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
