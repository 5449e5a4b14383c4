"""A small catalog that people judge, and people who judge it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.events import Choice, Remark, Vote
from annotation.outcomes import round_status
from annotation.rounds import DrawnRound
from annotation.store import Store
from annotation.store.people import Person
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.review.human import draw_unjudged, read_judged
from flows.settings import Settings

GUIDELINE = "sha256:test"


def put(catalog: Catalog, table: str, rows: list[dict[str, Any]]) -> None:
    catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))


def add_ads(catalog: Catalog, labels: dict[str, str | None], n_words: int = 9) -> None:
    """Ads of two frames and three comments, with the label that the comments give."""
    put(catalog, "ads", [{"video_id": ad, "category": "apparel", "title": f"Ad {ad}"} for ad in labels])
    put(
        catalog,
        "ad_sentiment",
        [{"video_id": ad, "label": label, "mean_score": 3.0, "fingerprint": "f"} for ad, label in labels.items()],
    )
    put(
        catalog,
        "texts",
        [
            {"frame_id": f"{ad}:{n}", "video_id": ad, "text": "many words on it", "n_words": n_words}
            for ad in labels
            for n in range(2)
        ],
    )
    put(
        catalog,
        "comments",
        [{"comment_id": f"{ad}-{n}", "video_id": ad, "text": "lovely"} for ad in labels for n in range(3)],
    )


def small_catalog(folder: Path) -> Catalog:
    """Four ads that the comments label, and one that they do not."""
    catalog = Catalog(folder)
    add_ads(catalog, {"a": "positive", "b": "negative", "c": "positive", "d": "negative", "between": None})
    return catalog


def open_round(catalog: Catalog, store: Store, settings: Settings) -> DrawnRound | None:
    """Open a round over the ads that nobody has judged; None where there are none."""
    drawn = draw_unjudged(catalog, settings, read_judged(store, frozenset(catalog.values("ads", "video_id"))))
    if drawn is not None:
        store.rounds.open(drawn)
    return drawn


def invite(store: Store, reviewers: int) -> list[Person]:
    """So many reviewers; those of an earlier call come again."""
    names = [f"Reviewer {n}" for n in range(reviewers)]
    return [store.people.find(name) or store.people.invite(name, "reviewer").person for name in names]


def judge(
    store: Store,
    choose: Callable[[str, int], Choice],
    *,
    excluded: Iterable[str] = (),
    only: Iterable[str] | None = None,
) -> None:
    """Everybody votes on every entry of the open round.

    Args:
        store: where.
        choose: the choice, by ad and number of the reviewer.
        excluded: frames that all of them exclude.
        only: ads that are judged; all of them by default.
    """
    current = store.rounds.current()
    assert current is not None
    for number, person in enumerate(invite(store, current.rule.n_reviewers)):
        desk = ReviewerDesk(store, person, current.id, guideline=GUIDELINE)
        for entry in desk.upcoming(1_000):
            if only is None or entry.video_id in only:
                frames = tuple(frame for frame in excluded if frame in entry.frame_ids)
                desk.vote(entry.entry_id, Vote(choose(entry.video_id, number), "", frames), key=key(), shown_at=now())


def verifier(store: Store) -> VerifierDesk:
    current = store.rounds.current()
    assert current is not None
    person = store.people.find("Vera") or store.people.invite("Vera", "verifier").person
    return VerifierDesk(store, person, current.id, guideline=GUIDELINE)


def exclude_all(store: Store) -> None:
    """The verifier sends whatever waits for them to the discussion, and excludes it there."""
    desk = verifier(store)
    for entry in desk.queue():
        desk.discuss(entry.entry_id, Remark("odd"), seen=entry.revision, key=key(), shown_at=now())
    for discussed in (each for each in desk.discussions() if each.open):
        entry = desk.entry(discussed.entry_id)
        desk.exclude(entry.entry_id, Remark("no ad"), seen=entry.revision, key=key(), shown_at=now())


def close(store: Store) -> None:
    current = store.rounds.current()
    assert current is not None
    assert round_status(store, current.id).complete
    store.rounds.close(current.id)


def key() -> str:
    return secrets.token_urlsafe(16)


def now() -> datetime:
    return datetime.now(UTC)
