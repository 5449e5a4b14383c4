"""`ytb-ads sentiment score`: one answer for every line, in its place and at once, whatever the lines hold."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.commands import sentiment as commands
from flows.commands.main import app
from flows.errors import SentimentError
from flows.sentiment import java
from flows.sentiment.engines import NativeEngine, Strength, Unscored
from flows.sentiment.java import Failure
from flows.sentiment.stream import (
    CHUNK_BYTES,
    Answered,
    Answerer,
    LineReader,
    answer_by_processes,
    texts_of,
    write_all,
)
from flows.settings import SentimentSettings
from tests.sentistrength_stand_in import InProcess, archive

SCORE = [sys.executable, "-m", "flows", "sentiment", "score"]
DEADLINE_S = 60
BATCHES = st.lists(st.binary(max_size=12) | st.lists(st.sampled_from([b"\n", b"\r", b"a", b"\xe2\x80"])).map(b"".join))


class Done(NamedTuple):
    """What the command left: standard output, and the error that it ended with."""

    stdout: bytes
    error: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, with files in place of standard input and output."""

    def score(*arguments: str | Path, given: bytes) -> Done:
        (tmp_path / "in").write_bytes(given)
        with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
            monkeypatch.setattr(commands, "STDIN", source.fileno())
            monkeypatch.setattr(commands, "STDOUT", sink.fileno())
            done = CliRunner().invoke(app, ["sentiment", "score", *map(str, arguments)])
        if done.exception is not None and not isinstance(done.exception, SentimentError):
            raise done.exception
        return Done((tmp_path / "out").read_bytes(), str(done.exception or ""))

    return score


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command with all its streams in our hands, killed at the end if it has not ended."""
    pipe = subprocess.PIPE
    command = [*SCORE, *arguments]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[bytes], line: bytes) -> bytes:
    """Write one line and wait for what comes back."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    assert select.select([process.stdout], [], [], DEADLINE_S)[0], "no answer"
    return process.stdout.readline()


@contextmanager
def opened(path: Path, data: bytes | None = None) -> Iterator[LineReader]:
    if data is not None:
        path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield LineReader(descriptor)
    finally:
        os.close(descriptor)


@given(BATCHES)
def test_a_stream_has_the_lines_that_it_has_however_it_comes(pieces: list[bytes]) -> None:
    source, sink = os.pipe()
    reader = LineReader(source)
    texts: list[str] = []
    fed = 0
    for piece in filter(None, pieces):
        write_all(sink, piece)
        lines = reader.read()
        assert lines == b"" or lines.endswith(b"\n")
        texts += texts_of(lines) if lines else []
        fed += piece.count(b"\n")
        assert len(texts) == fed  # no whole line waits
    os.close(sink)
    texts += [text for lines in reader for text in texts_of(lines)]
    os.close(source)
    *whole, last = b"".join(pieces).split(b"\n")
    assert texts == [
        line.removesuffix(b"\r").decode("utf-8", "replace") for line in [*whole, *([last] if last else [])]
    ]


