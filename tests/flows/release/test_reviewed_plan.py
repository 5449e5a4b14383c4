"""What people leave out stays out of the release, with a reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.funnel import count_funnel
from flows.ocr.texts import TextFrame
from flows.release.plan import Plan, plan_release
from flows.stages import REVIEW, ReviewReason

IDS = [f"{label}{number}" for label in ("positive", "negative") for number in range(4)]
FRAMES = {
    f"{ad}:{n}": TextFrame(f"{ad}:{n}", ad, 1.0, f"{ad}{n}", f"{ad}{n}", f"words of {ad}", 9, "apparel", ad)
    for ad in [*IDS, "odd", "unseen"]
    for n in range(2)
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path)
    labels = [{"video_id": ad, "label": ad[:-1], "decided_by": "reviewers", "n_reviewers": 5} for ad in IDS]
    catalog.merge("labels", pa.Table.from_pylist(labels, schema=TABLES["labels"].schema))
    ads = [{"video_id": ad} for ad in [*IDS, "odd", "unseen"]]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    reasons = {
        "odd": ReviewReason.EXCLUDED,
        "unseen": ReviewReason.NOT_REVIEWED,
        "positive1:1": ReviewReason.FRAME_EXCLUDED,
    }
    catalog.replace_drops(
        REVIEW.name,
        [Drop(REVIEW.name, key, key.partition(":")[0], "filtered", why, "said") for key, why in reasons.items()],
    )
    return catalog


def planned(catalog: Catalog) -> Plan:
    return plan_release(
        catalog,
        FRAMES,
        more_than_words=5,
        resampling="none",
        ratios={"train": 0.5, "validation": 0.25, "test": 0.25},
        seed=0,
        yields="",
    )


def test_an_excluded_frame_stays_out_and_its_ad_goes_in(catalog: Catalog) -> None:
    rows = {row.frame_id for row in planned(catalog).balanced.rows}
    assert "positive1:1" not in rows
    assert "positive1:0" in rows
    assert len(rows) == 2 * len(IDS) - 1


def test_everything_that_stays_behind_says_why(catalog: Catalog) -> None:
    assert {drop.key: drop.reason for drop in planned(catalog).drops} == {
        "positive1:1": "frame_excluded_by_people",
        "odd:0": "ad_excluded_by_people",
        "odd:1": "ad_excluded_by_people",
        "unseen:0": "ad_not_reviewed",
        "unseen:1": "ad_not_reviewed",
    }


def test_the_funnel_has_a_step_for_people_and_loses_nobody(catalog: Catalog) -> None:
    plan = planned(catalog)
    catalog.replace_drops("release", plan.drops)
    steps = {
        step.name: step
        for step in count_funnel(
            catalog, list(FRAMES.values()), more_than_words=5, balanced_rows=len(plan.balanced.rows)
        )
    }
    people = steps["ads labelled by people"]
    assert (people.rows_in, people.rows_out, dict(people.drops)) == (
        10,
        8,
        {ReviewReason.EXCLUDED: 1, ReviewReason.NOT_REVIEWED: 1},
    )
    assert steps["ads labelled by their comments"].rows_out == people.rows_in
    rows = steps["balanced rows"]
    assert rows.rows_in == rows.rows_out + sum(rows.drops.values())
    assert rows.drops[ReviewReason.FRAME_EXCLUDED] == 1
