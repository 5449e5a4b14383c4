"""Answers for many pictures with their words: a folder, CSV or JSONL in, CSV, JSONL or Parquet out.

Rows are read, answered and written batch by batch, so neither memory nor the work lost by a killed run grows with their
number. The answers go into a journal next to the output, and the next run with the same model and rows resumes from it.
The output is written as a whole when every row has a line. A row that cannot be answered has the reason in place of an
answer.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from fgmfn.errors import DataError, InputError, RunInProgressError
from fgmfn.inference import Prediction, Predictor, read_image
from fgmfn.predictions import METRICS, SHARE
from fgmfn.settings import SourceSettings

log = logging.getLogger(__name__)

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
OUTPUTS = (".csv", ".jsonl", ".parquet")
Record = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A picture and its words, as far as they could be read."""

    row: str
    """Name of the picture's file within the folder, or the line number."""
    image: Path | None = None
    text: str | None = None
    target: str | None = None
    auxiliary: str | None = None
    reason: str | None = None
    """Reason why the row cannot be answered; None if it can."""


def answer_rows(
    predictor: Predictor,
    rows: Path,
    output: Path,
    settings: SourceSettings,
    *,
    images: Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> tuple[int, int]:
    """Answer all rows of a folder, CSV or JSONL file; return the number of rows and of rows without an answer.

    Args:
        predictor: the model that answers.
        rows: a folder of pictures, each with its words in a text file of the same name (`frame.jpg`, `frame.txt`); or a
            CSV or JSONL file with a row for each.
        output: CSV, JSONL or Parquet file; the suffix decides.
        settings: names of the columns.
        images: folder of the pictures that a file names; None: the file's own folder.
        batch_size: rows that are read at a time.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        DataError: The rows cannot be read at all.
        InputError: The output has another suffix.
        RunInProgressError: Another run is writing the output.
    """
    if output.suffix.lower() not in OUTPUTS:
        raise InputError(f"{output}: expected a file that ends in {', '.join(OUTPUTS)}")
    read = _reader(rows, settings, images)
    output.parent.mkdir(parents=True, exist_ok=True)
    journal = output.with_name(f".{output.name}.journal")
    try:
        with FileLock(journal.with_suffix(".lock"), timeout=0):
            done = _begin(journal, _key(predictor, rows, settings, images))
            with journal.open("a", encoding="utf-8") as lines:
                asked = islice(read(), done, None)
                bar = tqdm(desc="rows", unit="row", initial=done, disable=None if progress else True)
                while batch := list(islice(asked, batch_size)):
                    for record in _answered(predictor, batch):
                        lines.write(json.dumps(record) + "\n")
                    lines.flush()
                    bar.update(len(batch))
                bar.close()
            counts = _write(journal, output, predictor.checkpoint.class_names)
            journal.unlink()
    except Timeout as error:
        raise RunInProgressError(f"{output}: another run is writing it; wait for it or stop it") from error
    journal.with_suffix(".lock").unlink(missing_ok=True)
    return counts


# --- what is asked ---


def _reader(path: Path, settings: SourceSettings, images: Path | None) -> Callable[[], Iterator[Asked]]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES and file.is_file())
        if not files:
            raise DataError(f"{path}: no pictures ({', '.join(PICTURES)})")
        return lambda: (_of_file(path, file) for file in files)
    read = {".csv": _csv, ".jsonl": _jsonl}.get(path.suffix.lower())
    if read is None or not path.is_file():
        raise DataError(f"{path}: expected a folder of pictures, or a file that ends in .csv or .jsonl")
    return lambda: (_of_record(row, found, settings, images or path.parent) for row, found in enumerate(read(path), 1))


def _of_file(folder: Path, picture: Path) -> Asked:
    row, words = picture.relative_to(folder).as_posix(), picture.with_suffix(".txt")
    try:
        return Asked(row, picture, words.read_text(encoding="utf-8-sig").strip() if words.is_file() else None)
    except (OSError, UnicodeDecodeError) as error:
        return Asked(row, picture, reason=f"{words.name}: cannot be read as UTF-8 text: {error}")


def _csv(path: Path) -> Iterator[Mapping[str, Any] | str]:
    csv.field_size_limit(sys.maxsize)  # a text may be longer than csv's 131,072 characters
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for record in csv.DictReader(lines):
                odd = None in record or None in record.values()
                yield "it has more or fewer cells than the header" if odd else record
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error


def _jsonl(path: Path) -> Iterator[Mapping[str, Any] | str]:
    with path.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                yield f"it is not JSON: {error}"
                continue
            yield record if isinstance(record, dict) else "it is not a JSON object"


def _of_record(row: int, found: Mapping[str, Any] | str, settings: SourceSettings, folder: Path) -> Asked:
    if isinstance(found, str):
        return Asked(str(row), reason=found)
    named = {field: getattr(settings, field) or field for field in ("image", "text", "target", "auxiliary")}
    values = {field: found.get(column) for field, column in named.items()}
    if odd := next((field for field, value in values.items() if not isinstance(value, str | None)), None):
        return Asked(str(row), reason=f"its {named[odd]} is a {type(values[odd]).__name__}; expected a text")
    picture = folder / values["image"] if values["image"] else None
    return Asked(str(row), picture, values["text"], values["target"], values["auxiliary"])


# --- answers ---


