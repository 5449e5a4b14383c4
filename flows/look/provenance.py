"""Provenance of one row: from a release back to the frame, its words, the label, each vote, and the comments.

Everything is read from the tables as they were when the release was made. A table whose history does not go back as far
is read as it is now. Both are compared with the release's own row, and differences are shown in the part concerned.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, YtbAdsError
from data_catalog.printing import plain, printable, shown
from data_catalog.privacy.references import releases_with
from data_catalog.releases import list_releases, newest_release, read_manifest
from data_catalog.releases.lineage import created_at
from data_catalog.schemas import LABELS, RELEASE_SCHEMA, SPLITS, TABLES
from data_catalog.storage import Place, arrow_filesystem, in_a_line, refusal
from flows.look.ad import AdSummary, FrameSummary, summarize_ad
from flows.sentiment.explain import ExplainedAd, explain_ad
from flows.settings import Settings

_COMMENTS = 8
PARTS: Mapping[str, tuple[str, ...]] = {
    "split": ("splits",),
    "frames": ("frames", "texts"),
    "label": ("labels",),
    "votes": ("reviews",),
    "comments": ("comments", "comment_scores", "ad_sentiment"),
    "drops": ("drops",),
    "ad": ("ads", "reuploads"),
}
"""Tables that each part of a page is read from."""
_SAME_SECOND = timedelta(seconds=1)
"""A release names the second in which it was made."""


@dataclass(frozen=True)
class ReleasedRow:
    """One row of a release."""

    split: str
    row: int
    """Its place in the split, from 0."""
    draw: int
    video_id: str
    frame_id: str
    label: str
    mean_score: float | None
    mean_low: float | None
    mean_high: float | None
    category: str | None
    text: str
    timestamp_s: float | None
    image_sha256: str


@dataclass(frozen=True)
class Provenance:
    """All that is known about one ad, one of its frames, or a row; texts are untrusted."""

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
    """Everything of the ad that was left out, other frames included."""
    made_by: Mapping[str, str]
    """Versions and settings that the row depends on."""
    notes: tuple[str, ...]
    """Facts that could not be determined, with the reason."""
    told: Mapping[str, str]
    """Source of each part that does not, or may not, come from the data that the release was made from."""

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
            "told": dict(self.told),
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
    try:
        rows = tuple(_rows_of(release, rest)) if release else ()
    except (pa.ArrowException, OSError) as error:
        raise refusal(catalog.place, error) or CatalogError(
            f"{release}: cannot be read ({in_a_line(error)}); see `ytb-ads catalog verify {release and release.name}`, "
            "then restore it or move it away"
        ) from error
    tables, changed = _then(catalog, release)
    if release and not rows:
        _refuse_unless_held(catalog, tables, release, asked, rest)
    if release and rows and not tables.values("ads", "video_id", pc.field("video_id") == rows[0].video_id):
        raise _not_held(catalog, release, rows[0])
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
    sentiment, notes = _sentiment(tables, video_id, settings)
    if release is None:
        notes.append("there is no release yet; told from the tables as they are now")
    split = splits.get(rows[0].split) if rows else None
    differing = _differences(rows, summary, ad, split, labels[0] if labels else None, sentiment)
    made_by |= _fingerprints(tables, video_id, frame_id)
    return Provenance(
        asked=asked,
        video_id=video_id,
        frame_id=frame_id,
        release=release.name if release else None,
        rows=rows,
        ad=ad,
        summary=summary,
        split=split,
        label=labels[0] if labels else None,
        thresholds=thresholds,
        reviews=tuple(reviews),
        sentiment=sentiment,
        drops=tuple(tables.read("drops", where=of_ad).to_pylist()),
        made_by=made_by,
        notes=tuple(notes),
        told={part: said for part in PARTS if (said := _told(part, changed, differing, compared=bool(rows)))},
    )


def _release_of(catalog: Catalog, asked: str) -> tuple[Place | None, str]:
    """The release that is asked for, or else the newest one if there is one; and what is asked of it."""
    releases = {path.name: path for path in list_releases(catalog.releases_dir)}
    version, parted, rest = asked.partition(":")
    if parted and version in releases:
        return releases[version], rest
    return (newest_release(catalog.releases_dir) if releases else None), asked


_PLACE = "place in the split"
_BEYOND = 2**62
"""No split has so many rows, and an integer of Arrow's can be as large."""


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
    is_asked = (pc.field("frame_id") == asked) | (pc.field("video_id") == asked)
    if _is_row(asked):
        is_asked = pc.field(_PLACE) == min(int(number), _BEYOND)
    for split in SPLITS:
        rows = 0
        for file in sorted(path.name for path in data.glob(f"{split}-*.parquet")):
            with pq.ParquetFile(file, filesystem=arrow_filesystem(data)) as parquet:
                columns = [name for name in parquet.schema_arrow.names if name != "image"]
                places = pa.array(range(rows, rows + parquet.metadata.num_rows), pa.int64())
                held = parquet.read(columns=columns).append_column(_PLACE, places)
                for row in held.filter(is_asked).to_pylist() if wanted == split or not _is_row(asked) else []:
                    at = row.pop(_PLACE)
                    yield _released(split, at, row, _picture(parquet, at - rows))
                rows += parquet.metadata.num_rows
        if _is_row(asked) and wanted == split and int(number) >= rows:
            raise CatalogError(f"release {release.name}: {split} has rows 0 to {rows - 1}, none of number {number}")


