"""Invitations: who gets in, who no longer does, and what is kept of the links."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.errors import AccessError, AnnotationError
from annotation.store import Store, open_store
from annotation.store.people import MAX_NAME, check_name
from data_catalog.printing import printable

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_link_lets_its_person_in(store: Store) -> None:
    invitation = store.people.invite("Anna Müller", "reviewer")
    assert store.people.admit(invitation.token) == invitation.person
    assert store.people.get(invitation.person.id) == invitation.person
    assert store.people.find(" anna müller ") == invitation.person
    assert store.people.all() == [invitation.person]
    assert invitation.link("http://127.0.0.1:8000/") == f"http://127.0.0.1:8000/join#{invitation.token}"


def test_a_stranger_a_revoked_and_an_expired_link_get_the_same_answer(store: Store) -> None:
    revoked = store.people.invite("Anna", "reviewer", now=NOW)
    store.people.revoke(revoked.person.id, now=NOW)
    expired = store.people.invite("Ben", "verifier", expires_in=timedelta(hours=1), now=NOW)
    assert store.people.admit(expired.token, now=NOW + timedelta(minutes=59)).name == "Ben"
    answers = set()
    for token in (revoked.token, expired.token, "", "x" * 43, "\x00", "\ud800", "' OR 1=1 --", "x" * 1_000_000):
        with pytest.raises(AccessError) as refused:
            store.people.admit(token, now=NOW + timedelta(hours=1))
        answers.add(str(refused.value))
    for person_id in (revoked.person.id, expired.person.id, "", "reviewer-0", "\x00", "\ud800", "ü"):
        with pytest.raises(AccessError) as refused:
            store.people.get(person_id, now=NOW + timedelta(hours=1))
        answers.add(str(refused.value))
    assert len(answers) == 1


def test_of_a_link_only_the_digest_is_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.sqlite3")
    invitation = store.people.invite("Anna", "reviewer")
    assert invitation.token not in repr(invitation)
    assert len(invitation.token) >= 43
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Anna" in stored
    assert invitation.token.encode() not in stored
    store.close()


def test_a_new_link_ends_the_old_one_and_the_person_stays_the_same(store: Store) -> None:
    old = store.people.invite("Anna", "reviewer")
    new = store.people.reissue(old.person.id)
    assert (new.person.id, new.person.name) == (old.person.id, "Anna")
    assert new.person.token_id != old.person.token_id
    assert store.people.admit(new.token) == new.person
    with pytest.raises(AccessError):
        store.people.admit(old.token)
    store.people.revoke(old.person.id)
    assert store.people.admit(store.people.reissue(old.person.id).token).revoked_at is None, "let in again"


def test_nobody_unknown_is_revoked_or_given_a_new_link(store: Store) -> None:
    for attempt in (store.people.revoke, store.people.reissue):
        with pytest.raises(AccessError):
            attempt("reviewer-nobody")
    assert store.people.all() == []


def test_a_name_is_taken_once_however_it_is_written(store: Store) -> None:
    store.people.invite("Ánna", "reviewer")
    for same in ("Ánna", "ÁNNA", "A\u0301nna", " Ánna "):
        with pytest.raises(AnnotationError, match="invited already"):
            store.people.invite(same, "verifier")


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "x" * (MAX_NAME + 1), "x" * 10**6),
        *("a\x00b", "a\nb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "\ud800"),
        *("An\u200dn", "\u200cЗоя", "Зоя\u200d", "Зо\u200d\u200dя"),
    ],
)
def test_a_name_that_hides_something_and_an_unknown_role_are_refused(store: Store, name: str) -> None:
    with pytest.raises(AnnotationError, match=r"U\+[0-9A-F]{4}" if 1 < len(name.strip()) < MAX_NAME else "name"):
        store.people.invite(name, "reviewer")
    with pytest.raises(AnnotationError, match="'owner'; expected one of reviewer, verifier, admin"):
        store.people.invite("Anna", "owner")  # type: ignore[arg-type]
    assert store.people.all() == []


@pytest.mark.parametrize("name", ["Зоя 👩\u200d🚀", "علی\u200cرضا", "क्\u200dष", "Ann \U0001fa77", "Bob \U0001fae8"])
def test_a_joiner_between_letters_that_need_it_and_a_new_emoji_are_part_of_the_name(store: Store, name: str) -> None:
    assert store.people.invite(name, "reviewer").person.name == name


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_whatever_name_is_accepted_can_be_printed_and_is_accepted_again(name: str) -> None:
    with suppress(AnnotationError):
        accepted = check_name(name)
        assert printable(accepted) == accepted
        assert 1 <= len(accepted) <= MAX_NAME
        assert check_name(accepted) == accepted
