"""People who may judge, invited by a link that holds a random token, of which the store keeps only the digest."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from sqlalchemy import Connection, Row, insert, select, update

from annotation.assignment import Quota
from annotation.errors import AccessError, AnnotationError, RoleError
from annotation.protocol import Role
from annotation.store import schema
from annotation.store.database import Database
from data_catalog.printing import is_new_emoji

JOIN_PATH = "/join"
"""Path of an invitation's link. The token follows after a `#`, which browsers do not send to the server."""
MAX_NAME = 60
"""Longest name, in characters."""
MAX_LEVEL = 40
ROLES: tuple[Role, ...] = get_args(Role)

_VALID_FOR = timedelta(days=90)
_NOT_VALID = "this invitation is not valid (any more); ask whoever invited you for a new link"
_JOINER = re.compile("(?<=[^\\x00-\\x7f\\u200c\\u200d])[\\u200c\\u200d](?=[^\\x00-\\x7f\\u200c\\u200d])")
_PEOPLE = schema.people.c


@dataclass(frozen=True)
class Person:
    """Somebody who was invited."""

    id: str
    """Random; stands for the person wherever a name would say too much."""
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    level: str | None
    """Such as `master's` or `undergraduate`; None: none was given."""
    token_id: str
    """Names the person's present link and changes with it, so that sessions begun by an older one can end."""

    def may_enter(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True)
class Invitation:
    """A person with the token that lets them in: shown once, never stored."""

    person: Person
    token: str

    def __repr__(self) -> str:
        return f"Invitation({self.person.id})"  # a log must not let anybody in

    def link(self, base_url: str) -> str:
        """The link to send to the person."""
        return f"{base_url.rstrip('/')}{JOIN_PATH}#{self.token}"


@dataclass(frozen=True)
class Guest:
    """Somebody to be invited, as a file names them."""

    line: int
    name: str
    role: Role
    level: str | None = None
    quota: Quota | None = None
    """None: the whole round, without a deadline."""


class People:
    """The people of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def invite(
        self,
        name: str,
        role: Role,
        *,
        level: str | None = None,
        expires_in: timedelta = _VALID_FOR,
        now: datetime | None = None,
    ) -> Invitation:
        """Invite a person with a new link.

        Raises:
            AnnotationError: the name is empty, too long, unprintable or in use, there is no such role, or the level is
                no short word.
        """
        with self._database.write() as connection:
            return invite(connection, name, role, level=level, expires_in=expires_in, now=now)

    def set_level(self, person_id: str, level: str | None) -> Person:
        """Set a person's level.

        Raises:
            AccessError: there is no such person.
            AnnotationError: the level is no short word.
        """
        values = {"level": check_level(level)}
        with self._database.write() as connection:
            connection.execute(update(schema.people).where(_PEOPLE.id == person_id).values(values))
            return _require(connection, person_id)

    def reissue(self, person_id: str, *, expires_in: timedelta = _VALID_FOR, now: datetime | None = None) -> Invitation:
        """A new link for the same person, who keeps what they did; the old link no longer works.

        Raises:
            AccessError: there is no such person.
        """
        token = secrets.token_urlsafe(32)
        values = {
            "token_sha256": _digest(token),
            "expires_at": (now or datetime.now(UTC)) + expires_in,
            "revoked_at": None,
        }
        with self._database.write() as connection:
            connection.execute(update(schema.people).where(_PEOPLE.id == person_id).values(values))
            return Invitation(_require(connection, person_id), token)

    def revoke(self, person_id: str, *, now: datetime | None = None) -> Person:
        """Revoke a person's access at once; their events are kept.

        Raises:
            AccessError: there is no such person.
        """
        with self._database.write() as connection:
            connection.execute(
                update(schema.people)
                .where(_PEOPLE.id == person_id, _PEOPLE.revoked_at.is_(None))
                .values(revoked_at=now or datetime.now(UTC))
            )
            return _require(connection, person_id)

    def admit(self, token: str, *, now: datetime | None = None) -> Person:
        """The person whose link this is.

        Raises:
            AccessError: unknown, revoked or expired; the message does not say which.
        """
        with self._database.read() as connection:
            row = connection.execute(select(schema.people).where(_PEOPLE.token_sha256 == _digest(token))).first()
        person = None if row is None else _person(row)
        if person is None or not person.may_enter(now or datetime.now(UTC)):
            raise AccessError(_NOT_VALID)
        return person

    def get(self, person_id: str, *, now: datetime | None = None) -> Person:
        """The person of a session that goes on.

        Raises:
            AccessError: unknown, revoked or expired; the message does not say which.
        """
        with self._database.read() as connection:
            return still_there(connection, person_id, now or datetime.now(UTC))

    def find(self, name: str) -> Person | None:
        """The person of that name, revoked or not."""
        with self._database.read() as connection:
            return _named(connection, unicodedata.normalize("NFC", name.strip()))

    def all(self) -> list[Person]:
        """Everybody ever invited, in that order."""
        with self._database.read() as connection:
            return all_people(connection)

    def names(self, *, pseudonyms: bool = False) -> dict[str, str]:
        """By id, how everybody is called in a file: their names, or pseudonyms that are the same in every file."""
        everybody = self.all()
        if not pseudonyms:
            return {person.id: person.name for person in everybody}
        key = self._pseudonym_key()
        return {
            person.id: f"{person.role}-{hmac.digest(key, person.id.encode(), 'sha256').hex()[:10]}"
            for person in everybody
        }

    def _pseudonym_key(self) -> bytes:
        query = select(schema.pseudonym_key.c.key)
        with self._database.read() as connection:
            found = connection.scalar(query)
        if found is None:
            with self._database.write() as connection:
                found = connection.scalar(query)
                if found is None:
                    found = secrets.token_hex(32)
                    connection.execute(insert(schema.pseudonym_key).values(id=1, key=found))
        return bytes.fromhex(found)


def invite(
    connection: Connection,
    name: str,
    role: Role,
    *,
    level: str | None = None,
    expires_in: timedelta = _VALID_FOR,
    now: datetime | None = None,
) -> Invitation:
    """`People.invite` in a writer's transaction."""
    name = check_name(name)
    if role not in ROLES:
        raise AnnotationError(f"role {role!r}; expected one of {', '.join(ROLES)}")
    now = now or datetime.now(UTC)
    token = secrets.token_urlsafe(32)
    row: dict[str, Any] = {
        "id": f"{role}-{secrets.token_hex(6)}",
        "name": name,
        "role": role,
        "token_sha256": _digest(token),
        "created_at": now,
        "expires_at": now + expires_in,
        "revoked_at": None,
        "level": check_level(level),
    }
    if _named(connection, name) is not None:
        raise AnnotationError(f"{name!r} is invited already; give them a new link, or choose another name")
    connection.execute(insert(schema.people).values(row))
    return Invitation(_require(connection, row["id"]), token)


