"""Differences between two releases: ads, frames, labels, scores, categories, splits, settings and engines."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data_catalog.errors import ReleaseError
from data_catalog.printing import counted
from data_catalog.releases.shards import read_shard, rows_with_pictures, split_of
from data_catalog.releases.verification import Manifest, read_manifest, read_pictures
from data_catalog.schemas import LABELS, RELEASE_SCHEMA, SPLITS
from data_catalog.storage import PathLike, Place, arrow_filesystem, as_place, refusal, size_of

Row = tuple[str, Mapping[str, Any], str]
"""A row of a release: its split, its columns but for the image, and the sha256 of that."""
Pair = tuple[Any, Any]
"""A value in the older and in the newer release."""

BIN_WIDTH = 0.5
_BINS = 20
_DIVISION = ("split.method", "release.seed", *(f"release.{split}" for split in SPLITS))
"""Settings of which each value gives another division."""
_COLUMNS = tuple(name for name in RELEASE_SCHEMA.names if name != "image")


class Verdict(NamedTuple):
    """An ad's label, and the score behind it with its 95 % interval."""

    label: str
    score: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" ({self.low:.2f} to {self.high:.2f})"
        return f"{self.label}{'' if self.score is None else f' {self.score:.2f}'}{interval}"


class Amount(NamedTuple):
    """Rows of a part of a release, and the distinct frames and ads behind them."""

    rows: int
    frames: int
    ads: int

    def __str__(self) -> str:
        rows, frames, ads = counted(self.rows, "row"), counted(self.frames, "frame"), counted(self.ads, "ad")
        return f"{rows} of {frames}, {ads}"


class ScoreBin(NamedTuple):
    """Number of ads whose mean score is above `low` and at most `high`; the lowest bin holds -5, too."""

    low: float
    high: float
    before: int
    after: int


class _Ad(NamedTuple):
    split: str
    verdict: Verdict
    category: str | None


class _Frame(NamedTuple):
    video_id: str
    text: str
    picture: tuple[float | None, str]


@dataclass
class Contents:
    """Contents of a release, as far as releases are compared."""

    version: str
    settings: Mapping[str, Any]
    engines: Mapping[str, str]
    thresholds: Mapping[str, float]
    ads: dict[str, _Ad] = field(default_factory=dict)
    frames: dict[str, _Frame] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By split and label."""
    values: set[tuple[Any, ...]] = field(default_factory=set)
    """Of every row its split and its columns but for the image."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any], rows: Iterable[Row]) -> Contents:
        """The contents of a release that is written, or is about to be.

        Args:
            manifest: gives `version`, `settings`, `engines` and `labels`.
            rows: all rows.
        """
        contents = cls(
            manifest["version"],
            _flat(manifest.get("settings") or {}),
            manifest.get("engines") or {},
            (manifest.get("labels") or {}).get("thresholds") or {},
        )
        for split, row, picture_sha256 in rows:
            label, ad, frame = LABELS[row["label"]], row["video_id"], row["frame_id"]
            contents.rows[split, label] += 1
            contents.values.add((split, *(row.get(name) for name in _COLUMNS)))
            if ad not in contents.ads:
                verdict = Verdict(label, row["mean_score"], row["mean_low"], row["mean_high"])
                contents.ads[ad] = _Ad(split, verdict, row["category"])
            if frame not in contents.frames:
                contents.frames[frame] = _Frame(ad, row["text"], (row["timestamp_s"], picture_sha256))
        return contents

    def amounts(self) -> dict[str, dict[str, Amount]]:
        """Counts by split and label, every one of them present."""
        ads: dict[tuple[str, str], int] = defaultdict(int)
        frames: dict[tuple[str, str], int] = defaultdict(int)
        for ad in self.ads.values():
            ads[ad.split, ad.verdict.label] += 1
        for frame in self.frames.values():
            ad = self.ads[frame.video_id]
            frames[ad.split, ad.verdict.label] += 1
        return {
            split: {label: Amount(self.rows[at], frames[at], ads[at]) for label in LABELS for at in [(split, label)]}
            for split in SPLITS
        }


