"""The original SentiStrength as a running Java program that answers one line for each line of text.

Every batch ends with canary texts whose answers were learned when the program started. A text that is answered twice or
not at all shifts them, which is detected before any answer of the batch is used; a batch that fails is split until the
text to blame stands alone. Two things in a text would be more than text to the program and are taken from it: line
breaks, which are spaces to every engine, and the command `#Change_TermWeight`, which changes the strength of a word.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import weakref
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import IO, Any

from data_catalog.printing import printable
from flows.errors import SentimentError
from flows.sentiment.sentistrength import AS_ORIGINAL, NEUTRAL, Lexicon, LexiconError, Reading, Strength

START_S = 60.0
"""Time limit for the first answer, before which the program reads its lists."""
ENDING_S = 2.0
"""A program that is told to end is killed after this time."""

_VERSION = 1
_ANSWER = re.compile(rb"([1-5])[\t ](-[1-5])(?:[\t \r]|$)")
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")
_COMMAND = "#Change_TermWeight", "#Change_Termweight"
"""The command, obeyed wherever it stands in a line, and a spelling with the same score that is not obeyed."""
_BATCH_LINES = 512
_GREETING_LINES = 1000
_LONGEST_BYTES, _MOST_LINES = 1 << 20, 10_000
"""A line, or lines that nobody asked for, beyond these are no answers."""
_TAIL_BYTES = 2000


class Failure(StrEnum):
    """An engine's failure to score a text; the value is the reason of its drop."""

    ENDED = "engine_ended"
    SILENT = "engine_silent"
    GARBLED = "engine_garbled"


@dataclass(frozen=True)
class Unscored:
    """The answer to a text that its engine failed on twice, while the texts around it were scored."""

    reason: Failure
    detail: str
    """For a person."""


def installed(jar: Path | None, lexicon: Path | None) -> tuple[Path | None, Path | None]:
    """The original's archive and word lists: those given, else those of the installed package `sentistrength`.

    That package is a caller without an archive. Its user gives it the paths, as attributes of `PySentiStr`; else they
    are looked for in its folder and in the working one.
    """
    package = find_spec("sentistrength") if jar is None else None
    if package is None or package.origin is None:
        return jar, lexicon
    caller = getattr(sys.modules.get(package.name), "PySentiStr", None)
    given = (getattr(caller, name, None) for name in ("SentiStrengthLocation", "SentiStrengthLanguageFolder"))
    jars, lists = ([Path(path)] if path else [] for path in given)
    for folder in (Path(package.origin).parent, Path.cwd()):
        jars += sorted(folder.glob("SentiStrength*.jar"))
        lists += [path.parent for path in sorted(folder.glob("SentiStr*/E*LookupTable.txt"))]
    return next(iter(jars), None), lexicon or next(iter(lists), None)


