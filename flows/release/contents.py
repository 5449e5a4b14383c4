"""The bytes and words of a planned release: its rows with their images, and the facts that describe it."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import LABELS, RELEASE_SCHEMA
from flows.release.facts import ExampleRow, choose_examples
from flows.release.plan import Plan, plan_table

ROWS_PER_BATCH = 100

_ROWS = """
    SELECT frames.image, planned.* EXCLUDE (split)
    FROM planned JOIN frames USING (frame_id)
    WHERE planned.split = $split
    -- shuffled, and always in the same way: whoever reads only the beginning meets both classes
    ORDER BY md5(planned.frame_id || ' ' || planned.draw)
"""


def release_rows(catalog: Catalog, plan: Plan, split: str) -> Iterator[pa.RecordBatch]:
    """The rows of one split with their images, a batch at a time; memory stays flat, the order is always the same."""
    with (
        tempfile.TemporaryDirectory(prefix="ytb-ads-") as spill,
        duckdb.connect(":memory:", config={"temp_directory": spill, "memory_limit": "2GB"}) as connection,
    ):
        connection.register("planned", plan_table(plan))
        connection.register("frames", catalog.snapshot("frames").dataset)
        reader = connection.sql(_ROWS, params={"split": split}).to_arrow_reader(ROWS_PER_BATCH)
        for batch in reader:
            rows = pa.Table.from_batches([batch]).select(RELEASE_SCHEMA.names).cast(RELEASE_SCHEMA)
            yield from rows.to_batches()


def example_rows(catalog: Catalog, plan: Plan, seed: int) -> list[ExampleRow]:
    """A few rows of each class with their pictures, to look at."""
    chosen = choose_examples(plan.balanced.rows, seed=seed)
    wanted = pa.array([row.frame_id for row in chosen], pa.string())
    images = catalog.read("frames", ["frame_id", "image"], where=pc.field("frame_id").isin(wanted)).to_pylist()
    image_of = {row["frame_id"]: row["image"]["bytes"] for row in images}
    return [
        ExampleRow(
            image=image_of[row.frame_id],
            text=(frame := plan.frames[row.frame_id]).text,
            label=row.label,
            video_id=row.video_id,
            category=frame.category,
            mean_score=plan.labels[row.video_id].mean_score,
            split=row.split,
        )
        for row in chosen
    ]


def count_categories(plan: Plan) -> dict[str, dict[Any, int]]:
    """Ads of the release by category and label."""
    ads = {row.video_id: row for row in plan.labelled}
    counts: dict[str, Counter[Any]] = defaultdict(Counter)
    for row in ads.values():
        counts[plan.frames[row.frame_id].category][row.label] += 1
    return {category: {label: counts[category][label] for label in LABELS} for category in sorted(counts)}
