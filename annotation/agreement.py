"""Agreement of people with each other, with themselves, with known answers and with what the comments say.

A table of counts has a row for each entry and a column for each category, [N, V]: how many people put the entry into
the category. Where a coefficient has no meaning there is a reason instead of a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

import krippendorff
import numpy as np
import numpy.typing as npt

from annotation.desks import median_seconds
from annotation.events import CHOICES, Choice, Event, Vote
from annotation.protocol import Rule, by_entry, fold, votes_that_count
from annotation.reading import FastVote, fast_votes
from annotation.rounds import Entry
from data_catalog.schemas import Label

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

DRAWS = 1_000
"""Bootstrap samples behind an interval."""
LEVEL = 0.95
MIN_ENTRIES = 10
"""With fewer entries there is no interval: a bootstrap of a handful pretends to know more than it can."""

NO_PAIR = "no entry has two votes yet"
NO_VARIETY = "every vote is the same, so there is no chance agreement to compare with"

UNKNOWN_CATEGORY = "unknown"
_POINTS = 20
"""Points at most of alpha over time."""

Votes = Mapping[str, Mapping[str, Choice]]
"""Choices by entry and person."""


@dataclass(frozen=True)
class Coefficient:
    """A coefficient with what it rests on."""

    value: float | None
    """1 is perfect agreement, 0 what chance would give; None where it has no meaning."""
    n_entries: int
    n_votes: int
    low: float | None = None
    high: float | None = None
    """95 % bootstrap interval over entries; None where there is none."""
    reason: str = ""
    """Why there is no value, or no interval."""


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    right: int
    of: int

    @property
    def value(self) -> float | None:
        """Between 0 and 1; None of nothing."""
        return self.right / self.of if self.of else None

    @property
    def text(self) -> str:
        """In words; a dash of nothing."""
        return f"{self.right:,} of {self.of:,} ({self.right / self.of:.0%})" if self.of else "–"


@dataclass(frozen=True)
class Pair:
    """Two people and the entries that both judged."""

    first: str
    second: str
    same: Share


@dataclass(frozen=True)
class Moment:
    """Alpha of all entries that had their votes by then."""

    at: datetime
    alpha: Coefficient


@dataclass(frozen=True)
class Pace:
    """A person's votes that count, and how long one takes."""

    n_votes: int
    median_s: float | None
    """None where no vote's time is known; pauses do not count."""


@dataclass(frozen=True)
class Agreement:
    """All that a round says about its reviewers; people by their ids. Repeats count in `self_consistency` alone."""

    alpha: Coefficient
    alpha_by_category: Mapping[str, Coefficient]
    """By category of ads."""
    alpha_over_time: Sequence[Moment]
    kappa: Coefficient
    """Of the entries with all their votes."""
    pairs: Sequence[Pair]
    balance: Mapping[str, Mapping[Choice, int]]
    """By person: how often each choice."""
    self_consistency: Mapping[str, Share]
    """By person: entries shown twice that got the same choice twice."""
    gold: Mapping[str, Share]
    """By person: known answers found; an `uncertain` is not one."""
    confusion: Mapping[tuple[Label, str], int]
    """Ads by the comments' label and what people made of it: a label, or `excluded`; open entries do not count."""
    pace: Mapping[str, Pace]
    fast: Mapping[str, Sequence[FastVote]]
    """By person: votes that came faster than their ads can be read."""


