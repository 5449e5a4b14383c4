"""Label Studio: what goes out comes back, what it makes itself is understood, and nonsense is named."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.errors import AnnotationError
from annotation.events import CHOICES, Flag, Vote
from annotation.interchange.label_studio import (
    GIVEN_THERE,
    LABELLING_CONFIG,
    label_studio_tasks,
    picture_name,
    read_task,
    read_tasks,
    write_pictures,
    write_tasks,
)
from annotation.interchange.round_rows import RoundRow, round_rows
from annotation.interchange.votes import Ignored, Imported, Judgement, Refused, Row, import_judgements
from annotation.rounds import Entry, Prediction, Shown
from annotation.store import open_store
from data_catalog.catalog import Catalog
from tests.annotation.store_builders import desk, entries, key, open_round, reviewers, vote_all
from tests.annotation.vote_builders import START
from tests.data_catalog.builders import rows

ENTRY = Entry("00ff", "v1", ("v1:0", "v1:1"), ("c1",))


ORIGIN_OF_ANN = {
    "vote": {"choice": "uncertain", "note": "why", "excluded_frames": ["v1:1"]},
    "reviewer": "Ann",
    "shown_at": START.isoformat(),
    "submitted_at": (START + timedelta(seconds=9.5)).isoformat(),
    "guideline": "sha256:0",
}


def url(frame_id: str) -> str:
    return f"/frames/{frame_id}"


def as_task(votes: Iterable[Judgement], **changes: Any) -> dict[str, Any]:
    row = RoundRow(1, ENTRY, Shown("words", ("hm",)), None, tuple(votes))
    return next(label_studio_tasks([replace(row, **changes)], url))


def vote_of(reviewer: str, vote: Vote, seconds: float = 9.5) -> Judgement:
    submitted = START + timedelta(seconds=seconds)
    return Judgement(1, ENTRY.id, ENTRY.video_id, reviewer, vote, START, submitted, "sha256:0", 1)


def back(found: Any, people: dict[str, str] | None = None) -> list[Row]:
    return list(read_task(json.loads(json.dumps(found)), 1, people=people or {}))


# "" is no note; a result without a text is not written
VOTES = st.builds(
    Vote,
    st.sampled_from(CHOICES),
    st.text(max_size=40),
    st.lists(st.text(min_size=1, max_size=9), max_size=3).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(min_size=1, max_size=12), st.tuples(VOTES, st.floats(0, 1e6)), max_size=4))
def test_votes_come_back_as_they_went(tmp_path: Path, told: dict[str, tuple[Vote, float]]) -> None:
    votes = [vote_of(reviewer, vote, round(seconds, 6)) for reviewer, (vote, seconds) in told.items()]
    path = tmp_path / "tasks.json"
    write_tasks([as_task(votes)], path)
    assert list(read_tasks(path)) == sorted(votes, key=lambda vote: vote.submitted_at)


def test_notes_and_excluded_frames_are_results_of_their_own() -> None:
    (annotation,) = as_task([vote_of("Ann", Vote("uncertain", "why", ("v1:1",)))])["annotations"]
    assert {(each["from_name"], each["type"], json.dumps(each["value"])) for each in annotation["result"]} == {
        ("sentiment", "choices", '{"choices": ["uncertain"]}'),
        ("note", "textarea", '{"text": ["why"]}'),
        ("excluded_frames", "choices", '{"choices": ["v1:1"]}'),
        ("origin", "textarea", json.dumps({"text": [json.dumps(ORIGIN_OF_ANN)]})),
    }


def test_every_name_in_a_task_fits_the_labelling_configuration() -> None:
    found = as_task([vote_of("Ann", Vote("positive", "n", ("v1:0",)))], prediction=Prediction("positive"))
    root = ET.fromstring(LABELLING_CONFIG)  # noqa: S314
    tags = {tag.get("name"): tag for tag in root.iter() if tag.get("name")}
    kinds = {"Choices": "choices", "TextArea": "textarea"}
    for result in [*found["annotations"][0]["result"], *found["predictions"][0]["result"]]:
        control = tags[result["from_name"]]
        assert (control.get("toName"), kinds[control.tag]) == (result["to_name"], result["type"])
        assert result["to_name"] in tags
    wanted = {
        tag.get(name, "")[1:]
        for tag in root.iter()
        for name in ("value", "valueList")
        if tag.get(name, "").startswith("$")
    }
    assert wanted <= found["data"].keys()
    assert tuple(tag.get("value") for tag in tags["sentiment"]) == CHOICES
    (labelled,) = as_task([], prediction=Prediction("negative", 0.9))["predictions"]
    assert (labelled["score"], labelled["result"][0]["value"]) == (0.9, {"choices": ["negative"]})
    assert as_task([], shown=Shown())["data"]["comments"] == [{"author": "", "text": "no comments"}]
    gold, again = replace(ENTRY, kind="gold", known="negative"), replace(ENTRY, kind="repeat", repeats="aa")
    tasks = [as_task([], entry=each) for each in (ENTRY, gold, again)]
    assert tasks[0] == tasks[1] == tasks[2], "nothing in a task tells gold or a repeat"
    assert found["data"]["frame_ids"] == [{"value": "v1:0", "html": "frame 1"}, {"value": "v1:1", "html": "frame 2"}]


# what Label Studio 1.23 exports of a vote that was given in it by its user 10
GIVEN = {
    "id": 1001,
    "completed_by": 10,
    "updated_by": 10,
    "was_cancelled": False,
    "created_at": "2026-11-26T12:00:09.500000Z",
    "updated_at": "2026-11-26T12:00:09.500000Z",
    "lead_time": 9.5,
    "result": [
        {"from_name": "sentiment", "to_name": "frames", "type": "choices", "value": {"choices": ["negative"]}},
        {"from_name": "note", "to_name": "frames", "type": "textarea", "value": {"text": "one text"}},
        {"from_name": "else", "to_name": "frames", "type": "rating", "value": {"rating": 3}},
    ],
}


def as_exported(annotation: dict[str, Any]) -> dict[str, Any]:
    """An imported annotation as Label Studio 1.23 exports it: the importing user's, of the moment of the import."""
    at = "2026-11-27T08:00:00.000000Z"
    return annotation | {"id": 7, "completed_by": 1, "updated_by": None, "created_at": at, "updated_at": at}


