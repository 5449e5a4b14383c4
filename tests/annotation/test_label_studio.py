"""Label Studio: what goes out comes back, what it makes itself is understood, and nonsense is named."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.errors import AnnotationError
from annotation.events import CHOICES, Vote
from annotation.judgements import Imported, Judgement, Refused, import_judgements
from annotation.label_studio import IMPORTED, LABELLING_CONFIG, read_task, read_tasks, round_tasks, task, write_tasks
from annotation.rounds import Entry
from annotation.shown import Prediction, Shown
from annotation.store import open_store
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from tests.annotation.store_builders import entries, open_round, reviewers, vote_all
from tests.annotation.vote_builders import START

ENTRY = Entry("00ff", "v1", ("v1:0", "v1:1"), ("c1",))


def url(frame_id: str) -> str:
    return f"/frames/{frame_id}"


def as_task(votes: Iterable[Judgement], **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"shown": Shown("words", ("hm",)), "prediction": None, "emails": {}}
    return task(ENTRY, 1, votes, frame_url=url, **given | changes)


def vote_of(reviewer: str, vote: Vote, seconds: float = 9.5) -> Judgement:
    submitted = START + timedelta(seconds=seconds)
    return Judgement(1, ENTRY.id, ENTRY.video_id, reviewer, vote, START, submitted, IMPORTED, 1)


def back(found: Any, people: dict[str, str] | None = None) -> list[Judgement | Refused]:
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
        ("reviewer", "textarea", '{"text": ["Ann"]}'),
    }


def test_the_comments_label_is_a_prediction() -> None:
    (prediction,) = as_task([], prediction=Prediction("negative", 0.9))["predictions"]
    assert (prediction["score"], prediction["result"][0]["value"]) == (0.9, {"choices": ["negative"]})


def test_nothing_in_a_task_tells_gold_or_a_repeat() -> None:
    gold = Entry("00ff", "v1", ("v1:0", "v1:1"), ("c1",), kind="gold", known="negative")
    again = Entry("00ff", "v1", ("v1:0", "v1:1"), ("c1",), kind="repeat", repeats="aa")
    tasks = [
        task(each, 1, [], shown=Shown(), prediction=None, frame_url=url, emails={}) for each in (ENTRY, gold, again)
    ]
    assert tasks[0] == tasks[1] == tasks[2]


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
    assert all(set(option) == {"value"} for option in found["data"]["frame_ids"])


def test_an_annotation_made_in_label_studio_is_its_annotators() -> None:
    made = {
        "id": 1001,
        "completed_by": 10,
        "was_cancelled": False,
        "created_at": "2026-11-26T12:00:09.500000Z",
        "lead_time": 9.5,
        "result": [
            {"from_name": "sentiment", "to_name": "frames", "type": "choices", "value": {"choices": ["negative"]}},
            {"from_name": "note", "to_name": "frames", "type": "textarea", "value": {"text": "one text"}},
            {"from_name": "else", "to_name": "frames", "type": "rating", "value": {"rating": 3}},
        ],
    }
    found = as_task([]) | {"annotations": [made]}
    assert back(found, {"10": "Ann"}) == [vote_of("Ann", Vote("negative", "one text"))]
    found["annotations"] = [made | {"completed_by": {"id": 10, "email": "ann@example.org"}}]
    assert back(found, {"ann@example.org": "Ann"}) == [vote_of("Ann", Vote("negative", "one text"))]
    (refused,) = back(found)
    assert isinstance(refused, Refused)
    assert "say which reviewer that is" in refused.reason


def test_emails_name_the_members_that_label_studio_knows() -> None:
    votes = [vote_of("Ann", Vote("positive")), vote_of("Bob", Vote("positive"))]
    ann, bob = as_task(votes, emails={"Ann": "ann@example.org"})["annotations"]
    assert ann["completed_by"] == {"email": "ann@example.org"}
    assert "completed_by" not in bob


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"was_cancelled": True}, "skipped"),
        ({"result": []}, "0 choices"),
        ({"result": 5}, "0 choices"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": ["positive", "negative"]}}]}, "2 choices"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": ["splendid"]}}]}, "'splendid'"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": [None]}}]}, "else than texts"),
        ({"result": [{"from_name": "sentiment", "value": {"choices": 7}}]}, "annotation 1"),
        ({"created_at": "2026-11-26T12:00:00"}, "time zone"),
        ({"created_at": 5}, "annotation 1"),
        ({"lead_time": 1e300}, "annotation 1"),
        ({"lead_time": "NaN"}, "annotation 1"),
    ],
)
def test_an_annotation_that_is_no_vote_is_named(changes: dict[str, Any], said: str) -> None:
    found = as_task([vote_of("Ann", Vote("positive"))])
    found["annotations"][0] |= {"completed_by": 1} | changes
    (refused,) = back(found, {"1": "Ann"})
    assert isinstance(refused, Refused)
    assert said in refused.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "entry_id", "annotations", "result", "value", "choices", "from_name", "created_at"]
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
def test_a_file_that_is_no_list_of_tasks_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tasks.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"tasks\.json"):
        list(read_tasks(path))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    with path.open("wb") as file:
        file.truncate(600_000_000)
    with pytest.raises(AnnotationError, match="600,000,000 bytes"):
        list(read_tasks(path))


def test_no_tasks_are_an_empty_list(tmp_path: Path) -> None:
    write_tasks([], tmp_path / "tasks.json")
    assert json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8")) == []


def test_a_round_goes_out_with_words_and_comments_and_comes_back(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    for table, rows in {
        "texts": [{"frame_id": "v0:0", "video_id": "v0", "text": "50% OFF"}],
        "comments": [{"comment_id": "c0", "video_id": "v0", "text": "<script>alert(1)</script>"}],
        "ad_sentiment": [{"video_id": "v0", "label": "positive", "label_support": 0.8}],
    }.items():
        catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))
    store = open_store(tmp_path / "one.sqlite3")
    round_, people, entry = open_round(store), reviewers(store), entries(1)[0].id
    vote_all(store, round_, people, ["positive", "negative", "uncertain", "positive", "positive"], entry)
    path = tmp_path / "tasks.json"
    write_tasks(round_tasks(store, catalog, round_.id, frame_url=url), path)
    (out,) = json.loads(path.read_text(encoding="utf-8"))
    assert out["data"]["words"] == "50% OFF"
    assert out["data"]["comments"] == [{"author": "1", "text": "<script>alert(1)</script>"}]
    assert out["predictions"][0]["score"] == 0.8
    (blind,) = round_tasks(store, catalog, round_.id, frame_url=url, predictions=False)
    assert blind["predictions"] == []

    other = open_store(tmp_path / "two.sqlite3")
    again = open_round(other)
    reviewers(other)
    assert import_judgements(other, again.id, read_tasks(path)) == Imported(5, ())
    choices = [event.payload.choice for event in other.events(again.id) if isinstance(event.payload, Vote)]
    assert sorted(choices) == ["negative", "positive", "positive", "positive", "uncertain"]
