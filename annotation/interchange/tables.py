"""Votes, decisions and verdicts as CSV or Parquet; votes come back from there by `vote_files.py`.

Names and notes come from strangers, and spreadsheets run what begins with =, +, - or @. In a CSV file such a cell
gets an apostrophe in front, which `unescaped` takes off again. A Parquet file holds the texts as they are.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.errors import AnnotationError
from annotation.events import Event, Remark, Ruling
from annotation.interchange.judgements import Judgement
from annotation.outcomes import Verdict
from annotation.protocol import live_events
from annotation.rounds import Entry

SUFFIXES = (".csv", ".parquet")

_TIME = pa.timestamp("us", "UTC")
_FRAMES = pa.list_(pa.string())


def _schema(columns: list[tuple[str, pa.DataType]]) -> pa.Schema:
    return pa.schema(columns)


VOTES = _schema(
    [
        ("round_id", pa.int64()),
        ("entry_id", pa.string()),
        ("video_id", pa.string()),
        ("reviewer", pa.string()),
        ("choice", pa.string()),
        ("note", pa.string()),
        ("excluded_frames", _FRAMES),
        ("shown_at", _TIME),
        ("submitted_at", _TIME),
        ("guideline", pa.string()),
    ]
)
DECISIONS = _schema(
    [
        ("round_id", pa.int64()),
        ("entry_id", pa.string()),
        ("video_id", pa.string()),
        ("verifier", pa.string()),
        ("kind", pa.string()),
        ("label", pa.string()),
        ("note", pa.string()),
        ("shown_at", _TIME),
        ("submitted_at", _TIME),
        ("guideline", pa.string()),
    ]
)
VERDICTS = _schema(
    [
        ("round_id", pa.int64()),
        ("entry_id", pa.string()),
        ("video_id", pa.string()),
        ("state", pa.string()),
        ("label", pa.string()),
        ("decided_by", pa.string()),
        ("n_reviewers", pa.int32()),
        ("agreement", pa.float64()),
        ("excluded_frames", _FRAMES),
        ("at", _TIME),
    ]
)
# the full-width signs too: some spreadsheets take them for the plain ones
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def votes_table(rows: Iterable[Judgement]) -> pa.Table:
    """Votes that count, one row each."""
    return pa.Table.from_pylist(
        [
            {
                "round_id": row.round_id,
                "entry_id": row.entry_id,
                "video_id": row.video_id,
                "reviewer": row.reviewer,
                "choice": row.vote.choice,
                "note": row.vote.note,
                "excluded_frames": list(row.vote.excluded_frames),
                "shown_at": row.shown_at,
                "submitted_at": row.submitted_at,
                "guideline": row.guideline,
            }
            for row in rows
        ],
        schema=VOTES,
    )


def decisions_table(events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]) -> pa.Table:
    """What verifiers decided, sent to the discussion, settled and excluded, and did not take back."""
    return pa.Table.from_pylist(
        [
            {
                "round_id": event.round_id,
                "entry_id": event.entry_id,
                "video_id": entries[event.entry_id].video_id,
                "verifier": people.get(event.person_id, event.person_id),
                "kind": event.kind,
                "label": event.payload.label if isinstance(event.payload, Ruling) else None,
                "note": event.payload.note if isinstance(event.payload, Ruling) else event.payload.text,
                "shown_at": event.shown_at,
                "submitted_at": event.submitted_at,
                "guideline": event.guideline,
            }
            for event in live_events(events)
            if event.kind in ("decision", "discuss", "settle", "exclude") and isinstance(event.payload, Ruling | Remark)
        ],
        schema=DECISIONS,
    )


def verdicts_table(verdicts: Iterable[Verdict]) -> pa.Table:
    """What became of the ads, one row each; an excluded one has no label."""
    return pa.Table.from_pylist(
        [
            {
                "round_id": verdict.round_id,
                "entry_id": verdict.entry_id,
                "video_id": verdict.video_id,
                "state": verdict.state,
                **(vars(verdict.decision) if verdict.decision else {}),
                "excluded_frames": list(verdict.excluded_frames),
                "at": verdict.at,
            }
            for verdict in verdicts
        ],
        schema=VERDICTS,
    )


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as the path's suffix says; the file is there whole or not at all.

    Raises:
        AnnotationError: the suffix is neither `.csv` nor `.parquet`.
        OSError: the file cannot be written.
    """
    suffix = suffix_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if suffix == ".parquet":
            pq.write_table(table, beside)
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
    """The text as a cell that no spreadsheet runs."""
    # one that looks escaped already gets another apostrophe, so that taking off one always gives the text back
    return f"'{text}" if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text of a cell that `escaped` may have changed."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