def test_no_more_is_held_than_a_chunk_and_the_line_that_it_ends(tmp_path: Path) -> None:
    data = b"a spoon\n" * (CHUNK_BYTES // 2) + b"x" * (3 * CHUNK_BYTES) + b"\nend"
    with opened(tmp_path / "lines", data) as reader:
        sizes = list(map(len, reader))
    assert sum(sizes) == len(data)
    assert sum(size > CHUNK_BYTES for size in sizes) == 1
    assert max(sizes) < 5 * CHUNK_BYTES


def test_no_text_can_shift_the_answers_of_the_others(run: Run) -> None:
    hostile = [
        b"",
        b"\0",
        b"\x1b[2J\x07\x08",
        "love\u2028hate\u2029\x0b\x0c\x85\x1c".encode(),
        b"\xed\xa0\x80\xff\xfe\xc3",
        b"\r\r",
        b"so " * 100_000,
        b"!" * 300_000,
        "\u202e\U0001f600".encode(),
    ]
    lines = [line for text in hostile for line in (text, b"I love it")] + [b"\r", b"I hate it"]
    done = run("--no-emoji", given=b"\n".join(lines))
    answers = done.stdout.split(b"\n")
    assert done.error == ""
    assert answers.pop() == b""
    assert len(answers) == len(lines)
    love, hate = (
        b"%d\t%d" % strength
        for strength in NativeEngine(SentimentSettings(emoji=False)).score(["I love it", "I hate it"])
    )
    assert love != hate != b"1\t-1"
    assert set(answers[1:-1:2]) == {love}
    assert answers[-1] == hate
    assert answers[0] == answers[2] == answers[-2] == b"1\t-1"


def test_no_line_has_no_answer(run: Run) -> None:
    assert run(given=b"") == run("--jobs", "2", given=b"") == Done(b"", "")


def test_the_originals_answers_come_out_of_the_command(run: Run, shared_data: Path) -> None:
    lists = shared_data / "sentistrength" / "lists"
    reference = (shared_data / "sentistrength" / "reference.tsv").read_text("utf-8").split("\n")[1:401]
    rows = [row.split("\t") for row in reference]
    texts = "\n".join(text for text, _, _ in rows).encode()
    expected = [f"{positive}\t{negative}" for _, positive, negative in rows]
    as_json = [f'{{"positive": {positive}, "negative": {negative}}}' for _, positive, negative in rows]
    assert run("--lexicon", lists, "--jobs", "2", given=texts).stdout.decode().split("\n") == [*expected, ""]
    assert run("--lexicon", lists, "--json", given=texts).stdout.decode().split("\n") == [*as_json, ""]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_who_writes_one_line_and_waits_is_answered_until_ctrl_c(jobs: str) -> None:
    with started("--jobs", jobs) as process:
        assert ask(process, b"a spoon\n") == b"1\t-1\n"
        assert ask(process, b"I love it\r\n") != b"1\t-1\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
        assert process.wait(DEADLINE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == b"stopped", "its input is read, so the same command would not go on"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_reader_that_has_enough_ends_it_quietly(jobs: str) -> None:
    with started("--jobs", jobs) as process:
        assert ask(process, b"a spoon\n") == b"1\t-1\n"
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.close()
        process.stdin.write(b"a spoon\n")
        assert process.wait(DEADLINE_S) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_its_processes_end_with_it_even_if_it_is_killed() -> None:
    with started("--jobs", "2") as process:
        ask(process, b"a spoon\n")
        process.kill()
        # standard output is at an end only when the last process that could write there has ended
        assert process.communicate(timeout=DEADLINE_S) == (b"", b"")


def _slowly(lines: bytes) -> Answered:
    """The lines themselves, the earlier ones the later."""
    time.sleep(0.05 if lines.startswith(b"slow") else 0.0)
    return Answered(lines)


def test_processes_answer_in_order_though_the_first_lines_take_longest(tmp_path: Path) -> None:
    block = b"x" * (CHUNK_BYTES - 1) + b"\n"
    data = (b"slow" + block[4:]) + b"".join(b"%4d" % n + block[4:] for n in range(12))
    with opened(tmp_path / "lines", data) as reader:
        heads = [answered.lines[:4] for answered in answer_by_processes(reader, _slowly, 2)]
    assert heads == [b"slow", *(b"%4d" % n for n in range(12))]


def test_only_so_many_batches_are_read_ahead_of_a_slow_one(tmp_path: Path) -> None:
    with opened(tmp_path / "lines", b"slow\n" + b"fast\n" * (4 * CHUNK_BYTES)) as reader:
        answers = answer_by_processes(reader, _slowly, 2)
        next(answers)
        assert reader.read_bytes <= 10 * CHUNK_BYTES
        answers.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def _repeated(lines: bytes) -> Answered:
    """More than a pipe holds, so that a process is often writing when nobody wants its answers any more."""
    return Answered(lines)


@pytest.mark.timeout(60)
def test_answers_that_are_left_amid_their_writing_are_no_hang(tmp_path: Path) -> None:
    for _ in range(20):
        with opened(tmp_path / "lines", (b"x" * 1000 + b"\n") * 4000) as reader:
            answers = answer_by_processes(reader, _repeated, 2)
            next(answers)
            answers.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def _signal_mask(lines: bytes) -> Answered:
    return Answered(b"%d" % (signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())))


def test_ctrl_c_is_blocked_in_every_process_from_its_start_and_not_in_ours(tmp_path: Path) -> None:
    with opened(tmp_path / "lines", b"a spoon\n" * CHUNK_BYTES) as reader:
        assert {answered.lines for answered in answer_by_processes(reader, _signal_mask, 2)} == {b"1"}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _kill_myself(lines: bytes) -> Answered:
    os.kill(os.getpid(), signal.SIGKILL)
    return Answered(lines)


@pytest.mark.parametrize("at_work", [True, False])
def test_a_killed_process_is_an_error_and_no_hang(at_work: bool) -> None:
    source, sink = os.pipe()
    write_all(sink, b"a spoon\n")
    answers = answer_by_processes(LineReader(source), _kill_myself if at_work else _slowly, 2)
    if not at_work:
        assert next(answers).lines == b"a spoon\n"
        for process in multiprocessing.active_children():
            process.kill()
        write_all(sink, b"a fork\n")
    with pytest.raises(SentimentError, match="a scoring process ended before its time"):
        next(answers)
    os.close(sink)
    os.close(source)


def _refuse(lines: bytes) -> Answered:
    raise SentimentError(f"{len(lines)} bytes are too many")


def test_what_a_process_refuses_is_said_by_the_command(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "lines", b"a spoon\n") as reader,
        pytest.raises(SentimentError, match="8 bytes are too many"),
    ):
        list(answer_by_processes(reader, _refuse, 2))


