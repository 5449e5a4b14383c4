"""A round as Argilla's records, as `dataset.records.to_json` writes them, and votes back from there.

The dataset needs the questions `sentiment` (a label), `excluded_frames` (labels) and `note` (text). Argilla's file says
neither when a response was given nor what its user is called. The record's metadata keeps both of our votes; the time
of a response given there is that of the file. Fields: https://docs.argilla.io, `Record.to_dict`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Vote
from annotation.interchange.round_rows import RoundRow, from_origin, origin_of
from annotation.interchange.votes import Ignored, Judgement, Refused, Row

GIVEN_THERE = "argilla"
"""Stands for the guidelines' version of votes that were given in Argilla."""


def argilla_records(rows: Iterable[RoundRow], frame_url: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """A round's records, one for each entry.

    Args:
        rows: the round.
        frame_url: where Argilla finds a frame's picture.
    """
    for row in rows:
        entry, prediction = row.entry, row.prediction
        told = {"value": prediction.label, "score": prediction.support, "agent": "comments"} if prediction else None
        responses: dict[str, list[dict[str, Any]]] = {}
        for vote in row.votes:
            user = str(_user(vote.reviewer))
            for question, value in (
                ("sentiment", vote.vote.choice),
                ("note", vote.vote.note),
                ("excluded_frames", list(vote.vote.excluded_frames)),
            ):
                if value:
                    responses.setdefault(question, []).append({"value": value, "user_id": user})
        yield {
            "id": entry.id,
            "fields": {
                "frame": frame_url(entry.frame_ids[0]) if entry.frame_ids else "",
                "words": row.shown.words,
                "comments": "\n".join(row.shown.comments),
            },
            "metadata": {
                "round_id": row.round_id,
                "entry_id": entry.id,
                "video_id": entry.video_id,
                "votes": [json.dumps(origin_of(vote)) for vote in row.votes],
                **{name: list(map(json.dumps, said)) for name, said in row.told.items()},
            },
            "suggestions": {"sentiment": told} if told else {},
            "responses": responses,
            "vectors": {},
            "status": "completed" if responses else "pending",
        }


def is_argilla(records: Any) -> bool:
    """Tell whether a file's JSON is of Argilla: a list of records with fields."""
    return isinstance(records, list) and bool(records) and isinstance(records[0], dict) and "fields" in records[0]


def read_records(records: Iterable[Any], at: datetime, *, people: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The votes of records; what is no vote says why.

    Args:
        records: of the file.
        at: when the file was written.
        people: reviewers by their id in Argilla.
    """
    for number, record in enumerate(records, 1):
        try:
            yield from _rows(record, number, at, people or {})
        except (SubmissionError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            yield Refused(number, " ".join(str(error).split())[:300])


def file_time(path: Path) -> datetime:
    """When a file was last written.

    Raises:
        AnnotationError: there is none.
    """
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error


def _rows(record: Any, number: int, at: datetime, people: Mapping[str, str]) -> Iterator[Row]:
    metadata = record.get("metadata") if isinstance(record, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("entry_id"), str):
        raise ValueError("the record's metadata has no entry_id: it was not exported from a round")
    said = _by_user(record.get("responses") or {})
    if not said and record.get("suggestions"):
        yield Ignored(number, "records with suggestions alone")
    origins = {str(_user(told["reviewer"])): told for told in map(json.loads, metadata.get("votes") or ())}
    for user, own in said.items():
        if own.get("sentiment") is None:
            yield Ignored(number, "responses without a sentiment")
            continue
        try:
            vote = Vote(own["sentiment"], str(own.get("note") or ""), tuple(own.get("excluded_frames") or ()))
            theirs = from_origin(origins[user], vote) if user in origins else None
            yield Judgement(
                round_id=metadata["round_id"] if type(metadata.get("round_id")) is int else None,
                entry_id=metadata["entry_id"],
                video_id=str(metadata.get("video_id") or ""),
                vote=vote,
                line=number,
                **(theirs or _given_there(user, at, people, origins)),
            )
        except (SubmissionError, ValueError, TypeError) as error:
            yield Refused(number, " ".join(str(error).split())[:300])


def _by_user(responses: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Each user's values, by question."""
    found: dict[str, dict[str, Any]] = {}
    for question, answers in responses.items():
        for answer in answers:
            found.setdefault(str(answer["user_id"]), {})[question] = answer["value"]
    return found


def _given_there(user: str, at: datetime, people: Mapping[str, str], origins: Mapping[str, Any]) -> dict[str, Any]:
    who = people.get(user) or (str(origins[user]["reviewer"]) if user in origins else None)
    if who is None:
        raise ValueError(f"given by {user[:80]!r} in Argilla; say which reviewer that is: --reviewer {user[:80]}=NAME")
    return {"reviewer": who, "shown_at": at, "submitted_at": at, "guideline": GIVEN_THERE}


def _user(reviewer: str) -> uuid.UUID:
    """The id of a reviewer as an Argilla user: the same in every file."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"ytb-ads:{reviewer}")
