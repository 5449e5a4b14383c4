"""The store's tables: people, rounds and their entries, and the events, which are only ever added to.

The one exception is an ad that is forgotten: its entries are withdrawn, and go with everything that was said of them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    TypeDecorator,
)

from annotation.events import Event, load

VERSION = 2
"""Grows when a table changes in a way that older programs cannot read."""

UPGRADES = {
    1: (
        "ALTER TABLE people ADD COLUMN level VARCHAR(40)",
        "ALTER TABLE rounds ADD COLUMN options TEXT",
    )
}
"""Statements that bring a store of each older version to the next one; tables that came since are made besides."""


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC; refuses one that does not say its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, without saying so where the database cannot."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value}: a moment without its time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """To UTC, saying so."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

versions = Table("annotation_versions", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    # of the invitation's token only this is kept
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    # such as master's or undergraduate; null: none was given
    Column("level", String(40)),
)

rounds = Table(
    "rounds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("n_entries", Integer, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    # null: opened by a program that knew none
    Column("options", Text),
)

entries = Table(
    "entries",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("video_id", String(256), nullable=False),
    Column("frame_ids", Text, nullable=False),
    Column("comment_ids", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("repeats", String(16)),
    Column("known", String(16)),
)

events = Table(
    "events",
    metadata,
    # SQLite's rowid alone would give the number of the newest row again if it were taken away
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("round_id", ForeignKey("rounds.id"), nullable=False),
    Column("entry_id", String(16), nullable=False),
    Column("person_id", ForeignKey("people.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("shown_at", UtcTime, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("guideline", String(80), nullable=False),
    Column("supersedes", ForeignKey("events.id")),
    Index("events_of_an_entry", "round_id", "entry_id", "id"),
    Index("events_of_a_round", "round_id", "id"),
    sqlite_autoincrement=True,
)

withdrawn = Table(
    "withdrawn",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    # of an entry whose ad was forgotten: the id says nothing of the ad, and all else of it is gone
    Column("entry_id", String(16), primary_key=True),
    Column("at", UtcTime, nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    # ids as JSON; null: the whole round
    Column("entry_ids", Text),
    Column("deadline", UtcTime),
    Column("drawn_at", UtcTime, nullable=False),
)

pseudonym_key = Table(
    "pseudonym_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # made when pseudonyms are first asked for; whoever has it can tell whose they are
    Column("key", String(64), nullable=False),
)

read_marks = Table(
    "read_marks",
    metadata,
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("entry_id", String(16), primary_key=True),
    # how many things had been said in the entry's discussion when the person last read it
    Column("seen", Integer, nullable=False),
)

logins = Table(
    "logins",
    metadata,
    # of the cookie's token only this is kept
    Column("token_sha256", String(64), primary_key=True),
    Column("person_id", ForeignKey("people.id"), nullable=False),
    # the invitation's link by which it was begun
    Column("link", String(16), nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

acknowledged = Table(
    "acknowledged",
    metadata,
    # who said that they have read which version of the guidelines
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    Column("version", String(80), primary_key=True),
    Column("at", UtcTime, nullable=False),
)

training_examples = Table(
    "training_examples",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("video_id", String(256), nullable=False),
    Column("frame_ids", Text, nullable=False),
    Column("comment_ids", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("repeats", String(16)),
    Column("known", String(16)),
)

training_answers = Table(
    "training_answers",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("example_id", String(16), primary_key=True),
    Column("choice", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),
)

round_ends = Table(
    "round_ends",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    # the last event when the end was announced: whatever is done since takes the announcement back
    Column("after_event", BigInteger),
    Column("announced_at", UtcTime),
    Column("held_by", ForeignKey("people.id")),
    Column("held_at", UtcTime),
)

hands = Table(
    "hands",
    metadata,
    Column("round_id", ForeignKey("rounds.id"), primary_key=True),
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    # when the person last had something in hand while the round was about to end
    Column("at", UtcTime, nullable=False),
)

REFUSE_CHANGES = {
    "sqlite": [
        """
        CREATE TRIGGER events_no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END
        """,
        """
        CREATE TRIGGER events_no_delete BEFORE DELETE ON events
        WHEN NOT EXISTS (SELECT 1 FROM withdrawn WHERE round_id = OLD.round_id AND entry_id = OLD.entry_id)
        BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END
        """,
    ],
    "postgresql": [
        """
        CREATE OR REPLACE FUNCTION events_are_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF EXISTS (SELECT 1 FROM withdrawn WHERE round_id = OLD.round_id AND entry_id = OLD.entry_id) THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION 'events are only ever added';
        END $$
        """,
        """
        CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
        FOR EACH ROW EXECUTE FUNCTION events_are_only_added()
        """,
        """
        CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION events_are_only_added()
        """,
    ],
}
"""The database itself refuses to change an event, whoever asks, and to remove one but of a withdrawn entry."""


def event_of(row: Row[Any]) -> Event:
    """An event from its row."""
    return Event(**{**row._mapping, "payload": load(row.kind, row.payload)})
