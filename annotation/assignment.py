"""Subsets of a round for its reviewers: so many entries or such a share each, drawn by the round's seed."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from annotation.errors import AnnotationError


@dataclass(frozen=True)
class Quota:
    """Number or share of entries for a reviewer, and the deadline."""

    entries: int | None = None
    share: float | None = None
    """Of the round. None of both: the whole round."""
    deadline: datetime | None = None

    @property
    def whole(self) -> bool:
        """The whole round is theirs."""
        return self.entries is None and self.share is None

    def count(self, n_entries: int) -> int:
        """The number of entries.

        Raises:
            AnnotationError: the round has fewer.
        """
        if self.share is not None:
            return round(self.share * n_entries)
        if self.entries is not None and self.entries > n_entries:
            raise AnnotationError(f"{self.entries:,} entries; the round has {n_entries:,}")
        return n_entries if self.entries is None else self.entries


def parse_quota(text: str, deadline: str = "") -> Quota:
    """A quota from words: `300`, `50%` or `all`, until the end of a day as `2026-12-15` (UTC).

    Raises:
        AnnotationError: it is none of these.
    """
    return _amount(text.strip().lower() or "all", _end_of(deadline.strip()))


def draw_subset(
    entries: Collection[str],
    count: int,
    *,
    held: Mapping[str, int],
    judged: Collection[str],
    had: Collection[str],
    seed: int,
    person_id: str,
) -> list[str]:
    """The entries of one reviewer, in the order of `entries`.

    Those come first that the reviewer has judged or has had, then those that the fewest others have. So the numbers of
    reviewers of any two entries differ by one at most where everybody is drawn so, and nobody else's entries change.

    Args:
        entries: of the round, without repeats.
        count: how many.
        held: how many others have each entry.
        judged: entries that the reviewer has judged; they stay, even if they are more than `count`.
        had: entries that the reviewer was given before.
        seed: the round's.
        person_id: the reviewer.
    """

    def place(entry_id: str) -> tuple[bool, bool, int, str]:
        ticket = hashlib.sha256(f"assignment\x1f{seed}\x1f{person_id}\x1f{entry_id}".encode()).hexdigest()
        return entry_id not in judged, entry_id not in had, held.get(entry_id, 0), ticket

    chosen = set(sorted(entries, key=place)[: max(count, len(judged))])
    return [entry_id for entry_id in entries if entry_id in chosen]


def count_missing(needed: Mapping[str, int], able: Collection[Collection[str]]) -> tuple[int, int]:
    """Count the entries with too few reviewers, and the votes that are missing.

    Args:
        needed: reviewers that each entry needs.
        able: the entries of each reviewer.
    """
    counts = Counter(entry_id for own in able for entry_id in own)
    missing = [number - counts[entry_id] for entry_id, number in needed.items() if counts[entry_id] < number]
    return len(missing), sum(missing)


def _amount(text: str, deadline: datetime | None) -> Quota:
    if text == "all":
        return Quota(deadline=deadline)
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) and int(text):
        return Quota(entries=int(text), deadline=deadline)
    if re.fullmatch(r"\d{1,3}(\.\d{1,6})?%", text, re.ASCII) and 0 < float(text[:-1]) <= 100:
        return Quota(share=float(text[:-1]) / 100, deadline=deadline)
    raise AnnotationError(f"{text[:40]!r} entries; expected a number such as 300, a share such as 50%, or all")


def _end_of(day: str) -> datetime | None:
    if not day:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
            raise ValueError
        return datetime.combine(datetime.fromisoformat(day), time(23, 59, 59), UTC)
    except ValueError:
        raise AnnotationError(f"deadline {day[:40]!r}; expected a day such as 2026-12-15") from None
