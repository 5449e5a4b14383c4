"""Re-uploads: ads with equal files, or that show the same over their length.

Two fingerprints are laid over each other at the offset at which they correlate best; one of them is then fitted to the
other (brightness, contrast, place and size in the picture). What still differs for a while, and not only where things
move, is another content, such as other words over the same footage. A logo in one corner is allowed for.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.frames.fingerprint import FINGERPRINT_VERSION, LEVELS, SIDE, STEP_S, pictures_of

LEAST_OVERLAP = 0.65
"""Share of the longer ad's length that both must have in common: a bumper of 6 s may lack a second at either end."""
LEAST_SAME = 0.65
"""Share of the moments in common that must show the same; blank ones count only where their greys differ."""
LEAST_ALIKE = 0.8
"""Share of the moments in common that must show the same footage, whatever words are over it."""
LEAST_SEEN = 0.5
"""Share of the moments in common that are not blank in both: too little is known otherwise."""
LEAST_MOMENTS = 4
"""So many moments in common, blank ones not counted, or all of an ad that has fewer."""
LEAST_CORRELATION = 0.6
"""Of the pictures before they are fitted, on average."""
DIFFERING_FIELDS = 0.008
"""Share of a picture's fields that may differ: a short word takes more."""
OTHER_FOOTAGE = 0.1
"""Share of a picture's fields from which on it shows something else."""
COMPARISON_VERSION = f"{FINGERPRINT_VERSION}.2"
"""Raise the last number when other ads are found to be the same: all are compared anew."""
_GREY = LEVELS / 256
_DIFFERENCE = 12 * _GREY
"""Greys by which a field must differ to count, in a picture of much contrast; fewer in one of little."""
_BLANK = 3 * _GREY
"""Standard deviation of a picture of one colour."""
_AS_GOOD = 0.003
"""Less correlation than that does not tell one offset from another."""
_LASTING = 4
"""Moments that a difference is averaged over: motion and coding leave others each time, words stay."""
_PARTS_OF_STEP = (-0.5, -0.25, 0.0, 0.25, 0.5)
_MISPLACED = 0.25
"""Fields by which an edge may be misplaced after fitting."""
_CORNER = round(0.22 * SIDE)
_FITTED = 40
"""Moments that the fit is made on."""
_LARGEST_SHIFT = 0.05 * SIDE
_SHORTEST = LEAST_OVERLAP - 0.05
"""Share of the longer ad's length that the shorter one has at least; a step may be missing at the end."""
_LEAST_MET = 4
"""So many equal words at one offset make two ads worth comparing."""
_WORDS = 4
_LOW = 8
_BASIS: NDArray[np.float64] = np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
# of the 64 lowest frequencies all but the mean, each fourth one in a word, the last one twice
_ORDER = np.array([*range(1, _LOW**2), _LOW**2 - 1]).reshape(16, _WORDS).T.ravel()
_MIRROR: NDArray[np.uint16] = np.packbits(_ORDER % 2 == 1).view(">u2").astype(np.uint16)
"""Bits that turn round in a mirror: those of frequencies that are odd from left to right."""
_SPAN = 2**20
"""More than any two steps are apart."""


class View(NamedTuple):
    """An ad's pictures, with its border or without."""

    steps: NDArray[np.int64]
    """[n]: their times in steps of the grid."""
    pictures: NDArray[np.uint8]
    """[n, SIDE, SIDE]"""

    @property
    def mirrored(self) -> View:
        """As seen in a mirror."""
        return View(self.steps, self.pictures[:, :, ::-1])


@dataclass(frozen=True)
class AdFingerprint:
    """Fingerprint of an ad: its duration and its pictures."""

    name: str
    """Of its content: equal files have one name."""
    duration_s: float
    views: tuple[View, ...]

    @classmethod
    def of_row(cls, row: Mapping[str, Any], name: str) -> AdFingerprint:
        """An ad's fingerprint from its row in the table `looks`."""
        steps = np.round(np.array(row["times_s"], dtype=np.float64) / STEP_S).astype(np.int64)
        pictures = pictures_of(row["hashes"])
        begins = [0, *(np.flatnonzero(np.diff(steps) <= 0) + 1), len(steps)] if len(steps) else []
        views = (View(steps[a:b], pictures[a:b]) for a, b in itertools.pairwise(begins))
        return cls(name, row["duration_s"], tuple(views))


