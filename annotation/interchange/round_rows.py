"""Parts that files for other tools share: a round's entries with all judgements, and the origin of a vote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation.events import Flag, Vote
from annotation.interchange.table_files import decisions_table
from annotation.interchange.votes import Judgement, judgements
from annotation.protocol import live_events
from annotation.rounds import Entry, Prediction, Shown, read_predictions, read_shown
from annotation.store import Store
from annotation.threads import contributions
from data_catalog.catalog import Catalog

Said = Mapping[str, Any]
"""One flag, message, stance, outcome or decision, as plain values."""


@dataclass(frozen=True)
class RoundRow:
    """One entry as a file shows it; nothing tells whether it is a repeat or gold."""

    round_id: int
    entry: Entry
    shown: Shown
    prediction: Prediction | None
    """None leaves it out."""
    votes: tuple[Judgement, ...]
    flags: tuple[Said, ...] = ()
    """Flags of reviewers."""
    discussion: tuple[Said, ...] = ()
    decisions: tuple[Said, ...] = ()
    """Of the verifiers."""

    @property
    def told(self) -> dict[str, list[Said]]:
        """The flags, the discussion and the decisions, as far as there are any."""
        told = {"flags": self.flags, "discussion": self.discussion, "decisions": self.decisions}
        return {name: list(rows) for name, rows in told.items() if rows}


def round_rows(
    store: Store,
    catalog: Catalog,
    round_id: int,
    *,
    names: Mapping[str, str] | None = None,
    predictions: bool = False,
    with_votes: bool = True,
) -> Iterator[RoundRow]:
    """A whole round, in the order in which its entries were drawn.

    Args:
        store: where the round is.
        catalog: where its ads are.
        round_id: which round.
        names: of the people, by id; their own if None.
        predictions: whether the label of the comments goes along.
        with_votes: whether the votes and all else that people said go along. Label Studio takes a task that has a
            vote for done, and asks nobody.

    Raises:
        RoundError: there is no such round.
    """
    entries = store.rounds.entries(round_id)
    names = store.people.names() if names is None else names
    shown, labels = read_shown(catalog, entries.values()), read_predictions(catalog) if predictions else {}
    log = store.events(round_id) if with_votes else []
    first = store.rounds.get(round_id).options.verifier_first
    votes: dict[str, list[Judgement]] = {}
    for row in judgements(log, entries, names):
        votes.setdefault(row.entry_id, []).append(row)
    flags = _by_entry(
        {"entry_id": event.entry_id, "reviewer": names.get(event.person_id, event.person_id), **vars(event.payload)}
        for event in live_events(log)
        if isinstance(event.payload, Flag)
    )
    discussion = _by_entry(vars(each) for each in contributions(log, entries, names))
    decided = decisions_table(log, entries, names, verifier_first=first).to_pylist()
    decisions = _by_entry(each for each in decided if each["kind"] == "decision")
    for entry in entries.values():
        yield RoundRow(
            round_id,
            entry,
            shown[entry.id],
            labels.get(entry.video_id),
            tuple(votes.get(entry.id, ())),
            tuple(flags.get(entry.id, ())),
            tuple(discussion.get(entry.id, ())),
            tuple(decisions.get(entry.id, ())),
        )


def origin_of(row: Judgement) -> dict[str, Any]:
    """Reviewer, time and guidelines of a vote, as plain values."""
    return {
        "vote": {**vars(row.vote), "excluded_frames": list(row.vote.excluded_frames)},
        "reviewer": row.reviewer,
        "shown_at": row.shown_at.isoformat(),
        "submitted_at": row.submitted_at.isoformat(),
        "guideline": row.guideline,
    }


def from_origin(told: Any, vote: Vote) -> dict[str, Any] | None:
    """Return the values of `origin_of` for a vote; None if the vote has changed since.

    Raises:
        ValueError: it is damaged.
    """
    if not isinstance(told, dict) or not {"vote", "reviewer", "shown_at", "submitted_at", "guideline"} <= told.keys():
        raise ValueError("its origin was changed, so that it does not say whose vote it is")
    if told["vote"] != {**vars(vote), "excluded_frames": list(vote.excluded_frames)}:
        return None
    moments = {name: datetime.fromisoformat(str(told[name])) for name in ("shown_at", "submitted_at")}
    if any(moment.tzinfo is None for moment in moments.values()):
        raise ValueError("a moment of its origin does not say its time zone")
    return {"reviewer": str(told["reviewer"]), "guideline": str(told["guideline"])[:80], **moments}


def _by_entry(rows: Iterable[Said]) -> dict[str, list[Said]]:
    """Judgements by entry, without the fields that the entry already has."""
    found: dict[str, list[Said]] = {}
    for row in rows:
        values = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        said = {name: value for name, value in values.items() if name not in ("round_id", "entry_id", "video_id")}
        found.setdefault(row["entry_id"], []).append(said)
    return found