def _answered(predictor: Predictor, batch: Sequence[Asked]) -> list[Record]:
    """Answer rows together, or one by one if some of them are refused."""
    checked = [_checked(predictor, one) for one in batch]
    answers: dict[int, Prediction | str] = {number: one for number, one in enumerate(checked) if isinstance(one, str)}
    alike: dict[tuple[bool, bool], list[int]] = {}
    for number, asked in enumerate(batch):
        if number not in answers:
            alike.setdefault((asked.target is None, asked.auxiliary is None), []).append(number)
    for numbers in alike.values():
        try:
            answers |= zip(numbers, _predict(predictor, numbers, batch, checked), strict=True)
        except (InputError, DataError):
            for number in numbers:
                try:
                    (answers[number],) = _predict(predictor, [number], batch, checked)
                except (InputError, DataError) as error:
                    answers[number] = str(error)
    return [_record(predictor, asked, answers[number]) for number, asked in enumerate(batch)]


def _checked(predictor: Predictor, asked: Asked) -> Image.Image | str | None:
    """Return a row's picture, if the model reads one, or a message that says what the row lacks."""
    checkpoint = predictor.checkpoint
    if asked.reason:
        return asked.reason
    if asked.text is None and "text" in checkpoint.model.modalities and checkpoint.words != "auxiliary":
        return "it has no words"
    if "image" not in checkpoint.model.modalities:
        return None
    if asked.image is None:
        return "it names no picture"
    try:
        return read_image(asked.image)
    except InputError as error:
        return str(error)


def _predict(
    predictor: Predictor, numbers: Sequence[int], batch: Sequence[Asked], pictures: Sequence[Image.Image | str | None]
) -> list[Prediction]:
    chosen, checkpoint = [batch[number] for number in numbers], predictor.checkpoint
    reads = checkpoint.words != "auxiliary" and checkpoint.reads_target(real=checkpoint.has_targets is not False)
    targets = [one.target or "" for one in chosen] if reads and chosen[0].target is not None else None
    auxiliary = [one.auxiliary or "" for one in chosen] if chosen[0].auxiliary is not None else None
    seen = [picture for number in numbers if isinstance(picture := pictures[number], Image.Image)]
    return predictor.predict(seen, [one.text or "" for one in chosen], targets, auxiliary)


def _record(predictor: Predictor, asked: Asked, answer: Prediction | str) -> Record:
    found = None if isinstance(answer, str) else answer
    low, high = (found and found.interval) or (None, None)
    return {
        "row": asked.row,
        "image": None if asked.image is None else str(asked.image),
        "text": asked.text,
        "label": found and found.label,
        "probability": found and found.probabilities[found.label],
        "low": low,
        "high": high,
        "sure": found and found.sure,
        **{SHARE + name: found and found.probabilities[name] for name in predictor.checkpoint.class_names},
        "reason": answer if isinstance(answer, str) else None,
    }


# --- the journal and the output ---


def _key(predictor: Predictor, rows: Path, settings: SourceSettings, images: Path | None) -> str:
    """Name the model and the rows that a journal belongs to."""
    digest = hashlib.sha256()
    folder = predictor.checkpoint.path
    parts = [rows]
    if rows.is_dir():  # the output may be in this folder, too
        parts = sorted(file for file in rows.rglob("*") if file.suffix.lower() in (*PICTURES, ".txt"))
    for file in [*(folder / name for name in ("config.json", METRICS)), *parts]:
        if file.is_file():
            state = file.stat()
            digest.update(f"{file} {state.st_size} {state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    digest.update(f"{images} {settings!r}".encode())
    return digest.hexdigest()


def _begin(journal: Path, key: str) -> int:
    """Return the number of complete rows in a journal of this key; start any other journal anew."""
    head = json.dumps({"key": key}) + "\n"
    if journal.is_file():
        with journal.open("r+b") as lines:
            if lines.readline() == head.encode():
                done, whole = 0, lines.tell()
                for line in lines:
                    if line.endswith(b"\n"):
                        done, whole = done + 1, whole + len(line)
                lines.truncate(whole)
                log.info("%d rows were answered by an earlier run", done)
                return done
        log.warning("%s: of another model or other rows; it is begun anew", journal)
    journal.write_text(head, encoding="utf-8")
    return 0


def _records(journal: Path) -> Iterator[Record]:
    with journal.open(encoding="utf-8") as lines:
        next(lines)
        yield from map(json.loads, lines)


def _write(journal: Path, output: Path, class_names: Sequence[str]) -> tuple[int, int]:
    """Write the output as a whole; return the number of rows and of rows without an answer."""
    texts, numbers = ("row", "image", "text", "label", "reason"), ("probability", "low", "high")
    beside, total, unanswered = output.with_name(f".{output.name}"), 0, 0
    types = dict.fromkeys(texts, pa.string()) | dict.fromkeys(numbers, pa.float64()) | {"sure": pa.bool_()}
    columns = ["row", "image", "text", "label", *numbers, "sure", *(SHARE + name for name in class_names), "reason"]
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns])
    records, kind = _records(journal), output.suffix.lower()
    if kind == ".parquet":
        with pq.ParquetWriter(beside, schema) as writer:
            while some := list(islice(records, 1000)):
                readable = [
                    {
                        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
                        for name, value in one.items()
                    }
                    for one in some
                ]
                writer.write_table(pa.Table.from_pylist(readable, schema))
                total, unanswered = total + len(some), unanswered + sum(one["reason"] is not None for one in some)
    else:
        with beside.open("w", encoding="utf-8", newline="", errors="replace") as lines:
            table = csv.DictWriter(lines, columns)
            if kind == ".csv":
                table.writeheader()
            for one in records:
                table.writerow(one) if kind == ".csv" else lines.write(json.dumps(one) + "\n")
                total, unanswered = total + 1, unanswered + (one["reason"] is not None)
    beside.replace(output)
    return total, unanswered
