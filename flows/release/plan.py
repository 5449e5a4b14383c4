"""Plan of the next release: every labelled frame with enough words, its split, and how often it is drawn.

Read from the catalog's narrow columns alone; what does not go in is a drop with its reason.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.releases import line_of, newest_of, read_manifests, read_splits
from data_catalog.releases.shards import planned_row_set_hash
from data_catalog.releases.verification import Manifest
from data_catalog.schemas import LABELS, RELEASE_SCHEMA, TABLES, Label
from flows.frames.reuploads import groups_of
from flows.funnel import OF_AD, PlannedRelease
from flows.ocr.texts import TextFrame
from flows.release.resampling import Balanced, PlannedRow, balance_rows
from flows.release.splitting import LabelledAd, Placement, split_ads, stratify_ads
from flows.settings import Settings
from flows.stages import RELEASE, REVIEW, SENTIMENT, ReleaseReason, ReviewReason, Stage

ROWS_PER_BATCH = 100


@dataclass(frozen=True)
class Settled:
    """An ad's settled label and the mean score behind it, with its interval."""

    label: Label
    mean_score: float | None
    decided_by: str
    mean_low: float | None
    mean_high: float | None


class Held(NamedTuple):
    """The split that an ad has in the table `splits`, and why."""

    split: str
    decided_by: str


