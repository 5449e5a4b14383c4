"""Deletion test of explanations: remove the parts that count most, and for comparison as many drawn at random.

Parts are removed in another way than in the explanation: words are cut out of the text, and regions get the picture's
own mean colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from fgmfn.data import Rows
from fgmfn.data.overlap import linked
from fgmfn.explaining import Explainer
from fgmfn.explanations import Explanation
from fgmfn.occlusion import Painted, picture_of, rows_without_regions, rows_without_words
from fgmfn.statistics import Interval

WORDS_TAKEN = (1, 2, 3)
SHARES_TAKEN = (0.1, 0.2)
"""Shares of a picture's regions that are removed."""
RANDOM = 5
"""Random sets per row."""
DRAWS = 2000
"""Bootstrap draws of groups, for the interval."""

Ranking = Callable[[Rows, Explanation], Sequence[float | None]]
"""Returns the weight of each word, or each region, of a row; None if it is not to be removed."""


def _explained_words(_: Rows, one: Explanation) -> Sequence[float | None]:
    return [effect.points for effect in one.words]


def _explained_regions(_: Rows, one: Explanation) -> Sequence[float | None]:
    return [effect.points for effect in one.regions]


@dataclass(frozen=True)
class Deleted:
    """Fall of the label's probability, mean over rows."""

    what: str
    """`words` or `regions`."""
    taken: float
    """Number of words, or share of the regions."""
    top: float
    """Fall without the parts that count most for the label."""
    random: float
    """Fall without as many parts at random."""
    difference: Interval
    """Difference of both, with its 95 % interval over groups of rows."""
    rows: int
    """Rows that have more parts than are removed."""

    def __str__(self) -> str:
        taken = f"{self.taken:.0%} of the regions" if self.what == "regions" else f"{self.taken:.0f} of the words"
        value, low, high = (100 * one for one in self.difference)
        return (
            f"without {taken}, {self.rows} rows: {100 * self.top:.1f} points lower, {100 * self.random:.1f} at random; "
            f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
        )


def deletion_test(explainer: Explainer, rows: Rows, *, seed: int = 0, progress: bool = True) -> list[Deleted]:
    """Test the explanations of rows.

    Args:
        explainer: of the model.
        rows: to explain.
        seed: of what is drawn at random.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        DataError: A picture is missing or cannot be decoded.
    """
    bar = tqdm(range(len(rows)), desc="deletion test", unit="row", disable=None if progress else True)
    explained = ((rows.take([row]), explainer.explain_rows(rows.take([row]))[0]) for row in bar)
    return deleted(explainer, explained, linked(rows, grouped=True), seed=seed)


def deleted(
    explainer: Explainer,
    explained: Iterable[tuple[Rows, Explanation]],
    groups: Sequence[str],
    *,
    seed: int = 0,
    words: Ranking = _explained_words,
    regions: Ranking = _explained_regions,
) -> list[Deleted]:
    """Remove the parts that a ranking puts first.

    Args:
        explainer: of the model.
        explained: rows, one at a time, each with its explanation.
        groups: of the rows.
        seed: of what is drawn at random.
        words: ranks the words; as the explanation does, unless it is given.
        regions: likewise.
    """
    rng = np.random.default_rng(seed)
    falls: dict[tuple[str, float], list[tuple[int, float, float]]] = {}
    for number, (row, one) in enumerate(explained):
        for what, found in (("words", _words(row, one, words)), ("regions", _regions(row, one, regions))):
            for taken, size in found.sizes:
                if not 0 < size < len(found.order):
                    continue
                drawn = [rng.permutation(len(found.order))[:size] for _ in range(RANDOM)]
                sets = [found.order[:size], *([found.order[at] for at in places] for places in drawn)]
                left = explainer.answers(found.without(sets))[:, explainer.number_of(one.label)]
                fall = one.probability - left
                falls.setdefault((what, taken), []).append((number, float(fall[0]), float(fall[1:].mean())))
    return [_summed(what, taken, values, groups, rng) for (what, taken), values in falls.items()]


@dataclass(frozen=True)
class _Ranked:
    """Parts that can be removed from a row, the one that counts most for its label first."""

    order: list[int]
    sizes: list[tuple[float, int]]
    """Numbers of parts that are removed: as reported, and as a count."""
    without: Callable[[Sequence[Sequence[int]]], Rows]
    """Returns a row without each set of parts."""


def _order(weights: Sequence[float | None]) -> list[int]:
    known = {place: weight for place, weight in enumerate(weights) if weight is not None}
    return sorted(known, key=lambda place: -known[place])


def _words(row: Rows, one: Explanation, ranking: Ranking) -> _Ranked:
    first: dict[str, int] = {}
    weights = list(ranking(row, one))
    for place, effect in enumerate(one.words):
        if weights[place] is not None and first.setdefault(effect.word.key, place) != place:
            weights[place] = None  # equal words are removed together

    def without(sets: Sequence[Sequence[int]]) -> Rows:
        keys = [{one.words[place].word.key for place in places} for places in sets]
        alike = [
            [effect.word for effect in one.words if effect.points is not None and effect.word.key in those]
            for those in keys
        ]
        return rows_without_words(row, 0, alike, None)

    return _Ranked(_order(weights), [(count, count) for count in WORDS_TAKEN], without)


def _regions(row: Rows, one: Explanation, ranking: Ranking) -> _Ranked:
    order = _order(ranking(row, one))

    def without(sets: Sequence[Sequence[int]]) -> Rows:
        picture = picture_of(row, 0)
        red, green, blue = (round(value) for value in np.asarray(picture).mean(axis=(0, 1)))
        boxes = [[one.regions[place].box for place in places] for places in sets]
        return rows_without_regions(row, 0, Painted(picture, boxes, (red, green, blue)))

    return _Ranked(order, [(share, round(share * len(order))) for share in SHARES_TAKEN], without)


def _summed(
    what: str, taken: float, falls: Sequence[tuple[int, float, float]], groups: Sequence[str], rng: np.random.Generator
) -> Deleted:
    top, random = (np.array([fall[place] for fall in falls]) for place in (1, 2))
    _, numbers = np.unique([groups[fall[0]] for fall in falls], return_inverse=True)
    counts = np.bincount(numbers).astype(float)
    sums = np.bincount(numbers, weights=top - random)
    drawn = rng.integers(len(counts), size=(DRAWS, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    difference = Interval(float((top - random).mean()), float(low), float(high))
    return Deleted(what, taken, float(top.mean()), float(random.mean()), difference, len(falls))
