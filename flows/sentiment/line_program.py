"""A running program that answers lines by lines: fed and read at once, watched while it answers, and ended.

Everything goes through one loop over its three pipes, so none of them can fill up while the other side waits, and no
thread is left behind that a fork would lose.
"""

from __future__ import annotations

import os
import signal
import subprocess
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import IO, Literal, cast

from flows.errors import SentimentError

Reason = Literal["ended", "silent", "garbled"]

ENDING_S = 2.0
"""A program that is told to end and has not after so long is killed."""

_AT_ONCE = 1 << 16
_LONGEST_LINE = 1 << 20
_TAIL, _TAIL_LINES = 2000, 10


class ProgramError(SentimentError):
    """A program ended, said nothing for too long, or said something that is no answer: what it says next is unknown."""

    def __init__(self, reason: Reason, what: str, last_output: str = "") -> None:
        super().__init__(reason, what, last_output)  # all three, so that it can be pickled
        self.reason = reason
        self.what = what
        self.last_output = last_output

    def __str__(self) -> str:
        return f"{self.what}; {self.last_output}" if self.last_output else self.what


class LineProgram:
    """A program with its three pipes, in a session of its own: Ctrl-C is for us, and we end it.

    Args:
        command: the program and its arguments.
        environment: variables that it has beside ours.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._in, self._out, self._err = pipes = _pipes(self._process)
        for pipe in pipes:
            os.set_blocking(pipe.fileno(), False)
        self._unsent = memoryview(b"")
        self._unread: list[bytes] = []  # a line begun; joined at its end, so that a long one takes linear time
        self._tails = {self._out: b"", self._err: b""}
        self._end = weakref.finalize(self, _end, self._process)  # at the latest when this interpreter exits

    @property
    def pid(self) -> int:
        """The program's process, which is also its session."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Whether it runs, took all that it was asked, and has said nothing since."""
        with DefaultSelector() as selector:
            selector.register(self._out, EVENT_READ)  # its end can be read too
            return not self._unsent and not self._unread and not selector.select(0)

    def exchange(self, data: bytes, timeout_s: float) -> Iterator[bytes]:
        """Write whole lines, and yield each line that comes back, without its end, for as long as more are wanted.

        Raises:
            ProgramError: it ended, or nothing came back for `timeout_s`.
        """
        self._unsent = memoryview(data)
        until = monotonic() + timeout_s
        with DefaultSelector() as selector:
            selector.register(self._in, EVENT_WRITE)
            selector.register(self._out, EVENT_READ)
            selector.register(self._err, EVENT_READ)
            while (left_s := until - monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    pipe = cast("IO[bytes]", key.fileobj)
                    if pipe is self._in:
                        self._write()
                        if not self._unsent:
                            selector.unregister(pipe)
                    elif (said := _read(pipe)) == b"":
                        selector.unregister(pipe)
                        if pipe is self._out:
                            raise self._ended()
                    elif said:
                        self._remember(pipe, said)
                        if pipe is self._out and (lines := self._lines(said)):
                            yield from lines
                            until = monotonic() + timeout_s
        raise self.error("silent", f"the program said nothing for {timeout_s:g} s")

    def error(self, reason: Reason, what: str) -> ProgramError:
        """What happened, with the last that the program said."""
        for _ in range(_LONGEST_LINE // _AT_ONCE):  # what was said just before; a flood has no end
            if not (said := _read(self._err)):
                break
            self._remember(self._err, said)
        names = {self._out: "standard output", self._err: "standard error"}
        said_last = (f"its {names[pipe]} ended with:\n{_shown(tail)}" for pipe, tail in self._tails.items() if tail)
        return ProgramError(reason, what, "\n".join(said_last))

    def end(self) -> None:
        """End the program and close its pipes; nothing is left of it."""
        self._end()

    def abandon(self) -> None:
        """In a forked process: give up the copies of the pipes, so that the program still ends with the other one."""
        self._end.detach()
        self._process.returncode = 0  # not a child of this process: nothing to wait for
        for pipe in _pipes(self._process):
            pipe.close()

    def _write(self) -> None:
        with suppress(BlockingIOError):
            try:
                self._unsent = self._unsent[os.write(self._in.fileno(), self._unsent[:_AT_ONCE]) :]
            except BrokenPipeError:  # its output ends as well, and that says more
                self._unsent = self._unsent[:0]

    def _lines(self, said: bytes) -> list[bytes]:
        *ended, begun = said.split(b"\n")
        if ended:
            ended[0] = b"".join([*self._unread, ended[0]])
            self._unread = []
        if begun:
            self._unread.append(begun)
        if sum(map(len, self._unread)) > _LONGEST_LINE:
            raise self.error("garbled", f"the program says more than {_LONGEST_LINE} bytes without ending a line")
        return ended

    def _remember(self, pipe: IO[bytes], said: bytes) -> None:
        self._tails[pipe] = (self._tails[pipe] + said)[-_TAIL:]

    def _ended(self) -> ProgramError:
        try:
            code = self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            return self.error("ended", "the program closed its output")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self.error("ended", f"the program {how}")


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    return cast("tuple[IO[bytes], IO[bytes], IO[bytes]]", (process.stdin, process.stdout, process.stderr))


def _read(pipe: IO[bytes]) -> bytes | None:
    """What there is, empty at the end; None if there is nothing yet."""
    try:
        return os.read(pipe.fileno(), _AT_ONCE)
    except BlockingIOError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in _pipes(process):
        pipe.close()
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return  # its number may be another's by now
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)  # and whatever it started
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)


def _shown(tail: bytes) -> str:
    """The last lines of bytes that may hold anything, as a terminal can show them."""
    text = "\n".join(tail.decode("utf-8", "replace").replace("\r\n", "\n").strip().split("\n")[-_TAIL_LINES:])
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