LATER = {"updated_at": "2026-11-26T13:00:09.5+00:00"}
WHOLE_USER = {"updated_by": None, "completed_by": {"id": 10, "email": "ann@example.org"}}


@pytest.mark.parametrize(
    ("changes", "people", "reviewer", "hours"),
    [
        ({}, {"10": "Ann"}, "Ann", 0),
        (WHOLE_USER, {"ann@example.org": "Ann"}, "Ann", 0),
        ({"updated_by": 11, **LATER}, {"10": "Ann", "11": "Bob"}, "Bob", 1),
    ],
    ids=["by number", "by email", "changed by another"],
)
def test_an_annotation_made_or_changed_in_label_studio_is_of_its_annotator_and_time(
    changes: dict[str, Any], people: dict[str, str], reviewer: str, hours: int
) -> None:
    late = timedelta(hours=hours)
    vote = replace(vote_of(reviewer, Vote("negative", "one text")), guideline=GIVEN_THERE)
    vote = replace(vote, shown_at=vote.shown_at + late, submitted_at=vote.submitted_at + late)
    assert back(as_task([]) | {"annotations": [GIVEN | changes]}, people) == [vote]


def test_a_task_that_was_skipped_there_is_no_vote_and_counted() -> None:
    for skipped in ({"was_cancelled": True}, {"skipped": True}):
        found = back(as_task([]) | {"annotations": [GIVEN | skipped | {"result": []}]})
        assert found == [Ignored(1, "annotations that were skipped")]


def test_a_task_with_predictions_alone_is_counted_and_one_that_nobody_did_is_not() -> None:
    alone = as_task([])
    assert back(alone | {"predictions": []}) == []
    predicted = {"predictions": [{"result": [], "model_version": "m"}]}
    assert back(alone | predicted) == [Ignored(1, "tasks with a model's predictions alone")]
    assert isinstance(back(alone | predicted | {"annotations": [GIVEN]}, {"10": "Ann"})[0], Judgement)


