"""A round as Label Studio's tasks: one per entry, with a reviewer's vote as one annotation, and the pictures beside.

A task's `data` shows what the round's page shows; `LABELLING_CONFIG` is the project's interface that fits it. The
comments' label comes as a prediction, which Label Studio shows to whoever annotates: leave predictions out of a file
on which people are to judge blind. Formats: https://labelstud.io/guide/task_format and /guide/predictions. What comes
back is read by `label_studio_votes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.dataset as ds

from annotation.interchange.judgements import Judgement, judgements
from annotation.rounds import Entry
from annotation.shown import Prediction, Shown, read_predictions, read_shown
from annotation.store import Store
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
_OBJECT = "frames"
_PICTURES_AT_ONCE = 64


def round_tasks(
    store: Store,
    catalog: Catalog,
    round_id: int,
    *,
    frame_url: Callable[[str], str],
    predictions: bool = True,
    with_votes: bool = True,
) -> Iterator[dict[str, Any]]:
    """A whole round as tasks, in the order in which its entries were drawn.

    Args:
        store: where the round is.
        catalog: where its ads are.
        round_id: which round.
        frame_url: where Label Studio finds a frame's picture.
        predictions: whether the label of the comments goes along.
        with_votes: whether the votes go along. Label Studio takes a task that has one for done, and asks nobody.

    Raises:
        RoundError: there is no such round.
    """
    entries = store.rounds.entries(round_id)
    names = {person.id: person.name for person in store.people.all()}
    shown, labels = read_shown(catalog, entries.values()), read_predictions(catalog) if predictions else {}
    votes: dict[str, list[Judgement]] = {}
    for row in judgements(store.events(round_id), entries, names) if with_votes else ():
        votes.setdefault(row.entry_id, []).append(row)
    for entry in entries.values():
        yield task(
            entry,
            round_id,
            votes.get(entry.id, []),
            shown=shown[entry.id],
            prediction=labels.get(entry.video_id),
            frame_url=frame_url,
        )


def task(
    entry: Entry,
    round_id: int,
    votes: Iterable[Judgement],
    *,
    shown: Shown,
    prediction: Prediction | None,
    frame_url: Callable[[str], str],
) -> dict[str, Any]:
    """One entry as a task; nothing tells whether it is a repeat or gold.

    Args:
        entry: what was judged.
        round_id: its round.
        votes: on this entry.
        shown: its words and comments.
        prediction: None leaves it out.
        frame_url: where Label Studio finds a frame's picture.
    """
    return {
        "data": {
            "round_id": round_id,
            "entry_id": entry.id,
            "video_id": entry.video_id,
            "frames": [frame_url(frame_id) for frame_id in entry.frame_ids],
            "frame_ids": [{"value": each, "html": f"frame {number}"} for number, each in enumerate(entry.frame_ids, 1)],
            "words": shown.words,
            # its page stays blank where the list is empty
            "comments": [{"author": str(number), "text": text} for number, text in enumerate(shown.comments, 1)]
            or [{"author": "", "text": "no comments"}],
        },
        "annotations": [_annotation(vote) for vote in votes],
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


def _annotation(row: Judgement) -> dict[str, Any]:
    # Label Studio puts its own times and the importing user in the place of an annotation's: a hidden result keeps ours
    origin = {
        "vote": vars(row.vote),
        "reviewer": row.reviewer,
        "shown_at": row.shown_at.isoformat(),
        "submitted_at": row.submitted_at.isoformat(),
        "guideline": row.guideline,
    }
    result = [
        _result("sentiment", "choices", [row.vote.choice]),
        _result("note", "textarea", [row.vote.note]),
        _result("excluded_frames", "choices", list(row.vote.excluded_frames)),
        _result(ORIGIN, "textarea", [json.dumps(origin)]),
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
