"""The split of each ad: whole ads, whole groups of re-uploads.

A keyed hash of a group's oldest upload decides, independently of all other ads: adding, removing, relabelling or
resampling ads moves none. A group whose oldest upload was removed keeps its earlier split (`kept`).
Ads are split before any row is drawn twice, so that no frame is seen in training and in a test.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label

RATIOS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
Range = tuple[float, float]
FILL_ORDER = ("train", "test", "validation")
"""Splits that get a class's first, second and third group where there are few."""


@dataclass(frozen=True)
class LabelledAd:
    """An ad with a label, the group of re-uploads it belongs to, and how many frames it brings."""

    video_id: str
    label: Label
    category: str | None
    group: str
    """The group's oldest upload; of an ad that was uploaded once, the ad itself."""
    n_frames: int = 1


class Placement(NamedTuple):
    """An ad's split, and the reason for it."""

    split: str
    decided_by: Literal["hash", "kept", "filled", "stratified"]
    """`kept`: its group had this split before; `filled`: the split would have had no ad of its class."""


@dataclass(frozen=True)
class _Group:
    name: str
    labels: tuple[Label, ...]
    """Of all its ads, the most frequent first: two uploads of one ad may be labelled differently by their comments."""
    category: str
    video_ids: tuple[str, ...]
    n_frames: int


def split_ads(
    ads: Sequence[LabelledAd],
    *,
    ratios: Mapping[str, float] = RATIOS,
    seed: int = 0,
    kept: Mapping[str, str] | None = None,
) -> dict[str, Placement]:
    """Give every ad the split that the hash of its group falls into.

    The number of groups in a split is binomial: of n groups, a split with share p gets n p, within
    1.96 sqrt(n p (1 - p)) nineteen times out of twenty; the same holds within each class and category.

    Where a class would be missing from a split, and has groups enough, one that had no split before goes there: the
    one whose number lies nearest to that split's range. Groups in `kept` never move.

    Args:
        ads: ads with their labels and groups; ads of one group share their split.
        ratios: every split's share; a split with share 0 stays empty.
        seed: the key of the hash: another one gives another division.
        kept: splits of groups that had one before.

    Returns:
        The place of every ad by its video id.

    Raises:
        ReleaseError: an ad comes twice or has no known label, or the shares are no shares.
    """
    _check(ads, ratios)
    groups, before, ranges = _groups(ads), kept or {}, _ranges(ratios)
    positions = {group.name: _position(group.name, seed) for group in groups}
    places = {
        name: Placement(before[name], "kept") if name in before else Placement(_split_at(at, ranges), "hash")
        for name, at in positions.items()
    }
    _fill(groups, places, positions, ranges)
    return {ad: places[group.name] for group in groups for ad in group.video_ids}


def _fill(
    groups: Sequence[_Group], places: dict[str, Placement], positions: Mapping[str, float], ranges: Mapping[str, Range]
) -> None:
    """Give every split a group of each class, as far as there are groups that may still be placed."""
    order = [split for split in FILL_ORDER if split in ranges]
    held = Counter((label, places[group.name].split) for group in groups for label in group.labels)

    def may_go(group: _Group, label: Label, needed: int) -> bool:
        split, decided_by = places[group.name]
        return decided_by != "kept" and all(
            held[of, split] > 1 or (of == label and order.index(split) > needed) for of in group.labels
        )

    for label in LABELS:
        of_label = [group for group in groups if label in group.labels]
        for needed, split in enumerate(order[: len(of_label)]):
            if held[label, split]:
                continue
            spare = [group for group in of_label if may_go(group, label, needed)]
            if not spare:
                continue
            near = min(spare, key=lambda group: (_distance(positions[group.name], ranges[split]), group.name))
            held.subtract((of, places[near.name].split) for of in near.labels)
            held.update((of, split) for of in near.labels)
            places[near.name] = Placement(split, "filled")


