"""Votes from a CSV or Parquet file, row by row; every row that holds none says where it stands and why."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Vote
from annotation.interchange.judgements import Judgement, Refused
from annotation.interchange.tables import VOTES, suffix_of, unescaped

_NEEDED = ("entry_id", "reviewer", "choice", "shown_at", "submitted_at")


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
    row: dict[str, Any] = dict(zip(columns, map(unescaped, cells), strict=True))
    return {name: value for name, value in row.items() if value != "" or name == "note"}


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
    for name in _NEEDED:
        if row.get(name) is None:
            raise ValueError(f"no {name}")
    return Judgement(
        round_id=None if row.get("round_id") is None else int(row["round_id"]),
        entry_id=str(row["entry_id"]),
        video_id=str(row.get("video_id") or ""),
        reviewer=str(row["reviewer"]),
        vote=Vote(row["choice"], str(row.get("note") or ""), _frames(row.get("excluded_frames"))),
        shown_at=_moment("shown_at", row["shown_at"]),
        submitted_at=_moment("submitted_at", row["submitted_at"]),
        guideline=str(row.get("guideline") or "")[:80],
        line=line,
    )


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
