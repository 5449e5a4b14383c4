"""Behaves as the original SentiStrength does in its stdin mode, with this project's scorer, and fails as it is told to.

Started with the original's own arguments: `stand_in.py -D... -jar JAR stdin sentidata FOLDER/`. How it fails stands in
`faults.json` within the archive; `starts.log` beside the archive has one line, the process's number, for every start.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "#Change_TermWeight"


@dataclass(frozen=True)
class Faults:
    """What goes wrong, where a line holds such a text; by default nothing does."""

    refuses: str = ""
    """It says so and ends before it reads anything."""
    refuses_on_stderr: str = ""
    never_answers: bool = False
    greets: str = ""
    greets_for_ever: bool = False
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
    separator: str = "\t"
    """Stands between the strengths."""
    columns: str = ""
    """Stands after the strengths."""
    noise_bytes: int = 0
    """Written to standard error at the start and again with every line."""
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


def lines_of(stream: BinaryIO) -> Iterator[str]:
    r"""Lines as BufferedReader.readLine splits them: at `\n`, `\r` and `\r\n`, and at nothing else."""
    for ended in stream:
        for line in ended.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
            yield line.decode("utf-8", "replace")


class StandIn:
    """The program: one answer a line, in order, or the fault that the line brings about."""

    def __init__(self, folder: Path, faults: Faults, beside: Path) -> None:
        from flows.sentiment.sentistrength import Scorer

        self.scorer = Scorer.of(folder)
        self.faults = faults
        self.beside = beside
        self.n_read = 0

    def read(self, line: str) -> None:
        """Answer a line."""
        faults = self.faults
        self.n_read += 1
        self.noise()
        if holds(line, faults.dies_on) or self.dies_now(line):
            sys.exit(f"Exception in thread main: cannot score {line[:50]!r}")
        if holds(line, faults.hangs_on):
            time.sleep(3600)
        if holds(line, faults.endless_on):
            while True:
                say("la" * 10_000, end="")
        if holds(line, faults.strays_on):
            say("a line that nobody asked for")
        answer = self.obey(line) if COMMAND in line else self.score(line)
        for _ in range(0 if holds(line, faults.skips) else 2 if holds(line, faults.answers_twice) else 1):
            say(answer)
        if holds(line, faults.late_stray_on):
            threading.Timer(0.1, say, ["a line that nobody asked for"]).start()

    def score(self, line: str) -> str:
        """The strengths of a line as they are printed."""
        positive, negative = (1, -1) if self.faults.neutral_always else self.scorer.score(line)
        return f"{positive}{self.faults.separator}{negative}\t{self.faults.columns}"

    def obey(self, line: str) -> str:
        """Change the strength of a listed word for the rest of the process; without tabs, die of it."""
        from flows.sentiment.sentistrength import Scorer

        _, word, strength, *_ = line.split("\t")
        lexicon = self.scorer.lexicon
        if word not in lexicon.sentiment.words:
            return "0"
        at = lexicon.sentiment.words.index(word)
        strengths = list(lexicon.sentiment.strengths)
        strengths[at] = int(strength)
        changed = replace(lexicon.sentiment, strengths=tuple(strengths))
        self.scorer = Scorer(replace(lexicon, sentiment=changed))
        return "1"

    def dies_now(self, line: str) -> bool:
        """Whether this line is the last for this process, though not for the next."""
        if self.faults.dies_every and self.n_read > self.faults.dies_every:
            return True
        if not holds(line, self.faults.dies_once_on):
            return False
        met = self.beside / f"met-{sha256(line.encode()).hexdigest()[:16]}"
        if met.exists():
            return False
        met.touch()
        return True

    def noise(self) -> None:
        """Fill standard error."""
        if self.faults.noise_bytes:
            sys.stderr.write("warning\n" * (self.faults.noise_bytes // 8))
            sys.stderr.flush()


def holds(line: str, part: str) -> bool:
    """Whether there is such a fault and the line brings it about."""
    return part != "" and part in line


def say(line: str, end: str = "\n") -> None:
    """Print at once, as Java's println does."""
    sys.stdout.write(line + end)
    sys.stdout.flush()


def run(arguments: list[str]) -> None:
    """Take Java's arguments and answer lines until there are no more."""
    *options, _, jar, mode, _, folder = arguments
    if mode != "stdin" or "-Dfile.encoding=UTF-8" not in options or not folder.endswith("/"):
        sys.exit(f"unexpected arguments: {arguments}")
    with zipfile.ZipFile(jar) as opened:
        faults = Faults(**json.loads(opened.read("faults.json")))
    beside = Path(jar).parent
    with (beside / "starts.log").open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()}\n")
    if faults.ignores_terminate:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if faults.refuses:
        say(faults.refuses)
        sys.exit(1)
    if faults.refuses_on_stderr:
        sys.exit(faults.refuses_on_stderr)
    if faults.never_answers:
        time.sleep(3600)
    while faults.greets_for_ever:
        say("hello")
    if faults.greets:
        say(faults.greets)
    program = StandIn(Path(folder), faults, beside)
    program.noise()
    for line in lines_of(sys.stdin.buffer):
        program.read(line)


def without_tables() -> None:
    """Make the scorer's imports short: the tables, which its errors' package brings along, take ten times as long."""
    package = ModuleType("data_catalog")
    package.__path__ = [str(ROOT / "data_catalog")]
    sys.modules["data_catalog"] = package
    sys.path.insert(0, str(ROOT))


if __name__ == "__main__":
    without_tables()
    run(sys.argv[1:])
