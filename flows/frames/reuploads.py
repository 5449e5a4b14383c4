"""Re-uploads: ads with equal files, or that show the same over their length.

Two fingerprints are laid over each other at the offset at which they correlate best; one of them is then fitted to the
other (brightness, contrast, place and size in the picture). What still differs for longer than coding and motion explain
is another content: other words over the same footage. A logo in one corner is allowed for.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.frames.fingerprint import FINGERPRINT_VERSION, LEVELS, SIDE, STEP_S, pictures_of

LEAST_OVERLAP = 0.6
"""Share of the longer ad's length that both must have in common: a bumper of 6 s may lack a second at either end."""
LEAST_SAME = 0.9
"""Share of the moments in common that must show the same; blank ones do not count."""
LEAST_MOMENTS = 4
"""So many moments at least, or all of an ad that has fewer."""
LEAST_CORRELATION = 0.6
"""Of the pictures before they are fitted, on average."""
DIFFERING_FIELDS = 0.008
"""Share of a picture's fields that may differ: a short word takes more."""
_GREY = LEVELS / 256
_DIFFERENCE = 8 * _GREY
"""Greys by which a field must differ to count, in a picture of much contrast; fewer in one of little."""
_BLANK = 3 * _GREY
"""Standard deviation of a picture of one colour."""
_LASTING = 3
"""Moments that a difference is averaged over: motion and coding leave others each time, words stay."""
_PARTS_OF_STEP = (-0.5, -0.25, 0.0, 0.25, 0.5)
_CORNER = round(0.22 * SIDE)
_FITTED = 40
"""Moments that the fit is made on."""
_LARGEST_SHIFT = 0.05 * SIDE


class View(NamedTuple):
    """An ad's pictures, with its border or without."""

    steps: NDArray[np.int64]
    """[n]: their times in steps of the grid."""
    pictures: NDArray[np.float64]
    """[n, SIDE, SIDE]"""

    @property
    def mirrored(self) -> View:
        """As seen in a mirror."""
        return View(self.steps, self.pictures[:, :, ::-1])


@dataclass(frozen=True)
class AdFingerprint:
    """An ad's length and how it looks."""

    video_id: str
    duration_s: float
    views: tuple[View, ...]

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> AdFingerprint:
        """An ad's fingerprint from its row in the table `looks`."""
        steps = np.round(np.array(row["times_s"], dtype=np.float64) / STEP_S).astype(np.int64)
        pictures = pictures_of(row["hashes"]).astype(np.float64)
        begins = [0, *(np.flatnonzero(np.diff(steps) <= 0) + 1), len(steps)] if len(steps) else []
        views = (View(steps[a:b], pictures[a:b]) for a, b in itertools.pairwise(begins))
        return cls(row["video_id"], row["duration_s"], tuple(views))


def same_ad(one: AdFingerprint, other: AdFingerprint) -> bool:
    """Tell whether two ads show the same over their length, mirrored or not, with or without a border."""
    lengths_s = (one.duration_s, other.duration_s)
    return any(
        same_view(mine, turned, lengths_s)
        for mine in one.views
        for theirs in other.views
        for turned in (theirs, theirs.mirrored)
    )


def same_view(mine: View, theirs: View, lengths_s: tuple[float, float]) -> bool:
    """Tell whether two views show the same where they overlap."""
    pair = _aligned(mine, theirs, lengths_s)
    if pair is None:
        return False
    differing = _differing(*pair)
    least = min(LEAST_MOMENTS, len(mine.steps), len(theirs.steps))
    same = int((differing <= DIFFERING_FIELDS).sum())
    return same >= least and same >= LEAST_SAME * len(differing)


