"""A round as Label Studio's tasks: one per entry, with a reviewer's vote as one annotation, and the pictures beside.

A task's `data` shows what the round's page shows; `LABELLING_CONFIG` is the project's interface that fits it. The
comments' label comes as a prediction, which Label Studio shows to whoever annotates: leave predictions out of a file
on which people are to judge blind. Of what comes back, a vote that nobody changed there is whose it was here, whoever
imported it there; what somebody gave or changed there is theirs, at the time of the change. Formats:
https://labelstud.io/guide/task_format, /guide/predictions and /guide/export.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.dataset as ds

from annotation.errors import AnnotationError, SubmissionError
from annotation.events import Vote
from annotation.interchange.round_rows import RoundRow, origin_of
from annotation.interchange.votes import Ignored, Judgement, Refused, Row
from annotation.rounds import Entry, Prediction
from data_catalog.catalog import Catalog

ORIGIN = "origin"
"""Result of an annotation that says what it was, who gave the vote, when, and by which guidelines."""
LABELLING_CONFIG = """\
<View>
  <Image name="frames" valueList="$frames" zoom="true" zoomControl="true"/>
  <Choices name="sentiment" toName="frames" choice="single" required="true" showInline="true">
    <Choice value="positive" hotkey="1"/>
    <Choice value="negative" hotkey="2"/>
    <Choice value="uncertain" hotkey="3"/>
  </Choices>
  <Header value="Frames to exclude"/>
  <Choices name="excluded_frames" toName="frames" choice="multiple" value="$frame_ids"/>
  <TextArea name="note" toName="frames" placeholder="Note" maxSubmissions="1" editable="true"/>
  <Header value="Words on the frames"/>
  <Text name="words" value="$words"/>
  <Header value="Comments"/>
  <Paragraphs name="comments" value="$comments" layout="none" nameKey="author" textKey="text"/>
  <View style="display: none">
    <TextArea name="origin" toName="frames" maxSubmissions="1"/>
  </View>
</View>
"""
MAX_BYTES = 500_000_000
"""Largest file that is read; JSON has to be held in memory whole. Label Studio itself takes 200 MB at a time."""
GIVEN_THERE = "label-studio"
"""Stands for the guidelines' version of votes that were given in Label Studio."""
NOBODY = "unknown"
"""Who gave a vote where the file does not say: to be named by `--reviewer unknown=NAME`."""
_OBJECT = "frames"
_PICTURES_AT_ONCE = 64


