"""How far judgements agree beyond chance: Krippendorff's alpha and Fleiss' kappa on tables of counts. Pure.

A table of counts has a row for each entry and a column for each category, [N, V]: how many people put the entry into
the category. Where a coefficient has no meaning there is a reason instead of a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import krippendorff
import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

DRAWS = 1_000
"""Bootstrap samples behind an interval."""
LEVEL = 0.95
MIN_ENTRIES = 10
"""With fewer entries there is no interval: a bootstrap of a handful pretends to know more than it can."""

NO_PAIR = "no entry has two votes yet"
NO_VARIETY = "every vote is the same, so there is no chance agreement to compare with"


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
