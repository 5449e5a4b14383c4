"""What the next release will hold: every labelled frame with enough words, its split, and how often it is drawn.

Read from the catalog's narrow columns alone; whatever does not go in is a drop with its reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.releases.shards import planned_row_set_hash
from data_catalog.schemas import LABELS
from flows.ocr.texts import TextFrame
from flows.release.resampling import Balanced, PlannedRow, Resampling, balance_rows
from flows.release.splitting import FrameIdentity, LabelledAd, group_reuploads, split_ads
from flows.sentiment.ads import STAGE as SENTIMENT_STAGE
from flows.stages import REVIEW, ReviewReason

STAGE = "release"
OF_AD = "ad_"
"""Begins the reason of a frame that stays behind because of its ad; the ad's own reason follows."""
REUPLOAD = "reupload_of"
"""Reason of a frame that stays behind because its ad was uploaded before; the detail names that ad."""
NO_FRAME = "no_frame_with_enough_words"
"""Reason of an ad that stays behind because of its frames."""


@dataclass(frozen=True)
class Settled:
    """An ad's settled label and the mean score behind it."""

    label: str
    mean_score: float | None
    decided_by: str


@dataclass(frozen=True)
class Plan:
    """The rows of a release before it is written, and the drops of everything else."""

    frames: dict[str, TextFrame]
    """Every current frame with its text, by frame id."""
    labels: dict[str, Settled]
    kept: list[TextFrame]
    """Frames with enough words."""
    labelled: list[PlannedRow]
    """Kept frames of labelled ads, each once, in their splits."""
    balanced: Balanced
    drops: list[Drop]

    @property
    def row_set_hash(self) -> str:
        """The hash that the release will have."""
        return planned_row_set_hash(
            (row.split, self.values(row), self.frames[row.frame_id].image_sha256) for row in self.balanced.rows
        )

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
            "mean_score": self.labels[frame.video_id].mean_score,
            "n_words": frame.n_words,
            "draw": row.draw,
        }


def plan_release(
    catalog: Catalog,
    frames: dict[str, TextFrame],
    *,
    more_than_words: int,
    resampling: Resampling,
    ratios: dict[str, float],
    seed: int,
    yields: str,
    reuploads: Literal["keep", "drop"] = "keep",
) -> Plan:
    """Split the labelled ads, balance the training rows, and account for everything that stays behind.

    Args:
        catalog: gives the settled labels and why the other ads have none.
        frames: what `read_frames` gave.
        more_than_words: frames with more words are kept.
        resampling: how the training rows are balanced.
        ratios: share of the ads of each split.
        seed: of splitting and resampling.
        yields: what other thresholds would give, shown when a class is empty.
        reuploads: whether all uploads of an ad go in, or the first labelled one alone.

    Raises:
        ReleaseError: a class has no rows; the message carries `yields`.
    """
    labels = {row["video_id"]: Settled(**_of_label(row)) for row in catalog.read("labels").to_pylist()}
    kept = [frame for frame in frames.values() if frame.n_words > more_than_words]
    excluded = set(_dropped(catalog, REVIEW.name, ReviewReason.FRAME_EXCLUDED))
    labelled = [frame for frame in kept if frame.video_id in labels and frame.frame_id not in excluded]
    groups = _groups(labelled, catalog)
    again = _again(groups, catalog) if reuploads == "drop" else {}
    splits = _split([frame for frame in labelled if frame.video_id not in again], groups, labels, ratios, seed)
    rows = [
        PlannedRow(
            split=splits[frame.video_id],
            frame_id=frame.frame_id,
            draw=0,
            video_id=frame.video_id,
            label=labels[frame.video_id].label,  # type: ignore[arg-type]  # the table holds only labels
        )
        for frame in labelled
        if frame.video_id not in again
    ]
    balanced = balance_rows(rows, mode=resampling, seed=seed, yields=yields)
    drops = [
        *_unlabelled(kept, labels, catalog),
        *_without_frame({frame.video_id for frame in frames.values()}, {frame.video_id for frame in kept}),
        *_excluded([frame for frame in kept if frame.video_id in labels and frame.frame_id in excluded]),
        *_reuploads(labelled, again),
        *_removed(balanced),
    ]
    return Plan(frames=frames, labels=labels, kept=kept, labelled=rows, balanced=balanced, drops=drops)


