"""Logins: who is logged in on which device, by a cookie's random token, of which the store keeps only the digest.

They are in the store so that a log-out holds after a restart, and in every process. Times are the server's clock's: one
that is set back makes nobody's login older.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update

from annotation.errors import AccessError
from annotation.store import schema
from annotation.store.database import Database
from annotation.store.people import Person, still_there

_LOGINS = schema.logins.c
_NOTED_EVERY = timedelta(seconds=60)
"""Precision of the time at which a login was last used: not every request writes."""


@dataclass(frozen=True)
class Lifetime:
    """Lifetime of a login."""

    idle: timedelta
    """Without a request."""
    whole: timedelta
    """In all."""


class Logins:
    """The logins of one store."""

    def __init__(self, database: Database, lifetime: Lifetime) -> None:
        self._database, self._lifetime = database, lifetime

    def begin(self, person: Person, *, now: datetime | None = None) -> str:
        """Log a person in: a token that nobody else has. Logins that are over are forgotten meanwhile."""
        token, now = secrets.token_urlsafe(32), now or datetime.now(UTC)
        row = {
            "token_sha256": _digest(token),
            "person_id": person.id,
            "link": person.token_id,
            "begun_at": now,
            "seen_at": now,
        }
        over = or_(
            _LOGINS.seen_at < now - self._lifetime.idle,
            _LOGINS.begun_at < now - self._lifetime.whole,
        )
        with self._database.write() as connection:
            connection.execute(delete(schema.logins).where(over))
            connection.execute(insert(schema.logins).values(row))
        return token

    def find(self, token: str, *, now: datetime | None = None) -> Person:
        """Return the person of a login; its idle time begins again.

        Raises:
            AccessError: unknown, ended, too old, or begun by a link that was revoked or replaced since.
        """
        digest, now = _digest(token), now or datetime.now(UTC)
        with self._database.read() as connection:
            row = connection.execute(select(schema.logins).where(_LOGINS.token_sha256 == digest)).first()
            if row is None:
                raise AccessError("there is no such login")
            person = still_there(connection, row.person_id, now)
        if person.token_id != row.link or not self._goes_on(row.begun_at, row.seen_at, now):
            raise AccessError("this login is over")
        if now - row.seen_at >= min(_NOTED_EVERY, self._lifetime.idle / 4):
            with self._database.write() as connection:
                connection.execute(update(schema.logins).where(_LOGINS.token_sha256 == digest).values(seen_at=now))
        return person

    def end(self, token: str) -> None:
        """Log out: a copy of the token does not work either."""
        with self._database.write() as connection:
            connection.execute(delete(schema.logins).where(_LOGINS.token_sha256 == _digest(token)))

    def _goes_on(self, begun_at: datetime, seen_at: datetime, now: datetime) -> bool:
        return now - seen_at < self._lifetime.idle and now - begun_at < self._lifetime.whole


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
