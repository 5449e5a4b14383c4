"""The original program behind lines: the right answers in the right places, whatever a text does to the program."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.errors import SentimentError
from flows.sentiment import java
from flows.sentiment.engines import OPEN_LEXICON, make_engine, with_installed
from flows.sentiment.java import JavaEngine, Unscored
from flows.sentiment.sentistrength import Scorer, Strength
from flows.settings import SentimentSettings
from tests.sentistrength_stand_in import COMMAND, ROOT, InProcess, archive, command

Make = Callable[..., JavaEngine]

OURS = Scorer.of(OPEN_LEXICON)
GOOD = ["I love it", "a table", "terrible!!!", "not bad :)", "I loooove this. I hate that"] * 3


def ours(texts: Sequence[str]) -> list[Strength]:
    return [OURS.score(text) for text in texts]


@pytest.fixture(scope="module")
def java_command(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(command(tmp_path_factory.mktemp("java") / "java"))


@pytest.fixture
def make_process(tmp_path: Path, java_command: str) -> Iterator[Make]:
    """Makes an engine over the stand-in, started as a program, that fails in these ways; all are closed."""
    made: list[JavaEngine] = []

    def engine(*, timeout_s: float = 10.0, **faults: Any) -> JavaEngine:
        jar = archive(tmp_path / "SentiStrength.jar", **faults)
        made.append(JavaEngine(OPEN_LEXICON, jar=jar, java=java_command, timeout_s=timeout_s))
        return made[-1]

    yield engine
    for engine_made in made:
        engine_made.close()


@pytest.fixture
def make(make_process: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The same with the stand-in in a thread of this process."""
    monkeypatch.setattr(java, "_start", InProcess)
    return make_process


def starts(folder: Path) -> list[int]:
    """The processes that were started, in their order."""
    log = folder / "starts.log"
    return [int(pid) for pid in log.read_text("utf-8").split()] if log.exists() else []


