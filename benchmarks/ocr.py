"""Quality and speed of each OCR engine: the words, their number, and the decision "more than five words".

Sets: `cards` (advert frames with the exact words on them), `street` (much harder), `adverts` (frames of adverts while a
card is shown), `rendered` (many fonts, sizes, backgrounds, languages), `textless` (nothing is written: every word is
false), `mixed` (adverts and textless frames of 640x360 in turn, for the speed), `screens` (dense screens, drawn), `ads`
(the frames that the pipeline samples from adverts) and `dense` (the same, a dense screen after every fourth). Nobody
wrote down what stands on `ads`: they are compared with what `rapidocr` reads with `ocr.detail = "all"`. A word is found
if every letter of it was read; capitals and punctuation do not count. Pictures whose illegible words could turn the
decision are left out of it. Words that the truth does not list lower the precision: on `street` those that the
annotators could not read, on `adverts` those of the footage. Milliseconds by step are those of the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from benchmarks.ocr_frames import DECISION, SETS, Shown
from flows.console import print_tables
from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.frames.sampling import decode_jpeg
from flows.ocr.engine import OcrEngine
from flows.ocr.rapid.engine import Ladder, RapidOcrEngine
from flows.ocr.registry import ENGINES, ocr_engine
from flows.ocr.words import Word, read_words
from flows.settings import OcrSettings

QUALITY = 90
"""Of the JPEGs that frames are stored as; pictures that are JPEG files are read as they are."""


def main() -> None:
    """Measure every engine that is installed, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the test data, or its folder ocr")
    parser.add_argument("--set", choices=SETS, required=True, dest="name")
    parser.add_argument("--engine", choices=ENGINES, help="default: all that are installed, side by side")
    parser.add_argument("--model-dir", type=Path, metavar="DIR", help="models of easyocr, or data of tesseract")
    parser.add_argument("--sides", type=int, nargs="+", help="rungs of rapidocr's ladder, instead of the default ones")
    parser.add_argument("--detail", choices=("all", "decision"), default="all", help="how much rapidocr reads")
    parser.add_argument("--workers", type=int, default=1, help="threads that read side by side")
    parser.add_argument("--number", type=int, help="at most so many pictures")
    parser.add_argument("--faults", action="store_true", help="print every picture that is decided wrongly")
    parser.add_argument("--json", action="store_true", help="one JSON object for each engine")
    arguments = parser.parse_args()
    shown = list(islice(SETS[arguments.name](arguments.data), arguments.number))
    rows = []
    for name in [arguments.engine] if arguments.engine else ENGINES:
        engine = _engine(name, arguments.model_dir, arguments.sides, arguments.detail, required=bool(arguments.engine))
        if engine is not None:
            rows.append(measure(engine, arguments.name, shown, arguments.workers, faults=arguments.faults))
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_tables(render(rows, arguments.name, len(shown), arguments.workers))


def measure(engine: OcrEngine, name: str, shown: Sequence[Shown], workers: int, *, faults: bool) -> dict[str, Any]:
    """Read every picture once, and compare with what stands on it."""
    shown = [_as_fully_read(one) if one.unknown else one for one in shown]
    engine.read([shown[0].picture])  # what an engine loads when it first reads is not counted
    jpegs = [one.jpeg or _jpeg(one.picture) for one in shown]
    spent = Spent()
    rungs: Counter[str] = Counter()
    start, cpu_start = time.perf_counter(), _processor_s()
    with ThreadPoolExecutor(workers) as pool:
        read = list(pool.map(lambda jpeg: _read(engine, jpeg, spent, rungs), jpegs))
    seconds, cpu_seconds = time.perf_counter() - start, _processor_s() - cpu_start
    if faults:
        _print_faults(engine.name, shown, read)
    counts = {
        "engine": engine.name,
        "version": engine.version,
        "set": name,
        "pictures": len(shown),
        **_quality(shown, read),
        "ms_per_frame": 1000 * seconds / len(shown),
        "frames_per_s": len(shown) / seconds,
        "cpu_ms_per_frame": 1000 * cpu_seconds / len(shown),
        "workers": workers,
        **{f"{step}_ms": 1000 * seconds / len(shown) for step, seconds in spent.seconds.items()},
    }
    counts["rest_ms"] = max(0.0, counts["cpu_ms_per_frame"] - 1000 * sum(spent.seconds.values()) / len(shown))
    groups = sorted({one.group for one in shown} - {""})
    if groups:
        counts["groups"] = {group: _quality(*_only(group, shown, read)) for group in groups}
    if rungs:
        counts["rungs"] = {rung: rungs[rung] for rung in sorted(rungs)}
    return counts


def _as_fully_read(one: Shown) -> Shown:
    """With the words that RapidOCR reads on it when it reads all."""
    (words,) = ocr_engine(OcrSettings()).read([one.picture])
    return replace(one, words=tuple(word.text for word in words))


def _processor_s() -> float:
    """Seconds of the processor so far, those of programs that were called and have ended included."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _jpeg(picture: Picture) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


class Clocked:
    """A detector or recogniser, and the seconds of the processor that its calls take."""

    def __init__(self, network: Any, step: str, spent: Spent) -> None:
        self._network, self._step, self._spent = network, step, spent

    def probabilities(self, picture: Picture, side: int) -> Any:
        """See `Detector.probabilities`."""
        with self._spent.on(self._step):
            return self._network.probabilities(picture, side)

    def read(self, picture: Picture, quad: Any) -> Any:
        """See `Recogniser.read`."""
        with self._spent.on(self._step):
            return self._network.read(picture, quad)

    def read_otherwise(self, picture: Picture, quad: Any) -> Any:
        """See `Recogniser.read_otherwise`."""
        with self._spent.on(self._step):
            return self._network.read_otherwise(picture, quad)


class Spent:
    """Seconds of the processor by what they were spent on, over all threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        """Count what this thread spends until the end of the block."""
        start = time.thread_time()
        yield
        with self._lock:
            self.seconds[step] += time.thread_time() - start

    def ladder(self, engine: RapidOcrEngine) -> Ladder:
        """The engine's ladder with its networks clocked."""
        detector: Any = Clocked(engine.ladder.detector, "detect", self)
        recogniser: Any = Clocked(engine.ladder.recogniser, "recognise", self)
        return replace(engine.ladder, detector=detector, recogniser=recogniser)


