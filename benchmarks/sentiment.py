"""Cost of scoring comments: comments per second beside the original's and VADER's, with two processes, and memory.

The same file of comments, each spliced from two real ones so that few are equal, goes through every program in a
process of its own, its start included: `ytb-ads sentiment score` with one process and with two, the original Java
program where `--jar` names it, and VADER. Then longer and longer streams go through one process, to see that the time
grows as the stream does and the memory not at all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

WANTED_JAVA, WANTED_TWO = 1.0, 1.7
STREAM = 100_000
"""Comments of the file that is sent again and again for a long stream."""


@dataclass(frozen=True)
class Run:
    """One program over one stream."""

    comments: int
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Comments a second."""
        return self.comments / self.seconds


def main() -> None:
    """Measure and print; with `--vader` be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ads"), help="folder of ID.info.json")
    parser.add_argument("--comments", type=int, default=200_000)
    parser.add_argument("--long", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--lexicon", type=Path, help="word lists; default: the open lexicon")
    parser.add_argument("--jar", type=Path, help="the original's SentiStrength.jar, for its row")
    parser.add_argument("--vader", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.vader:
        be_vader()
        return
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        comments = read_comments(arguments.data)
        lists = ["--lexicon", str(arguments.lexicon)] if arguments.lexicon else []
        measure_rates(console, write(Path(folder) / "comments.txt", comments, arguments.comments), lists, arguments.jar)
        if arguments.long:
            measure_streams(console, write(Path(folder) / "stream.txt", comments, STREAM), lists, arguments.long)


def read_comments(data: Path) -> list[str]:
    """The texts of real comments, each in one line."""
    files = sorted(data.glob("**/*.info.json"))
    if not files:
        sys.exit(f"{data} holds no ID.info.json; --data names a folder of ads with comments")
    read = (json.loads(file.read_text("utf-8")).get("comments") or [] for file in files)
    return [" ".join(comment["text"].split()) for comments in read for comment in comments]


def write(path: Path, comments: Sequence[str], count: int) -> Path:
    """So many comments, each the beginning of a real one and the end of another, as long as they are."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            first, second = (draw.choice(comments).split(" ") for _ in range(2))
            file.write(" ".join(first[: len(first) // 2] + second[len(second) // 2 :]) + "\n")
    return path


def score(*options: str) -> list[str]:
    """The command that is measured."""
    return [sys.executable, "-m", "flows", "sentiment", "score", *options]


def measure_rates(console: Console, path: Path, lists: list[str], jar: Path | None) -> None:
    """Every program over the same file."""
    with path.open("rb") as file:
        count = sum(1 for _ in file)
    commands = {"native": score(*lists), "native, 2 processes": score(*lists, "--jobs", "2")}
    if jar:
        commands["java"] = score(*lists, "--engine", "java", "--jar", str(jar))
        folder = lists[1] if lists else "flows/sentiment/open_lexicon"
        commands["java, alone"] = ["java", "-jar", str(jar), "stdin", "sentidata", f"{folder}/"]
    commands["VADER"] = [sys.executable, "-m", "benchmarks.sentiment", "--vader"]
    runs: dict[str, Run] = {}
    for name, command in commands.items():
        with path.open("rb") as file:
            runs[name] = run(command, file, count)
    table = Table(title=f"{count:,} comments, {path.stat().st_size / count:.0f} bytes each, start included")
    for name in ("", "seconds", "comments/s", "peak", "native is", "wanted"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    native = runs["native"]
    wanted = {"java": f"{WANTED_JAVA:.1f}x", "java, alone": f"{WANTED_JAVA:.1f}x"}
    for name, one in runs.items():
        cells = [name, f"{one.seconds:.1f}", f"{one.rate:,.0f}", f"{one.peak_mb:.0f} MB"]
        table.add_row(*cells, "" if one is native else f"{native.rate / one.rate:.2f}x", wanted.get(name, ""))
    console.print(table)
    two = runs["native, 2 processes"].rate / native.rate
    ceiling = run_twice(commands["native"], path, count).rate / native.rate
    console.print(
        f"two processes: {two:.2f}x of one, wanted {WANTED_TWO}x; "
        f"two copies of the command side by side, which share nothing: {ceiling:.2f}x"
    )
    if not jar:
        console.print("no row of the original: --jar names its archive")


def measure_streams(console: Console, path: Path, lists: list[str], lengths: Sequence[int]) -> None:
    """One process over longer and longer streams."""
    table = Table(title="One process, one stream")
    for name in ("comments", "seconds", "comments/s", "peak"):
        table.add_column(name, justify="right")
    for length in lengths:
        one = run_stream(score(*lists), path, length // STREAM or 1)
        table.add_row(f"{one.comments:,}", f"{one.seconds:.0f}", f"{one.rate:,.0f}", f"{one.peak_mb:.0f} MB")
    console.print(table)


def run(command: list[str], stdin: IO[bytes] | int, count: int) -> Run:
    """Start a program on this input, and wait for its end."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL)
    return finish(process, start, count)


def run_twice(command: list[str], path: Path, count: int) -> Run:
    """Two copies of a program at the same time: what the cores give when nothing is shared."""
    start = time.perf_counter()
    with path.open("rb") as one, path.open("rb") as other:
        first = subprocess.Popen(command, stdin=one, stdout=subprocess.DEVNULL)
        second = subprocess.Popen(command, stdin=other, stdout=subprocess.DEVNULL)
        finish(first, start, count)
        return finish(second, start, 2 * count)


def run_stream(command: list[str], path: Path, times: int) -> Run:
    """The same, fed with the file so many times."""
    text = path.read_bytes()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None

    def feed(pipe: IO[bytes]) -> None:
        with pipe:
            for _ in range(times):
                pipe.write(text)

    feeder = threading.Thread(target=feed, args=[process.stdin])
    feeder.start()
    done = finish(process, start, times * text.count(b"\n"))
    feeder.join()
    return done


def finish(process: subprocess.Popen[bytes], start: float, count: int) -> Run:
    """Time of the program, with the peak memory of the largest of its processes that it waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(process.args)} ended with {process.returncode}")  # type: ignore[arg-type]
    return Run(count, seconds, usage.ru_maxrss / 1024)


def be_vader() -> None:
    """Score standard input line by line with VADER."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    for line in sys.stdin:
        print(analyzer.polarity_scores(line)["compound"])


if __name__ == "__main__":
    main()