def is_gone(pid: int) -> bool:
    """Whether a process is no more, within a second; one that nobody waits for but that has ended is gone."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if ") Z " in Path(f"/proc/{pid}/stat").read_text("utf-8"):
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


HOSTILE = st.characters(codec=None) | st.sampled_from(
    ["\n", "\r", "\0", "\t", "\x85", "\u2028", "\ufeff", "\u202e", "\ud800", "\udc00", "😀", "!", ".", " ", '"', "\x1a"]
)
WORDS = st.sampled_from(["love", "hate", "not", "very", ":)", "good!", COMMAND, f"{COMMAND}\tlove\t-4", "1\t-1", "☠"])
TEXTS = st.lists(st.lists(WORDS | st.text(HOSTILE, max_size=6), max_size=6).map(" ".join), max_size=30)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_texts_have_our_scorers_answers_in_order_though_the_program_dies_now_and_then(
    make: Make, data: st.DataObject
) -> None:
    engine = make(dies_once_on="☠")
    for texts in data.draw(st.lists(TEXTS, max_size=3)):
        assert engine.score(texts) == ours(texts)
    engine.close()


def test_a_program_is_started_for_the_first_text_and_kept(make: Make, tmp_path: Path) -> None:
    engine = make()
    assert engine.score([]) == []
    assert engine.score(["", "  ", "\n", " \t \r\n"]) == [Strength(1, -1)] * 4
    assert starts(tmp_path) == []
    for _ in range(3):
        assert engine.score(GOOD) == ours(GOOD)
    assert len(starts(tmp_path)) == 1


def test_many_batches_and_a_million_characters_are_answered(make: Make) -> None:
    texts = [f"{text} {number}" for number in range(80) for text in GOOD]
    texts[700] = "I love it " * 100_000
    assert make().score(texts) == ours(texts)


@pytest.mark.parametrize(
    "texts",
    [
        ["love\nhate", "love\rhate", "love\r\nhate\n", "\r\rlove\n\n", "love\x85hate\u2028love\x0b\x0chate\x1e"],
        ["love \ud83d\ude00 it", "\ud800love\udfff", "hate\udc00\ud800"],
        [f"{COMMAND}\thate\t3", "hate", f"love {COMMAND} it", f"#Change_\n{COMMAND[8:]}\thate\t3", "I hate it"],
    ],
    ids=["line breaks", "half characters", "commands"],
)
def test_what_is_more_than_text_to_the_program_is_text(make: Make, tmp_path: Path, texts: list[str]) -> None:
    assert make().score(texts) == ours(texts)
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize(
    "oddity",
    [{"columns": "0\t[explained]"}, {"separator": " "}, {"in_pieces": True}, {"greets": 9}, {"noise_bytes": 1 << 18}],
    ids=str,
)
def test_an_answer_is_one_however_it_is_written_and_whatever_is_said_beside_it(
    make: Make, tmp_path: Path, oddity: dict[str, Any]
) -> None:
    assert make(**oddity).score(GOOD) == ours(GOOD)
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize(
    ("fault", "reason", "at"),
    [
        ("dies_on", "ended", 15),
        ("hangs_on", "silent", 7),
        ("skips", "garbled", 7),
        ("answers_twice", "garbled", 15),
        ("strays_on", "garbled", 7),
        ("endless_on", "garbled", 7),
    ],
)
def test_only_the_text_that_the_program_fails_on_has_no_strength(make: Make, fault: str, reason: str, at: int) -> None:
    engine = make(timeout_s=0.3, **{fault: "poison"})
    texts = [*GOOD[:at], "I love poison", *GOOD[at:]]
    answers = engine.score(texts)
    unscored = answers.pop(at)
    assert answers == ours(GOOD)
    assert isinstance(unscored, Unscored)
    assert unscored.reason == f"engine_{reason}"
    assert engine.score(GOOD) == ours(GOOD)


def test_a_text_is_given_up_after_it_ended_two_programs_with_what_these_said_last(make: Make, tmp_path: Path) -> None:
    engine = make(dies_on="poison")
    [unscored] = engine.score(["\x1b[31mpoison"])
    assert isinstance(unscored, Unscored)
    assert re.search(r"exit code 1; at last it said:\nException in thread main.*x1b", unscored.detail)
    assert "\x1b" not in unscored.detail
    assert len(starts(tmp_path)) == 2
    engine.score([*GOOD, "poison", *GOOD])
    assert len(starts(tmp_path)) == 5  # in the batch, alone, and the one that answers the rest
    assert all(isinstance(answer, Unscored) for answer in engine.score(["poison"] * 20))


def test_a_program_that_ends_again_and_again_loses_no_text(make: Make, tmp_path: Path) -> None:
    assert make(dies_every=40).score(GOOD * 3) == ours(GOOD * 3)
    assert len(starts(tmp_path)) >= 2


def test_what_is_said_late_belongs_to_no_text(make: Make, tmp_path: Path) -> None:
    engine = make(late_stray_on="spoon")
    assert engine.score(["I hate my spoon"]) == ours(["I hate my spoon"])
    time.sleep(0.2)
    assert engine.score(GOOD) == ours(GOOD)
    assert len(starts(tmp_path)) == 2


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"refuses": "Failed to find Idioms file"}, r"exit code 1; at last it said:\nFailed to find Id"),
        ({"refuses_in_error": "java.lang.UnsupportedClassVersionError: 65"}, "newer Java, which `sentiment.java` can"),
        ({"never_answers": True}, r"said nothing for 0\.3 s"),
        ({"greets": 5000}, "said what is no answer; at last it said:\nSentiStrength, reading"),
        ({"neutral_always": True}, "no stronger than '0': 1 -1 1 -1"),
        ({"dies_every": 3}, "ended with exit code 1"),
    ],
)
def test_a_program_that_does_not_start_is_refused_at_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: dict[str, Any], said: str
) -> None:
    if "never_answers" in faults:
        monkeypatch.setattr(java, "START_S", 0.3)
    with pytest.raises(SentimentError, match=said) as refused:
        make(**faults).score(GOOD)
    assert "stdin sentidata" in str(refused.value)
    assert "`sentiment." in str(refused.value)
    assert len(starts(tmp_path)) == 1


def test_apostrophes_and_addresses_are_read_as_the_settings_say(tmp_path: Path, java_command: str) -> None:
    jar = archive(tmp_path / "a.jar")
    texts = ["I don’t love it", "nice http://x.com/hate"]

    def engine(**settings: Any) -> JavaEngine:
        made = make_engine(SentimentSettings(engine="java", jar=jar, java=java_command, **settings))
        assert isinstance(made, JavaEngine)
        return made

    as_original = engine(straighten_apostrophes=False, ignore_addresses=False)
    with closing(as_original), closing(engine()) as ours_read, closing(pickle.loads(pickle.dumps(ours_read))) as copy:  # noqa: S301
        assert as_original.score(texts) == ours(texts)
        assert ours_read.score(texts) == copy.score(texts) == ours(["I don't love it", "nice"]) != ours(texts)
        assert as_original.version != ours_read.version == copy.version


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the package `sentistrength`, installed."""
    folder = tmp_path / "site" / "sentistrength"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("class PySentiStr:\n    pass\n", "utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.chdir(tmp_path)
    yield folder
    sys.modules.pop("sentistrength", None)


@pytest.mark.parametrize("place", ["package", "working folder", "attributes"])
def test_the_package_sentistrength_brings_its_archive_and_lists(
    package: Path, tmp_path: Path, java_command: str, place: str
) -> None:
    folder = {"package": package, "working folder": tmp_path}.get(place, tmp_path / "elsewhere")
    shutil.copytree(OPEN_LEXICON, folder / "SentiStrength_Data")
    jar = archive(folder / "SentiStrengthCom.jar")
    if place == "attributes":
        caller = importlib.import_module("sentistrength").PySentiStr
        caller.SentiStrengthLocation, caller.SentiStrengthLanguageFolder = str(jar), f"{folder}/SentiStrength_Data/"
    settings = SentimentSettings(engine="java", java=java_command)
    found = with_installed(settings)
    assert (found.jar, found.lexicon) == (jar, folder / "SentiStrength_Data")
    with closing(cast("JavaEngine", make_engine(settings))) as engine:
        assert engine.score(GOOD) == ours(GOOD)
    own = settings.model_copy(update={"jar": tmp_path / "own.jar"})
    assert with_installed(own) == own


def test_without_an_archive_the_package_changes_nothing(package: Path) -> None:
    with pytest.raises(SentimentError, match=r"ytb-ads\[sentistrength\]"):
        make_engine(SentimentSettings(engine="java"))


def test_java_is_found_by_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    command(tmp_path / "bin" / "java-of-home")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    jar = archive(tmp_path / "a.jar")
    with closing(JavaEngine(OPEN_LEXICON, jar=jar, java="java-of-home")) as engine:
        assert engine.score(GOOD) == ours(GOOD)


def test_what_cannot_be_started_is_refused_with_its_setting(tmp_path: Path, java_command: str) -> None:
    jar = archive(tmp_path / "a.jar")
    (tmp_path / "text.jar").write_text("<html>not found</html>", "utf-8")
    (tmp_path / "empty").mkdir()
    no_program = tmp_path / "broken"
    no_program.write_bytes(b"\x7fELF")
    no_program.chmod(0o755)

    def refusal(folder: Path = OPEN_LEXICON, jar: Path = jar, java: str = java_command) -> str:
        with pytest.raises(SentimentError) as refused:
            JavaEngine(folder, jar=jar, java=java).score(["love"])
        return str(refused.value)

    assert "`sentiment.java` is 'no-such-java': no such command" in refusal(java="no-such-java")
    assert "did not start" in refusal(java=str(no_program))
    assert "`sentiment.jar`" in refusal(jar=tmp_path / "none.jar")
    assert "no file" in refusal(jar=tmp_path)
    assert "no Java archive" in refusal(jar=tmp_path / "text.jar")
    assert re.search(r"`sentiment\.lexicon` .*none is not a folder", refusal(folder=tmp_path / "none"))
    assert re.search(r"`sentiment\.lexicon` .*EmotionLookupTable\.txt: missing", refusal(folder=tmp_path / "empty"))


def test_threads_share_a_program_and_get_their_own_answers(make: Make, tmp_path: Path) -> None:
    engine = make()
    lists = [[f"{text} {number}" for text in GOOD] for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(engine.score, lists)) == list(map(ours, lists))
    assert len(starts(tmp_path)) == 1


def test_an_interrupted_batch_does_not_shift_the_next(make: Make) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    engine = make(hangs_on="poison")
    engine.score(["love"])
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            engine.score([*GOOD, "poison", *GOOD])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert engine.score(GOOD) == ours(GOOD)


def test_a_pickled_engine_starts_its_own_program(make: Make, tmp_path: Path) -> None:
    engine = make()
    engine.score(["love"])
    with closing(pickle.loads(pickle.dumps(engine))) as copy:  # noqa: S301 - our own
        assert copy.version == engine.version
        assert copy.score(GOOD) == ours(GOOD)
    assert engine.score(GOOD) == ours(GOOD)
    assert len(starts(tmp_path)) == 2


def test_killed_between_two_batches_it_is_started_again_and_closed_it_is_gone(
    make_process: Make, tmp_path: Path
) -> None:
    engine = make_process(dies_once_on="once")
    engine.score(GOOD)
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    assert is_gone(starts(tmp_path)[0])
    assert engine.score(["I love it once"]) == ours(["I love it once"])  # its first end, not its second
    assert len(starts(tmp_path)) == 3
    engine.close()
    engine.close()
    assert is_gone(starts(tmp_path)[2])
    assert engine.score(GOOD) == ours(GOOD)
    del engine


def test_a_program_that_will_not_end_is_killed(
    make_process: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "ENDING_S", 0.1)
    engine = make_process(ignores_terminate=True, hangs_on="poison", timeout_s=0.2)
    assert isinstance(engine.score(["poison"])[0], Unscored)
    assert all(map(is_gone, starts(tmp_path)))


@pytest.mark.parametrize("end", ["del engine; gc.collect()", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_an_engine_or_interpreter_that_ends_leaves_no_program(tmp_path: Path, java_command: str, end: str) -> None:
    jar = archive(tmp_path / "a.jar")
    script = f"""
import gc, os, signal, sys
from pathlib import Path
from flows.settings import SentimentSettings
from tests.sentistrength_stand_in import without_tables
without_tables()
from flows.sentiment.java import JavaEngine
engine = JavaEngine(Path({str(OPEN_LEXICON)!r}), jar=Path({str(jar)!r}), java={java_command!r})
engine.score(["love"])
{end}
print(flush=True)
sys.stdin.read()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has forgotten its engine, or ended
        [pid] = starts(tmp_path)
        assert is_gone(pid)


def _score_in_child(engine: JavaEngine, answers: multiprocessing.SimpleQueue[object]) -> None:
    answers.put(engine.score(GOOD))
    engine.close()
    answers.put("closed")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_engine_starts_its_own_program_even_when_another_thread_was_scoring(
    make_process: Make, tmp_path: Path
) -> None:
    engine = make_process()
    engine.score(["love"])
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    stop = threading.Event()

    def keep_scoring() -> bool:
        right = True
        while not stop.is_set():
            right = right and engine.score(GOOD) == ours(GOOD)
        return right

    with ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(keep_scoring)
        try:
            child = context.Process(target=_score_in_child, args=(engine, answers))
            child.start()
            child.join(20)
            assert not answers.empty()
            assert answers.get() == ours(GOOD)
            # what other libraries of this process do at the child's end is not the engine's
            assert answers.get() == "closed"
        finally:
            stop.set()
            child.kill()
        assert scoring.result()
    first, second = starts(tmp_path)
    assert is_gone(second)
    os.kill(first, 0)  # still there


def test_the_version_changes_with_the_archive_and_with_any_list(tmp_path: Path, java_command: str) -> None:
    lists = tmp_path / "lists"
    shutil.copytree(OPEN_LEXICON, lists)

    def version(name: str) -> str:
        return JavaEngine(lists, jar=tmp_path / name, java=java_command).version

    archive(tmp_path / "a.jar")
    shutil.copy(tmp_path / "a.jar", tmp_path / "b.jar")
    archive(tmp_path / "c.jar", columns="x")
    first = version("a.jar")
    assert version("b.jar") == first
    other_jar = version("c.jar")
    (lists / "QuestionWords.txt").write_text("why\n", "utf-8")  # not read by our scorer, but by the original
    assert len({first, other_jar, version("a.jar")}) == 3


LINES_JAVA = r"""
import java.io.*;
import java.nio.file.*;

public class Lines {
    public static void main(String[] args) throws IOException {
        String listed = new BufferedReader(new FileReader(args[2] + "EmotionLookupTable.txt")).readLine();
        if (!listed.equals("süß😀\t3")) throw new IOException("the list is not read as UTF-8: " + listed);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            if (line.contains("#Change_TermWeight")) throw new IOException("commanded");
            int[] points = line.codePoints().toArray();
            int sum = 0;
            for (int point : points) sum += point;
            System.out.println((1 + points.length % 5) + "\t" + (-1 - sum % 5) + "\t");
        }
    }
}
"""


@pytest.fixture(scope="module")
def real_java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaEngine]:
    """An engine over a Java program that counts and adds up the characters of every line."""
    if not (shutil.which("javac") and shutil.which("java")):
        pytest.skip("no Java compiler on this machine")
    folder = tmp_path_factory.mktemp("ява ü")
    (folder / "Lines.java").write_text(LINES_JAVA, "utf-8")
    subprocess.run(["javac", "-encoding", "UTF-8", "Lines.java"], cwd=folder, check=True, timeout=60)
    with zipfile.ZipFile(folder / "Lines.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: Lines\n")
        jar.write(folder / "Lines.class", "Lines.class")
    shutil.copytree(OPEN_LEXICON, folder / "lists")
    (folder / "lists" / "EmotionLookupTable.txt").write_text("süß😀\t3\n", "utf-8")
    with closing(JavaEngine(folder / "lists", jar=folder / "Lines.jar")) as engine:
        yield engine


def counted(text: str) -> Strength:
    """What the Java program makes of a text, a blank one aside."""
    line = re.sub(r"\r\n|[\r\n]", " ", text).replace(COMMAND, "#Change_Termweight")
    points = list(line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return Strength(1 + len(points) % 5, -1 - sum(map(ord, points)) % 5) if line.strip(" \t\v\f") else Strength(1, -1)


def test_a_real_java_reads_every_character_as_it_was_written_whatever_the_locale(
    real_java: JavaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    texts = [f"x{chr(code)}" for code in [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000), 0x1F600]]
    texts += [f"{COMMAND}\tlove\t1", "\ud83d\ude00", "a\r\nb\rc\nd", "é" * 1_000_000, "\0", "\x1a", "\ufeffa"]
    wrong = [text for text, answer in zip(texts, real_java.score(texts), strict=True) if answer != counted(text)]
    assert wrong == []


@settings(max_examples=50)
@given(texts=TEXTS)
def test_a_real_java_answers_any_texts_in_order(real_java: JavaEngine, texts: list[str]) -> None:
    assert real_java.score(texts) == list(map(counted, texts))