def _read(engine: OcrEngine, jpeg: bytes, spent: Spent, rungs: Counter[str]) -> list[Word]:
    """The words of a stored picture."""
    with spent.on("decode"):
        picture = decode_jpeg(jpeg)
    if not isinstance(engine, RapidOcrEngine):
        with spent.on("read"):
            [words] = engine.read([picture])
        return words
    lines, rung, decided = spent.ladder(engine).read(picture)
    rungs[f"{rung}{' decided' if decided else ''}"] += 1
    return read_words(lines, engine.min_confidence)


def _quality(shown: Sequence[Shown], read: Sequence[list[Word]]) -> dict[str, Any]:
    decisions = [
        (len(words) > DECISION) == (len(one.words) > DECISION)
        for one, words in zip(shown, read, strict=True)
        if one.decided
    ]
    pairs = [(_plain(one.words), _plain(word.text for word in words)) for one, words in zip(shown, read, strict=True)]
    found = sum((truth & said).total() for truth, said in pairs)
    true, said = sum(truth.total() for truth, _ in pairs), sum(said.total() for _, said in pairs)
    with_false = [said.total() for truth, said in pairs if not truth]
    errors = [abs(len(one.words) - len(words)) for one, words in zip(shown, read, strict=True) if not one.illegible]
    return {
        "decision_accuracy": _share(sum(decisions), len(decisions)),
        "decided_right": sum(decisions),
        "decided": len(decisions),
        "word_recall": _share(found, true),
        "word_precision": _share(found, said),
        "count_error": _share(sum(errors), len(errors)),
        "textless_frames": len(with_false),
        "textless_with_words": _share(sum(number > 0 for number in with_false), len(with_false)),
        "false_words_per_textless_frame": _share(sum(with_false), len(with_false)),
    }


def _plain(words: Iterable[str]) -> Counter[str]:
    """Words without capitals and punctuation, however accents are written."""
    split = (part for word in words for part in word.split())
    plain = ("".join(filter(str.isalnum, unicodedata.normalize("NFC", part).casefold())) for part in split)
    return Counter(word for word in plain if word)


def _only(group: str, shown: Sequence[Shown], read: Sequence[Any]) -> tuple[list[Shown], list[Any]]:
    chosen = [index for index, one in enumerate(shown) if one.group == group]
    return [shown[index] for index in chosen], [read[index] for index in chosen]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _engine(
    name: str, model_dir: Path | None, sides: list[int] | None, detail: str, *, required: bool
) -> OcrEngine | None:
    chosen: dict[str, Any] = {"engine": name, "model_dir": model_dir, "detail": detail}
    try:
        return ocr_engine(OcrSettings(**chosen | ({"sides": tuple(sides)} if sides else {})))
    except OcrError as error:
        if required:
            raise SystemExit(f"error: {error}") from error
        Console(stderr=True).print(f"left out: {error}", highlight=False)
        return None


def _print_faults(name: str, shown: Sequence[Shown], read: Sequence[list[Word]]) -> None:
    for one, words in zip(shown, read, strict=True):
        if (len(words) > DECISION) != (len(one.words) > DECISION) and one.decided:
            print(f"{name}: {one.name}: {len(words)} words for {len(one.words)}: {[word.text for word in words]}")


ROWS = (
    ("decided right", lambda row: f"{row['decided_right']} of {row['decided']}"),
    ("decision_accuracy", lambda row: _percent(row["decision_accuracy"])),
    ("word_recall", lambda row: _percent(row["word_recall"])),
    ("word_precision", lambda row: _percent(row["word_precision"])),
    ("mean error of the count", lambda row: _number(row["count_error"])),
    ("textless frames with words", lambda row: _percent(row["textless_with_words"])),
    ("false words a textless frame", lambda row: _number(row["false_words_per_textless_frame"])),
    ("ms_per_frame", lambda row: f"{row['ms_per_frame']:.0f}"),
    ("processor ms a frame", lambda row: f"{row['cpu_ms_per_frame']:.0f}"),
    ("frames/s", lambda row: f"{row['frames_per_s']:.1f}"),
    *((f"  {step} ms", lambda row, step=step: _number(row.get(f"{step}_ms"))) for step in
      ("decode", "detect", "recognise", "rest", "read")),
    ("pictures by rung", lambda row: ", ".join(f"{rung}: {number}" for rung, number in row.get("rungs", {}).items())),
)  # fmt: skip


def render(rows: Sequence[dict[str, Any]], name: str, pictures: int, workers: int) -> Table:
    """One column for each engine."""
    threads = "one thread" if workers == 1 else f"{workers} threads"
    table = Table(title=f"{name}: {pictures} pictures, {threads}")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['engine']} {row['version'].split('+')[0]}", justify="right")
    for title, cell in ROWS:
        cells = [cell(row) for row in rows]
        if any(cells):
            table.add_row(title, *cells)
    for group in rows[0].get("groups", {}) if rows else ():
        key = "textless_with_words" if name == "textless" else "word_recall"
        title = f"  {group}: {'with words' if name == 'textless' else 'recall'}"
        table.add_row(title, *(_percent(row["groups"][group][key]) for row in rows))
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
