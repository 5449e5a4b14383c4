"""What files of a round have in common: its entries with words, comments and votes, and whose a vote was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation.events import Vote
from annotation.interchange.votes import Judgement, judgements
from annotation.rounds import Entry, Prediction, Shown, read_predictions, read_shown
from annotation.store import Store
from data_catalog.catalog import Catalog


@dataclass(frozen=True)
class RoundRow:
    """One entry as a file shows it; nothing tells whether it is a repeat or gold."""

    round_id: int
    entry: Entry
    shown: Shown
    prediction: Prediction | None
    """None leaves it out."""
    votes: tuple[Judgement, ...]


def round_rows(
    store: Store,
    catalog: Catalog,
    round_id: int,
    *,
    names: Mapping[str, str],
    predictions: bool = False,
    with_votes: bool = True,
) -> Iterator[RoundRow]:
    """A whole round, in the order in which its entries were drawn.

    Args:
        store: where the round is.
        catalog: where its ads are.
        round_id: which round.
        names: of the people, by id.
        predictions: whether the label of the comments goes along.
        with_votes: whether the votes go along.

    Raises:
        RoundError: there is no such round.
    """
    entries = store.rounds.entries(round_id)
    shown, labels = read_shown(catalog, entries.values()), read_predictions(catalog) if predictions else {}
    votes: dict[str, list[Judgement]] = {}
    for row in judgements(store.events(round_id), entries, names) if with_votes else ():
        votes.setdefault(row.entry_id, []).append(row)
    for entry in entries.values():
        yield RoundRow(round_id, entry, shown[entry.id], labels.get(entry.video_id), tuple(votes.get(entry.id, ())))


def origin_of(row: Judgement) -> dict[str, Any]:
    """Whose vote it is, when it was given, and by which guidelines, as plain values."""
    return {
        "vote": {**vars(row.vote), "excluded_frames": list(row.vote.excluded_frames)},
        "reviewer": row.reviewer,
        "shown_at": row.shown_at.isoformat(),
        "submitted_at": row.submitted_at.isoformat(),
        "guideline": row.guideline,
    }


def from_origin(told: Any, vote: Vote) -> dict[str, Any] | None:
    """What `origin_of` has said of a vote; None if the vote is another one by now.

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
