"""The split of each ad: whole ads, whole groups of re-uploads, both classes in every split.

Ads are split before any row is drawn twice, so that no frame is seen in training and in a test.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label

RATIOS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
FILL_ORDER = ("train", "test", "validation")
"""Splits that get a class's first, second and third group where there are few."""


@dataclass(frozen=True)
class LabelledAd:
    """An ad with a label, the group of re-uploads it belongs to, and how many frames it brings."""

    video_id: str
    label: Label
    category: str | None
    group: str
    n_frames: int = 1


@dataclass(frozen=True)
class _Group:
    name: str
    label: str
    category: str
    video_ids: tuple[str, ...]
    n_frames: int


def split_ads(ads: Sequence[LabelledAd], *, ratios: Mapping[str, float] = RATIOS, seed: int = 0) -> dict[str, str]:
    """Give every ad a split, in the given shares of frames within each class and evenly over categories.

    The same ads and seed give the same splits on every machine, in whatever order the ads come. A class
    with three groups or more is in every split; with fewer, training comes first, then test.

    Args:
        ads: ads with their labels and groups; ads of one group share their split.
        ratios: every split's share; a split with share 0 stays empty.
        seed: another seed gives another division.

    Returns:
        The split of every ad by its video id.

    Raises:
        ReleaseError: an ad comes twice or has no known label, or the shares are no shares.
    """
    _check(ads, ratios)
    groups = _groups(ads)
    splits: dict[str, str] = {}
    for label in LABELS:
        of_label = [group for group in groups if group.label == label]
        # Category by category, shuffled inside each: dealing evenly along this row is dealing evenly over
        # categories.
        of_label.sort(key=lambda group: (group.category, _draw(seed, group.name)))
        for group, split in zip(of_label, _deal(of_label, ratios), strict=True):
            splits |= dict.fromkeys(group.video_ids, split)
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
            # two uploads of one ad may have been labelled differently by their own comments
            label=_most_common([ad.label for ad in group]),
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
