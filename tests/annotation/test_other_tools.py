"""Prodigy's lines, Argilla's records and tables that went through pandas: out, back, and what is no vote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from annotation.events import Vote
from annotation.interchange.argilla import argilla_records, is_argilla, read_records
from annotation.interchange.files import read_file
from annotation.interchange.label_studio import write_tasks
from annotation.interchange.prodigy import prodigy_tasks, read_lines, write_lines
from annotation.interchange.round_rows import RoundRow, round_rows
from annotation.interchange.table_files import VOTES, read_votes, votes_table, write_table
from annotation.interchange.votes import Ignored, Imported, Judgement, Refused, Row, import_judgements
from annotation.rounds import Entry, Prediction, Shown
from annotation.store import Store
from data_catalog.catalog import Catalog
from tests.annotation.store_builders import SHOWN, desk, entries, key, open_round, reviewers
from tests.annotation.vote_builders import START

ENTRY = Entry("00ff", "v1", ("v1:0", "v1:1"), ("c1",))
AT = datetime(2026, 11, 30, tzinfo=UTC)


def url(frame_id: str) -> str:
    return f"/frames/{frame_id}"


def vote(reviewer: str, said: Vote, line: int = 0) -> Judgement:
    return Judgement(1, "00ff", "v1", reviewer, said, START, START + timedelta(seconds=9.5), "sha256:0", line)


ANN, BOB = vote("Ann", Vote("positive", "=1+1", ("v1:1",))), vote("Bob", Vote("uncertain"))


def row(*votes: Judgement, prediction: Prediction | None = None) -> RoundRow:
    return RoundRow(1, ENTRY, Shown("words", ("hm",)), prediction, votes)


def lines(tmp_path: Path, tasks: Iterable[Any], people: dict[str, str] | None = None) -> list[Row]:
    write_lines(tasks, tmp_path / "t.jsonl")
    return list(read_lines(tmp_path / "t.jsonl", people=people))


def records(found: Iterable[Any], people: dict[str, str] | None = None) -> list[Row]:
    return list(read_records(json.loads(json.dumps(list(found))), AT, people=people))


def told(found: Iterable[Row]) -> list[dict[str, Any]]:
    return [vars(each) | {"line": 0} for each in found]


def test_votes_in_prodigys_lines_come_back_as_they_were(tmp_path: Path) -> None:
    tasks = list(prodigy_tasks([row(ANN, BOB)], url))
    assert [(task["accept"], task["answer"], task["_annotator_id"]) for task in tasks] == [
        (["positive"], "accept", "Ann"),
        (["uncertain"], "accept", "Bob"),
    ]
    assert [each["id"] for each in tasks[0]["options"]] == ["positive", "negative", "uncertain"]
    assert told(lines(tmp_path, tasks)) == told([ANN, BOB])


def test_an_answer_given_in_prodigy_is_its_annotators_at_its_time(tmp_path: Path) -> None:
    (task,) = prodigy_tasks([row()], url)
    given = task | {"accept": ["negative"], "answer": "accept", "_session_id": "set-ann", "_timestamp": 1_796_000_000}
    (found,) = lines(tmp_path, [given], {"set-ann": "Ann"})
    assert isinstance(found, Judgement)
    assert (found.reviewer, found.vote.choice, found.guideline) == ("Ann", "negative", "prodigy")
    assert found.submitted_at == datetime.fromtimestamp(1_796_000_000, UTC)
    (ours,) = prodigy_tasks([row(ANN)], url)
    (changed,) = lines(tmp_path, [ours | {"accept": ["negative"], "_timestamp": 1_796_000_000}])
    assert isinstance(changed, Judgement)
    assert (changed.reviewer, changed.submitted_at) == ("Ann", datetime.fromtimestamp(1_796_000_000, UTC))


def test_what_prodigy_holds_besides_votes_is_counted_or_refused(tmp_path: Path) -> None:
    (task,), (ours,) = prodigy_tasks([row()], url), prodigy_tasks([row(ANN)], url)
    found = lines(
        tmp_path,
        [
            task,
            ours | {"answer": "ignore"},
            ours | {"answer": "reject"},
            ours | {"accept": []},
            ours | {"meta": {}},
            ours | {"accept": ["maybe"]},
            task | {"accept": ["positive"], "answer": "accept", "_timestamp": 1},
            task | {"accept": ["positive"], "answer": "accept", "_annotator_id": "a"},
            ours | {"origin": "mine"},
            [],
        ],
    )
    assert found[:2] == [Ignored(2, "answers 'ignore'"), Ignored(3, "answers 'reject'")]
    said = (
        "expected a list of one",
        "no entry_id",
        "'maybe'",
        "_annotator_id",
        "_timestamp",
        "origin",
        "no JSON object",
    )
    reasons = [each.reason for each in found[2:] if isinstance(each, Refused)]
    assert [part for part, reason in zip(said, reasons, strict=True) if part not in reason] == []


def test_votes_in_argillas_records_come_back_as_they_were() -> None:
    (record,) = argilla_records([row(ANN, BOB, prediction=Prediction("negative", 0.9))], url)
    assert is_argilla([record])
    assert record["suggestions"] == {"sentiment": {"value": "negative", "score": 0.9, "agent": "comments"}}
    assert [each["value"] for each in record["responses"]["sentiment"]] == ["positive", "uncertain"]
    assert told(records([record])) == told([ANN, BOB])


def test_a_response_given_or_changed_in_argilla_is_its_users_at_the_files_time() -> None:
    (record,) = argilla_records([row(ANN)], url)
    record["responses"]["sentiment"][0]["value"] = "negative"
    record["responses"]["sentiment"].append({"value": "positive", "user_id": "77"})
    changed, given = records([record], {"77": "Bob"})
    assert isinstance(changed, Judgement)
    assert isinstance(given, Judgement)
    assert [(each.reviewer, each.vote.choice, each.submitted_at) for each in (changed, given)] == [
        ("Ann", "negative", AT),
        ("Bob", "positive", AT),
    ]
    refused = records([record])[1]
    assert isinstance(refused, Refused)
    assert "--reviewer 77=NAME" in refused.reason


def test_what_argilla_holds_besides_votes_is_counted_or_refused() -> None:
    (alone,) = argilla_records([row(prediction=Prediction("negative"))], url)
    (ours,) = argilla_records([row(ANN)], url)
    assert records([alone]) == [Ignored(1, "records with suggestions alone")]
    assert records(argilla_records([row()], url)) == []
    del ours["responses"]["sentiment"]
    assert records([ours]) == [Ignored(1, "responses without a sentiment")]
    broken_ones: list[Any] = [{"fields": {}}, ours | {"metadata": {}}, ours | {"responses": 3}, 7]
    for broken in broken_ones:
        assert [type(each) for each in records([broken])] == [Refused]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("r.jsonl", lambda rows, path: write_lines(prodigy_tasks(rows, url), path)),
        ("r.json", lambda rows, path: write_tasks(argilla_records(rows, url), path)),
    ],
)
def test_a_round_goes_out_and_comes_back(
    store: Store, tmp_path: Path, name: str, write: Callable[[Iterator[RoundRow], Path], None]
) -> None:
    round_, people = open_round(store, 2), reviewers(store, 2)
    for person, choice in zip(people, ("positive", "negative"), strict=True):
        desk(store, person, round_).vote(entries(2)[0].id, Vote(choice), key=key(), shown_at=SHOWN)  # type: ignore[arg-type]
    rows = round_rows(store, Catalog(tmp_path / "catalog"), round_.id, names=store.people.names())
    write(rows, tmp_path / name)
    imported = import_judgements(store, round_.id, read_file(tmp_path / name))
    assert (imported.taken, imported.known, imported.refused) == (0, 2, ())
    assert imported.ignored == {}


def table(tmp_path: Path, suffix: str = ".csv") -> Path:
    given = [
        ANN,
        vote("Bob", Vote("negative", "NaN")),
        vote("Cyd", Vote("negative", "None")),
        vote("Dan", Vote("positive")),
    ]
    write_table(votes_table(given), tmp_path / f"votes{suffix}")
    return tmp_path / f"votes{suffix}"


def test_a_note_that_looks_like_a_missing_value_is_kept(tmp_path: Path) -> None:
    notes = [each.vote.note for each in read_votes(table(tmp_path)) if isinstance(each, Judgement)]
    assert notes == ["=1+1", "NaN", "None", ""]


@pytest.mark.parametrize(
    "notes", [["NA", "null", "n/a", "#N/A", "1.#IND", "fine"], ["007", "5", "1e5", ".5", "inf"], ["TRUE", "false"]]
)
def test_notes_that_pandas_takes_for_no_value_or_another_one_come_back_as_they_were(
    tmp_path: Path, notes: list[str]
) -> None:
    given = [vote("Ann", Vote("positive", note)) for note in [*notes, "", "'5", "''NA"]]
    for texts in (given, [*given[: len(notes)], given[len(notes)]]):  # with texts beside them, and alone
        write_table(votes_table(texts), tmp_path / "v.csv")
        pd.read_csv(tmp_path / "v.csv").to_csv(tmp_path / "again.csv", index=False)
        back = [each.vote.note for each in read_votes(tmp_path / "again.csv") if isinstance(each, Judgement)]
        assert back == [each.vote.note for each in texts]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_went_through_pandas_holds_the_same_votes(tmp_path: Path, suffix: str) -> None:
    given = table(tmp_path, suffix)
    before = list(read_votes(given))
    frame = pd.read_csv(given) if suffix == ".csv" else pd.read_parquet(given)
    frame.loc[0, "round_id"] = float("nan")  # and the others' become 1.0
    path = tmp_path / f"again{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False, na_rep="NaN")
        assert ",1.0," in f",{path.read_text(encoding='utf-8').splitlines()[2]}"
    else:
        frame.to_parquet(path, index=False)
    after = list(read_votes(path))
    assert [type(each) for each in after] == [Judgement] * 4
    for old, new in zip(before, after, strict=True):
        assert isinstance(new, Judgement)
        assert vars(new) | {"line": 0, "round_id": 1} == vars(old) | {"line": 0}
    assert [each.round_id for each in after if isinstance(each, Judgement)] == [None, 1, 1, 1]


@pytest.mark.parametrize("value", ["True", "1.5", "one", "inf"])
def test_a_number_of_a_round_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    head = ",".join(VOTES.names)
    path = tmp_path / "votes.csv"
    path.write_text(
        f"{head}\n{value},e,v,Ann,positive,,[],{START.isoformat()},{START.isoformat()},g\n", encoding="utf-8"
    )
    (refused,) = read_votes(path)
    assert isinstance(refused, Refused)
    assert refused.line == 2


def test_what_is_ignored_is_counted_by_kind(store: Store) -> None:
    round_ = open_round(store)
    rows = [Ignored(1, "answers 'ignore'"), Ignored(2, "answers 'ignore'"), Ignored(3, "answers 'reject'")]
    found = import_judgements(store, round_.id, rows)
    assert found == Imported(0, 0, (), {"answers 'ignore'": 2, "answers 'reject'": 1})
