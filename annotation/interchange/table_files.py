"""Votes, flags, decisions, discussions and verdicts as CSV, Parquet or JSON, and votes back from CSV and Parquet.

Names and notes are untrusted, and spreadsheets run what begins with =, +, - or @. In a CSV file such a cell gets an
apostrophe in front, as does a text that pandas would take for another value; `unescaped` takes it off again. A Parquet
file holds the texts as they are. Of a file that comes back, every row that holds no vote says where it stands and why.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Event, Flag, Remark, Ruling, Vote
from annotation.interchange.votes import Judgement, Refused
from annotation.outcomes import Verdict
from annotation.protocol import Decision, by_entry, is_blind, live_events
from annotation.rounds import Entry
from annotation.threads import Contribution

SUFFIXES = (".csv", ".parquet")

_TIME = pa.timestamp("us", "UTC")
_FRAMES = pa.list_(pa.string())


def _schema(*columns: str, **typed: pa.DataType) -> pa.Schema:
    """Columns in their order: texts, but for those with a type of their own."""
    types = {"round_id": pa.int64(), "shown_at": _TIME, "submitted_at": _TIME, "at": _TIME, "excluded_frames": _FRAMES}
    return pa.schema([(name, (types | typed).get(name, pa.string())) for name in columns])


_ENTRY = ("round_id", "entry_id", "video_id")
_WHEN = ("shown_at", "submitted_at", "guideline")
VOTES = _schema(*_ENTRY, "reviewer", "choice", "note", "excluded_frames", *_WHEN)
FLAGS = _schema(*_ENTRY, "reviewer", "reason", "remark", *_WHEN)
DECISIONS = _schema(*_ENTRY, "verifier", "kind", "label", "note", "blind", *_WHEN, blind=pa.bool_())
THREADS = _schema(*_ENTRY, "person", "kind", "label", "text", *_WHEN)
VERDICTS = _schema(
    *(*_ENTRY, "state", "label", "decided_by", "n_reviewers", "agreement", "excluded_frames", "at", "decided_blind"),
    n_reviewers=pa.int32(),
    agreement=pa.float64(),
    decided_blind=pa.bool_(),
)
_MISSING = ("", "NaN", "nan", "NaT", "<NA>", "None")
"""Cells without a value, as spreadsheets and pandas write them."""
_TAKEN_FOR_ANOTHER_VALUE = (
    r"nan|nat|<na>|none|null|na|n/a|#n/a|#na|#n/a n/a|1\.#(ind|qnan)|true|false|inf(inity)?"
    r"|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?"
)
"""Texts that pandas reads as no value, a truth value or a number, and writes back as something else."""
# the full-width signs too: some spreadsheets take them for the plain ones
_FORMULA = re.compile(rf"'*([=+\-@\t\r\n＝＋－＠]|({_TAKEN_FOR_ANOTHER_VALUE})$)", re.IGNORECASE)
_NEEDED = ("entry_id", "reviewer", "choice", "shown_at", "submitted_at")


def votes_table(rows: Iterable[Judgement]) -> pa.Table:
    """Votes that count, one row each."""
    return _table(({**_fields(row), **_fields(row.vote)} for row in rows), VOTES)


def flags_table(events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]) -> pa.Table:
    """Flags that reviewers did not take back, one row each."""
    rows = [
        {
            **_fields(event),
            **_fields(event.payload),
            "video_id": entries[event.entry_id].video_id,
            "reviewer": people.get(event.person_id, event.person_id),
        }
        for event in live_events(events)
        if isinstance(event.payload, Flag)
    ]
    return _table(rows, FLAGS)


def decisions_table(
    events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str], *, verifier_first: bool = False
) -> pa.Table:
    """The verifiers' actions that were not taken back; `blind` says of a decision whether it came before the votes.

    Args:
        events: a round's log, in its order.
        entries: the round's entries.
        people: names by id; whoever is not there goes by the id.
        verifier_first: the round hides the votes until a verifier has decided.
    """
    events = list(events)
    log = by_entry(events)
    rows = [
        {
            **_fields(event),
            "video_id": entries[event.entry_id].video_id,
            "verifier": people.get(event.person_id, event.person_id),
            "label": event.payload.label if isinstance(event.payload, Ruling) else None,
            "note": event.payload.note if isinstance(event.payload, Ruling) else event.payload.text,
            "blind": verifier_first and is_blind(log[event.entry_id], event) if event.kind == "decision" else None,
        }
        for event in live_events(events)
        if event.kind in ("decision", "discuss", "settle", "exclude") and isinstance(event.payload, Ruling | Remark)
    ]
    return _table(rows, DECISIONS)


def threads_table(rows: Iterable[Contribution]) -> pa.Table:
    """Messages, stances and outcomes of the discussions, one row each."""
    return _table(map(_fields, rows), THREADS)


def verdicts_table(verdicts: Iterable[Verdict]) -> pa.Table:
    """The outcomes of the ads, one row each; an excluded one has no label."""
    undecided = dict.fromkeys(field.name for field in fields(Decision))
    rows = ({**_fields(each), **(_fields(each.decision) if each.decision else undecided)} for each in verdicts)
    return _table(rows, VERDICTS)


def _fields(row: Any) -> dict[str, Any]:
    """The fields of a dataclass by name."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; unlike `from_pylist`, a column that a row lacks is a KeyError and not a column of nulls."""
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as the path's suffix says; the file is there whole or not at all.

    Raises:
        AnnotationError: the suffix is neither `.csv` nor `.parquet` nor `.json`.
        OSError: the file cannot be written.
    """
    suffix = ".json" if path.suffix.lower() == ".json" else suffix_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if suffix == ".parquet":
            pq.write_table(table, beside)
        elif suffix == ".json":
            beside.write_text(json.dumps(table.to_pylist(), default=datetime.isoformat, indent=1) + "\n", "utf-8")
        else:
            _write_csv(table, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def suffix_of(path: Path) -> str:
    """`.csv` or `.parquet`.

    Raises:
        AnnotationError: it is neither.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise AnnotationError(f"{path}: neither .csv nor .parquet")
    return path.suffix.lower()


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        for batch in table.to_batches():
            writer.writerows([_cell(value) for value in row.values()] for row in batch.to_pylist())


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def escaped(text: str) -> str:
    """The text as a cell that no spreadsheet runs and no program takes for another value."""
    # one that looks escaped already gets another apostrophe, so that taking off one always gives the text back
    return f"'{text}" if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text of a cell that `escaped` may have changed."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_votes(path: Path) -> Iterator[Judgement | Refused]:
    """The votes of a file, one by one: files may be larger than memory. A row that holds no vote says why.

    Raises:
        AnnotationError: the file is neither CSV nor Parquet, lacks a column, or is damaged.
        OSError: it cannot be read.
    """
    rows = _parquet_rows(path) if suffix_of(path) == ".parquet" else _csv_rows(path)
    for line, row in rows:
        try:
            yield _judgement(line, row)
        except (SubmissionError, ValueError, TypeError) as error:
            yield Refused(line, " ".join(str(error).split())[:300])


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            columns = next(reader, [])
            _check_columns(path, columns)
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield line, _named(columns, cells)
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise AnnotationError(f"{path}: not UTF-8 after line {reader.line_num}; save it as UTF-8") from error
        except csv.Error as error:
            raise AnnotationError(f"{path}, line {reader.line_num}: {error}") from error