def label_studio_tasks(rows: Iterable[RoundRow], frame_url: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """A round's tasks, one for each entry.

    Flags go into the task's data, which Label Studio keeps and does not ask for; discussion and decisions into its
    `meta`, which Label Studio stores and does not show to annotators.

    Args:
        rows: the round.
        frame_url: where Label Studio finds a frame's picture.
    """
    for row in rows:
        entry, told = row.entry, row.told
        flags = {"flags": told.pop("flags")} if "flags" in told else {}
        yield {
            "data": {
                "round_id": row.round_id,
                "entry_id": entry.id,
                "video_id": entry.video_id,
                "frames": [frame_url(frame_id) for frame_id in entry.frame_ids],
                "frame_ids": [
                    {"value": each, "html": f"frame {place}"} for place, each in enumerate(entry.frame_ids, 1)
                ],
                "words": row.shown.words,
                # its page stays blank where the list is empty
                "comments": [{"author": str(at), "text": text} for at, text in enumerate(row.shown.comments, 1)]
                or [{"author": "", "text": "no comments"}],
                **flags,
            },
            "annotations": [_annotation(vote) for vote in row.votes],
            "predictions": [] if row.prediction is None else [_prediction(row.prediction)],
            "meta": told,
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


def picture_name(frame_id: str) -> str:
    """The file of a frame's picture: a name on every system, whatever the id holds."""
    return quote(frame_id.replace(":", "_"), safe="") + ".jpg"


def write_pictures(
    catalog: Catalog, entries: Iterable[Entry], folder: Path, *, advance: Callable[[int], None] = lambda n_frames: None
) -> None:
    """Write the pictures of what entries show into a folder, by `picture_name`.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame_ids = sorted({frame_id for entry in entries for frame_id in entry.frame_ids})
    for first in range(0, len(frame_ids), _PICTURES_AT_ONCE):
        some = frame_ids[first : first + _PICTURES_AT_ONCE]
        for row in catalog.read("frames", ["frame_id", "image"], ds.field("frame_id").isin(some)).to_pylist():
            (folder / picture_name(row["frame_id"])).write_bytes(row["image"]["bytes"])
        advance(len(some))


def read_tasks(path: Path, *, people: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The votes of an exported file (format JSON), of Label Studio before 1.0 too; what is no vote says why.

    Args:
        path: Label Studio's export, or ours.
        people: reviewers by their number or email in Label Studio; needed for votes that were given or changed there.
            Its exports hold numbers, unless they are asked for whole users.

    Raises:
        AnnotationError: no JSON, no list of tasks, or too large.
        OSError: the file cannot be read.
    """
    yield from tasks_of(read_json(path), people=people)


def tasks_of(tasks: list[Any], *, people: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The votes of a file's tasks."""
    for number, each in enumerate(tasks, 1):
        yield from read_task(each, number, people=people or {})


def read_json(path: Path) -> list[Any]:
    """The list in a JSON file.

    Raises:
        AnnotationError: no JSON, no list, or too large.
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
    return tasks


def read_task(task: Any, number: int, *, people: Mapping[str, str]) -> Iterator[Row]:
    """The votes of one task, in the order in which they were made; one that was skipped there is ignored."""
    data = task.get("data") if isinstance(task, dict) else None
    if isinstance(task, dict) and data is None and "entry_id" in task:
        yield Refused(number, "a task in the format JSON_MIN; export as JSON from Label Studio")
        return
    if not isinstance(data, dict) or not isinstance(data.get("entry_id"), str):
        yield Refused(number, "the task's data has no entry_id: it was not exported from a round")
        return
    # before 1.0 they were called completions
    annotations = task.get("annotations", task.get("completions", []))
    if not isinstance(annotations, list):
        yield Refused(number, "the task's annotations are no list")
        return
    if task.get("predictions") and not annotations:
        yield Ignored(number, "tasks with a model's predictions alone")
    found: list[Judgement | Refused] = []
    for place, annotation in enumerate(annotations, 1):
        if isinstance(annotation, dict) and (annotation.get("was_cancelled") or annotation.get("skipped")):
            yield Ignored(number, "annotations that were skipped")
            continue
        try:
            found.append(_judgement(annotation, data, number, people))
        except (SubmissionError, ValueError, TypeError, OverflowError, RecursionError) as error:
            found.append(Refused(number, f"annotation {place}: {' '.join(str(error).split())[:300]}"))
    yield from (each for each in found if isinstance(each, Refused))
    yield from sorted((each for each in found if isinstance(each, Judgement)), key=lambda each: each.submitted_at)


def _annotation(row: Judgement) -> dict[str, Any]:
    # Label Studio puts its own times and the importing user in the place of an annotation's: a hidden result keeps ours
    result = [
        _result("sentiment", "choices", [row.vote.choice]),
        _result("note", "textarea", [row.vote.note]),
        _result("excluded_frames", "choices", list(row.vote.excluded_frames)),
        _result(ORIGIN, "textarea", [json.dumps(origin_of(row))]),
    ]
    return {
        "result": [each for each in result if any(*each["value"].values())],
        "lead_time": (row.submitted_at - row.shown_at).total_seconds(),
        "was_cancelled": False,
        "ground_truth": False,
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
    """Reviewer, time and guidelines of a vote from here; None if it was given, changed or copied in Label Studio."""
    texts = _values(annotation, ORIGIN)
    if not texts or annotation.get("parent_annotation") is not None:
        return None
    told = json.loads("".join(texts))
    if not isinstance(told, dict) or not {"vote", "reviewer", "guideline"} <= told.keys():
        raise ValueError(f"its hidden result {ORIGIN} was changed, so that it does not say whose vote it is")
    # that somebody touched it, to set a star say, does not make it theirs
    if told["vote"] != json.loads(json.dumps(vars(vote))):
        return None
    return {
        "reviewer": str(told["reviewer"]),
        "shown_at": _moment("shown_at", told),
        "submitted_at": _moment("submitted_at", told),
        "guideline": str(told["guideline"])[:80],
    }


def _given_there(annotation: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    """Annotator of a vote in Label Studio, and the time at which it was given or last changed."""
    submitted_at = _moment("updated_at" if annotation.get("updated_at") else "created_at", annotation)
    changed_by = annotation.get("updated_by")
    return {
        "reviewer": _reviewer(annotation.get("completed_by") if changed_by is None else changed_by, people),
        "shown_at": submitted_at - timedelta(seconds=float(annotation.get("lead_time") or 0)),
        "submitted_at": submitted_at,
        "guideline": GIVEN_THERE,
    }


def _moment(name: str, told: Mapping[str, Any]) -> datetime:
    said = told.get(name) or ""
    if name == "created_at" and isinstance(said, int | float):  # seconds, before 1.0
        return datetime.fromtimestamp(said, UTC)
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is None:
        raise ValueError(f"{name} {moment} does not say its time zone")
    return moment


def _values(annotation: Mapping[str, Any], name: str) -> list[str]:
    """The values of one control of the interface; a single text may stand without its list."""
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
    if by is None:  # as before 1.0
        by = NOBODY
    keys = [by.get("email"), by.get("id")] if isinstance(by, dict) else [by]
    for key in keys:
        if key is not None and str(key) in people:
            return people[str(key)]
    raise ValueError(
        f"made by {str(by)[:80]!r} in Label Studio; say which reviewer that is: --reviewer {str(by)[:80]}=NAME"
    )
