r"""A stream of texts in, strengths out: one line of answer for every line read, in order, as soon as it is there.

A line ends at `\n` alone, whatever else its text holds, so that no text can shift the answers of those after it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import NamedTuple

from data_catalog.printing import printable
from flows.errors import SentimentError
from flows.pool_worker import end_with_parent
from flows.sentiment.engines import SentimentEngine, Strength, Unscored

CHUNK_BYTES = 1 << 18
"""Largest number of bytes read at once; a pipe holds less. Takes some thirty milliseconds to score."""
BATCHES_PER_PROCESS = 4
"""Batches read ahead of the answers, for each process."""


class LineReader:
    """Batches of whole lines from a file descriptor; of what was read, only a line without its end is held.

    Args:
        descriptor: read from, never waiting for more than there is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begun: list[bytes] = []  # joined once, at the line's end: a long line takes linear time
        self.ended = False
        self.read_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        while not self.ended:
            if lines := self.read():
                yield lines

    def read(self) -> bytes:
        """The lines that the next chunk completes, or nothing; at the end, a last line without `\\n`."""
        chunk = os.read(self._descriptor, CHUNK_BYTES)
        self.ended = not chunk
        self.read_bytes += len(chunk)
        end = len(chunk) if self.ended else chunk.rfind(b"\n") + 1
        if not end and not self.ended:
            self._begun.append(chunk)
            return b""
        lines = b"".join([*self._begun, chunk[:end]])
        self._begun = [chunk[end:]] if chunk[end:] else []
        return lines


class Answered(NamedTuple):
    """The answers to a batch of lines, as they are written, and the number of those without a strength."""

    lines: bytes
    n_unscored: int = 0


class Answerer:
    """Turns a batch of lines into their answers.

    Args:
        engine: what scores them.
        as_json: answers are JSON objects instead of `positive<TAB>negative`.
    """

    def __init__(self, engine: SentimentEngine, *, as_json: bool) -> None:
        self._engine = engine
        self._as_json = as_json
        strengths = [Strength(positive, -size) for positive in range(1, 6) for size in range(1, 6)]
        self._written: dict[Strength | Unscored, bytes] = {strength: self._line(strength) for strength in strengths}

    def __call__(self, lines: bytes) -> Answered:
        """One line for each of the lines, which are whole."""
        answers = self._engine.score(texts_of(lines))
        try:
            return Answered(b"".join(map(self._written.__getitem__, answers)))
        except KeyError:  # some are not among the 25 that a scored text can have
            written = [self._written.get(answer) or self._line(answer) for answer in answers]
            return Answered(b"".join(written), sum(isinstance(answer, Unscored) for answer in answers))

    def _line(self, answer: Strength | Unscored) -> bytes:
        if isinstance(answer, Unscored):
            plain = f"error\t{printable(answer.reason)}"
            line = json.dumps({"error": answer.reason}) if self._as_json else plain
        else:
            line = json.dumps(answer._asdict()) if self._as_json else f"{answer.positive}\t{answer.negative}"
        return line.encode() + b"\n"


def answer_by_processes(reader: LineReader, answer: Callable[[bytes], Answered], processes: int) -> Iterator[Answered]:
    """The answers to all batches of the reader, in their order, each as soon as it and those before it are there.

    Raises:
        SentimentError: a process ended, or could not answer.
    """
    read_ahead = Semaphore(BATCHES_PER_PROCESS * processes)
    asked: SimpleQueue[Future[Answered] | BaseException | None] = SimpleQueue()
    pool = ProcessPoolExecutor(processes, initializer=_begin, initargs=(answer,))

    def ask() -> None:
        try:
            for lines in reader:
                asked.put(pool.submit(_answer, lines))
                read_ahead.acquire()
            asked.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the answers are taken
            asked.put(error)

    # Ctrl-C reaches all processes of a terminal. The workers inherit this mask, also while they start, so that only
    # this process acts on it, and ends them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool.submit(os.getpid)  # starts the workers
        Thread(target=ask, daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        while (item := asked.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item.result()
            read_ahead.release()
    except BrokenProcessPool as error:
        raise SentimentError(
            "a scoring process ended before its time; the lines answered so far are right, --jobs 1 needs no other one"
        ) from error
    finally:
        # The few batches that processes have in hand are finished: one that is ended while it writes an answer leaves
        # half of it in the pipe, and the pool's thread waits for the rest forever.
        pool.shutdown(cancel_futures=True)


_worker_answer: Callable[[bytes], Answered]


def _begin(answer: Callable[[bytes], Answered]) -> None:
    global _worker_answer
    end_with_parent()
    _worker_answer = answer


def _answer(lines: bytes) -> Answered:
    return _worker_answer(lines)


def texts_of(lines: bytes) -> list[str]:
    """The texts of whole lines: without `\\n`, and without one `\\r` before it; U+FFFD for what is no UTF-8."""
    text = lines.decode("utf-8", "replace").replace("\r\n", "\n")
    return text.removesuffix("\n" if text.endswith("\n") else "\r").split("\n")


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte at once, past Python's own buffers, which would fail again while the program ends."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
