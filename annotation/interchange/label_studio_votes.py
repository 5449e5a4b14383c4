"""Votes that come back from Label Studio: ours as they went, and those that were given or changed there.

What nobody has changed there is whose it was here, whoever imported it there. What somebody gave or changed there is
theirs, at the time of the change. Format: https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Vote
from annotation.interchange.judgements import Judgement, Refused
from annotation.interchange.label_studio import ORIGIN

MAX_BYTES = 500_000_000
"""Largest file that is read; JSON has to be held in memory whole. Label Studio itself takes 200 MB at a time."""
GIVEN_THERE = "label-studio"
"""Stands for the guidelines' version of votes that were given in Label Studio."""


def read_tasks(path: Path, *, people: Mapping[str, str] | None = None) -> Iterator[Judgement | Refused]:
    """The votes of an exported file (format JSON); an annotation that is no vote says why.

    Args:
        path: Label Studio's export, or ours.
        people: reviewers by their number or email in Label Studio; needed for votes that were given or changed there.
            Its exports hold numbers, unless they are asked for whole users.

    Raises:
        AnnotationError: no JSON, no list of tasks, or too large.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AnnotationError(f"{path}: {size:,} bytes; at most {MAX_BYTES:,}, so export it in parts")
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: no JSON that can be read ({error})") from error
    if not isinstance(tasks, list):
        raise AnnotationError(f"{path}: expected a list of tasks; choose the format JSON in Label Studio")
    for number, each in enumerate(tasks, 1):
        yield from read_task(each, number, people=people or {})


def read_task(task: Any, number: int, *, people: Mapping[str, str]) -> Iterator[Judgement | Refused]:
    """The votes of one task, in the order in which they were made; one that was skipped there is none."""
    data = task.get("data") if isinstance(task, dict) else None
    if isinstance(task, dict) and data is None and "entry_id" in task:
        yield Refused(number, "a task in the format JSON_MIN; export as JSON from Label Studio")
        return
    if not isinstance(data, dict) or not isinstance(data.get("entry_id"), str):
        yield Refused(number, "the task's data has no entry_id: it was not exported from a round")
        return
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        yield Refused(number, "the task's annotations are no list")
        return
    found: list[Judgement | Refused] = []
    for place, annotation in enumerate(annotations, 1):
        if isinstance(annotation, dict) and annotation.get("was_cancelled"):
            continue
        try:
            found.append(_judgement(annotation, data, number, people))
        except (SubmissionError, ValueError, TypeError, OverflowError, RecursionError) as error:
            found.append(Refused(number, f"annotation {place}: {' '.join(str(error).split())[:300]}"))
    yield from (each for each in found if isinstance(each, Refused))
    yield from sorted((each for each in found if isinstance(each, Judgement)), key=lambda each: each.submitted_at)


def _judgement(annotation: Any, data: Mapping[str, Any], number: int, people: Mapping[str, str]) -> Judgement:
    if not isinstance(annotation, dict):
        raise TypeError("it is no object")
    choice = _values(annotation, "sentiment")
    if len(choice) != 1:
        raise ValueError(f"{len(choice)} choices of sentiment; expected one")
    note, frames = "\n".join(_values(annotation, "note")), tuple(_values(annotation, "excluded_frames"))
    vote = Vote(choice[0], note, frames)  # type: ignore[arg-type]  # it checks itself
    round_id = data.get("round_id")
    return Judgement(
        round_id=round_id if isinstance(round_id, int) else None,
        entry_id=data["entry_id"],
        video_id=str(data.get("video_id") or ""),
        vote=vote,
        line=number,
        **(_origin(annotation, vote) or _given_there(annotation, people)),
    )


def _origin(annotation: Mapping[str, Any], vote: Vote) -> dict[str, Any] | None:
    """Whose vote it was here, when, and by which guidelines; None if it was given, changed or copied there."""
    texts = _values(annotation, ORIGIN)
    if not texts or annotation.get("parent_annotation") is not None:
        return None
    told = json.loads("".join(texts))
    if not isinstance(told, dict) or not {"vote", "reviewer", "guideline"} <= told.keys():
        raise ValueError(f"its hidden result {ORIGIN} was changed, so that it does not say whose vote it is")
    # that somebody touched it, to set a star say, does not make it theirs
    if annotation.get("updated_by") is not None and told["vote"] != json.loads(json.dumps(vars(vote))):
        return None
    return {
        "reviewer": str(told["reviewer"]),
        "shown_at": _moment("shown_at", told),
        "submitted_at": _moment("submitted_at", told),
        "guideline": str(told["guideline"])[:80],
    }


def _given_there(annotation: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    """Whose vote it is there, and when it was given or last changed."""
    submitted_at = _moment("updated_at" if annotation.get("updated_at") else "created_at", annotation)
    changed_by = annotation.get("updated_by")
    return {
        "reviewer": _reviewer(annotation.get("completed_by") if changed_by is None else changed_by, people),
        "shown_at": submitted_at - timedelta(seconds=float(annotation.get("lead_time") or 0)),
        "submitted_at": submitted_at,
        "guideline": GIVEN_THERE,
    }


def _moment(name: str, told: Mapping[str, Any]) -> datetime:
    moment = datetime.fromisoformat(told.get(name) or "")
    if moment.tzinfo is None:
        raise ValueError(f"{name} {moment} does not say its time zone")
    return moment


def _values(annotation: Mapping[str, Any], name: str) -> list[str]:
    """What one control of the interface holds; a single text may stand without its list."""
    found: list[str] = []
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        if isinstance(result, dict) and result.get("from_name") == name:
            value = result.get("value")
            held = (value.get("choices") or value.get("text") or []) if isinstance(value, dict) else []
            found += [held] if isinstance(held, str) else held
    if not all(isinstance(each, str) for each in found):
        raise TypeError(f"{name} holds something else than texts")
    return found


def _reviewer(by: Any, people: Mapping[str, str]) -> str:
    keys = [by.get("email"), by.get("id")] if isinstance(by, dict) else [by]
    for key in keys:
        if key is not None and str(key) in people:
            return people[str(key)]
    raise ValueError(
        f"made by {str(by)[:80]!r} in Label Studio; say which reviewer that is: --reviewer {str(by)[:80]}=NAME"
    )