def _aligned(
    mine: View, theirs: View, lengths_s: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Pictures of the same moments [k, SIDE, SIDE] at the best offset, without those that are blank in both."""
    ones, others = _normalised(mine.pictures), _normalised(theirs.pictures)
    seen = (ones.any(axis=1)[:, None] | others.any(axis=1)).astype(np.float64)
    apart = mine.steps[:, None] - theirs.steps
    base = int(apart.min())
    size = int(apart.max()) - base + 1
    counts = np.bincount((apart - base).ravel(), seen.ravel(), size)
    sums = np.bincount((apart - base).ravel(), (ones @ others.T).ravel(), size)
    offsets_s = (np.arange(size) + base) * STEP_S
    overlaps_s = np.minimum(lengths_s[0], lengths_s[1] + offsets_s) - np.maximum(0, offsets_s)
    allowed = (overlaps_s >= LEAST_OVERLAP * max(lengths_s) - STEP_S / 2) & (counts > 0)
    means = np.where(allowed, sums / np.maximum(counts, 1), -1.0)
    best = int(np.argmax(means))
    if means[best] < LEAST_CORRELATION:
        return None
    at_mine, at_theirs = np.nonzero((apart == best + base) & (seen > 0))
    pictures = mine.pictures[at_mine]
    shifted = [_between(theirs, at_theirs, part) for part in _PARTS_OF_STEP]
    nearest = max(shifted, key=lambda other: float((_normalised(pictures) * _normalised(other)).sum()))
    return pictures, nearest


def _between(view: View, at: NDArray[np.intp], part: float) -> NDArray[np.float64]:
    """The pictures a part of a step later, between two of the grid."""
    step = 1 if part > 0 else -1
    next_to = np.clip(at + step, 0, len(view.steps) - 1)
    next_to = np.where(view.steps[next_to] - view.steps[at] == step, next_to, at)
    return (1 - abs(part)) * view.pictures[at] + abs(part) * view.pictures[next_to]


def _normalised(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pictures as rows of mean 0 and length 1, [n, SIDE * SIDE]; blank ones are 0."""
    rows = (pictures - pictures.mean(axis=(1, 2), keepdims=True)).reshape(len(pictures), -1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > _BLANK * SIDE, rows / np.maximum(length, 1e-9), 0.0)


def _differing(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each picture's fields that lastingly differ, outside the corner where most do, [k]."""
    rest = _residual(ones, others)
    contrast = np.minimum(ones.std(axis=(1, 2)), others.std(axis=(1, 2)))
    tolerance = np.clip(contrast / 3, _DIFFERENCE / 4, _DIFFERENCE)
    differs = np.abs(_lasting(rest)) > _lasting(tolerance)[:, None, None]
    inner = differs[:, 1:-1, 1:-1]
    far = _CORNER - 1
    counts = inner.sum(axis=(1, 2))
    corners = [inner[:, y, x].sum(axis=(1, 2)) for y in (slice(far), slice(-far, None)) for x in (slice(far), slice(-far, None))]
    return (counts - max(corners, key=lambda corner: int(corner.sum()))) / SIDE**2


def _lasting(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over some consecutive moments."""
    width = min(_LASTING, len(values))
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
    return (sums[width:] - sums[:-width]) / width


def _residual(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of the first pictures when the second, fitted to them, are taken off."""
    some = np.unique(np.linspace(0, len(ones) - 1, _FITTED).astype(int))
    place = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 2)
    moved = np.zeros(4)
    for _ in range(3):
        fitted = _moved(others[some], moved)
        down, right = np.gradient(fitted, axis=(1, 2))
        columns = [fitted, np.ones_like(fitted), right, down, right * place, down * place[:, None]]
        solved = _robust(columns, ones[some])
        moved = np.clip(moved + solved[2:] / max(solved[0], 0.1), -_LARGEST_SHIFT, _LARGEST_SHIFT)
    fitted = _moved(others, moved)
    gain, level = _robust([fitted[some], np.ones_like(fitted[some])], ones[some])
    return ones - gain * fitted - level


def _robust(columns: Sequence[NDArray[np.float64]], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of the columns that give the values, with little weight on what they cannot give."""
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    wanted = values.ravel()
    weights = np.ones(len(wanted))
    solved = np.zeros(len(columns))
    for _ in range(3):
        weighted = matrix * weights[:, None]
        normal = weighted.T @ matrix + 1e-6 * np.eye(len(columns))
        solved = np.linalg.solve(normal, weighted.T @ wanted)
        weights = 1 / (1 + ((wanted - matrix @ solved) / _DIFFERENCE) ** 2)
    return solved


def _moved(pictures: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pictures shifted right and down by fields, then stretched."""
    right, down, wider, higher = moved
    return _lines(down, higher) @ pictures @ _lines(right, wider).T


def _lines(shift: float, stretch: float) -> NDArray[np.float64]:
    """Matrix [SIDE, SIDE] that reads each line of fields between two of the lines given."""
    place = np.arange(SIDE)
    at = np.clip(place + shift + stretch * (place - (SIDE - 1) / 2) / (SIDE / 2), 0, SIDE - 1)
    return np.maximum(0.0, 1 - np.abs(at[:, None] - place))


def groups_of(members: Iterable[Sequence[str]], *, least: int = 2) -> list[list[str]]:
    """Join what belongs together, directly or by way of others: groups of at least so many, all sorted."""
    # takes 0.4 s, and every worker of a pool imports this module
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet()
    for first, *others in members:
        joined.add(first)
        for other in others:
            joined.add(other)
            joined.merge(first, other)
    return sorted(sorted(group) for group in joined.subsets() if len(group) >= least)


def record_reuploads(catalog: Catalog) -> int:
    """Find the re-uploads among all ads that there are and make the table `reuploads` say so.

    Returns:
        How many ads are uploads of another one.
    """
    rows = catalog.current("looks", upstream="ads", fingerprint=FINGERPRINT_VERSION).to_pylist()
    files: dict[str, list[str]] = {}
    for ad in catalog.read("ads", ["video_id", "media_sha256"]).to_pylist():
        if ad["media_sha256"]:
            files.setdefault(ad["media_sha256"], []).append(ad["video_id"])
    pairs = same_ads(AdFingerprints.of_row(row) for row in rows)
    groups = groups_of([*pairs, *(ads for ads in files.values() if len(ads) > 1)])
    reuploads = [
        {"video_id": ad, "group_id": _name(group), "duplicates": [other for other in group if other != ad]}
        for group in groups
        for ad in group
    ]
    catalog.replace("reuploads", pa.Table.from_pylist(reuploads, schema=TABLES["reuploads"].schema))
    return sum(len(group) - 1 for group in groups)


def _name(group: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(group).encode()).hexdigest()[:16]