def _released(split: str, at: int, row: Mapping[str, Any], picture: bytes) -> ReleasedRow:
    # intervals came after the first releases
    same = {name: row.get(name) for name in RELEASE_SCHEMA.names if name not in ("image", "label", "n_words")}
    values: dict[str, Any] = {**same, "label": LABELS[row["label"]]}
    return ReleasedRow(split=split, row=at, image_sha256=hashlib.sha256(picture).hexdigest(), **values)


def _picture(parquet: pq.ParquetFile, number: int) -> bytes:
    """The picture of one row; its row group alone is read."""
    group = 0
    while number >= (size := parquet.metadata.row_group(group).num_rows):
        number, group = number - size, group + 1
    picture: bytes = parquet.read_row_group(group, ["image.bytes"])["image"][number]["bytes"].as_py()
    return picture


def _then(catalog: Catalog, release: Place | None) -> tuple[Catalog, dict[str, str]]:
    """The tables as the release was made from; of those that cannot be had so, what there is now, and why."""
    if release is None:
        return catalog, {}
    manifest = read_manifest(release)
    made_at = created_at(release.name, manifest) + _SAME_SECOND
    versions = dict(manifest["table_versions"])
    changed: dict[str, str] = {}
    for name in TABLES.keys() & versions.keys():
        commits = {commit.version: commit for commit in catalog.history(name)}
        now = catalog.snapshot(name)
        if not commits or now.delta is None:
            changed[name] = "the table is gone"
        elif versions[name] not in commits and versions[name] < now.delta.version():
            changed[name] = "its history of that time was purged"
        elif versions[name] not in commits or commits[versions[name]].at > made_at:
            changed[name] = "the table was made anew since"
        else:
            continue
        versions[name] = now.delta.version() if now.delta else -1
    return catalog.as_of(versions, release=release.name), changed


def _not_held(catalog: Catalog, release: Place, row: ReleasedRow) -> CatalogError:
    """The error of a released row whose ad is in no table any more."""
    forgotten = catalog.forgotten().has_ad(row.video_id)
    why = "was forgotten" if forgotten else "is not in the tables, nor in their history"
    what_to_do = "; delete this release and build again" if forgotten else ""
    return CatalogError(
        f"{release.name}:{row.split}:{row.row} is frame {printable(row.frame_id)} of ad {printable(row.video_id)}, "
        f"which {why}: there is nothing to explain it by{what_to_do}"
    )