def test_a_file_of_label_studio_before_1_0_has_completions_of_nobody_with_seconds() -> None:
    completion = {
        **{name: GIVEN[name] for name in ("id", "lead_time", "result")},
        "created_at": datetime(2026, 11, 26, 12, 0, 9, tzinfo=UTC).timestamp(),
    }
    old = {**as_task([]), "completions": [completion]}
    del old["annotations"]
    (found,) = back(old, {"unknown": "Ann"})
    assert isinstance(found, Judgement)
    assert (found.reviewer, found.vote.choice) == ("Ann", "negative")
    assert found.submitted_at == datetime(2026, 11, 26, 12, 0, 9, tzinfo=UTC)
    (refused,) = back(old)
    assert isinstance(refused, Refused)
    assert "--reviewer unknown=NAME" in refused.reason


def test_votes_of_ours_that_label_studio_only_kept_are_whose_they_were(tmp_path: Path) -> None:
    votes = [vote_of("Ann", Vote("positive")), vote_of("Bob", Vote("negative", "no", ("v1:0",)))]
    found = as_task(votes)
    found["annotations"] = [as_exported(each) for each in found["annotations"]]
    assert back(found, {"1": "Vera"}) == votes, "they are not the importing user's"
    found["annotations"][0] |= {"updated_by": 1}
    assert back(found, {"1": "Vera"}) == votes, "a star does not make it theirs"
    found["annotations"][0]["result"][0]["value"]["choices"] = ["negative"]
    changed = [each for each in back(found, {"1": "Vera"}) if isinstance(each, Judgement)]
    assert {each.reviewer for each in changed} == {"Vera", "Bob"}, "who changes one there makes it theirs"
    found["annotations"][0]["updated_by"] = None  # as releases that did not keep it
    assert back(found, {"1": "Vera"}) == changed, "a changed vote is never whose it was"


def test_a_vote_that_was_copied_there_is_of_whoever_copied_it() -> None:
    found = as_task([vote_of("Ann", Vote("positive"))])
    copy = found["annotations"][0] | {
        "id": 8,
        "parent_annotation": 7,
        "completed_by": 2,
        "updated_by": 2,
        "created_at": "2026-11-27T08:00:00Z",
    }
    found["annotations"] = [as_exported(found["annotations"][0]), copy]
    names = [each.reviewer for each in back(found, {"2": "Bob"}) if isinstance(each, Judgement)]
    assert names == ["Ann", "Bob"]


@pytest.mark.parametrize("origin", ["", "[]", "{}", '{"reviewer": 1, "guideline": []}', "[" * 100_000])
def test_a_hidden_origin_that_was_tampered_with_makes_no_vote(origin: str) -> None:
    found = as_task([vote_of("Ann", Vote("positive"))])
    found["annotations"][0]["result"][-1]["value"]["text"] = [origin]
    (refused,) = back(found)
    assert isinstance(refused, Refused)