def same_ads(ads: Iterable[AdFingerprint], new: Collection[str] | None = None) -> list[tuple[str, str]]:
    """Pairs of ads that show the same, sorted; with `new`, only those that have one of these names in them.

    Whether two are a pair depends on these two alone, so that pairs found before need not be looked for again.
    """
    by_name = {ad.name: ad for ad in ads if ad.views}
    ordered = [by_name[name] for name in sorted(by_name)]
    is_new = np.array([new is None or ad.name in new for ad in ordered], dtype=bool)
    return [
        (ordered[one].name, ordered[other].name)
        for one, other in _candidates(ordered, is_new)
        if same_ad(ordered[one], ordered[other])
    ]


def _candidates(ads: Sequence[AdFingerprint], is_new: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs of ads that have some equal parts of coarse hashes at one offset: nothing else is compared closely."""
    if not is_new.any():
        return []
    tables = [_coarse(view) for ad in ads for view in ad.views]
    sizes = [len(steps) for steps, _ in tables]
    owners = np.repeat(np.repeat(np.arange(len(ads)), [len(ad.views) for ad in ads]), sizes)
    steps = np.concatenate([steps for steps, _ in tables])
    words = np.concatenate([words for _, words in tables])
    lengths_s = np.array([ad.duration_s for ad in ads])
    orders = [np.argsort(column, kind="stable") for column in words.T]
    columns = [column[order] for column, order in zip(words.T, orders, strict=True)]
    begins = np.searchsorted(owners, np.arange(len(ads) + 1))
    found: set[tuple[int, int]] = set()
    for one in np.flatnonzero(is_new):
        mine = slice(begins[one], begins[one + 1])
        for flips in (np.zeros(_WORDS, np.uint16), _MIRROR):
            met: list[NDArray[np.int64]] = []
            for order, column, asked in zip(orders, columns, (words[mine] ^ flips).T, strict=True):
                low, high = np.searchsorted(column, asked, "left"), np.searchsorted(column, asked, "right")
                counts = high - low
                at = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
                theirs = order[at]
                others = owners[theirs]
                is_other = (others != one) & ~(is_new[others] & (others < one))
                apart = np.repeat(steps[mine], counts)[is_other] - steps[theirs[is_other]]
                met.append(others[is_other] * _SPAN + apart + _SPAN // 2)
            keys, times = np.unique(np.concatenate(met), return_counts=True)
            others = np.unique(keys[times >= _LEAST_MET] // _SPAN)
            near = np.minimum(lengths_s[others], lengths_s[one]) >= _SHORTEST * np.maximum(
                lengths_s[others], lengths_s[one]
            )
            found |= {(min(one, other), max(one, other)) for other in others[near].tolist()}
    return sorted(found)


def _coarse(view: View) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Steps [k] and hashes [k, _WORDS] of a view's pictures that are not blank: signs of their lowest frequencies."""
    seen = view.pictures.std(axis=(1, 2)) > _BLANK
    pictures = view.pictures[seen].astype(np.float64)
    low = np.round(_BASIS @ pictures @ _BASIS.T, 3)
    bits = np.ascontiguousarray((low > 0).reshape(len(pictures), _LOW**2)[:, _ORDER])
    return view.steps[seen], np.packbits(bits, axis=1).view(">u2").astype(np.uint16)


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
    ones, others, seen = pair
    fitted = _fitted(others, ones, seen)
    differing = _differing(ones[seen], fitted[seen])
    # of one colour in both, but not of the same one
    other_colour = np.abs((ones - fitted)[~seen].mean(axis=(1, 2))) > _DIFFERENCE
    compared = len(differing) + int(other_colour.sum())
    same = int((differing <= DIFFERING_FIELDS).sum())
    alike = int((differing <= OTHER_FOOTAGE).sum())
    enough = int(seen.sum()) >= min(LEAST_MOMENTS, len(mine.steps), len(theirs.steps))
    return enough and same >= LEAST_SAME * compared and alike >= LEAST_ALIKE * compared


def _aligned(
    mine: View, theirs: View, lengths_s: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None:
    """Pictures of the same moments [k, SIDE, SIDE] at the best offset, and which are not blank in both [k]."""
    ones, others = (_normalised(_halved(view.pictures)) for view in (mine, theirs))
    seen = np.logical_or.outer(ones.any(axis=1), others.any(axis=1)).astype(np.float64)
    apart = mine.steps[:, None] - theirs.steps
    base = int(apart.min())
    size = int(apart.max()) - base + 1
    counts = np.bincount((apart - base).ravel(), seen.ravel(), size)
    moments = np.bincount((apart - base).ravel(), minlength=size)
    sums = np.bincount((apart - base).ravel(), (ones @ others.T).ravel(), size)
    offsets_s = (np.arange(size) + base) * STEP_S
    overlaps_s = np.minimum(lengths_s[0], lengths_s[1] + offsets_s) - np.maximum(0, offsets_s)
    allowed = (
        (overlaps_s >= LEAST_OVERLAP * max(lengths_s) - STEP_S / 2) & (counts > 0) & (counts >= LEAST_SEEN * moments)
    )
    means = np.where(allowed, sums / np.maximum(counts, 1), -1.0)
    if means.max() < LEAST_CORRELATION:
        return None
    # where little moves, many offsets fit: the one with most in common
    best = int(np.argmax(np.where(means >= means.max() - _AS_GOOD, counts, -1)))
    at_mine, at_theirs = np.nonzero(apart == best + base)
    pictures = mine.pictures[at_mine].astype(np.float64)
    shifted = [_between(theirs, at_theirs, part) for part in _PARTS_OF_STEP]
    nearest = max(shifted, key=lambda other: float((_normalised(pictures) * _normalised(other)).sum()))
    return pictures, nearest, seen[at_mine, at_theirs] > 0


def _between(view: View, at: NDArray[np.intp], part: float) -> NDArray[np.float64]:
    """The pictures a part of a step later, between two of the grid."""
    step = 1 if part > 0 else -1
    next_to = np.clip(at + step, 0, len(view.steps) - 1)
    next_to = np.where(view.steps[next_to] - view.steps[at] == step, next_to, at)
    return (1 - abs(part)) * view.pictures[at] + abs(part) * view.pictures[next_to]


def _halved(pictures: NDArray[Any]) -> NDArray[np.float64]:
    """Pictures of half the side: enough to find the offset, at a quarter of the cost."""
    squares = pictures.reshape(-1, SIDE // 2, 2, SIDE // 2, 2)
    return np.asarray(squares.mean(axis=(2, 4)), dtype=np.float64)


def _normalised(pictures: NDArray[Any]) -> NDArray[np.float64]:
    """Pictures as rows of mean 0 and length 1, [n, fields]; blank ones are 0."""
    rows = (pictures - pictures.mean(axis=(1, 2), keepdims=True)).reshape(len(pictures), -1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > _BLANK * rows.shape[1] ** 0.5, rows / np.maximum(length, 1e-9), 0.0)


def _differing(ones: NDArray[np.float64], fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each picture's fields that lastingly differ, outside the corner where most do, [k]."""
    contrast = np.minimum(ones.std(axis=(1, 2)), fitted.std(axis=(1, 2)))
    tolerance = np.clip(contrast / 2, _DIFFERENCE / 4, _DIFFERENCE)[:, None, None]
    # along edges that both have, a small shift makes a difference
    tolerance = tolerance + _MISPLACED * np.minimum(_steepness(ones), _steepness(fitted))
    differs = np.abs(_lasting(ones - fitted)) > _lasting(tolerance)
    inner = differs[:, 1:-1, 1:-1]
    counts = inner.sum(axis=(1, 2))
    ends = (slice(_CORNER - 1), slice(1 - _CORNER, None))
    corners = [inner[:, y, x].sum(axis=(1, 2)) for y, x in itertools.product(ends, ends)]
    return np.asarray((counts - max(corners, key=lambda corner: int(corner.sum()))) / SIDE**2)


def _steepness(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    down, right = np.gradient(pictures, axis=(1, 2))
    return np.asarray(np.hypot(down, right))


def _lasting(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over some consecutive moments."""
    width = min(_LASTING, len(values))
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
    return (sums[width:] - sums[:-width]) / width


def _fitted(others: NDArray[np.float64], ones: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The second pictures as they would look in the place, the size and the tones of the first, as far as seen."""
    at = np.flatnonzero(seen)
    some = at[np.unique(np.linspace(0, len(at) - 1, _FITTED).astype(int))]
    place = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 2)
    moved = np.zeros(4)
    for _ in range(3):
        near = _moved(others[some], moved)
        down, right = np.gradient(near, axis=(1, 2))
        columns = [near, np.ones_like(near), right, down, right * place, down * place[:, None]]
        solved = _robust(columns, ones[some])
        moved = np.clip(moved + solved[2:] / max(solved[0], 0.1), -_LARGEST_SHIFT, _LARGEST_SHIFT)
    placed = _moved(others, moved)
    # the square: another gamma, or light parts clipped
    gain, level, bend = _robust([placed[some], np.ones_like(placed[some]), placed[some] ** 2 / LEVELS], ones[some])
    return np.asarray(gain * placed + level + bend * placed**2 / LEVELS)


def _robust(columns: Sequence[Any], values: NDArray[np.float64]) -> NDArray[Any]:
    """Coefficients of the columns that give the values, with little weight on what they cannot give."""
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    wanted = values.ravel()
    weights = np.ones(len(wanted))
    solved: NDArray[Any] = np.zeros(len(columns))
    for _ in range(3):
        weighted = matrix * weights[:, None]
        normal = weighted.T @ matrix + 1e-6 * np.eye(len(columns))
        solved = np.linalg.solve(normal, weighted.T @ wanted)
        weights = 1 / (1 + ((wanted - matrix @ solved) / _DIFFERENCE) ** 2)
    return solved


def _moved(pictures: NDArray[np.float64], moved: NDArray[Any]) -> NDArray[np.float64]:
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
    # SciPy has this, too, but takes 0.3 s to load: more than a build spends here that has nothing to do
    parents: dict[str, str] = {}

    def root_of(ad: str) -> str:
        while (parent := parents.setdefault(ad, ad)) != ad:
            parents[ad] = ad = parents[parent]
        return ad

    for first, *others in members:
        root = root_of(first)
        for other in others:
            parents[root_of(other)] = root
    groups: dict[str, list[str]] = {}
    for ad in parents:
        groups.setdefault(root_of(ad), []).append(ad)
    return sorted(sorted(group) for group in groups.values() if len(group) >= least)


def record_reuploads(catalog: Catalog, *, by_pictures: bool = True) -> int:
    """Compare the ads that are new with all others, and make the table `reuploads` say which are uploads of one ad.

    Args:
        catalog: the tables.
        by_pictures: False: only ads with equal files are.

    Returns:
        How many ads are uploads of another one.
    """
    ads_of: dict[str, list[str]] = {}
    for ad in catalog.read("ads", ["video_id", "media_sha256"]).to_pylist():
        if ad["media_sha256"]:
            ads_of.setdefault(ad["media_sha256"], []).append(ad["video_id"])
    pairs = _alike(catalog) if by_pictures else []
    joined = [[*ads_of.get(one, []), *ads_of.get(other, [])] for one, other in pairs if {one, other} <= ads_of.keys()]
    groups = groups_of([*joined, *(ads for ads in ads_of.values() if len(ads) > 1)])
    reuploads = [
        {"video_id": ad, "group_id": _name(group), "duplicates": [other for other in group if other != ad]}
        for group in groups
        for ad in group
    ]
    catalog.replace("reuploads", pa.Table.from_pylist(reuploads, schema=TABLES["reuploads"].schema))
    return sum(len(group) - 1 for group in groups)


def _alike(catalog: Catalog) -> set[tuple[str, str]]:
    """Pairs of files that show the same ad, by their sha256; what was not compared before is compared and kept."""
    of_version = pc.field("fingerprint") == FINGERPRINT_VERSION
    columns = ["video_id", "upstream_revision"]
    looks = {
        row["video_id"]: row["upstream_revision"] for row in catalog.read("looks", columns, of_version).to_pylist()
    }
    compared = catalog.read(
        "likenesses", [*columns, "alike"], pc.field("fingerprint") == COMPARISON_VERSION
    ).to_pylist()
    known = {(row["upstream_revision"], other) for row in compared for other in row["alike"]}
    done = {row["video_id"] for row in compared if looks.get(row["video_id"], "") == row["upstream_revision"]}
    new = [video_id for video_id in looks if video_id not in done]
    if not new:
        return known
    # a file that no ad has at the moment may come back: it is compared, too
    rows = catalog.read("looks", where=of_version).to_pylist()
    ads = (AdFingerprint.of_row(row, row["upstream_revision"] or row["video_id"]) for row in rows)
    found = same_ads(ads, {looks[video_id] or video_id for video_id in new})
    alike: dict[str, list[str]] = {}
    for one, other in found:
        alike.setdefault(one, []).append(other)
        alike.setdefault(other, []).append(one)
    made = [
        {
            "video_id": video_id,
            "alike": alike.get(looks[video_id] or video_id, []),
            "fingerprint": COMPARISON_VERSION,
            "upstream_revision": looks[video_id],
        }
        for video_id in new
    ]
    catalog.merge("likenesses", pa.Table.from_pylist(made, schema=TABLES["likenesses"].schema))
    return known | set(found)


def _name(group: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(group).encode()).hexdigest()[:16]