def _of_label(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("label", "mean_score", "decided_by")}


def _groups(frames: list[TextFrame], catalog: Catalog) -> dict[str, str]:
    """Which group of uploads of one ad every ad belongs to."""
    files = {frame.video_id: frame.media_sha256 for frame in frames}
    identities = [FrameIdentity(frame.video_id, frame.perceptual_hash, frame.text) for frame in frames]
    known = {row["video_id"]: row["group_id"] for row in catalog.read("reuploads").to_pylist()}
    return group_reuploads(files, identities, known)


def _again(groups: dict[str, str], catalog: Catalog) -> dict[str, str]:
    """Ads that were uploaded before, each with the first upload: that of the earliest date, then of the first id."""
    dates = catalog.read("ads", ["video_id", "published_at"]).to_pylist()
    published = {ad["video_id"]: ad["published_at"].isoformat() for ad in dates if ad["published_at"]}
    first: dict[str, str] = {}
    # whatever has no date comes last: any text is smaller than "~"
    for ad in sorted(groups, key=lambda ad: (published.get(ad, "~"), ad)):
        first.setdefault(groups[ad], ad)
    return {ad: first[group] for ad, group in groups.items() if first[group] != ad}


def _split(
    frames: list[TextFrame], groups: dict[str, str], labels: dict[str, Settled], ratios: dict[str, float], seed: int
) -> dict[str, str]:
    n_frames = Counter(frame.video_id for frame in frames)
    categories = {frame.video_id: frame.category for frame in frames}
    ads = [
        LabelledAd(
            video_id=ad,
            label=labels[ad].label,  # type: ignore[arg-type]  # the table holds only labels
            category=categories[ad],
            group=groups[ad],
            n_frames=count,
        )
        for ad, count in n_frames.items()
    ]
    return split_ads(ads, ratios=ratios, seed=seed)


def _unlabelled(kept: list[TextFrame], labels: dict[str, Settled], catalog: Catalog) -> list[Drop]:
    why = _dropped(catalog, SENTIMENT_STAGE) | _dropped(catalog, REVIEW.name)
    return [
        _drop(
            frame.frame_id,
            frame.video_id,
            OF_AD + why.get(frame.video_id, "without_label"),
            "the frame has enough words, its ad has no label",
        )
        for frame in kept
        if frame.video_id not in labels
    ]


def _dropped(catalog: Catalog, stage: str, reason: str | None = None) -> dict[str, str]:
    """What a stage left behind, with the reason."""
    wanted = pc.field("stage") == stage
    drops = catalog.read("drops", ["key", "reason"], where=wanted).to_pylist()
    return {drop["key"]: drop["reason"] for drop in drops if reason in (None, drop["reason"])}


def _excluded(frames: list[TextFrame]) -> list[Drop]:
    detail = "more than half of its reviewers excluded it"
    return [_drop(frame.frame_id, frame.video_id, ReviewReason.FRAME_EXCLUDED, detail) for frame in frames]


def _without_frame(sampled: set[str], kept: set[str]) -> list[Drop]:
    return [_drop(ad, ad, NO_FRAME, "none of its frames has enough words") for ad in sorted(sampled - kept)]


def _reuploads(frames: list[TextFrame], again: dict[str, str]) -> list[Drop]:
    return [
        _drop(frame.frame_id, frame.video_id, REUPLOAD, f"the ad is a re-upload of {again[frame.video_id]}")
        for frame in frames
        if frame.video_id in again
    ]


def _removed(balanced: Balanced) -> list[Drop]:
    return [
        _drop(removed.row.frame_id, removed.row.video_id, removed.reason, removed.detail)
        for removed in balanced.removed
    ]


def _drop(key: str, video_id: str, reason: str, detail: str) -> Drop:
    return Drop(stage=STAGE, key=key, video_id=video_id, kind="filtered", reason=reason, detail=detail)


def plan_table(plan: Plan) -> pa.Table:
    """The planned rows with their split, to be joined with the images."""
    rows = [{"split": row.split, **plan.values(row)} for row in plan.balanced.rows]
    return pa.Table.from_pylist(rows)
