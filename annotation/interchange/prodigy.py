"""A round as Prodigy's tasks of the `choice` interface, in JSON lines, and votes back from its `db-out`.

A task without votes stands once; with votes it stands once for each, as Prodigy's own annotations do. Fields:
https://prodi.gy/docs/api-interfaces#choice and /docs/api-database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import CHOICES, Vote
from annotation.interchange.round_rows import RoundRow, from_origin, origin_of
from annotation.interchange.votes import Ignored, Judgement, Refused, Row

GIVEN_THERE = "prodigy"
"""Stands for the guidelines' version of votes that were given in Prodigy."""


def prodigy_tasks(rows: Iterable[RoundRow], frame_url: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """A round's tasks.

    Args:
        rows: the round.
        frame_url: where Prodigy finds a frame's picture.
    """
    for row in rows:
        task = _task(row, frame_url)
        if not row.votes:
            yield task
        for vote in row.votes:
            yield {
                **task,
                "accept": [vote.vote.choice],
                "answer": "accept",
                "note": vote.vote.note,
                "excluded_frames": list(vote.vote.excluded_frames),
                "_annotator_id": vote.reviewer,
                "_session_id": vote.reviewer,
                "_timestamp": int(vote.submitted_at.timestamp()),
                "_view_id": "choice",
                "origin": origin_of(vote),
            }


def write_lines(tasks: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write one task a line; the file is there whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in tasks)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_lines(path: Path, *, people: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The votes of a file, one line at a time; what is no vote says why.

    Args:
        path: of Prodigy's `db-out`, or ours.
        people: reviewers by the name of their session in Prodigy, where that is not their own.

    Raises:
        AnnotationError: it is no UTF-8.
        OSError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and (row := _row(line, number, people or {})) is not None:
                    yield row
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 ({error})") from error


def _task(row: RoundRow, frame_url: Callable[[str], str]) -> dict[str, Any]:
    entry = row.entry
    hint = {} if row.prediction is None else {"comments_label": row.prediction.label}
    return {
        "image": frame_url(entry.frame_ids[0]) if entry.frame_ids else "",
        "images": [frame_url(frame_id) for frame_id in entry.frame_ids],
        "text": row.shown.words,
        "comments": list(row.shown.comments),
        "options": [{"id": choice, "text": choice.capitalize()} for choice in CHOICES],
        "config": {"choice_style": "single"},
        "meta": {"entry_id": entry.id, "video_id": entry.video_id, "round_id": row.round_id, **hint},
        **row.told,
    }


def _row(line: str, number: int, people: Mapping[str, str]) -> Row | None:
    """A line's vote; None of a task that nobody was asked about yet, as we write them."""
    try:
        task = json.loads(line)
        if not isinstance(task, dict):
            raise ValueError("no JSON object")
        answer = task.get("answer")
        if answer is None and not task.get("accept"):
            return None
        if answer != "accept":
            return Ignored(number, f"answers '{str(answer)[:20]}'")
        return _judgement(task, number, people)
    except (SubmissionError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        return Refused(number, " ".join(str(error).split())[:300])


def _judgement(task: Mapping[str, Any], number: int, people: Mapping[str, str]) -> Judgement:
    meta, accepted = task.get("meta"), task.get("accept")
    if not isinstance(meta, dict) or not isinstance(meta.get("entry_id"), str):
        raise ValueError("the task's meta has no entry_id: it was not exported from a round")
    if not isinstance(accepted, list) or len(accepted) != 1:
        raise ValueError(f"accept is {str(accepted)[:80]}; expected a list of one choice")
    vote = Vote(accepted[0], str(task.get("note") or ""), tuple(map(str, task.get("excluded_frames") or ())))
    at, origin = task.get("_timestamp"), task.get("origin")
    theirs = None if origin is None else from_origin(origin, vote)
    # Prodigy's time has whole seconds; another one says that somebody was asked again
    if theirs is not None and at is not None and int(at) != int(theirs["submitted_at"].timestamp()):
        theirs = None
    return Judgement(
        round_id=meta["round_id"] if type(meta.get("round_id")) is int else None,
        entry_id=meta["entry_id"],
        video_id=str(meta.get("video_id") or ""),
        vote=vote,
        line=number,
        **(theirs or _given_there(task, people)),
    )


def _given_there(task: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    who = str(task.get("_annotator_id") or task.get("_session_id") or "")
    if not who:
        raise ValueError("neither _annotator_id nor _session_id says whose it is")
    if not isinstance(task.get("_timestamp"), int | float):
        raise ValueError("no _timestamp says when it was given")
    at = datetime.fromtimestamp(task["_timestamp"], UTC)
    return {"reviewer": people.get(who, who), "shown_at": at, "submitted_at": at, "guideline": GIVEN_THERE}
