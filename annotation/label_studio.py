"""Votes as Label Studio's JSON, and back: one task per entry, one annotation per reviewer.

A task's `data` shows what the round's page shows; `LABELLING_CONFIG` is the project's interface that fits it. The
comments' label comes as a prediction, which Label Studio shows to whoever annotates: leave predictions out of a file
on which people are to judge blind. Formats: https://labelstud.io/guide/task_format and /guide/predictions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Vote
from annotation.judgements import Judgement, Refused, judgements
from annotation.rounds import Entry
from annotation.shown import Prediction, Shown, read_predictions, read_shown
from annotation.store import Store
from data_catalog.catalog import Catalog

MAX_BYTES = 500_000_000
"""Largest file that is read; JSON has to be held in memory whole. Label Studio itself takes 200 MB at a time."""
IMPORTED = "label-studio"
"""Stands for the guidelines' version, which Label Studio does not know."""

LABELLING_CONFIG = """\
<View>
  <Image name="frames" valueList="$frames" zoom="true" zoomControl="true"/>
  <Header value="Words on the frames"/>
  <Text name="words" value="$words"/>
  <Header value="Comments"/>
  <Paragraphs name="comments" value="$comments" layout="none" nameKey="author" textKey="text"/>
  <Choices name="sentiment" toName="frames" choice="single" required="true" showInline="true">
    <Choice value="positive" hotkey="1"/>
    <Choice value="negative" hotkey="2"/>
    <Choice value="uncertain" hotkey="3"/>
  </Choices>
  <Header value="Frames to exclude"/>
  <Choices name="excluded_frames" toName="frames" choice="multiple" value="$frame_ids"/>
  <TextArea name="note" toName="frames" placeholder="Note" maxSubmissions="1" editable="true"/>
  <View style="display: none">
    <TextArea name="reviewer" toName="frames" maxSubmissions="1"/>
  </View>
</View>
"""
_OBJECT = "frames"


