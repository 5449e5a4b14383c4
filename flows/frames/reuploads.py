"""Re-uploads: ads with equal files, or with the same pictures at the same times.

Two ads are compared where both have a fingerprint at nearly the same time. A re-encoded, scaled or slightly cropped
copy resembles its original nearly everywhere; another ad over the same footage does not where its words stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.frames.fingerprint import FINGERPRINT_VERSION

NEAR_BITS = 24
"""Fingerprints that differ in at most so many of 256 bits show the same picture."""
WINDOW_S = 0.1
"""Fingerprints so near in time are compared: later, what moves has moved."""
LEAST_NEAR = 2
"""So many fingerprints must show the same picture. Those of other ads differ in a hundred bits and more."""
LEAST_SHARE = 0.6
"""So large a share of the fingerprints that are compared must; cuts and fades fall between them."""
_NEVER = 999
_LONGER_S = 1.0
_LONGER_SHARE = 0.04
"""An upload may be longer by a second, or by this share: an end card was added, a black end cut off."""


@dataclass(frozen=True)
class AdFingerprints:
    """An ad's length and its fingerprints."""

    video_id: str
    duration_s: float
    times_s: NDArray[np.float64]
    """[n]"""
    hashes: NDArray[np.uint64]
    """[n, 3, 4]: of the whole picture and of two crops, each as four words of 64 bits."""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> AdFingerprints:
        """An ad's fingerprints from its row in the table `looks`."""
        words = np.frombuffer(bytes.fromhex("".join(row["hashes"])), dtype=">u8").astype(np.uint64)
        times_s = np.array(row["times_s"], dtype=np.float64)
        return cls(row["video_id"], row["duration_s"], times_s, words.reshape(len(times_s), 3, 4))


def same_ads(ads: Iterable[AdFingerprints]) -> list[tuple[str, str]]:
    """Pairs of ads that look the same over their length.

    Every ad is compared with those of its length: half an hour for 100,000 ads, seconds for 5,000.
    """
    by_length = sorted((ad for ad in ads if len(ad.times_s)), key=lambda ad: (ad.duration_s, ad.video_id))
    if not by_length:
        return []
    lengths = np.array([ad.duration_s for ad in by_length])
    first_of = np.concatenate([[0], np.cumsum([len(ad.times_s) for ad in by_length])])
    owners = np.repeat(np.arange(len(by_length)), np.diff(first_of))
    times_s = np.concatenate([ad.times_s for ad in by_length])
    hashes = np.concatenate([ad.hashes for ad in by_length])
    pairs: list[tuple[str, str]] = []
    for number, ad in enumerate(by_length[:-1]):
        longest = ad.duration_s + max(_LONGER_S, ad.duration_s * _LONGER_SHARE)
        others = slice(first_of[number + 1], first_of[np.searchsorted(lengths, longest, "right")])
        similar = _similar(ad, times_s[others], hashes[others], owners[others] - number)
        pairs += [(ad.video_id, by_length[number + step].video_id) for step in similar]
    return pairs


def _similar(
    ad: AdFingerprints, times_s: NDArray[np.float64], hashes: NDArray[np.uint64], owners: NDArray[np.int64]
) -> list[int]:
    """Owners of fingerprints enough of which are near those of the ad."""
    if not len(times_s):
        return []
    mine, theirs = np.nonzero(np.abs(ad.times_s[:, None] - times_s) <= WINDOW_S)
    bits = _differing(ad.hashes[mine], hashes[theirs])
    # of several of theirs at one time the nearest in kind counts
    size = int(owners.max()) + 1
    best = np.full((len(ad.times_s), size), _NEVER, dtype=np.int64)
    np.minimum.at(best, (mine, owners[theirs]), bits)
    compared = (best < _NEVER).sum(axis=0)
    near = (best <= NEAR_BITS).sum(axis=0)
    return [int(owner) for owner in np.flatnonzero((near >= LEAST_NEAR) & (near >= LEAST_SHARE * compared))]


def _differing(ones: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Differing bits of pairs of fingerprints [k, 3, 4], where one may be a crop of the other."""
    pairs = [(0, 0), *((0, rim) for rim in (1, 2)), *((rim, 0) for rim in (1, 2))]
    bits = [np.bitwise_count(ones[:, one] ^ others[:, other]).sum(axis=1, dtype=np.int64) for one, other in pairs]
    return np.min(bits, axis=0)


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
