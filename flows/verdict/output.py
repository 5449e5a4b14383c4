"""Output of verdicts as lines, JSON, CSV or Parquet, and the journal from which a stopped run continues."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_catalog.printing import counted, printable
from flows.errors import VerdictError

Record = dict[str, Any]
"""A verdict in the types that JSON has, with the fields of `SCHEMA`, and `why` where it was asked for."""

_WORD = pa.struct([("text", pa.string()), ("confidence", pa.float64()), ("box", pa.list_(pa.float64()))])
_ANSWER: list[tuple[str, pa.DataType]] = [
    ("label", pa.string()),
    ("probability", pa.float64()),
    ("interval", pa.list_(pa.float64())),
    ("sure", pa.bool_()),
    ("probabilities", pa.map_(pa.string(), pa.float64())),
]
_FRAME = pa.struct(
    [
        ("index", pa.int32()),
        ("timestamp_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("text", pa.string()),
        ("words", pa.list_(_WORD)),
        ("kept", pa.bool_()),
        *_ANSWER,
    ]
)
_FAILURE = [(name, pa.string()) for name in ("stage", "kind", "reason", "detail")]
SCHEMA = pa.schema(
    [
        ("ad", pa.string()),
        ("video_id", pa.string()),
        ("title", pa.string()),
        ("category", pa.string()),
        ("model", pa.string()),
        ("verdict", pa.string()),
        *_ANSWER,
        ("frames", pa.list_(_FRAME)),
        ("failure", pa.struct(_FAILURE)),
        ("left_out", pa.list_(pa.struct([*_FAILURE, ("key", pa.string())]))),
    ]
)
"""Columns of the Parquet file, a row an ad; JSON has the same fields."""
CSV_COLUMNS = (
    *("ad", "video_id", "category", "model", "verdict", "label", "probability", "low", "high", "sure"),
    *("frames", "frames_kept", "stage", "kind", "reason", "detail"),
)
_ROWS_AT_ONCE = 100
# what spreadsheets take for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Journal:
    """Records of finished ads, a JSON line each, written as they come; the last of a key counts.

    An unfinished line of a killed run is ignored. Failures that a later run may cure are not reused.
    """

    def __init__(self, file: Path | None) -> None:
        """Open a journal, or one that keeps nothing.

        Raises:
            VerdictError: it cannot be written, is no journal, or another run writes it.
        """
        self._path = file
        self._places: dict[str, int] = {}
        self.found = 0
        """Records that were found."""
        if file is None:
            return
        try:
            self._file = file.open("a+b", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VerdictError(f"{file}: another run is writing it; wait for it, or name another file") from None
        except OSError as error:
            raise VerdictError(f"{file}: cannot be written: {error.strerror}") from error
        try:
            self._index(file)
        except BaseException:
            self.close()
            raise

    def _index(self, file: Path) -> None:
        whole = place = 0
        with file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                key = _key_of(line)
                if key is None:
                    raise VerdictError(f"{file}: line at byte {place} is none of a journal; name another file")
                self._places[key] = place
                place = whole = place + len(line)
        self._file.truncate(whole)

    def find(self, key: str, enough: Callable[[Record], bool]) -> Record | None:
        """The record of an ad in this state, if it is final and holds enough.

        Raises:
            VerdictError: it is damaged.
        """
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place)
        with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
            line = lines.readline()
        try:
            record: Record = json.loads(line)
            del record["key"]
            pa.Table.from_pylist([{name: record[name] for name in SCHEMA.names}], schema=SCHEMA)
            if (record["failure"] and record["failure"]["kind"] == "failed") or not enough(record):
                return None
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            said = f"{self._path}: the line at byte {place} is damaged ({error}); name another file"
            raise VerdictError(said) from error
        self.found += 1
        return record

    def add(self, key: str, record: Record) -> None:
        """Write a record down.

        Raises:
            VerdictError: it cannot be written.
        """
        if self._path is None:
            return
        line = json.dumps({"key": key, **record}).encode() + b"\n"
        place = self._file.seek(0, io.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise VerdictError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._places[key] = place

    def close(self) -> None:
        """Let other runs have it."""
        if self._path is not None:
            self._file.close()


def _key_of(line: bytes) -> str | None:
    """The key of a journal's line, which stands first in it: pictures need not be read."""
    try:
        value = json.loads(line[: line.index(b",")] + b"}")["key"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def line_of(record: Record) -> str:
    """A verdict in a line: the answer, its probability with the interval, and the ad."""
    if record["verdict"] is None:
        failure = record["failure"]
        detail = f": {failure['detail']}" if failure["detail"] else ""
        return printable(f"{'no verdict':<10}  {failure['reason']}  {record['ad']}{detail}")
    said = f"{record['probability']:.2f}"
    if record["interval"]:
        said += " ({:.2f} to {:.2f})".format(*record["interval"])
    unsure = f" {record['label']}" if record["verdict"] != record["label"] else ""
    return printable(f"{record['verdict']:<10}  {said}{unsure}  {record['ad']}")


def json_line(record: Record) -> str:
    """A verdict as a JSON object on a line, without pictures."""
    frames = [{name: value for name, value in frame.items() if name != "picture"} for frame in record["frames"]]
    return json.dumps({**record, "frames": frames})


def csv_line(values: Sequence[object]) -> str:
    """A line of CSV; text that a spreadsheet would take for a formula begins with an apostrophe."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(_cell(value) if isinstance(value, str) else value for value in values)
    return file.getvalue()


def _cell(text: str) -> str:
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)


def csv_values(record: Record) -> list[object]:
    """The values of `CSV_COLUMNS`."""
    low, high = record["interval"] or (None, None)
    flat = {**record, "low": low, "high": high, **(record["failure"] or {}), "frames": len(record["frames"])}
    flat["frames_kept"] = sum(frame["kept"] for frame in record["frames"])
    return [flat.get(name) for name in CSV_COLUMNS]


@contextmanager
def parquet_file(file: Path) -> Iterator[_ParquetRows]:
    """Write records into a Parquet file, which appears when all are written.

    Raises:
        VerdictError: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.writing")
    try:
        with pq.ParquetWriter(draft, SCHEMA) as writer:
            rows = _ParquetRows(writer)
            yield rows
            rows.flush()
        draft.replace(file)
    except OSError as error:
        raise VerdictError(f"{file}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


class _ParquetRows:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[Record] = []

    def add(self, record: Record) -> None:
        self._rows.append(record)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


class Summary:
    """Counts of the verdicts of a run."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count a record."""
        if record["verdict"] is None:
            self.reasons[record["failure"]["reason"]] += 1
        else:
            self.verdicts[record["verdict"]] += 1

    @property
    def without(self) -> int:
        """Ads without a verdict."""
        return self.reasons.total()

    def __str__(self) -> str:
        said = [f"{number} {verdict}" for verdict, number in self.verdicts.most_common()]
        if self.reasons:
            why = ", ".join(f"{number} {reason}" for reason, number in self.reasons.most_common())
            said.append(f"{self.without} without a verdict ({why})")
        return f"{counted(self.verdicts.total() + self.without, 'ad')}: {', '.join(said) or 'none'}"