def _refuse_unless_held(catalog: Catalog, tables: Catalog, release: Place, asked: str, rest: str) -> None:
    """Refuse what neither the release nor the tables know, and say where else it is held.

    Raises:
        CatalogError: it is not in the tables.
    """
    video_id = rest if tables.values("ads", "video_id", pc.field("video_id") == rest) else rest.rpartition(":")[0]
    if video_id and tables.values("ads", "video_id", pc.field("video_id") == video_id):
        return
    ids = {rest, rest.rpartition(":")[0]} - {""}
    holding = [held.version for held in releases_with(catalog, ids) if held.rows]
    if holding:
        raise CatalogError(
            f"{printable(rest)} is in no table any more, so there is nothing to explain it by; releases that still "
            f"contain it: {', '.join(holding)}. If it was forgotten, delete these and build again"
        )
    if rest != asked or asked == release.name:
        raise CatalogError(
            f"{printable(asked)}: release {release.name} has no such row; write RELEASE:SPLIT:ROW or RELEASE:VIDEO_ID, "
            f"as {release.name}:test:0"
        )


def _differences(
    rows: Sequence[ReleasedRow],
    summary: AdSummary,
    ad: Mapping[str, Any],
    split: Mapping[str, Any] | None,
    label: Mapping[str, Any] | None,
    sentiment: ExplainedAd | None,
) -> dict[str, list[str]]:
    """Differences between the tables and the rows of the release, by part."""
    found: dict[str, list[str]] = defaultdict(list)
    if not rows:
        return found

    def compare(part: str, what: str, released: object, here: object) -> None:
        if released != here:
            found[part].append(f"{what}: {shown(released) or 'none'} in the release, {shown(here) or 'none'} here")

    first, scored = rows[0], sentiment.sentiment if sentiment else {}
    compare("ad", "category", first.category, ad["category"])
    compare("split", "split", first.split, split and split["split"])
    compare("label", "label", first.label, label and label["label"])
    compare("label", "mean score", first.mean_score, label and label["mean_score"])
    for name in ("mean_score", "mean_low", "mean_high"):
        compare("comments", name.replace("_", " "), getattr(first, name), scored.get(name))
    held = {f"{summary.video_id}:{frame.index}": frame for frame in summary.frames}
    for row in {row.frame_id: row for row in rows}.values():
        frame = held.get(row.frame_id)
        if frame is None or frame.jpeg is None:
            found["frames"].append(f"frame {row.frame_id} is in the release and not here")
            continue
        if hashlib.sha256(frame.jpeg).hexdigest() != row.image_sha256:
            found["frames"].append(f"frame {row.frame_id} has another picture in the release")
        compare("frames", f"words of frame {row.frame_id}", row.text.split(), " ".join(frame.words).split())
        compare("frames", f"moment of frame {row.frame_id}", row.timestamp_s, frame.at_s)
    return found


_COMPARED = ("split", "frames", "label", "comments", "ad")


def _told(part: str, changed: Mapping[str, str], differing: Mapping[str, Sequence[str]], *, compared: bool) -> str:
    """Source of a part, if it is not, or may not be, the data that the release was made from."""
    now = [f"{name} ({changed[name]})" for name in PARTS[part] if name in changed]
    said = [f"told as of now from {' and '.join(now)}"] if now else []
    if part in differing:
        said += ["not what the release was made of", *differing[part]]
    elif now:
        said.append(
            "the release holds the same" if compared and part in _COMPARED else "it may have changed since the release"
        )
    return "; ".join(said)


def _ad_and_frame(tables: Catalog, asked: str) -> tuple[str, str | None]:
    video_id, parted, index = asked.rpartition(":")
    if not (parted and index.isdecimal()) or tables.values("ads", "video_id", pc.field("video_id") == asked):
        return asked, None
    known = tables.values("frames", "frame_id", pc.field("frame_id") == asked)
    known += tables.values("drops", "key", pc.field("key") == asked)
    if not known and tables.values("ads", "video_id", pc.field("video_id") == video_id):
        raise CatalogError(f"ad {printable(video_id)} has no frame {index}; ask for the ad alone to see its frames")
    return video_id, asked


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