def all_people(connection: Connection) -> list[Person]:
    """Everybody ever invited, in that order, as this transaction sees them."""
    return [_person(row) for row in connection.execute(select(schema.people).order_by("created_at", "id"))]


def still_there(connection: Connection, person_id: str, now: datetime) -> Person:
    """The person, if they may still enter, as this transaction sees it.

    Raises:
        AccessError: unknown, revoked or expired.
    """
    person = _require(connection, person_id)
    if not person.may_enter(now):
        raise AccessError(_NOT_VALID)
    return person


def require_role(person: Person, *roles: Role) -> None:
    """Refuse whoever has none of these roles.

    Raises:
        RoleError: it is not theirs to do.
    """
    if person.role not in roles:
        raise RoleError(f"{person.name} has the role {person.role}; this is for the role {' or '.join(roles)}")


def check_name(name: str) -> str:
    """A name that can be printed everywhere and hides nothing.

    Raises:
        AnnotationError: empty, too long, or with control, format or separator characters.
    """
    name = unicodedata.normalize("NFC", name.strip(" "))
    # joiners are letters' business where they stand between letters that are not ASCII: in Persian, Hindi, emoji
    looked_at = _JOINER.sub("", name[: MAX_NAME + 1].replace(" ", ""))
    hidden = {c for c in looked_at if unicodedata.category(c)[0] in "CZ" and not is_new_emoji(c)}
    strange = sorted(f"U+{ord(c):04X}" for c in hidden)
    if strange:
        raise AnnotationError(f"the name holds {', '.join(strange)}, which cannot be printed; leave it out")
    if not 1 <= len(name) <= MAX_NAME:
        raise AnnotationError(f"a name of {len(name):,} characters; expected 1 to {MAX_NAME}")
    return name


def check_level(level: str | None) -> str | None:
    """A level that can be printed everywhere; None of nothing.

    Raises:
        AnnotationError: too long, or with characters that a name must not have.
    """
    if level is None or not level.strip():
        return None
    level = check_name(level)
    if len(level) > MAX_LEVEL:
        raise AnnotationError(f"a level of {len(level):,} characters; expected at most {MAX_LEVEL}")
    return level


def _digest(token: str) -> str:
    # the token is random and long: a plain digest cannot be turned back, and looking it up gives no timing away
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _named(connection: Connection, name: str) -> Person | None:
    # casefolded here: what a database calls lower case depends on the database
    rows = connection.execute(select(schema.people))
    return next((_person(row) for row in rows if row.name.casefold() == name.casefold()), None)


def _require(connection: Connection, person_id: str) -> Person:
    # no id holds a NUL, which PostgreSQL would not even compare
    known = person_id.isascii() and person_id.isprintable()
    row = connection.execute(select(schema.people).where(_PEOPLE.id == person_id)).first() if known else None
    if row is None:
        raise AccessError(_NOT_VALID)
    return _person(row)


def _person(row: Row[Any]) -> Person:
    values = dict(row._mapping)
    return Person(token_id=values.pop("token_sha256")[:16], **values)