@dataclass(frozen=True)
class ReleaseDiff:
    """Differences between two releases: ads and frames by id, sorted."""

    older: str
    newer: str
    ads_added: tuple[str, ...]
    ads_gone: tuple[str, ...]
    relabelled: dict[str, tuple[Verdict, Verdict]]
    rescored: tuple[str, ...]
    """Ads of another mean score, whether that gives them another label or not."""
    moved: dict[str, tuple[str, str]]
    """Ads in another split than before."""
    recategorised: dict[str, tuple[str | None, str | None]]
    """Ads in another category than before."""
    frames_added: tuple[str, ...]
    frames_gone: tuple[str, ...]
    frames_changed: tuple[str, ...]
    """Frames in both that show another picture or another moment."""
    words_changed: tuple[str, ...]
    """Frames in both on which other words were read."""
    other_rows: bool
    """Whether rows differ in any column, including those that are not counted: draws, numbers of words, intervals."""
    settings: dict[str, Pair]
    """Settings that differ, as `section.key`; None where a release has no such setting."""
    engines: dict[str, Pair]
    thresholds: dict[str, Pair]
    """Thresholds in force that differ: the settings' own, or those that follow from the scores."""
    balance: dict[str, dict[str, tuple[Amount, Amount]]]
    """Counts by split and label."""
    scores: tuple[ScoreBin, ...]
    """Distribution of the mean scores of the ads that have one."""

    @property
    def is_new_division(self) -> bool:
        """Whether the split method, seed or shares differ, so that ads move as intended."""
        return not self.settings.keys().isdisjoint(_DIVISION)

    def counts(self) -> dict[str, int]:
        """Numbers of changed ads and frames, by description."""
        return {
            "ads added": len(self.ads_added),
            "ads gone": len(self.ads_gone),
            "ads relabelled": len(self.relabelled),
            "ads with another score": len(self.rescored),
            "ads that changed their split": len(self.moved),
            "ads in another category": len(self.recategorised),
            "frames added": len(self.frames_added),
            "frames gone": len(self.frames_gone),
            "frames with another picture": len(self.frames_changed),
            "frames with other words": len(self.words_changed),
        }

    def summary(self) -> str:
        """Changes of the ads and frames, in one line."""
        changed = ", ".join(f"{what}: {count:,}" for what, count in self.counts().items() if count)
        return changed or ("other rows of the same ads and frames" if self.other_rows else "the same rows")

    def published(self, at_most: int | None = None) -> dict[str, Any]:
        """The changes as a release publishes them: counts, and the ids of ads with another label, split or category.

        What is gone is not named: it may have been forgotten.

        Args:
            at_most: so many of them are named; by default all.
        """
        values = self.as_json()
        names = ("older", "newer", "other_rows", "settings", "engines", "thresholds", "balance", "scores")
        named = {name: dict(list(values[name].items())[:at_most]) for name in ("relabelled", "moved", "recategorised")}
        return {"counts": self.counts(), **named, **{name: values[name] for name in names}}

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; a pair is a list of the older and the newer value."""
        return asdict(self) | {
            "relabelled": {ad: [verdict._asdict() for verdict in pair] for ad, pair in self.relabelled.items()},
            "balance": {
                split: {label: [amount._asdict() for amount in pair] for label, pair in by_label.items()}
                for split, by_label in self.balance.items()
            },
            "scores": [bin_._asdict() for bin_ in self.scores],
        }


def diff_releases(older: PathLike, newer: PathLike) -> ReleaseDiff:
    """Compare two releases.

    Raises:
        ReleaseError: one cannot be read.
    """
    return compare(read_contents(older), read_contents(newer))


def compare(older: Contents, newer: Contents) -> ReleaseDiff:
    """Compare the contents of two releases."""
    ads = [(ad, older.ads[ad], newer.ads[ad]) for ad in sorted(older.ads.keys() & newer.ads.keys())]
    frames = [
        (frame, older.frames[frame], newer.frames[frame]) for frame in sorted(older.frames.keys() & newer.frames.keys())
    ]
    counts = older.amounts(), newer.amounts()
    return ReleaseDiff(
        older=older.version,
        newer=newer.version,
        ads_added=tuple(sorted(newer.ads.keys() - older.ads.keys())),
        ads_gone=tuple(sorted(older.ads.keys() - newer.ads.keys())),
        relabelled={ad: (a.verdict, b.verdict) for ad, a, b in ads if a.verdict.label != b.verdict.label},
        rescored=tuple(ad for ad, a, b in ads if a.verdict.score != b.verdict.score),
        moved={ad: (a.split, b.split) for ad, a, b in ads if a.split != b.split},
        recategorised={ad: (a.category, b.category) for ad, a, b in ads if a.category != b.category},
        frames_added=tuple(sorted(newer.frames.keys() - older.frames.keys())),
        frames_gone=tuple(sorted(older.frames.keys() - newer.frames.keys())),
        frames_changed=tuple(frame for frame, a, b in frames if a.picture != b.picture),
        words_changed=tuple(frame for frame, a, b in frames if a.text != b.text),
        other_rows=older.values != newer.values,
        settings=_changes(older.settings, newer.settings),
        engines=_changes(older.engines, newer.engines),
        thresholds=_changes(older.thresholds, newer.thresholds),
        balance={
            split: {label: (counts[0][split][label], counts[1][split][label]) for label in LABELS} for split in SPLITS
        },
        scores=_score_bins(older, newer),
    )


def read_contents(release: PathLike) -> Contents:
    """The contents of a release on disk; its pictures are those that it was written with, which `verify` checks.

    Of a release that does not name them every picture is read once.

    Raises:
        ReleaseError: it cannot be read.
    """
    folder = as_place(release)
    manifest = read_manifest(folder)
    try:
        return Contents.of(manifest, _rows(folder, manifest))
    except (pa.ArrowException, OSError, LookupError, TypeError) as error:
        raise refusal(folder, error) or ReleaseError(
            f"{folder}: cannot be read ({error}); see `ytb-ads catalog verify {folder.name}`, then restore it or move "
            "it away"
        ) from error


def read_splits(release: PathLike) -> dict[str, str]:
    """The split of every ad of a release, without a look at its pictures.

    Raises:
        ReleaseError: it cannot be read.
    """
    folder = as_place(release)
    splits: dict[str, str] = {}
    try:
        for name in read_manifest(folder)["files"]:
            if split := split_of(name):
                rows = pq.read_table(name, columns=["video_id"], filesystem=arrow_filesystem(folder))
                ads = rows["video_id"].unique().to_pylist()
                splits |= {str(ad): split for ad in ads}
    except (pa.ArrowException, OSError) as error:
        raise refusal(folder, error) or ReleaseError(
            f"{folder}: cannot be read ({error}); see `ytb-ads catalog verify {folder.name}`"
        ) from error
    return splits


def _rows(folder: Place, manifest: Manifest) -> Iterator[Row]:
    files = [(split, name) for name in manifest["files"] if (split := split_of(name))]
    pictures = read_pictures(folder, manifest)
    if pictures is not None and all(_is_as_large(folder, name, manifest) for _, name in files):
        for split, name in files:
            for batch in read_shard(folder / name, pictures=False):
                for row in batch.to_pylist():
                    yield split, row, pictures[row["frame_id"]]
        return
    seen: set[str] = set()
    for split, name in files:
        for batch in read_shard(folder / name):
            for row, picture in rows_with_pictures(batch):
                # a row that is drawn again has the same picture
                known = row["frame_id"] in seen
                seen.add(row["frame_id"])
                yield split, row, "" if known else hashlib.sha256(picture or b"").hexdigest()


def _is_as_large(folder: Place, name: str, manifest: Manifest) -> bool:
    """Whether a file has the size recorded in the manifest."""
    return size_of(folder / name) == manifest["files"][name].get("size_bytes")


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, with keys such as `release.seed`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat


def _changes(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Pair]:
    return {
        key: (older.get(key), newer.get(key))
        for key in sorted(older.keys() | newer.keys())
        if older.get(key) != newer.get(key)
    }


def _score_bins(older: Contents, newer: Contents) -> tuple[ScoreBin, ...]:
    edges = [-5 + BIN_WIDTH * number for number in range(_BINS + 1)]
    counts = [[0, 0] for _ in range(_BINS)]
    for side, contents in enumerate((older, newer)):
        for ad in contents.ads.values():
            if ad.verdict.score is not None:
                # as in the thresholds, a value on an edge belongs below it
                counts[min(max(bisect_left(edges, ad.verdict.score) - 1, 0), _BINS - 1)][side] += 1
    return tuple(ScoreBin(low, high, *count) for low, high, count in zip(edges, edges[1:], counts, strict=False))
