"""Uploads of one ad go into one split, or all but the first stay behind with a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.ocr.texts import TextFrame
from flows.release.plan import Plan, plan_release

IDS = [f"{label}{number}" for label in ("positive", "negative") for number in range(6)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Six ads of each label, of which `positive4` and `positive1` are one ad, the later id published first."""
    catalog = Catalog(tmp_path)

    def put(table: str, rows: list[dict[str, Any]]) -> None:
        catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))

    put("labels", [{"video_id": ad, "label": ad[:-1], "decided_by": "comments"} for ad in IDS])
    put("ads", [{"video_id": ad, "published_at": datetime(2026, 1, 20 - int(ad[-1]), tzinfo=UTC)} for ad in IDS])
    put(
        "reuploads",
        [
            {"video_id": "positive1", "group_id": "g", "duplicates": ["positive4"]},
            {"video_id": "positive4", "group_id": "g", "duplicates": ["positive1"]},
            {"video_id": "gone", "group_id": "g", "duplicates": ["positive1", "positive4"]},
        ],
    )
    return catalog


def planned(catalog: Catalog, reuploads: Literal["keep", "drop"], seed: int = 0) -> Plan:
    frames = {
        f"{ad}:{index}": TextFrame(f"{ad}:{index}", ad, 1.0, ad + str(index), ad, f"words of {ad}", 9, "apparel", ad)
        for ad in IDS
        for index in range(2)
    }
    return plan_release(
        catalog,
        frames,
        more_than_words=5,
        resampling="none",
        ratios={"train": 0.5, "validation": 0.25, "test": 0.25},
        seed=seed,
        yields="",
        reuploads=reuploads,
    )


def test_uploads_of_one_ad_share_their_split(catalog: Catalog) -> None:
    for seed in range(10):
        split_of = {row.video_id: row.split for row in planned(catalog, "keep", seed).labelled}

        assert len(split_of) == len(IDS)
        assert split_of["positive1"] == split_of["positive4"]


def test_dropped_uploads_leave_a_row_that_names_the_one_published_first(catalog: Catalog) -> None:
    plan = planned(catalog, "drop")

    assert {row.video_id for row in plan.labelled} == set(IDS) - {"positive1"}
    dropped = {drop.key: (drop.reason, drop.kind, drop.detail) for drop in plan.drops}
    assert dropped == {
        f"positive1:{index}": ("reupload_of", "filtered", "the ad is a re-upload of positive4") for index in range(2)
    }


def test_nothing_is_dropped_by_default(catalog: Catalog) -> None:
    assert [drop.reason for drop in planned(catalog, "keep").drops] == []