def _named(columns: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        return {"problem": f"{len(cells)} cells under {len(columns)} columns"}
    given = zip(columns, cells, strict=True)
    return {name: unescaped(cell) for name, cell in given if cell not in _MISSING}


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            columns = [name for name in VOTES.names if name in file.schema_arrow.names]
            line = 0
            for batch in file.iter_batches(batch_size=1_000, columns=columns):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row
    except pa.ArrowException as error:
        raise AnnotationError(f"{path}: no Parquet file that can be read ({error})") from error


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise AnnotationError(f"{path}: no column {', '.join(missing)}; expected {', '.join(VOTES.names)}")


def _judgement(line: int, row: Mapping[str, Any]) -> Judgement:
    if "problem" in row:
        raise ValueError(row["problem"])
    row = {name: value for name, value in row.items() if not (isinstance(value, float) and math.isnan(value))}
    for name in _NEEDED:
        if row.get(name) is None:
            raise ValueError(f"no {name}")
    return Judgement(
        round_id=None if row.get("round_id") is None else _whole("round_id", row["round_id"]),
        entry_id=_text(row["entry_id"]),
        video_id=_text(row.get("video_id") or ""),
        reviewer=str(row["reviewer"]),
        vote=Vote(row["choice"], str(row.get("note") or ""), _frames(row.get("excluded_frames"))),
        shown_at=_moment("shown_at", row["shown_at"]),
        submitted_at=_moment("submitted_at", row["submitted_at"]),
        guideline=str(row.get("guideline") or "")[:80],
        line=line,
    )


def _whole(name: str, value: Any) -> int:
    """A whole number; pandas makes 1.0 of it where another row has none."""
    if isinstance(value, bool) or value in ("True", "False"):
        raise ValueError(f"{name} {value}; expected a number")
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"{name} {value}; expected a whole number")
    return int(number)


def _text(value: Any) -> str:
    """An id; of digits alone, pandas makes a number of it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _frames(value: Any) -> tuple[str, ...]:
    try:
        frames = json.loads(value) if isinstance(value, str) else value or []
    except (json.JSONDecodeError, RecursionError):
        frames = None
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        raise ValueError(f'excluded_frames {str(value)[:80]!r}; expected a list such as ["abc:0"]')
    return tuple(frames)


def _moment(name: str, value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{name} {str(value)[:80]!r}; expected a time such as 2026-11-26T12:00:00+00:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name} {value} does not say its time zone")
    return moment