class Choosy:
    """An engine that scores no text longer than three characters."""

    name = version = "choosy"

    def score(self, texts: Sequence[str]) -> list[Strength | Unscored]:
        return [Strength(2, -3) if len(text) < 4 else Unscored(Failure.SILENT, f"{len(text)}") for text in texts]


@pytest.mark.parametrize(
    ("as_json", "said"),
    [(False, b"2\t-3\nerror\tengine_silent\n2\t-3\n"), (True, b'{"error": "engine_silent"}')],
)
def test_a_text_without_strengths_has_a_line_that_says_why(as_json: bool, said: bytes) -> None:
    answered = Answerer(Choosy(), as_json=as_json)(b"one\nthree\ntwo\n")
    assert answered.n_unscored == 1
    assert len(answered.lines.splitlines()) == 3
    assert said in answered.lines


@pytest.fixture
def lists(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a folder of word lists that knows a spoon's strength."""

    def write(strength: str) -> Path:
        folder = tmp_path / "lists"
        folder.mkdir()
        for file, text in {
            "EmotionLookupTable.txt": f"spoon\t{strength}\nfork\t-2\n",
            "BoosterWordList.txt": "very\t1\n",
            "NegatingWordList.txt": "not\n",
            "EmoticonLookupTable.txt": ":)\t1\n",
        }.items():
            (folder / file).write_text(text)
        return folder

    return write


def test_the_settings_choose_and_options_choose_instead_with_a_bar_for_a_file_before_a_terminal(
    tmp_path: Path, lists: Callable[[str], Path]
) -> None:
    config, file = tmp_path / "my.toml", tmp_path / "lines"
    config.write_text(f'[sentiment]\nengine = "java"\nlexicon = "{lists("5")}"\n')
    file.write_bytes(b"a spoon\n" * 1000)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [*SCORE, "--config", str(config), "--engine", "native"]
    with file.open("rb") as given:
        done = subprocess.run(command, stdin=given, stdout=subprocess.PIPE, stderr=theirs, check=False)
    shown = os.read(ours, 1 << 16)
    os.close(theirs)
    os.close(ours)
    assert done.stdout == b"5\t-1\n" * 1000
    assert b"scoring: 100%" in shown


def test_a_text_that_the_original_fails_on_keeps_its_line_and_the_command_refuses(
    run: Run, tmp_path: Path, lists: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "_start", InProcess)
    jar = archive(tmp_path / "SentiStrength.jar", dies_on="crash")
    options = ("--engine", "java", "--jar", jar, "--java", "sh", "--lexicon", lists("5"), "--json")
    done = run(*options, given=b"a spoon\ncrash\na fork\n")
    assert done.stdout.splitlines() == [
        b'{"positive": 5, "negative": -1}',
        b'{"error": "engine_ended"}',
        b'{"positive": 1, "negative": -2}',
    ]
    assert done.error == "lines that could not be scored: 1; each says why in its place"


def test_a_folder_without_lists_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    done = run("--lexicon", tmp_path, given=b"a spoon\n")
    assert done.stdout == b""
    assert "EmotionLookupTable.txt" in done.error


@pytest.mark.parametrize("arguments", [("--engine", "magic"), ("--jobs", "0"), ("--emoji=3",), ("a text",)])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["sentiment", "score", *arguments]).exit_code == 2


def test_a_closed_standard_input_is_refused() -> None:
    done = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *SCORE], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"error: standard input is closed\n"