def test_pictures_lie_under_names_that_stay_in_their_folder(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    frame_ids = ("v1:0", "../up:1", "50% off?:0")
    picture = {"video_id": "v1", "image": {"bytes": b"jpeg", "path": "x.jpg"}}
    catalog.merge("frames", rows("frames", *({"frame_id": each, **picture} for each in frame_ids)))
    told: list[int] = []
    write_pictures(catalog, [Entry("00ff", "v1", frame_ids, ())], tmp_path / "frames", advance=told.append)
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {picture_name(each) for each in frame_ids}
    assert picture_name("v1:0") == "v1_0.jpg"
    assert sum(told) == 3
    assert not list(tmp_path.glob("*.jpg"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"result": []}, "0 choices"),
        ({"result": 5}, "0 choices"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": ["positive", "negative"]}}]}, "2 choices"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": ["splendid"]}}]}, "'splendid'"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": [None]}}]}, "else than texts"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": 7}}]}, "annotation 1"),
        ({"updated_at": "2026-11-26T12:00:00"}, "time zone"),
        ({"updated_at": 5}, "annotation 1"),
        ({"lead_time": 1e300}, "annotation 1"),
        ({"lead_time": "NaN"}, "annotation 1"),
    ],
)
def test_an_annotation_that_is_no_vote_is_named(changes: dict[str, Any], said: str) -> None:
    found = as_task([]) | {"annotations": [GIVEN | changes]}
    (refused,) = back(found, {"10": "Ann"})
    assert isinstance(refused, Refused)
    assert said in refused.reason


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"id": 1, "entry_id": ENTRY.id, "sentiment": "positive", "annotator": 1}, "JSON_MIN"),
        (as_task([]) | {"annotations": [GIVEN]}, "--reviewer 10=NAME"),
    ],
    ids=["the short format", "somebody unknown"],
)
def test_a_task_that_lacks_something_says_what_to_do(found: dict[str, Any], said: str) -> None:
    (refused,) = back(found)
    assert isinstance(refused, Refused)
    assert said in refused.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "entry_id", "annotations", "result", "value", "choices", "from_name", "created_at", "origin"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_no_json_whatever_breaks_the_reading(anything: Any, annotation: Any) -> None:
    list(read_task(anything, 1, people={}))
    list(read_task({"data": {"entry_id": "e"}, "annotations": anything}, 1, people={}))
    list(read_task({"data": {"entry_id": "e"}, "annotations": [annotation, {"result": [annotation]}]}, 1, people={}))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a": '], ids=["empty", "object", "bytes", "deep", "cut"]
)
def test_a_file_that_is_no_list_of_tasks_or_too_large_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tasks.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"tasks\.json"):
        list(read_tasks(path))
    with path.open("wb") as file:
        file.truncate(600_000_000)
    with pytest.raises(AnnotationError, match="600,000,000 bytes"):
        list(read_tasks(path))


def test_a_round_goes_out_with_words_and_comments_and_comes_back(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    tables: dict[str, list[dict[str, Any]]] = {
        "texts": [{"frame_id": "v0:0", "video_id": "v0", "text": "50% OFF"}],
        "comments": [{"comment_id": "c0", "video_id": "v0", "text": "<script>alert(1)</script>"}],
        "ad_sentiment": [{"video_id": "v0", "label": "positive", "label_support": 0.8}],
    }
    for table, values in tables.items():
        catalog.merge(table, rows(table, *values))
    store = open_store(tmp_path / "one.sqlite3")
    round_, people, entry = open_round(store), reviewers(store), entries(1)[0].id
    vote_all(store, round_, people, ["positive", "negative", "uncertain", "positive", "positive"], entry)
    desk(store, people[0], round_).flag(entry, Flag("broken_picture", "grey"), key=key(), shown_at=START)
    path = tmp_path / "tasks.json"
    write_tasks(label_studio_tasks(round_rows(store, catalog, round_.id, predictions=True), url), path)
    (out,) = json.loads(path.read_text(encoding="utf-8"))
    assert out["data"]["words"] == "50% OFF"
    assert out["data"]["comments"] == [{"author": "1", "text": "<script>alert(1)</script>"}]
    assert out["data"]["flags"] == [{"reviewer": "Reviewer 0", "reason": "broken_picture", "remark": "grey"}]
    assert out["predictions"][0]["score"] == 0.8
    (blind,) = label_studio_tasks(round_rows(store, catalog, round_.id), url)
    (unjudged,) = label_studio_tasks(round_rows(store, catalog, round_.id, with_votes=False), url)
    assert (blind["predictions"], len(blind["annotations"]), unjudged["annotations"]) == ([], 5, [])
    write_tasks([], tmp_path / "none.json")
    assert json.loads((tmp_path / "none.json").read_text(encoding="utf-8")) == []

    other = open_store(tmp_path / "two.sqlite3")
    again = open_round(other)
    reviewers(other)
    assert import_judgements(other, again.id, read_tasks(path)) == Imported(5, 0, ())
    choices = [event.payload.choice for event in other.events(again.id) if isinstance(event.payload, Vote)]
    assert sorted(choices) == ["negative", "positive", "positive", "positive", "uncertain"]