def _position(name: str, seed: int) -> float:
    """A number in [0, 1) that follows from a name and the seed alone."""
    key = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()
    digest = hashlib.blake2b(name.encode(), key=key, digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def _ranges(ratios: Mapping[str, float]) -> dict[str, Range]:
    """The part of [0, 1) that belongs to each split that has a share."""
    shares = {split: ratios[split] for split in SPLITS if ratios[split] > 0}
    ends = list(accumulate(shares.values()))
    ends[-1] = 1.0  # shares such as 0.7, 0.2 and 0.1 add up to a little less
    return dict(zip(shares, pairwise([0.0, *ends]), strict=True))


def _split_at(position: float, ranges: Mapping[str, Range]) -> str:
    return next(split for split, (_, end) in ranges.items() if position < end)


def _distance(position: float, of: Range) -> float:
    begin, end = of
    return max(begin - position, position - end, 0.0)


def stratify_ads(
    ads: Sequence[LabelledAd], *, ratios: Mapping[str, float] = RATIOS, seed: int = 0
) -> dict[str, Placement]:
    """Give every ad a split, in the given shares of frames within each class and evenly over categories.

    Exact where `split_ads` is exact on average, and made anew from all ads: one ad more or fewer moves others.
    A class with three groups or more is in every split; with fewer, training comes first, then test.

    Args:
        ads: ads with their labels and groups; ads of one group share their split.
        ratios: every split's share; a split with share 0 stays empty.
        seed: another seed gives another division.

    Raises:
        ReleaseError: as in `split_ads`.
    """
    _check(ads, ratios)
    groups = _groups(ads)
    splits: dict[str, Placement] = {}
    for label in LABELS:
        of_label = [group for group in groups if group.labels[0] == label]
        # Category by category, shuffled inside each: dealing evenly along this row is dealing evenly over
        # categories.
        of_label.sort(key=lambda group: (group.category, _draw(seed, group.name)))
        for group, split in zip(of_label, _deal(of_label, ratios), strict=True):
            splits |= dict.fromkeys(group.video_ids, Placement(split, "stratified"))
    return splits


def _deal(groups: Sequence[_Group], ratios: Mapping[str, float]) -> list[str]:
    """Deal one class's groups in a row: each goes where the most frames are owed so far."""
    order = [split for split in FILL_ORDER if ratios[split] > 0]
    have = dict.fromkeys(order, 0)
    total = 0
    dealt: list[str] = []
    for group in groups:
        total += group.n_frames
        split = max(order, key=lambda split: ratios[split] * total - have[split])
        have[split] += group.n_frames
        dealt.append(split)
    # Few groups may leave a split without this class: it takes the smallest of the split that has the most
    # groups of it, of two that have as many the one that is filled later.
    for needed, split in enumerate(order, start=1):
        if len(groups) >= needed and split not in dealt:
            held = Counter(dealt)
            giver = max(order, key=lambda other: (held[other], order.index(other)))
            given = min((at for at, of in enumerate(dealt) if of == giver), key=lambda at: (groups[at].n_frames, -at))
            dealt[given] = split
    return dealt


def _groups(ads: Sequence[LabelledAd]) -> list[_Group]:
    members: dict[str, list[LabelledAd]] = defaultdict(list)
    for ad in sorted(ads, key=lambda ad: ad.video_id):
        members[ad.group].append(ad)
    return [
        _Group(
            name=name,
            labels=tuple(label for label, _ in Counter(ad.label for ad in group).most_common()),
            category=_most_common([ad.category or "" for ad in group]),
            video_ids=tuple(ad.video_id for ad in group),
            n_frames=sum(ad.n_frames for ad in group),
        )
        for name, group in members.items()
    ]


def _most_common(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _draw(seed: int, name: str) -> bytes:
    """A number drawn for a name, the same on every machine and independent of what else is drawn."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _check(ads: Sequence[LabelledAd], ratios: Mapping[str, float]) -> None:
    if set(ratios) != set(SPLITS):
        raise ReleaseError(f"release ratios name {', '.join(ratios)}; expected {', '.join(SPLITS)}")
    if any(not 0 <= ratio <= 1 for ratio in ratios.values()) or not math.isclose(sum(ratios.values()), 1):
        raise ReleaseError(f"release ratios are {dict(ratios)}; expected shares from 0 to 1 that add up to 1")
    if not ratios["train"]:
        raise ReleaseError("release ratios leave nothing for train; give it a share above 0")
    times = Counter(ad.video_id for ad in ads)
    if twice := sorted(ad for ad, count in times.items() if count > 1):
        raise ReleaseError(f"ads to be split come more than once: {', '.join(twice[:5])}")
    for ad in ads:
        if ad.label not in LABELS:
            raise ReleaseError(f"ad {ad.video_id}: label {ad.label!r}; expected one of {', '.join(LABELS)}")
