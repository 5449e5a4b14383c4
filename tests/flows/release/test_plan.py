"""A plan keeps uploads of one ad in one split, and says why it leaves out what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.ocr.texts import TextFrame
from flows.release.plan import Plan, group_uploads, plan_release
from flows.settings import ReleaseSettings, Settings
from flows.stages import REVIEW, ReviewReason

LABELLED = [f"{label}{number}" for label in ("positive", "negative") for number in range(6)]
WITHOUT_LABEL = ["odd", "unseen"]


def frame(ad: str, index: int = 0, *, picture: str = "", text: str | None = None, file: str = "") -> TextFrame:
    return TextFrame(
        frame_id=f"{ad}:{index}",
        video_id=ad,
        timestamp_s=1.0,
        image_sha256=f"{ad}{index}",
        perceptual_hash=picture or f"{ad}{index}",
        text=f"words of {ad}" if text is None else text,
        n_words=9,
        category="apparel",
        media_sha256=file or ad,
    )


FRAMES = {one.frame_id: one for ad in [*LABELLED, *WITHOUT_LABEL] for one in (frame(ad, 0), frame(ad, 1))}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Six ads of each label, two without; `positive4` and `positive1` are one ad, the later id published first."""
    catalog = Catalog(tmp_path)

    def put(table: str, *rows: dict[str, Any]) -> None:
        catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))

    label = {"decided_by": "reviewers", "n_reviewers": 5}
    put("labels", *({"video_id": ad, "label": ad[:-1], **label} for ad in LABELLED))
    days = {ad: 20 - int(ad[-1]) for ad in LABELLED} | dict.fromkeys(WITHOUT_LABEL, 1)
    put("ads", *({"video_id": ad, "published_at": datetime(2026, 1, day, tzinfo=UTC)} for ad, day in days.items()))
    put(
        "reuploads",
        {"video_id": "positive1", "group_id": "g", "duplicates": ["positive4"]},
        {"video_id": "positive4", "group_id": "g", "duplicates": ["positive1"]},
        {"video_id": "gone", "group_id": "g", "duplicates": ["positive1", "positive4"]},
    )
    return catalog


@pytest.fixture
def reviewed(catalog: Catalog) -> Catalog:
    """The same after people excluded an ad and a frame, and have not judged another ad."""
    reasons = {
        "odd": ReviewReason.EXCLUDED,
        "unseen": ReviewReason.NOT_REVIEWED,
        "positive2:1": ReviewReason.FRAME_EXCLUDED,
    }
    drops = [REVIEW.drop(key, key.partition(":")[0], reason, "said") for key, reason in reasons.items()]
    catalog.replace_drops(REVIEW.name, drops)
    return catalog


def planned(catalog: Catalog, reuploads: Literal["keep", "drop"] = "keep", seed: int = 0) -> Plan:
    asked = ReleaseSettings(balance="none", train=0.5, validation=0.25, test=0.25, seed=seed, reuploads=reuploads)
    return plan_release(catalog, FRAMES, Settings(release=asked))


def reasons(drops: list[Drop]) -> dict[str, str]:
    return {drop.key: str(drop.reason) for drop in drops}


def test_uploads_of_one_ad_share_their_split(catalog: Catalog) -> None:
    for seed in range(10):
        split_of = {row.video_id: row.split for row in planned(catalog, seed=seed).labelled}

        assert len(split_of) == len(LABELLED)
        assert split_of["positive1"] == split_of["positive4"]


def test_dropped_uploads_leave_a_row_that_names_the_one_published_first(catalog: Catalog) -> None:
    plan = planned(catalog, "drop")

    assert {row.video_id for row in plan.labelled} == set(LABELLED) - {"positive1"}
    dropped = {drop.key: (drop.reason, drop.kind, drop.detail) for drop in plan.drops if drop.video_id in LABELLED}
    told = ("reupload_of", "filtered", "the ad is a re-upload of positive4")
    assert dropped == {f"positive1:{index}": told for index in range(2)}


def test_an_excluded_frame_stays_out_and_its_ad_goes_in(reviewed: Catalog) -> None:
    frames = {row.frame_id for row in planned(reviewed).balanced.rows}

    assert frames == {f"{ad}:{index}" for ad in LABELLED for index in range(2)} - {"positive2:1"}


def test_everything_that_is_left_out_has_its_reason(catalog: Catalog) -> None:
    without = {f"{ad}:{index}": "ad_without_label" for ad in WITHOUT_LABEL for index in range(2)}
    assert reasons(planned(catalog).drops) == without


def test_what_people_left_out_has_their_reason(reviewed: Catalog) -> None:
    assert reasons(planned(reviewed).drops) == {
        "positive2:1": "frame_excluded_by_people",
        "odd:0": "ad_excluded_by_people",
        "odd:1": "ad_excluded_by_people",
        "unseen:0": "ad_not_reviewed",
        "unseen:1": "ad_not_reviewed",
    }


def test_an_ad_without_a_frame_of_enough_words_is_dropped_as_a_whole(catalog: Catalog) -> None:
    frames = {key: replace(one, n_words=2 if one.video_id == "odd" else 9) for key, one in FRAMES.items()}

    assert reasons(plan_release(catalog, frames, Settings()).drops)["odd"] == "no_frame_with_enough_words"


def test_uploads_of_one_file_are_one_group() -> None:
    frames = [frame("c", file="f1"), frame("a", file="f2"), frame("b", file="f1")]
    assert group_uploads(frames, {}) == {"a": "a", "b": "b", "c": "b"}


def test_a_shared_frame_with_the_same_words_joins_ads_and_chains_join_further() -> None:
    frames = [
        frame("a", picture="ff00", text="Buy  one\nget one FREE"),
        frame("b", picture="ff00", text="buy one get one free"),
        frame("b", picture="1234", text="only this week"),
        frame("c", picture="1234", text="only this week"),
        frame("d"),
    ]
    assert group_uploads(frames, {}) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_look_alike_with_other_words_or_without_any_joins_nothing() -> None:
    texts = ["now 49.99", "now 59.99", " ", ""]
    frames = [frame(ad, picture="ff00", text=text) for ad, text in zip("abcd", texts, strict=True)]
    assert group_uploads(frames, {"z": "g"}) == {ad: ad for ad in "abcdz"}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuv")), max_size=20), st.randoms())
def test_groups_do_not_depend_on_the_order_of_frames(pairs: list[tuple[str, str]], random: Any) -> None:
    frames = [frame(ad, picture=sign, text="words") for ad, sign in pairs]
    ordered = group_uploads(frames, {})
    random.shuffle(frames)
    assert group_uploads(frames, {}) == ordered