@dataclass(frozen=True)
class Plan:
    """Rows of a release before it is written, and the drops of everything else."""

    frames: dict[str, TextFrame]
    """Every current frame with its text, by frame id."""
    labels: dict[str, Settled]
    labelled: list[PlannedRow]
    """Kept frames of labelled ads, each once, in their splits."""
    balanced: Balanced
    drops: list[Drop]
    splits: dict[str, Held]
    """The split of every ad, as the table `splits` is to hold it."""
    new_splits: dict[str, Held]
    """Those of them that the table does not hold yet."""

    @property
    def summary(self) -> PlannedRelease:
        """The part of the plan that the funnel needs."""
        return PlannedRelease(len(self.balanced.rows), {drop.key: drop.reason for drop in self.drops})

    @property
    def row_set_hash(self) -> str:
        """The hash that the release will have."""
        return planned_row_set_hash(self.rows())

    def rows(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Every row of the release: its split, its columns but for the image, and the sha256 of that."""
        for row in self.balanced.rows:
            yield row.split, self.values(row), self.frames[row.frame_id].image_sha256

    def values(self, row: PlannedRow) -> dict[str, Any]:
        """A release row's columns but for its image."""
        frame = self.frames[row.frame_id]
        return {
            "text": frame.text,
            "label": LABELS.index(row.label),
            "video_id": frame.video_id,
            "frame_id": frame.frame_id,
            "category": frame.category,
            "timestamp_s": frame.timestamp_s,
            "mean_score": (label := self.labels[frame.video_id]).mean_score,
            "mean_low": label.mean_low,
            "mean_high": label.mean_high,
            "n_words": frame.n_words,
            "draw": row.draw,
        }


def plan_release(catalog: Catalog, frames: dict[str, TextFrame], settings: Settings, *, yields: str = "") -> Plan:
    """Split the labelled ads, balance the training rows, and account for everything that is left out.

    Args:
        catalog: gives the settled labels and why the other ads have none.
        frames: the result of `read_frames`.
        settings: give the least number of words, and how to split, balance and treat re-uploads.
        yields: how many ads other thresholds would label, shown when a class is empty.

    Raises:
        ReleaseError: a class has no rows; the message carries `yields`.
    """
    labels = _labels(catalog)
    kept = [frame for frame in frames.values() if frame.n_words > settings.ocr.more_than_words]
    excluded = {key for key, why in _dropped(catalog, REVIEW).items() if why == ReviewReason.FRAME_EXCLUDED}
    labelled = [frame for frame in kept if frame.video_id in labels and frame.frame_id not in excluded]
    known = {row["video_id"]: row["group_id"] for row in catalog.read("reuploads").to_pylist()}
    # of all ads, labelled or not: a label that comes or goes changes no group
    oldest = oldest_uploads(catalog, group_uploads(kept, known))
    first = _first_uploads(labelled, oldest) if settings.release.reuploads == "drop" else {}
    included = [frame for frame in labelled if first.get(frame.video_id, frame.video_id) == frame.video_id]
    stored = _stored_splits(catalog, settings)
    held = stored or _released_splits(catalog, settings)
    placed = _place(included, labels, oldest, held, settings)
    # what is inherited and not in this plan is kept, too: the ad may come back
    splits = held | {
        ad: held[ad] if ad in held and held[ad].split == place.split else Held(place.split, _DECIDED[place.decided_by])
        for ad, place in placed.items()
    }
    rows = [
        PlannedRow(splits[frame.video_id].split, frame.frame_id, 0, frame.video_id, labels[frame.video_id].label)
        for frame in included
    ]
    balanced = balance_rows(rows, mode=settings.release.balance, seed=settings.release.seed, yields=yields)

    def left_out() -> Iterator[Drop]:
        why = _dropped(catalog, SENTIMENT) | _dropped(catalog, REVIEW)
        for frame in kept:
            if frame.video_id not in labels:
                reason = OF_AD + why.get(frame.video_id, "without_label")
                detail = "the frame has enough words, its ad has no label"
            elif frame.frame_id in excluded:
                reason, detail = ReleaseReason.FRAME_EXCLUDED, "more than half of its reviewers excluded it"
            elif first.get(frame.video_id, frame.video_id) != frame.video_id:
                reason, detail = ReleaseReason.REUPLOAD, f"the ad is a re-upload of {first[frame.video_id]}"
            else:
                continue
            yield RELEASE.drop(frame.frame_id, frame.video_id, reason, detail)
        for ad in sorted({frame.video_id for frame in frames.values()} - {frame.video_id for frame in kept}):
            yield RELEASE.drop(ad, ad, ReleaseReason.NO_FRAME, "none of its frames has enough words")
        for row in balanced.removed:
            yield RELEASE.drop(row.frame_id, row.video_id, ReleaseReason.UNDERSAMPLED, balanced.why_removed)

    new_splits = {ad: split for ad, split in splits.items() if stored.get(ad) != split}
    return Plan(frames, labels, rows, balanced, list(left_out()), splits, new_splits)


def keep_splits(catalog: Catalog, settings: Settings, plan: Plan) -> None:
    """Write the splits of a plan to the table that later plans keep them from."""
    if settings.split.method != "hash" or not plan.new_splits:
        return
    fingerprint, now = _split_fingerprint(settings), datetime.now(UTC)
    rows = [
        {"fingerprint": fingerprint, "video_id": ad, **held._asdict(), "at": now}
        for ad, held in sorted(plan.new_splits.items())
    ]
    catalog.merge("splits", pa.Table.from_pylist(rows, schema=TABLES["splits"].schema))


_DECIDED = {"kept": "reupload", "hash": "hash", "filled": "filled", "stratified": "stratified"}
"""Reason of a split that is new to an ad: it keeps one that only another upload of it can have had."""


def _labels(catalog: Catalog) -> dict[str, Settled]:
    """Settled labels by ad, with the interval of the score that they follow from."""
    intervals = {
        row.pop("video_id"): row
        for row in catalog.read("ad_sentiment", ["video_id", "mean_low", "mean_high"]).to_pylist()
    }
    none = {"mean_low": None, "mean_high": None}
    labels = catalog.read("labels", ["video_id", "label", "mean_score", "decided_by"]).to_pylist()
    return {(ad := row.pop("video_id")): Settled(**row, **intervals.get(ad, none)) for row in labels}


def _place(
    frames: list[TextFrame],
    labels: Mapping[str, Settled],
    oldest: Mapping[str, str],
    held: Mapping[str, Held],
    settings: Settings,
) -> dict[str, Placement]:
    """The split of every ad; a group keeps that of its oldest upload that has one."""
    categories = {frame.video_id: frame.category for frame in frames}
    ads = [
        LabelledAd(ad, labels[ad].label, categories[ad], oldest[ad], n_frames)
        for ad, n_frames in Counter(frame.video_id for frame in frames).items()
    ]
    asked = settings.release
    if settings.split.method == "stratified":
        return stratify_ads(ads, ratios=asked.ratios, seed=asked.seed)
    kept: dict[str, str] = {}
    for ad, group in oldest.items():  # from the oldest on
        if ad in held:
            kept.setdefault(group, held[ad].split)
    return split_ads(ads, ratios=asked.ratios, seed=asked.seed, kept=kept)


def _split_fingerprint(settings: Settings) -> str:
    return settings.release.fingerprint(settings.split.method, only=frozenset({*settings.release.ratios, "seed"}))


def _stored_splits(catalog: Catalog, settings: Settings) -> dict[str, Held]:
    """Splits that ads have from earlier plans with these shares and this seed."""
    mine = pc.field("fingerprint") == _split_fingerprint(settings)
    rows = catalog.read("splits", ["video_id", "split", "decided_by"], where=mine).to_pylist()
    return {row.pop("video_id"): Held(**row) for row in rows}


def _released_splits(catalog: Catalog, settings: Settings) -> dict[str, Held]:
    """Splits of the newest release of this method, seed and shares, and of its ancestors for ads that it lacks.

    For tables that were made anew; ads that were forgotten stay out of them.
    """

    def is_of_this_division(manifest: Manifest) -> bool:
        division = (manifest.get("split", {}).get("method"), manifest.get("seed"), manifest.get("ratios"))
        return division == ("hash", settings.release.seed, settings.release.ratios)

    manifests = read_manifests(catalog.releases_dir)
    of_this = {version for version, manifest in manifests.items() if is_of_this_division(manifest)}
    line = line_of(newest_of(manifests, of_this), manifests) if of_this else []
    forgotten = catalog.forgotten()
    splits: dict[str, Held] = {}
    for version in line:
        if version in of_this:
            filled = set(manifests[version]["split"]["filled"])
            for ad, split in read_splits(catalog.releases_dir / version).items():
                if not forgotten.has_ad(ad):
                    splits.setdefault(ad, Held(split, "filled" if ad in filled else "hash"))
    return splits


def group_uploads(frames: Iterable[TextFrame], known: Mapping[str, str]) -> dict[str, str]:
    """Group the ads that are one ad uploaded more than once.

    Two ads belong together if their files are the same, if they are known to be re-uploads of each other, or if a
    frame of each looks the same and says the same; and so does whatever belongs to either.

    Args:
        frames: the kept frames of those ads.
        known: names of groups of re-uploads by video id; ads without such frames may be among them.

    Returns:
        Every ad's group, which is named after its first video id.
    """
    sharing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for frame in frames:
        ad = frame.video_id
        sharing["ad", ad].append(ad)
        if frame.media_sha256:
            sharing["file", frame.media_sha256].append(ad)
        if frame.perceptual_hash and (text := " ".join(frame.text.casefold().split())):
            sharing["picture", frame.perceptual_hash, text].append(ad)
    for ad, name in known.items():
        sharing["group", name].append(ad)
    return {ad: group[0] for group in groups_of(sharing.values(), least=1) for ad in group}


def oldest_uploads(catalog: Catalog, groups: Mapping[str, str]) -> dict[str, str]:
    """The oldest upload of every ad's group: that of the earliest date, then of the first id. The oldest ads first."""
    dates = catalog.read("ads", ["video_id", "published_at"]).to_pylist()
    published = {ad["video_id"]: ad["published_at"].isoformat() for ad in dates if ad["published_at"]}
    # ads without a date come last: any text is smaller than "~"
    by_age = sorted(groups, key=lambda ad: (published.get(ad, "~"), ad))
    oldest: dict[str, str] = {}
    for ad in by_age:
        oldest.setdefault(groups[ad], ad)
    return {ad: oldest[groups[ad]] for ad in by_age}


def _first_uploads(labelled: Iterable[TextFrame], oldest: Mapping[str, str]) -> dict[str, str]:
    """The first upload among the labelled ones of every ad of a group."""
    with_label = {frame.video_id for frame in labelled}
    first: dict[str, str] = {}
    for ad, group in oldest.items():
        if ad in with_label:
            first.setdefault(group, ad)
    return {ad: first[group] for ad, group in oldest.items() if group in first}


def _dropped(catalog: Catalog, stage: Stage) -> dict[str, str]:
    """Reasons of a stage's drops by key."""
    drops = catalog.read("drops", ["key", "reason"], where=pc.field("stage") == stage.name).to_pylist()
    return {drop["key"]: drop["reason"] for drop in drops}


def release_rows(catalog: Catalog, plan: Plan, split: str) -> Iterator[pa.RecordBatch]:
    """Rows of one split with their images, a batch at a time; memory stays flat, the order is always the same.

    The table holds the pictures in another order: they go through a file in the system's folder for temporary ones.
    """
    rows = sorted((row for row in plan.balanced.rows if row.split == split), key=_shuffled)
    with tempfile.TemporaryFile(prefix="ytb-ads-") as file:
        places = _write_pictures(catalog, {row.frame_id for row in rows}, file)
        # a frame that is gone since the plan is missed when the rows are compared with it
        found = [row for row in rows if row.frame_id in places]
        for begin in range(0, len(found), ROWS_PER_BATCH):
            batch = [
                {"image": {"bytes": os.pread(file.fileno(), size, at), "path": name}, **plan.values(row)}
                for row in found[begin : begin + ROWS_PER_BATCH]
                for at, size, name in [places[row.frame_id]]
            ]
            yield pa.RecordBatch.from_pylist(batch, schema=RELEASE_SCHEMA)


def _shuffled(row: PlannedRow) -> str:
    """A row's place among the others: whoever reads only the beginning meets both classes."""
    return hashlib.md5(f"{row.frame_id} {row.draw}".encode(), usedforsecurity=False).hexdigest()


def _write_pictures(catalog: Catalog, frames: Collection[str], file: IO[bytes]) -> dict[str, tuple[int, int, str]]:
    """Write the pictures of frames one after the other; returns where each begins, its size and its name."""
    table = catalog.snapshot("frames")
    ids = table.read(["frame_id"])["frame_id"]
    wanted = pc.is_in(ids, value_set=pa.array(sorted(frames), pa.string())).to_numpy()
    places: dict[str, tuple[int, int, str]] = {}
    for part in table.rows_at(wanted.nonzero()[0], ["frame_id", "image"]):
        for row in part.to_pylist():
            content = row["image"]["bytes"]
            places[row["frame_id"]] = (file.tell(), file.write(content), row["image"]["path"])
    file.flush()
    return places
