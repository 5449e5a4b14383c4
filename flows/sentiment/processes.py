"""Lines answered by several processes: the answers in the order of the lines, a bounded number of them on the way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait

from flows.errors import SentimentError
from flows.sentiment.lines import Answered, LineReader

BATCHES_PER_PROCESS = 4
"""Batches taken and not yet given back, for each process: while one works long, the others go on so far."""

ENDING_S = 1.0
"""A process ends by itself when its connection does; one that is still at work after so long is ended."""

Answer = Callable[[bytes], Answered]


def answer_by_processes(reader: LineReader, answer: Answer, processes: int) -> Iterator[Answered]:
    """The answers to all batches of the reader, in their order, as soon as they and those before them are there.

    A process has one batch at a time, so that neither side can wait for the other to read.

    Raises:
        SentimentError: a process ended, or could not answer.
    """
    taken = given = 0
    at_work: dict[Connection, int] = {}
    done: dict[int, Answered] = {}
    with _started(answer, processes) as started:
        while at_work or not reader.ended:
            idle = [process for process in started if process not in at_work]
            may_read = idle and not reader.ended and taken - given < BATCHES_PER_PROCESS * processes
            # idle ones too: the end of a process is seen while there is nothing to read
            for ready in wait([*started, *([reader.fileno()] if may_read else [])]):
                if isinstance(ready, Connection):
                    answered = _receive(ready, started[ready])
                    done[at_work.pop(ready)] = answered
                elif lines := reader.read():
                    _send(idle[0], lines, started[idle[0]])
                    at_work[idle[0]], taken = taken, taken + 1
            while given in done:
                yield done.pop(given)
                given += 1


def _work(answer: Answer, ours: Connection, theirs: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that started these ends them
    theirs.close()  # or the end of the other side would not be seen
    with suppress(EOFError, ConnectionError):  # nobody is left to answer
        while True:
            lines = ours.recv_bytes()
            try:
                answered: Answered | SentimentError = answer(lines)
            except SentimentError as error:
                answered = error
            ours.send(answered)


@contextmanager
def _started(answer: Answer, count: int) -> Iterator[dict[Connection, Process]]:
    started: dict[Connection, Process] = {}
    try:
        for _ in range(count):
            ours, theirs = Pipe()
            process = Process(target=_work, args=(answer, theirs, ours), daemon=True)
            process.start()
            theirs.close()
            started[ours] = process
        yield started
    finally:
        for connection in started:
            connection.close()
        for process in started.values():
            process.join(ENDING_S)
            process.terminate()
            process.join()


def _send(connection: Connection, lines: bytes, process: Process) -> None:
    try:
        connection.send_bytes(lines)
    except ConnectionError as error:
        raise _ended(process) from error


def _receive(connection: Connection, process: Process) -> Answered:
    try:
        answered: Answered | SentimentError = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise _ended(process) from error
    if isinstance(answered, SentimentError):
        raise answered
    return answered


def _ended(process: Process) -> SentimentError:
    process.join()
    code = process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return SentimentError(f"a scoring process {how}; the lines answered so far are right, --jobs 1 needs no other one")