def measure(
    events: Iterable[Event],
    entries: Mapping[str, Entry],
    rule: Rule,
    *,
    comments: Mapping[str, Label] | None = None,
    categories: Mapping[str, str] | None = None,
    least_s: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Agreement:
    """Measure what a round's log says about its reviewers.

    Args:
        events: the whole log, in its order.
        entries: the round's entries.
        rule: the round's.
        comments: the label that an ad's comments give, by video id.
        categories: of the ads, by video id.
        least_s: seconds that an ad takes to be read at least, by video id.
        seed: of the bootstrap.
    """
    of_entry = by_entry(events)
    counting = {entry_id: votes_that_count(log) for entry_id, log in of_entry.items() if entry_id in entries}
    votes = {entry_id: {person: _choice(vote) for person, vote in own.items()} for entry_id, own in counting.items()}
    first = {entry_id: own for entry_id, own in votes.items() if entries[entry_id].kind != "repeat"}
    people = sorted({person for own in votes.values() for person in own})
    table = {entry_id: _counts([own])[0] for entry_id, own in first.items()}
    ended = {
        entry_id: max(vote.submitted_at for vote in counting[entry_id].values())
        for entry_id in first
        if first[entry_id]
    }
    return Agreement(
        alpha=alpha(_stacked(table.values()), seed=seed),
        alpha_by_category=_by_category(table, entries, categories or {}, seed),
        alpha_over_time=_over_time(table, ended, seed),
        kappa=fleiss_kappa(_stacked(row for row in table.values() if row.sum() == rule.n_reviewers > 1)),
        pairs=_pairs(first, people),
        balance={person: _balance(first.values(), person) for person in people},
        self_consistency=_self_consistency(votes, entries, people),
        gold=_gold(first, entries, people),
        confusion=_confusion(of_entry, entries, rule, comments or {}),
        pace=_pace(counting.values(), people),
        fast=_fast(of_entry, entries, least_s or {}, people),
    )


def alpha(counts: Counts, *, seed: int = 0, draws: int = DRAWS) -> Coefficient:
    """Krippendorff's alpha of nominal categories, of the entries with two votes or more.

    Args:
        counts: votes by entry and category, [N, V]; entries may have different numbers of votes.
        seed: of the bootstrap.
        draws: samples of the bootstrap.
    """
    counts = counts[counts.sum(axis=1) >= 2]
    counts = counts[np.lexsort(counts.T)]  # sums of floats depend on their order, and alpha should not
    n_entries, n_votes = len(counts), int(counts.sum())
    if not n_entries:
        return Coefficient(None, 0, 0, reason=NO_PAIR)
    if (counts.sum(axis=0) > 0).sum() == 1:
        return Coefficient(None, n_entries, n_votes, reason=NO_VARIETY)
    value = float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    if n_entries < MIN_ENTRIES:
        return Coefficient(value, n_entries, n_votes, reason=f"no interval under {MIN_ENTRIES} entries")
    sampled = resampled_alphas(counts, seed=seed, draws=draws)
    if np.isnan(sampled).mean() > 1 - LEVEL:
        return Coefficient(value, n_entries, n_votes, reason="no interval: nearly every vote is the same")
    low, high = np.nanquantile(sampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Coefficient(value, n_entries, n_votes, float(low), float(high))


def resampled_alphas(counts: Counts, *, seed: int, draws: int) -> Numbers:
    """Alpha of as many entries drawn with replacement, again and again: [draws]; NaN where all votes are the same.

    Entries with the same counts weigh alike, so drawing how often each kind of row comes is drawing the rows. Nominal
    alpha is 1 - (n - 1) D / (n^2 - sum n_c^2), where n_c votes of n name category c and D adds up each entry's
    disagreeing pairs over its number of votes less one (Krippendorff, "Computing Krippendorff's Alpha-Reliability",
    2011, section C).

    Args:
        counts: votes by entry and category, [N, V], two votes per entry at least.
        seed: of the generator.
        draws: how many samples.
    """
    rows, times = np.unique(counts, axis=0, return_counts=True)
    votes = rows.sum(axis=1)
    disagreement = (votes**2 - (rows**2).sum(axis=1)) / (votes - 1)
    weights = np.random.default_rng(seed).multinomial(len(counts), times / len(counts), size=draws)
    by_category = weights @ rows
    n = by_category.sum(axis=1)
    by_chance = (n**2 - (by_category**2).sum(axis=1)).astype(float)
    by_chance[by_chance == 0] = np.nan
    sampled: Numbers = 1 - (n - 1) * (weights @ disagreement) / by_chance
    return sampled


def fleiss_kappa(counts: Counts) -> Coefficient:
    """Fleiss' kappa (Psychological Bulletin 76, 1971, pages 378 to 382).

    Args:
        counts: votes by entry and category, [N, V]; every entry has the same number of votes, two at least.

    Raises:
        ValueError: entries have different numbers of votes, or a single one.
    """
    if not len(counts):
        return Coefficient(None, 0, 0, reason="no entry has all its votes yet")
    n = int(counts[0].sum())
    if n < 2 or (counts.sum(axis=1) != n).any():
        raise ValueError("kappa takes the same number of votes for every entry, and at least two")
    n_votes = int(counts.sum())
    # Fleiss' P-bar: the share of an entry's pairs of votes that agree, averaged; and P-bar-e, what chance would give
    observed = float(((counts**2).sum(axis=1) - n).mean() / (n * (n - 1)))
    shares = counts.sum(axis=0) / n_votes
    by_chance = float((shares**2).sum())
    if (shares > 0).sum() == 1:
        return Coefficient(None, len(counts), n_votes, reason=NO_VARIETY)
    return Coefficient((observed - by_chance) / (1 - by_chance), len(counts), n_votes)


def _choice(event: Event) -> Choice:
    if not isinstance(event.payload, Vote):
        raise TypeError(f"event {event.id} is no vote")
    return event.payload.choice


def _counts(votes: Iterable[Mapping[str, Choice]]) -> Counts:
    return np.array([[list(own.values()).count(choice) for choice in CHOICES] for own in votes], np.int64)


def _stacked(rows: Iterable[Counts]) -> Counts:
    return np.array([*rows], np.int64).reshape(-1, len(CHOICES))


def _by_category(
    table: Mapping[str, Counts], entries: Mapping[str, Entry], categories: Mapping[str, str], seed: int
) -> dict[str, Coefficient]:
    groups: dict[str, list[Counts]] = {}
    for entry_id, row in table.items():
        groups.setdefault(categories.get(entries[entry_id].video_id, UNKNOWN_CATEGORY), []).append(row)
    return {category: alpha(_stacked(groups[category]), seed=seed) for category in sorted(groups)}


def _over_time(table: Mapping[str, Counts], ended: Mapping[str, datetime], seed: int) -> list[Moment]:
    """Alpha after every twentieth of the entries that two people judged, in the order of their last votes."""
    order = sorted((entry_id for entry_id in ended if table[entry_id].sum() >= 2), key=lambda each: (ended[each], each))
    rows = _stacked(table[entry_id] for entry_id in order)
    ends = sorted({round(len(order) * part / _POINTS) for part in range(1, _POINTS + 1)} - {0})
    return [Moment(ended[order[end - 1]], alpha(rows[:end], seed=seed)) for end in ends]


def _pairs(votes: Votes, people: Sequence[str]) -> list[Pair]:
    same, both = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for own in votes.values():
        for first, second in combinations(sorted(own), 2):
            both[first, second] += 1
            same[first, second] += own[first] == own[second]
    return [Pair(*pair, Share(same[pair], both[pair])) for pair in combinations(people, 2)]


def _balance(votes: Iterable[Mapping[str, Choice]], person: str) -> dict[Choice, int]:
    counts = Counter(own[person] for own in votes if person in own)
    return {choice: counts[choice] for choice in CHOICES}


def _self_consistency(votes: Votes, entries: Mapping[str, Entry], people: Sequence[str]) -> dict[str, Share]:
    twice = [
        (votes[entry.repeats], votes[entry.id])
        for entry in entries.values()
        if entry.repeats is not None and entry.repeats in votes and entry.id in votes
    ]
    return {
        person: _share(
            before[person] == again[person] for before, again in twice if person in before and person in again
        )
        for person in people
    }


def _gold(votes: Votes, entries: Mapping[str, Entry], people: Sequence[str]) -> dict[str, Share]:
    known = [(own, entries[entry_id].known) for entry_id, own in votes.items() if entries[entry_id].kind == "gold"]
    return {person: _share(own[person] == answer for own, answer in known if person in own) for person in people}


def _share(answers: Iterable[bool]) -> Share:
    counts = Counter(answers)
    return Share(counts[True], counts.total())


def _confusion(
    of_entry: Mapping[str, list[Event]], entries: Mapping[str, Entry], rule: Rule, comments: Mapping[str, Label]
) -> dict[tuple[Label, str], int]:
    counts = Counter[tuple[Label, str]]()
    for entry_id, log in of_entry.items():
        entry = entries.get(entry_id)
        if entry is None or entry.kind == "repeat" or entry.video_id not in comments:
            continue
        state = fold(log, rule)
        if state.final:
            counts[comments[entry.video_id], state.label or "excluded"] += 1
    return dict(counts)


def _pace(counting: Collection[Mapping[str, Event]], people: Sequence[str]) -> dict[str, Pace]:
    own = {person: [votes[person] for votes in counting if person in votes] for person in people}
    return {person: Pace(len(votes), median_seconds(votes)) for person, votes in own.items()}


def _fast(
    of_entry: Mapping[str, list[Event]],
    entries: Mapping[str, Entry],
    least_s: Mapping[str, float],
    people: Sequence[str],
) -> dict[str, Sequence[FastVote]]:
    found = fast_votes((event for log in of_entry.values() for event in log), entries, least_s)
    return {person: found.get(person, []) for person in people}
