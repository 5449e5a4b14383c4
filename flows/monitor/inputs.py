"""Inputs of a model: words, pictures and categories of the rows it was trained on, and of the ads of a period."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from PIL import Image

from data_catalog.catalog import Catalog
from data_catalog.releases import read_manifest
from data_catalog.releases.shards import split_of
from data_catalog.storage import Place, arrow_filesystem, in_a_line, refusal
from fgmfn.images import NO_PICTURE
from flows.errors import MonitorError
from flows.monitor.drift import Drift, Values, compare
from flows.ocr.texts import TextFrame

PICTURES = 400
"""Ads of each side of which a picture is looked at."""
_REDUCED = 160
"""Longer side, about, of the picture that the brightness is the mean of."""


@dataclass
class Inputs:
    """Input measures of some ads, by ad."""

    n_rows: int = 0
    """Frames with their words, each once."""
    words: dict[str, float] = field(default_factory=dict)
    """Mean number of words of a frame."""
    categories: dict[str, str] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)
    """Of ads of which YouTube says one."""
    comments: dict[str, float] = field(default_factory=dict)
    """In the catalog, by now."""
    brightness: dict[str, float] = field(default_factory=dict)
    """Mean of the pixels of one frame, 0 to 1, of some ads."""
    megapixels: dict[str, float] = field(default_factory=dict)
    """Of the same frame."""


def read_trained(catalog: Catalog, release: Place) -> Inputs:
    """Of the distinct training rows of a release; an ad that was forgotten since is left out.

    Raises:
        MonitorError: the release cannot be read.
    """
    files = [name for name in read_manifest(release)["files"] if split_of(name) == "train"]
    there = arrow_filesystem(release)
    try:
        tables = [pq.read_table(name, columns=_there(release, name), filesystem=there) for name in files]
        rows = (
            pa.concat_tables(tables, promote_options="default")
            if tables
            else pa.table({"video_id": pa.array([], pa.string())})
        )
        forgotten = catalog.forgotten()
        by_frame = {
            row["frame_id"]: (row["video_id"], row["category"], _n_words(row))
            for row in rows.to_pylist()
            if not forgotten.has_ad(row["video_id"])
        }
        inputs = _inputs(catalog, by_frame)

        def pictures(wanted: list[str]) -> Iterator[tuple[str, bytes]]:
            dataset = ds.dataset(files, filesystem=there, format="parquet")
            is_wanted = pc.field("frame_id").isin(pa.array(wanted, pa.string()))
            for batch in dataset.to_batches(columns=["video_id", "image"], filter=is_wanted, batch_readahead=2):
                yield from _pictures(batch)

        _look(inputs, by_frame, pictures)
    except (pa.ArrowException, OSError) as error:
        raise refusal(release, error) or MonitorError(
            f"{release}: cannot be read ({in_a_line(error)}); see `ytb-ads catalog verify {release.name}`"
        ) from error
    return inputs


def read_given(catalog: Catalog, frames: Iterable[TextFrame]) -> Inputs:
    """Of frames of the catalog with enough words."""
    by_frame = {frame.frame_id: (frame.video_id, frame.category, float(frame.n_words)) for frame in frames}
    inputs = _inputs(catalog, by_frame)

    def pictures(wanted: list[str]) -> Iterator[tuple[str, bytes]]:
        for batch in catalog.read(
            "frames", ["video_id", "image"], where=pc.field("frame_id").isin(pa.array(wanted, pa.string()))
        ).to_batches():
            yield from _pictures(batch)

    _look(inputs, by_frame, pictures)
    return inputs


def compare_inputs(trained: Inputs, given: Inputs, uploads: Mapping[str, str]) -> list[Drift]:
    """Every measure of both, with p values that are not corrected yet."""
    measures: list[tuple[str, str, Values, Values]] = [
        ("words of a frame", "words", trained.words, given.words),
        ("brightness of a frame", "0 to 1", trained.brightness, given.brightness),
        ("size of a frame", "megapixels", trained.megapixels, given.megapixels),
        ("category", "", trained.categories, given.categories),
        ("language of the ad", "", trained.languages, given.languages),
        ("comments on an ad", "comments", trained.comments, given.comments),
    ]
    return [compare(name, unit, before, after, uploads) for name, unit, before, after in measures]


Rows = Mapping[str, tuple[str, str, float]]
"""Ad, category and number of words of each frame, by the frame's id."""


def _inputs(catalog: Catalog, rows: Rows) -> Inputs:
    words: dict[str, list[float]] = defaultdict(list)
    categories: dict[str, str] = {}
    for video_id, category, n_words in rows.values():
        words[video_id].append(n_words)
        categories[video_id] = category
    counted = catalog.query(
        "SELECT ads.video_id, any_value(ads.language) AS language, count(comment_id) AS n "
        "FROM ads LEFT JOIN comments USING (video_id) GROUP BY ads.video_id",
        tables=("ads", "comments"),
        params={},
    ).to_pylist()
    held = {row["video_id"]: row for row in counted if row["video_id"] in words}
    return Inputs(
        n_rows=len(rows),
        words={ad: float(np.mean(found)) for ad, found in words.items()},
        categories=categories,
        languages={ad: row["language"].partition("-")[0] for ad, row in held.items() if row["language"]},
        comments={ad: float(row["n"]) for ad, row in held.items()},
    )


def _look(inputs: Inputs, rows: Rows, pictures: object) -> None:
    """Measure the first frame of some ads, chosen by their ids alone."""
    first: dict[str, str] = {}
    for frame_id in sorted(rows):
        first.setdefault(rows[frame_id][0], frame_id)
    chosen = sorted(first, key=lambda ad: hashlib.sha256(ad.encode("utf-8", "surrogatepass")).digest())[:PICTURES]
    assert callable(pictures)  # noqa: S101
    for video_id, data in pictures([first[ad] for ad in chosen]):
        if video_id not in inputs.brightness and (seen := _measured(data)) is not None:
            inputs.brightness[video_id], inputs.megapixels[video_id] = seen


def _measured(data: bytes) -> tuple[float, float] | None:
    """Brightness and size of a picture; None of what is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            megapixels = picture.width * picture.height / 1e6
            picture.draft("L", (_REDUCED, _REDUCED))
            return float(np.asarray(picture.convert("L")).mean()) / 255, megapixels
    except NO_PICTURE:
        return None


def _pictures(batch: pa.RecordBatch) -> Iterator[tuple[str, bytes]]:
    for row in batch.to_pylist():
        if row["image"] and row["image"]["bytes"]:
            yield row["video_id"], row["image"]["bytes"]


def _there(release: Place, name: str) -> list[str]:
    held = pq.read_schema(name, filesystem=arrow_filesystem(release)).names
    # the first releases counted no words
    return [column for column in ("video_id", "frame_id", "category", "n_words", "text") if column in held]


def _n_words(row: Mapping[str, object]) -> float:
    counted = row.get("n_words")
    return float(len(str(row["text"]).split())) if counted is None else float(str(counted))
