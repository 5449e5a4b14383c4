"""The original SentiStrength, kept running and fed by lines, so that no text can harm the answers of others.

Every batch is followed by a frame: texts whose answers were learned when the program started. A line answered twice or
not at all shifts them, which is seen before any answer of the batch is given; the batch is then asked again text by
text. Two things in a text would not be text to the program and are taken from it: line breaks, which are spaces to
every engine, and the command `#Change_TermWeight`, with which a comment could change the strength of a word.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import threading
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType

from flows.errors import SentimentError
from flows.sentiment.line_program import LineProgram, ProgramError
from flows.sentiment.sentistrength import NEUTRAL, Lexicon, LexiconError, Strength
from flows.sentiment.unscored import Unscored

START_S = 60.0
"""A program that has read its lists and answered nothing after so long has not started."""

_VERSION = 1
_ANSWER = re.compile(rb"([1-5])[\t ](-[1-5])(?:[\t \r]|$)")
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")
_COMMAND = "#Change_TermWeight", "#Change_Termweight"
"""What the program obeys wherever it stands in a line, and a spelling with the same score that it does not obey."""
_GREETING_LINES = 1000
_BATCH_LINES, _BATCH_BYTES = 512, 1 << 20
_OPTIONS = "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""Decides for Java what a file's name may hold."""


