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

from annotation.dawid_skene import Estimate, estimate
from annotation.desks import median_seconds
from annotation.events import CHOICES, Choice, Event, Vote
from annotation.protocol import EntryState, Rule, fold, votes_that_count
from annotation.reading import FastVote, fast_votes
from annotation.rounds import Entry, concerned
from data_catalog.schemas import LABELS, Label

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

DRAWS = 1_000
"""Bootstrap samples behind an interval."""
LEVEL = 0.95
MIN_ENTRIES = 10
"""Entries that an interval needs: with fewer, a bootstrap is misleadingly narrow."""

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
    """Reason why there is no value, or no interval."""


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
    kappa: Coefficient
    """Cohen's, of these entries."""


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
class Adjudication:
    """A person's votes, or a level's, against the entries' final labels."""

    final: Share
    """Votes for the final label, of those on entries that have one."""
    overruled: Share
    """Votes for the other label, of those on entries that a verifier or the discussion decided; `uncertain` is none."""


@dataclass(frozen=True)
class EntryFigures:
    """The votes on one entry, and what comes of them."""

    entry_id: str
    video_id: str
    choices: Mapping[Choice, int]
    median_s: float | None
    """Of its votes, without pauses."""
    majority: Label | None
    """The label that more people chose than the other one; None of a tie."""
    final: Label | None
    """The label it came to; None while that is open, and when it is excluded."""
    estimate: Mapping[Label, float]
    """Dawid and Skene's probability of each label; empty where nobody can be compared."""

    @property
    def estimated(self) -> Label | None:
        """The more probable label; None without an estimate."""
        return max(self.estimate, key=self.estimate.__getitem__, default=None)


@dataclass(frozen=True)
class Agreement:
    """Agreement figures of a round; people by their ids. Repeats count only in `self_consistency`."""

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
    levels: Mapping[str, str]
    """By person, where a level is known."""
    alpha_by_level: Mapping[str, Coefficient]
    """Krippendorff's alpha among the people of each level."""
    adjudication: Mapping[str, Adjudication]
    """By person."""
    entries: Sequence[EntryFigures]
    """Of the entries with a vote, in the order of their first one."""
    reliability: Mapping[str, float]
    """By person: Dawid and Skene's probability of choosing an entry's label; of those who can be compared."""


def measure(
    events: Iterable[Event],
    entries: Mapping[str, Entry],
    rule: Rule,
    *,
    comments: Mapping[str, Label] | None = None,
    categories: Mapping[str, str] | None = None,
    least_s: Mapping[str, float] | None = None,
    levels: Mapping[str, str] | None = None,
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
        levels: of the people.
        seed: of the bootstrap.
    """
    of_entry: dict[str, list[Event]] = {}
    for event in events:
        for entry_id in concerned(event, entries):
            of_entry.setdefault(entry_id, []).append(event)
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
    states = {entry_id: fold(of_entry[entry_id], rule) for entry_id in first}
    levels = {person: level for person, level in (levels or {}).items() if person in people}
    estimated = estimate(first, LABELS, CHOICES)
    return Agreement(
        alpha=alpha(_stacked(table.values()), seed=seed),
        alpha_by_category=_by_category(table, entries, categories or {}, seed),
        alpha_over_time=_over_time(table, ended, seed),
        kappa=fleiss_kappa(_stacked(row for row in table.values() if row.sum() == rule.n_reviewers > 1)),
        pairs=_pairs(first, people),
        balance={person: _balance(first.values(), person) for person in people},
        self_consistency=_self_consistency(votes, entries, people),
        gold=_gold(first, entries, people),
        confusion=_confusion(states, entries, comments or {}),
        pace=_pace(counting.values(), people),
        fast=_fast(of_entry, entries, least_s or {}, people),
        levels=levels,
        alpha_by_level=_by_level(first, levels, seed),
        adjudication={person: _adjudication(states.values(), person) for person in people},
        entries=_entry_figures(first, counting, entries, states, estimated),
        reliability={person: estimated.right(person) for person in people if person in estimated.errors},
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


def cohen_kappa(pairs: Counter[tuple[Choice, Choice]]) -> Coefficient:
    """Cohen's kappa of two people (Educational and Psychological Measurement 20, 1960, pages 37 to 46).

    Args:
        pairs: how often the one chose this and the other that, of the entries that both judged.
    """
    n = pairs.total()
    if not n:
        return Coefficient(None, 0, 0, reason="they have judged no entry both")
    firsts, seconds = Counter[str](), Counter[str]()
    for (first, second), count in pairs.items():
        firsts[first] += count
        seconds[second] += count
    same = sum(pairs[choice, choice] for choice in CHOICES)
    by_chance = sum(firsts[choice] * seconds[choice] for choice in CHOICES)
    if by_chance == n * n:
        return Coefficient(None, n, 2 * n, reason=NO_VARIETY)
    return Coefficient((same * n - by_chance) / (n * n - by_chance), n, 2 * n)


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
    both: dict[tuple[str, str], Counter[tuple[Choice, Choice]]] = {pair: Counter() for pair in combinations(people, 2)}
    for own in votes.values():
        for pair in combinations(sorted(own), 2):
            both[pair][own[pair[0]], own[pair[1]]] += 1
    return [
        Pair(*pair, Share(sum(counts[choice, choice] for choice in CHOICES), counts.total()), cohen_kappa(counts))
        for pair, counts in both.items()
    ]


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
    states: Mapping[str, EntryState], entries: Mapping[str, Entry], comments: Mapping[str, Label]
) -> dict[tuple[Label, str], int]:
    counts = Counter[tuple[Label, str]]()
    for entry_id, state in states.items():
        said = comments.get(entries[entry_id].video_id)
        if said is not None and state.final:
            counts[said, state.label or "excluded"] += 1
    return dict(counts)


def _by_level(votes: Votes, levels: Mapping[str, str], seed: int) -> dict[str, Coefficient]:
    return {
        level: alpha(
            _stacked(
                _counts([{who: own[who] for who in own if levels.get(who) == level}])[0] for own in votes.values()
            ),
            seed=seed,
        )
        for level in sorted(set(levels.values()))
    }


def _adjudication(states: Collection[EntryState], person: str) -> Adjudication:
    own = [
        (state.votes[person].choice, state.decision)
        for state in states
        if person in state.votes and state.decision is not None
    ]
    decided = [(choice, decision.label) for choice, decision in own if decision.decided_by != "reviewers"]
    return Adjudication(
        final=_share(choice == decision.label for choice, decision in own),
        overruled=_share(choice in LABELS and choice != label for choice, label in decided),
    )


def _entry_figures(
    votes: Votes,
    counting: Mapping[str, Mapping[str, Event]],
    entries: Mapping[str, Entry],
    states: Mapping[str, EntryState],
    estimated: Estimate,
) -> list[EntryFigures]:
    found = []
    for entry_id, own in votes.items():
        if not own:
            continue
        counts = Counter(own.values())
        probabilities = estimated.labels.get(entry_id, {})
        positive, negative = counts["positive"], counts["negative"]
        found.append(
            EntryFigures(
                entry_id=entry_id,
                video_id=entries[entry_id].video_id,
                choices={choice: counts[choice] for choice in CHOICES},
                median_s=median_seconds(counting[entry_id].values()),
                majority=None if positive == negative else "positive" if positive > negative else "negative",
                final=states[entry_id].label if states[entry_id].final else None,
                estimate={label: probabilities[label] for label in LABELS if probabilities},
            )
        )
    return found


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
