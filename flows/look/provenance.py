"""Provenance of one row: from a release back to the frame, its words, the label, each vote, and the comments.

Everything is read from the tables as they were when the release was made, as far as their history was not purged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, YtbAdsError
from data_catalog.inspect import as_of
from data_catalog.printing import plain, printable
from data_catalog.releases import list_releases, newest_release, read_manifest
from data_catalog.schemas import LABELS, SPLITS
from data_catalog.storage import Place, arrow_filesystem
from flows.look.ad import AdSummary, FrameSummary, summarize_ad
from flows.sentiment.explain import ExplainedAd, explain_ad
from flows.settings import Settings

_COMMENTS = 8


@dataclass(frozen=True)
class ReleasedRow:
    """One row of a release."""

    split: str
    row: int
    """Its place in the split, from 0."""
    draw: int
    frame_id: str
    label: str
    mean_score: float | None


@dataclass(frozen=True)
class Provenance:
    """What is known of one ad, of one of its frames, or of a row; texts are untrusted."""

    asked: str
    video_id: str
    frame_id: str | None
    """The frame that was asked for; None for all of them."""
    release: str | None
    rows: tuple[ReleasedRow, ...]
    """The ad's rows of that release, or the frame's."""
    ad: Mapping[str, Any]
    """Its row of `ads`."""
    summary: AdSummary
    split: Mapping[str, Any] | None
    """Its row of `splits`: why it is in the split that it is in."""
    label: Mapping[str, Any] | None
    """Its row of `labels`."""
    thresholds: str
    reviews: tuple[Mapping[str, Any], ...]
    """Every person's word on it."""
    sentiment: ExplainedAd | None
    drops: tuple[Mapping[str, Any], ...]
    """All that was left out of it, the frames beside this one too."""
    made_by: Mapping[str, str]
    """Versions and settings that the row depends on."""
    notes: tuple[str, ...]
    """What could not be told, and why."""

    @property
    def frames(self) -> tuple[FrameSummary, ...]:
        """The frames that were asked for."""
        if self.frame_id is None:
            return self.summary.frames
        index = int(self.frame_id.rpartition(":")[2])
        return tuple(frame for frame in self.summary.frames if frame.index == index)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; pictures are left out."""
        frames = [{k: v for k, v in asdict(frame).items() if k != "jpeg"} for frame in self.frames]
        return {
            "asked": self.asked,
            "video_id": self.video_id,
            "frame_id": self.frame_id,
            "release": self.release,
            "rows": [asdict(row) for row in self.rows],
            "ad": plain(dict(self.ad)),
            "frames": frames,
            "split": plain(self.split and dict(self.split)),
            "label": plain(self.label and dict(self.label)),
            "thresholds": self.thresholds,
            "reviews": plain([dict(review) for review in self.reviews]),
            "sentiment": self.sentiment and self.sentiment.as_json(),
            "drops": plain([dict(drop) for drop in self.drops]),
            "made_by": dict(self.made_by),
            "notes": list(self.notes),
        }


def explain_row(catalog: Catalog, asked: str, settings: Settings) -> Provenance:
    """Follow a row, a frame or an ad back to where it came from.

    Args:
        catalog: tables and releases.
        asked: `video_id`, `video_id:frame_index`, `RELEASE:video_id[:frame_index]` or `RELEASE:SPLIT:ROW`, counted
            from 0. Without a release the newest one is looked at.
        settings: word lists that explain the comments, and the least number of words.

    Raises:
        CatalogError: there is nothing of that name.
    """
    release, rest = _release_of(catalog, asked)
    rows = tuple(_rows_of(release, rest)) if release else ()
    tables, notes = _then(catalog, release)
    video_id, frame_id = _ad_and_frame(tables, rows[0].frame_id if rows and _is_row(rest) else rest)
    more_than = settings.ocr.more_than_words
    thresholds = f"positive above {settings.sentiment.positive:g}, negative at or below {settings.sentiment.negative:g}"
    made_by: dict[str, str] = {}
    if release:
        manifest = read_manifest(release)
        in_force = manifest.get("labels", {}).get("thresholds") or {}
        if in_force:
            thresholds = f"positive above {in_force['positive']:g}, negative at or below {in_force['negative']:g}"
        more_than = manifest["settings"].get("ocr", {}).get("more_than_words", more_than)
        made_by |= {f"engine of {part}": str(version) for part, version in manifest["engines"].items()}
        made_by |= {"release made at": manifest["created_at"], "parent release": manifest["parent"] or "none"}
    of_ad = pc.field("video_id") == video_id
    summary = summarize_ad(tables, video_id, more_than_words=more_than)
    [ad] = tables.read("ads", where=of_ad).to_pylist()
    labels = tables.read("labels", where=of_ad).to_pylist()
    splits = {held["split"]: held for held in tables.read("splits", where=of_ad).to_pylist()}
    reviews = sorted(tables.read("reviews", where=of_ad).to_pylist(), key=lambda review: str(review["at"]))
    sentiment, failed = _sentiment(tables, video_id, settings)
    made_by |= _fingerprints(tables, video_id, frame_id)
    return Provenance(
        asked=asked,
        video_id=video_id,
        frame_id=frame_id,
        release=release.name if release else None,
        rows=rows,
        ad=ad,
        summary=summary,
        split=splits.get(rows[0].split) if rows else None,
        label=labels[0] if labels else None,
        thresholds=thresholds,
        reviews=tuple(reviews),
        sentiment=sentiment,
        drops=tuple(tables.read("drops", where=of_ad).to_pylist()),
        made_by=made_by,
        notes=(*notes, *failed),
    )


def _release_of(catalog: Catalog, asked: str) -> tuple[Place | None, str]:
    """The release that is asked for, or else the newest one if there is one; and what is asked of it."""
    releases = {path.name: path for path in list_releases(catalog.releases_dir)}
    version, parted, rest = asked.partition(":")
    if parted and version in releases:
        return releases[version], rest
    return (newest_release(catalog.releases_dir) if releases else None), asked


def _is_row(asked: str) -> bool:
    split, _, number = asked.partition(":")
    return split in SPLITS and number.isdecimal()


def _rows_of(release: Place, asked: str) -> Iterator[ReleasedRow]:
    """The rows that a place, a frame or an ad has in a release.

    Raises:
        CatalogError: the place is beyond the end of its split.
    """
    wanted, _, number = asked.partition(":")
    data = release / "data"
    for split in SPLITS:
        rows = 0
        for file in sorted(path.name for path in data.glob(f"{split}-*.parquet")):
            columns = ["frame_id", "video_id", "label", "mean_score", "draw"]
            for row in pq.read_table(file, columns=columns, filesystem=arrow_filesystem(data)).to_pylist():
                is_asked = wanted == split and number == str(rows) if _is_row(asked) else asked in _names(row)
                if is_asked:
                    label = LABELS[row["label"]]
                    yield ReleasedRow(split, rows, row["draw"], row["frame_id"], label, row["mean_score"])
                rows += 1
        if _is_row(asked) and wanted == split and int(number) >= rows:
            raise CatalogError(f"release {release.name}: {split} has rows 0 to {rows - 1}, none of number {number}")


def _names(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["frame_id"], row["video_id"]


def _then(catalog: Catalog, release: Place | None) -> tuple[Catalog, list[str]]:
    """The tables as the release was made from, or else as they are now, and a note that says so."""
    if release is None:
        return catalog, ["there is no release yet; told from the tables as they are now"]
    then = as_of(catalog, release.name)
    try:
        for name in (
            "ads",
            "frames",
            "texts",
            "labels",
            "ad_sentiment",
            "comments",
            "comment_scores",
            "drops",
            "splits",
        ):
            then.snapshot(name)
    except CatalogError as error:
        return catalog, [f"told from the tables as they are now, which may have changed since: {error}"]
    return then, []


def _ad_and_frame(tables: Catalog, asked: str) -> tuple[str, str | None]:
    video_id, parted, index = asked.rpartition(":")
    if parted and index.isdecimal() and tables.values("ads", "video_id", pc.field("video_id") == video_id):
        known = tables.values("frames", "frame_id", pc.field("frame_id") == asked)
        known += tables.values("drops", "key", pc.field("key") == asked)
        if not known:
            raise CatalogError(f"ad {printable(video_id)} has no frame {index}; ask for the ad alone to see its frames")
        return video_id, asked
    return asked, None


def _sentiment(tables: Catalog, video_id: str, settings: Settings) -> tuple[ExplainedAd | None, list[str]]:
    from flows.sentiment.engines import scorer

    try:
        explained = explain_ad(tables, video_id, scorer(settings.sentiment), settings.sentiment, limit=_COMMENTS)
    except YtbAdsError as error:
        return None, [str(error)]
    return explained, []


def _fingerprints(tables: Catalog, video_id: str, frame_id: str | None) -> dict[str, str]:
    """Digests of settings and engines behind the rows of each table."""
    found: dict[str, str] = {}
    for table in ("frames", "texts", "comment_scores", "ad_sentiment", "labels"):
        where = pc.field("video_id") == video_id
        if frame_id and table in ("frames", "texts"):
            where = pc.field("frame_id") == frame_id
        digests = sorted(set(tables.values(table, "fingerprint", where)))
        if digests:
            found[f"fingerprint of {table}"] = ", ".join(digests)
    return found