class JavaEngine:
    """The original program over a folder of its word lists: one process, started when it is first needed.

    Any number of threads may share an engine; a copy in another process, forked or pickled, starts its own program. The
    program ends with the engine, or with its input when this process ends; one that hangs at that moment may stay.

    Args:
        folder: the word lists, which the program reads itself.
        jar: its archive, SentiStrength.jar.
        java: command that starts Java.
        timeout_s: a text without an answer after this time is given up.
        reading: departures from the program that are made in a text before it is sent; emoji are not among them.

    Raises:
        SentimentError: there is no such archive, folder or command.
    """

    name = "java"

    def __init__(
        self, folder: Path, *, jar: Path, java: str = "java", timeout_s: float = 60.0, reading: Reading = AS_ORIGINAL
    ) -> None:
        self._arguments: dict[str, Any] = {"jar": jar, "java": java, "timeout_s": timeout_s, "reading": reading}
        self._folder = folder
        self._timeout_s = timeout_s
        self._reading = reading
        self._canaries = _canaries(folder)
        self._command = _command(folder, jar, java)
        lists = _digest(sorted(folder.glob("*.txt")))
        self.version = f"{_VERSION}-{_digest([jar], named=False)}-{lists}{reading.version}"
        self._canary_answers: list[Strength] = []
        self._program: _Program | None = None
        self._lock = threading.Lock()
        _ENGINES.add(self)

    def score(self, texts: Sequence[str]) -> list[Strength | Unscored]:
        """One answer per text, in the order of the texts; `Unscored` for one that the program failed on twice.

        Raises:
            SentimentError: the program does not start.
        """
        lines = [_line(self._reading.scored(text)) for text in texts]
        answers: list[Strength | Unscored] = [NEUTRAL] * len(lines)
        asked = [at for at, line in enumerate(lines) if line.strip()]
        with self._lock:
            for start in range(0, len(asked), _BATCH_LINES):
                self._answer(asked[start : start + _BATCH_LINES], lines, answers)
        return answers

    def close(self) -> None:
        """End the program; a later `score` would start it again."""
        with self._lock:
            self._stop()

    def __reduce__(self) -> tuple[object, ...]:
        return partial(JavaEngine, **self._arguments), (self._folder,)

    def _answer(self, batch: list[int], lines: Sequence[bytes], answers: list[Strength | Unscored]) -> None:
        """Fill in the answers to the lines at these positions, in ever smaller parts where anything goes wrong."""
        pending = [batch]
        failed: set[int] = set()
        while pending:
            part = pending.pop()
            was_stopped = self._program is None
            answered: list[Strength] = []
            try:
                self._ask([lines[at] for at in part], answered)
            except _ProgramError as error:
                if len(part) == 1 and was_stopped and failed.issuperset(part):  # again, and as the first of a program
                    answers[part[0]] = Unscored(error.reason, f"asked alone, {error}")
                    continue
                failed.update(part)
                # the first line without an answer: if the program ended or stopped at it, a fresh one shows that
                suspect = min(len(answered), len(part) - 1)
                others = part[:suspect] + part[suspect + 1 :]
                middle = len(others) // 2
                pending += [*filter(None, (others[middle:], others[:middle])), [part[suspect]]]
            else:
                for at, answer in zip(part, answered, strict=True):
                    answers[at] = answer

    def _ask(self, lines: Sequence[bytes], answered: list[Strength]) -> None:
        """Append the answers to the lines and compare the canaries' after them; at any fault, stop the program."""
        if self._program is None or not self._program.is_ready():
            self._stop()
            self._program = self._started()
        program = self._program
        try:
            program.send([*lines, *self._canaries])
            for _ in lines:
                answered.append(program.answer(self._timeout_s))
            for known in self._canary_answers:
                if program.answer(self._timeout_s) != known:
                    raise program.error(Failure.GARBLED, f"{len(lines)} lines were answered by more or fewer")
        except BaseException:
            self._stop()
            raise

    def _started(self) -> _Program:
        """A program that has answered the canaries, whose answers are learned from it."""
        program = None
        try:
            program = _Program(self._command)
            program.send(self._canaries)
            neutral = program.answer(START_S, skipping=_GREETING_LINES)
            strong = [program.answer(START_S) for _ in self._canaries[1:]]
            if len({*strong}) > 1 or neutral in strong:
                shown = " ".join(f"{positive} {negative}" for positive, negative in (neutral, *strong))
                what = f"the program finds {self._canaries[1].decode()!r} no stronger than '0': {shown}"
                raise program.error(Failure.GARBLED, what)
        except BaseException as error:
            if program is not None:
                program.end()
            if not isinstance(error, OSError | _ProgramError):
                raise
            hint = "`sentiment.jar` must be SentiStrength's archive, `sentiment.lexicon` the folder of all its lists"
            if "UnsupportedClassVersionError" in str(error):
                hint = "the archive is for a newer Java, which `sentiment.java` can name"
            tried = shlex.join(self._command)
            raise SentimentError(f"SentiStrength did not start: {hint}. Tried: {tried}\n{error}") from error
        self._canary_answers = [neutral, *strong]
        return program

    def _stop(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.end()

    def _begin_anew(self) -> None:
        """In a forked process: the program belongs to the other one, and so did whoever held the lock."""
        self._lock = threading.Lock()
        if self._program is not None:
            self._program.abandon()
            self._program = None


_ENGINES: weakref.WeakSet[JavaEngine] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    for engine in list(_ENGINES):
        engine._begin_anew()


os.register_at_fork(after_in_child=_begin_anew_in_child)


class _ProgramError(Exception):
    """The program ended, timed out or gave no valid answer: what it says next cannot be used."""

    def __init__(self, reason: Failure, what: str) -> None:
        super().__init__(what)
        self.reason = reason


class _Program:
    """A running program. Threads write to it and read from it, so that no pipe fills up while either side waits.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._log = TemporaryFile("ab+", buffering=0)  # noqa: SIM115 - what it says besides answers, while it runs
        try:
            self._process = _start(command, self._log)
        except OSError:
            self._log.close()
            raise
        self._said: SimpleQueue[bytes | Failure] = SimpleQueue()
        threading.Thread(target=_listen, args=(self._process.stdout, self._said), daemon=True).start()
        self.end = weakref.finalize(self, _end, self._process, self._log)  # or at the interpreter's exit

    def is_ready(self) -> bool:
        """Whether it runs and has written nothing since its last answer; earlier log lines are discarded."""
        self._log.truncate(0)
        return self._said.empty()

    def send(self, lines: Sequence[bytes]) -> None:
        """Send whole lines, without waiting until the program takes them."""
        data = b"\n".join([*lines, b""])
        threading.Thread(target=_send, args=(self._process.stdin, data), daemon=True).start()

    def answer(self, timeout_s: float, *, skipping: int = 0) -> Strength:
        """The next answer, before which so many other lines may come.

        Raises:
            _ProgramError: the program ended, said nothing for `timeout_s`, or said something else.
        """
        for _ in range(skipping + 1):
            try:
                said = self._said.get(timeout=timeout_s)
            except Empty:
                raise self.error(Failure.SILENT, f"the program said nothing for {timeout_s:g} s") from None
            if isinstance(said, Failure):
                raise self.error(said, self._how_it_ended())
            if answer := _ANSWER.match(said):
                return Strength(int(answer[1]), int(answer[2]))
            self._log.write(said[:_TAIL_BYTES] + b"\n")
        raise self.error(Failure.GARBLED, "the program said what is no answer")

    def error(self, reason: Failure, what: str) -> _ProgramError:
        """An error with the last that the program said besides answers."""
        log = self._log.fileno()
        last = os.pread(log, _TAIL_BYTES, max(0, os.fstat(log).st_size - _TAIL_BYTES)).decode("utf-8", "replace")
        lines = last.replace("\r\n", "\n").strip().split("\n")[-10:]
        return _ProgramError(reason, what + ("; at last it said:\n" + "\n".join(map(printable, lines)) if last else ""))

    def abandon(self) -> None:
        """In a forked process: give up the copies of the pipes, so that the program still ends with the other one."""
        self.end.detach()
        self._process.returncode = 0  # not a child of this process: nothing to wait for
        for pipe in filter(None, (self._process.stdin, self._process.stdout, self._log)):
            pipe.close()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            return "the program closed its output, or said too much"
        return f"the program was killed by signal {-code}" if code < 0 else f"the program ended with exit code {code}"


class _Session(subprocess.Popen[bytes]):
    """A process in a session of its own: Ctrl-C is for us, and we end it with whatever it has started."""

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:  # or its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(self.pid, sig)


def _start(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}  # decides for Java what a file's name may hold
    pipe = subprocess.PIPE
    return _Session(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=log, env=environment, start_new_session=True)


def _listen(pipe: IO[bytes], said: SimpleQueue[bytes | Failure]) -> None:
    """Queue every line that comes, and at last how it ends."""
    begun = b""
    with pipe:
        while chunk := pipe.read(1 << 16):
            *lines, begun = (begun + chunk).split(b"\n")
            for line in lines:
                said.put(line)
            if len(begun) > _LONGEST_BYTES or said.qsize() > _MOST_LINES:
                said.put(Failure.GARBLED)
                return
    said.put(Failure.ENDED)


def _send(pipe: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    with suppress(OSError, ValueError):  # the program has ended, which its output tells
        while left:
            left = left[pipe.write(left) :]


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    for end in (process.terminate, process.kill):
        end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
            break
    for pipe in filter(None, (process.stdin, log)):
        pipe.close()


def _line(text: str) -> bytes:
    """A text as one line in UTF-8, without the two things that would be more than text to the program."""
    line = _LINE_BREAK.sub(" ", text).replace(*_COMMAND)
    try:
        return line.encode()
    except UnicodeEncodeError:  # half characters: those that make a whole one are joined, the others are U+FFFD
        return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _canaries(folder: Path) -> list[bytes]:
    """A neutral text and a strong one three times: shifted by one to three lines, they never look the same.

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
        raise SentimentError(f"`sentiment.jar` is {jar}, which is no Java archive; it may be damaged or incomplete")
    home = os.environ.get("JAVA_HOME")
    if not (found := shutil.which(java) or (home and shutil.which(java, path=f"{home}/bin"))):
        raise SentimentError(f"`sentiment.java` is {java!r}: no such command; install Java 8 or newer, or name it")
    options = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-jar", str(jar.resolve())]
    return [found, *options, "stdin", "sentidata", f"{folder.resolve()}/"]


def _digest(paths: Sequence[Path], *, named: bool = True) -> str:
    """Digest of the files' bytes, and of their names where these matter."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            of_file = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name if named else ''}\0{of_file}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
