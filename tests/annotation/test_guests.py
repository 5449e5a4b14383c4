"""Files of people to invite, levels, and the pseudonyms of files."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import pytest

from annotation.assignment import Quota
from annotation.errors import AnnotationError
from annotation.events import Vote
from annotation.guests import new_file, read_guests, write_links
from annotation.interchange.table_files import read_votes, votes_table, write_table
from annotation.interchange.votes import Imported, import_judgements, judgements
from annotation.store import Store
from annotation.store.people import Guest
from tests.annotation.store_builders import SHOWN, desk, entries, invite, key, open_round


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_people_is_read_with_levels_and_parts(tmp_path: Path) -> None:
    text = "\ufeffname,role,level,entries,deadline\nAnn,reviewer,master's,50%,\nVera,verifier,,,\n\nBob,reviewer,,,\n"
    assert read_guests(write(tmp_path / "p.csv", text)) == [
        Guest(2, "Ann", "reviewer", "master's", Quota(share=0.5)),
        Guest(3, "Vera", "verifier"),
        Guest(5, "Bob", "reviewer"),
    ]


def test_every_line_that_cannot_be_taken_is_named(tmp_path: Path) -> None:
    text = "role,name,entries,level\n" + "\n".join(
        [
            "reviewer,Ann,300,",
            "reviewer,ann,300,",
            "boss,Bob,,",
            "reviewer,,,",
            "reviewer,Cyd,many,",
            "verifier,Vera,10,",
            f"reviewer,Dan,,{'l' * 41}",
            "reviewer,Eve,,,,",
        ]
    )
    with pytest.raises(AnnotationError) as refused:
        read_guests(write(tmp_path / "p.csv", text))
    said = str(refused.value)
    for line, part in (
        (3, "'ann' stands in line 2, too"),
        (4, "role 'boss'"),
        (5, "a name of 0 characters"),
        (6, "'many' entries"),
        (7, "this is a verifier"),
        (8, "a level of 41 characters"),
        (9, "more cells than columns"),
    ):
        assert f"line {line}: {part}" in said or f"line {line}: entries and deadlines" in said, (line, said)
    assert "line 2:" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [("name\nAnn", "no column role"), ("name,role,e-mail\n", "column 'e-mail'"), ("name,role\n", "names nobody")],
)
def test_a_file_with_other_columns_or_nobody_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        read_guests(write(tmp_path / "p.csv", text))


def test_links_go_into_a_new_file_that_its_owner_alone_reads(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    with new_file(path) as out:
        made = store.invite_all(
            [Guest(2, "=Ann", "reviewer")], lambda each: write_links(out, each, "https://ads.example.org")
        )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["link"]) == ("'=Ann", made[0].link("https://ads.example.org"))
    with pytest.raises(AnnotationError, match="is there already"), new_file(path):
        pass
    assert path.exists()
    with pytest.raises(KeyError), new_file(tmp_path / "other.csv"):
        raise KeyError
    assert not (tmp_path / "other.csv").exists()


def test_a_level_is_kept_and_can_be_changed(store: Store) -> None:
    ann = store.people.invite("Ann", "reviewer", level=" master's ").person
    assert ann.level == "master's"
    assert store.people.set_level(ann.id, "undergraduate").level == "undergraduate"
    assert store.people.set_level(ann.id, "").level is None
    with pytest.raises(AnnotationError, match="U\\+001B"):
        store.people.set_level(ann.id, "\x1b[2J")


def test_pseudonyms_say_no_name_stay_the_same_and_need_the_stores_key(store: Store, tmp_path: Path) -> None:
    from annotation.store import open_store

    (ann, bob), (vera,) = invite(store, "Ann", "Bob"), invite(store, "Vera", role="verifier")
    names = store.people.names(pseudonyms=True)
    assert len(set(names.values())) == 3
    assert [names[each.id].partition("-")[0] for each in (ann, vera)] == ["reviewer", "verifier"]
    assert ann.id not in names.values()
    assert store.people.names(pseudonyms=True) == names
    assert store.people.names() == {ann.id: "Ann", bob.id: "Bob", vera.id: "Vera"}
    other = open_store(tmp_path / "other.sqlite3")
    there = other.people.invite("Ann", "reviewer").person
    assert other.people.names(pseudonyms=True)[there.id] not in names.values()
    other.close()


def test_votes_under_pseudonyms_come_back_into_their_store(store: Store, tmp_path: Path) -> None:
    round_, (ann,), entry = open_round(store), invite(store, "Ann"), entries(1)[0].id
    desk(store, ann, round_).vote(entry, Vote("positive"), key=key(), shown_at=SHOWN)
    names = store.people.names(pseudonyms=True)
    log, of_round = store.events(round_.id), store.rounds.entries(round_.id)
    write_table(votes_table(judgements(log, of_round, names)), tmp_path / "votes.csv")
    text = (tmp_path / "votes.csv").read_text(encoding="utf-8")
    assert "Ann" not in text
    assert ann.id not in text
    assert import_judgements(store, round_.id, read_votes(tmp_path / "votes.csv")) == Imported(0, 1, ())
