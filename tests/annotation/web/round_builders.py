"""Votes, rulings and messages of a site's people, put there without a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient

from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.events import Choice, Remark, Ruling, Vote
from tests.annotation.store_builders import key, states
from tests.annotation.web.site_builder import Site

AGREED: tuple[Choice, ...] = ("positive",) * 5
SPLIT: tuple[Choice, ...] = ("positive", "positive", "negative", "negative", "uncertain")
JSON = {"Accept": "application/json"}
OUTSIDE_THE_CALENDAR = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
"""Moments that are no moments in UTC."""


def now() -> datetime:
    return datetime.now(UTC)


def entry_ids(site: Site) -> list[str]:
    return list(states(site.store))


def reviewer(site: Site, number: int) -> ReviewerDesk:
    person = site.store.people.get(site.invitations[f"Reviewer {number}"].person.id)
    return ReviewerDesk(site.store, person, 1, "g")


def verifier(site: Site) -> VerifierDesk:
    return VerifierDesk(site.store, site.store.people.get(site.invitations["Verifier"].person.id), 1, "g")


def vote(site: Site, entry_id: str, choices: Sequence[Choice] = SPLIT, note: str = "") -> None:
    for number, choice in enumerate(choices):
        reviewer(site, number).vote(entry_id, Vote(choice, note), key=key(), shown_at=now())


def decide(site: Site, entry_id: str, label: Any = "positive") -> None:
    desk = verifier(site)
    desk.decide(entry_id, Ruling(label), seen=desk.entry(entry_id).revision, key=key(), shown_at=now())


def discuss(site: Site, entry_id: str, remark: str = "Why?") -> None:
    desk = verifier(site)
    desk.discuss(entry_id, Remark(remark), seen=desk.entry(entry_id).revision, key=key(), shown_at=now())


def say(site: Site, entry_id: str, number: int, text: str) -> None:
    reviewer(site, number).write(entry_id, text, key=key(), shown_at=now())


def body(entry_id: str, **more: Any) -> dict[str, Any]:
    """What a page submits."""
    return {"round": 1, "entry_id": entry_id, "key": key(), "shown_at": now().isoformat()} | more


def revision(client: TestClient, path: str) -> int:
    """What the page says it shows."""
    found = re.search(r'data-revision="(\d+)"', client.get(path).text)
    assert found is not None
    return int(found.group(1))