def round_tasks(
    store: Store,
    catalog: Catalog,
    round_id: int,
    *,
    frame_url: Callable[[str], str],
    predictions: bool = True,
    emails: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """A whole round as tasks, in the order in which its entries were drawn.

    Args:
        store: where the round is.
        catalog: where its ads are.
        round_id: which round.
        frame_url: where Label Studio finds a frame's picture.
        predictions: whether the label of the comments goes along.
        emails: see `task`.

    Raises:
        RoundError: there is no such round.
    """
    entries = store.rounds.entries(round_id)
    names = {person.id: person.name for person in store.people.all()}
    shown, labels = read_shown(catalog, entries.values()), read_predictions(catalog) if predictions else {}
    votes: dict[str, list[Judgement]] = {}
    for row in judgements(store.events(round_id), entries, names):
        votes.setdefault(row.entry_id, []).append(row)
    for entry in entries.values():
        yield task(
            entry,
            round_id,
            votes.get(entry.id, []),
            shown=shown[entry.id],
            prediction=labels.get(entry.video_id),
            frame_url=frame_url,
            emails=emails or {},
        )


def task(
    entry: Entry,
    round_id: int,
    votes: Iterable[Judgement],
    *,
    shown: Shown,
    prediction: Prediction | None,
    frame_url: Callable[[str], str],
    emails: Mapping[str, str],
) -> dict[str, Any]:
    """One entry as a task; nothing tells whether it is a repeat or gold.

    Args:
        entry: what was judged.
        round_id: its round.
        votes: on this entry.
        shown: its words and comments.
        prediction: None leaves it out.
        frame_url: where Label Studio finds a frame's picture.
        emails: of members of the Label Studio organisation, by reviewer. It refuses annotations by anybody else, so
            whoever is not here is named in the annotation's result `reviewer` alone.
    """
    return {
        "data": {
            "round_id": round_id,
            "entry_id": entry.id,
            "video_id": entry.video_id,
            "frames": [frame_url(frame_id) for frame_id in entry.frame_ids],
            "frame_ids": [{"value": frame_id} for frame_id in entry.frame_ids],
            "words": shown.words,
            "comments": [{"author": str(number), "text": text} for number, text in enumerate(shown.comments, 1)],
        },
        "annotations": [_annotation(vote, emails) for vote in votes],
        "predictions": [] if prediction is None else [_prediction(prediction)],
    }


def write_tasks(tasks: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write tasks one by one, as one JSON array; the file is there whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            for number, each in enumerate(tasks):
                file.write(("[\n" if number == 0 else ",\n") + json.dumps(each))
            file.write("\n]\n" if file.tell() else "[]\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_tasks(path: Path, *, people: Mapping[str, str] | None = None) -> Iterator[Judgement | Refused]:
    """The votes of an exported file (format JSON); an annotation that is no vote says why.

    Args:
        path: Label Studio's export, or ours.
        people: reviewers by their number or email in Label Studio; needed for annotations that were made there.

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
    """The votes of one task, in the order in which they were made."""
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("entry_id"), str):
        yield Refused(number, "the task's data has no entry_id: it was not exported from a round")
        return
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        yield Refused(number, "the task's annotations are no list")
        return
    found: list[Judgement | Refused] = []
    for place, annotation in enumerate(annotations, 1):
        try:
            found.append(_judgement(annotation, data, number, people))
        except (SubmissionError, ValueError, TypeError, OverflowError) as error:
            found.append(Refused(number, f"annotation {place}: {' '.join(str(error).split())[:300]}"))
    yield from (each for each in found if isinstance(each, Refused))
    yield from sorted((each for each in found if isinstance(each, Judgement)), key=lambda each: each.submitted_at)


def _annotation(row: Judgement, emails: Mapping[str, str]) -> dict[str, Any]:
    vote = row.vote
    result = [
        _result("sentiment", "choices", [vote.choice]),
        _result("note", "textarea", [vote.note]),
        _result("excluded_frames", "choices", list(vote.excluded_frames)),
        _result("reviewer", "textarea", [row.reviewer]),
    ]
    by = {"completed_by": {"email": emails[row.reviewer]}} if row.reviewer in emails else {}
    return {
        "result": [each for each in result if any(*each["value"].values())],
        "created_at": row.submitted_at.isoformat(),
        "lead_time": (row.submitted_at - row.shown_at).total_seconds(),
        "was_cancelled": False,
        "ground_truth": False,
        **by,
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    score = {} if prediction.support is None else {"score": prediction.support}
    return {
        "model_version": "comments",
        "result": [_result("sentiment", "choices", [prediction.label])],
        **score,
    }


def _result(name: str, kind: str, values: Sequence[str]) -> dict[str, Any]:
    key = "text" if kind == "textarea" else kind
    return {"id": name, "from_name": name, "to_name": _OBJECT, "type": kind, "value": {key: list(values)}}


def _judgement(annotation: Any, data: Mapping[str, Any], number: int, people: Mapping[str, str]) -> Judgement:
    if not isinstance(annotation, dict):
        raise TypeError("it is no object")
    if annotation.get("was_cancelled"):
        raise ValueError("skipped in Label Studio")
    choice = _values(annotation, "sentiment")
    if len(choice) != 1:
        raise ValueError(f"{len(choice)} choices of sentiment; expected one")
    submitted_at = datetime.fromisoformat(annotation.get("created_at") or "")
    if submitted_at.tzinfo is None:
        raise ValueError(f"created_at {submitted_at} does not say its time zone")
    round_id = data.get("round_id")
    return Judgement(
        round_id=round_id if isinstance(round_id, int) else None,
        entry_id=data["entry_id"],
        video_id=str(data.get("video_id") or ""),
        reviewer=_reviewer(annotation, people),
        vote=Vote(choice[0], "\n".join(_values(annotation, "note")), tuple(_values(annotation, "excluded_frames"))),  # type: ignore[arg-type]
        shown_at=submitted_at - timedelta(seconds=float(annotation.get("lead_time") or 0)),
        submitted_at=submitted_at,
        guideline=IMPORTED,
        line=number,
    )


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


def _reviewer(annotation: Mapping[str, Any], people: Mapping[str, str]) -> str:
    by = annotation.get("completed_by")
    keys = [by.get("email"), by.get("id")] if isinstance(by, dict) else [by]
    for key in keys:
        if key is not None and str(key) in people:
            return people[str(key)]
    named = _values(annotation, "reviewer")
    if len(named) == 1:
        return named[0]
    raise ValueError(f"made by {str(by)[:80]!r} in Label Studio; say which reviewer that is")