class JavaEngine:
    """The original program over a folder of its word lists: one process, started when it is first needed.

    Any number of threads may share an engine; a copy in another process, forked or pickled, starts its own program. The
    program ends with the engine, or with its input when this process ends; one that hangs at that moment may stay.

    Args:
        folder: the word lists, which the program reads itself.
        jar: its archive, SentiStrength.jar.
        java: command that starts Java.
        timeout_s: a text that is not answered after so long is given up.

    Raises:
        SentimentError: there is no such archive, folder or command.
    """

    name = "java"

    def __init__(self, folder: Path, *, jar: Path, java: str = "java", timeout_s: float = 60.0) -> None:
        self._arguments = folder, jar, java, timeout_s
        self._timeout_s = timeout_s
        self._frame = _frame(folder)
        self._command = _command(folder, jar, java)
        self.version = f"{_VERSION}-{_digest([jar], named=False)}-{_digest(sorted(folder.glob('*.txt')))}"
        self._frame_answers: list[Strength] = []
        self._program: LineProgram | None = None
        self._lock = threading.Lock()
        _ENGINES.add(self)

    def score(self, texts: Sequence[str]) -> list[Strength | Unscored]:
        """One answer per text, in the order of the texts; `Unscored` for one that the program failed on twice.

        Raises:
            SentimentError: the program does not start.
        """
        lines = list(map(_line, texts))
        answers: list[Strength | Unscored] = [NEUTRAL] * len(lines)
        with self._lock:
            for batch in _batches(lines):
                for at, answer in zip(batch, self._answer([lines[at] for at in batch]), strict=True):
                    answers[at] = answer
        return answers

    def close(self) -> None:
        """End the program; a later `score` would start it again."""
        with self._lock:
            self._stop()

    def __enter__(self) -> JavaEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        folder, jar, java, timeout_s = self._arguments
        return partial(JavaEngine, jar=jar, java=java, timeout_s=timeout_s), (folder,)

    def _answer(self, lines: Sequence[bytes]) -> Sequence[Strength | Unscored]:
        """The answers to a batch: at once, or one by one if anything goes wrong."""
        answered: list[Strength] = []
        try:
            self._ask(lines, answered)
        except ProgramError:
            # the text that got no answer first: if the program ended or stopped at it, a fresh one tells
            suspect = min(len(answered), len(lines) - 1)
            order = [suspect, *(at for at in range(len(lines)) if at != suspect)]
            alone = {at: self._answer_alone(lines[at]) for at in order}
            return [alone[at] for at in range(len(lines))]
        return answered

    def _answer_alone(self, line: bytes) -> Strength | Unscored:
        """The answer to one text; it is to blame only for what happens to a program that was asked nothing else."""
        while True:
            was_stopped = self._program is None
            answered: list[Strength] = []
            try:
                self._ask([line], answered)
            except ProgramError as error:
                if was_stopped:
                    return Unscored(f"engine_{error.reason}", f"asked alone, {error}")
            else:
                return answered[0]

    def _ask(self, lines: Sequence[bytes], answered: list[Strength]) -> None:
        """Append the answers to the lines and compare those to the frame after them; at any fault, stop the program."""
        program = self._running()
        data = b"\n".join([*lines, *self._frame, b""])
        replies = program.exchange(data, self._timeout_s)
        try:
            for reply in islice(replies, len(lines)):
                answered.append(_strength(program, reply))
            for known, reply in zip(self._frame_answers, replies, strict=False):
                if _strength(program, reply) != known:
                    raise program.error("garbled", f"{len(lines)} lines were answered by more or fewer")
        except BaseException:
            self._stop()
            raise

    def _running(self) -> LineProgram:
        if self._program is None or not self._program.is_ready():
            self._stop()
            self._program = self._started()
        return self._program

    def _started(self) -> LineProgram:
        """A program that has answered the frame, whose answers are learned from it."""
        try:
            program = LineProgram(self._command, _ENVIRONMENT)
        except OSError as error:
            raise self._not_started(str(error)) from error
        try:
            replies = program.exchange(b"\n".join([*self._frame, b""]), START_S)
            after_greeting = filter(_ANSWER.match, islice(replies, _GREETING_LINES))
            learned = [_strength(program, reply) for reply in islice(after_greeting, len(self._frame))]
            if len(learned) < len(self._frame):
                raise program.error("garbled", f"the program said {_GREETING_LINES} lines and did not answer")
            neutral, *strong = learned
            if len({*strong}) > 1 or neutral in strong:
                shown = " ".join(f"{positive} {negative}" for positive, negative in learned)
                raise program.error(
                    "garbled", f"the program finds {self._frame[1].decode()!r} no stronger than '0': {shown}"
                )
        except BaseException as error:
            program.end()
            if isinstance(error, ProgramError):
                raise self._not_started(str(error)) from error
            raise
        self._frame_answers = learned
        return program

    def _not_started(self, why: str) -> SentimentError:
        hint = (
            "`sentiment.jar` must be SentiStrength's archive and `sentiment.lexicon` the folder of all its word lists"
        )
        if "UnsupportedClassVersionError" in why:
            hint = "the archive is for a newer Java, which `sentiment.java` can name"
        return SentimentError(f"SentiStrength did not start: {hint}. Tried: {shlex.join(self._command)}\n{why}")

    def _stop(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.end()

    def _begin_anew(self) -> None:
        """In a forked process: the program is the other one's, and so was whoever held the lock."""
        self._lock = threading.Lock()
        if self._program is not None:
            self._program.abandon()
            self._program = None


_ENGINES: weakref.WeakSet[JavaEngine] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    for engine in list(_ENGINES):
        engine._begin_anew()


os.register_at_fork(after_in_child=_begin_anew_in_child)


def _line(text: str) -> bytes:
    """What the program is sent for a text: its line in UTF-8, without the two things that would not be text."""
    line = _LINE_BREAK.sub(" ", text).replace(*_COMMAND)
    try:
        return line.encode()
    except UnicodeEncodeError:  # half characters: those that make a whole one are joined, the others are U+FFFD
        return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _batches(lines: Sequence[bytes]) -> Iterator[list[int]]:
    """Positions of the lines that are not blank, so many at once that starting to ask costs little."""
    batch: list[int] = []
    size_bytes = 0
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        if batch and (len(batch) == _BATCH_LINES or size_bytes + len(line) > _BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(at)
        size_bytes += len(line)
    if batch:
        yield batch


def _strength(program: LineProgram, reply: bytes) -> Strength:
    if match := _ANSWER.match(reply):
        return Strength(int(match[1]), int(match[2]))
    raise program.error("garbled", f"the program said {reply[:200]!r}, which is no answer")


def _frame(folder: Path) -> list[bytes]:
    """A neutral text and a strong one three times: moved by one to three lines, it never looks the same.

    Beyond three the last texts of a batch would have to have its very answers; a text that is both as positive and as
    negative as the lists can make it is rare.
    """
    try:
        words = Lexicon.read(folder).sentiment
    except LexiconError as error:
        raise SentimentError(f"`sentiment.lexicon` is no folder of SentiStrength's word lists: {error}") from error
    ordered = [word.strip("*") for _, word in sorted(zip(words.strengths, words.words, strict=True))]
    strong = _line(" ".join([*ordered[:4], *ordered[-4:]]))
    return [b"0", strong, strong, strong]


def _command(folder: Path, jar: Path, java: str) -> list[str]:
    if not jar.is_file():
        raise SentimentError(f"`sentiment.jar` is {jar}, which is no file; expected the original's SentiStrength.jar")
    if not zipfile.is_zipfile(jar):
        raise SentimentError(
            f"`sentiment.jar` is {jar}, which is no Java archive; it may be damaged or half downloaded"
        )
    if not (found := shutil.which(java)):
        raise SentimentError(
            f"`sentiment.java` is {java!r}: no such command; install Java 8 or newer, or name it there"
        )
    return [found, *_OPTIONS, "-jar", str(jar.resolve()), "stdin", "sentidata", f"{folder.resolve()}/"]


def _digest(paths: Sequence[Path], *, named: bool = True) -> str:
    """Changes whenever a byte of the files does, or, if they are told apart by it, a name."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            of_file = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name if named else ''}\0{of_file}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
