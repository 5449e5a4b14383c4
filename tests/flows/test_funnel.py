"""The funnel loses nothing: at every step, in = out + dropped, and each step takes in what the one before gave out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Catalog, Drop
from data_catalog.errors import ReleaseError
from data_catalog.schemas import TABLES
from flows import stages
from flows.funnel import AWAITS_BUILD, FunnelStep, count_funnel
from flows.ocr.texts import read_frames, words_drops
from flows.release.facts import count_table1, sum_counts
from flows.release.plan import Plan, plan_release
from flows.settings import ReleaseSettings, Settings
from flows.stages import FRAMES, OCR, RELEASE, REVIEW, SCORES, SENTIMENT, SOURCE, WORDS
from flows.stages import FrameReason as Frames
from flows.stages import ReleaseReason as Release
from flows.stages import ReviewReason as Review

ENGINES = {stage.name: f"{stage.name} of now" for stage in stages.STAGES if stage.upstream}


class Shot(NamedTuple):
    """A frame of an ad, and what became of it."""

    text: str  # "many" or "few" words, "unreadable", "pending", or text of "older" settings
    excluded: bool
    picture: str


class Ad(NamedTuple):
    """An ad, and what became of it at each stage."""

    sampling: str  # "frames", "dropped", "dropped before" under other settings, "older" frames, or "pending"
    shots: list[Shot]
    lost_moment: bool
    sentiment: str  # a label, "dropped" or "pending"
    review: str  # "settled", "excluded" or "pending"
    comment: str  # "scored", "dropped" or "pending"


shots = st.builds(
    Shot,
    st.sampled_from(["many"] * 4 + ["few", "unreadable", "pending", "older"]),
    st.integers(0, 5).map(lambda number: number == 0),
    st.sampled_from(["own"] * 5 + ["shared"]),
)
ads_of_a_catalog = st.lists(
    st.builds(
        Ad,
        st.sampled_from(["frames"] * 6 + ["dropped", "dropped before", "older", "pending"]),
        st.lists(shots, min_size=1, max_size=3),
        st.booleans(),
        st.sampled_from(["positive", "positive", "negative", "negative", "dropped", "pending"]),
        st.sampled_from(["settled"] * 5 + ["excluded", "pending"]),
        st.sampled_from(["scored"] * 3 + ["dropped", "pending"]),
    ),
    max_size=14,
)


def write(catalog: Catalog, ads: list[Ad], n_files: int) -> None:
    """The tables as the stages leave them, some of them half way."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    drops: dict[str, list[Drop]] = {stage.name: [] for stage in stages.STAGES}

    def drop(stage: stages.Stage, key: str, ad: str, reason: str, fingerprint: str | None = None) -> None:
        made = ENGINES.get(stage.name, "") if fingerprint is None else fingerprint
        drops[stage.name].append(stage.drop(key, ad, reason, fingerprint=made))

    for number, ad in enumerate(ads):
        name = f"ad{number}"
        rows["ads"].append({"video_id": name, "category": "food", "source": "folder"})
        rows["comments"].append({"comment_id": f"c{number}", "video_id": name})
        if ad.comment == "scored":
            rows["comment_scores"].append({"comment_id": f"c{number}", "fingerprint": ENGINES["scores"]})
        elif ad.comment == "dropped":
            drop(SCORES, f"c{number}", name, "engine_silent")
        if ad.sampling.startswith("dropped"):
            drop(FRAMES, name, name, Frames.NO_VIDEO, "before" if ad.sampling == "dropped before" else None)
        if ad.sampling in ("frames", "older"):
            made = ENGINES["frames"] if ad.sampling == "frames" else "before"
            if ad.lost_moment:
                drop(FRAMES, f"{name}:9", name, Frames.NO_PICTURE, made)
            for index, shot in enumerate(ad.shots):
                key = f"{name}:{index}"
                of_frame = {"frame_id": key, "video_id": name}
                looks = {"image_sha256": key, "perceptual_hash": key if shot.picture == "own" else "shared"}
                rows["frames"].append({**of_frame, **looks, "timestamp_s": 1.0, "fingerprint": made})
                if shot.text == "unreadable":
                    drop(OCR, key, name, "undecodable_picture")
                elif shot.text != "pending":
                    n_words = 3 if shot.text == "few" else 9
                    text = {"text": f"words {shot.picture}", "n_words": n_words, "upstream_revision": key}
                    by = "before" if shot.text == "older" else ENGINES["ocr"]
                    rows["texts"].append({**of_frame, **text, "fingerprint": by})
        label = ad.sentiment if ad.sentiment in ("positive", "negative") else None
        if ad.sentiment != "pending":
            rows["ad_sentiment"].append({"video_id": name, "label": label})
        if ad.sentiment == "dropped":
            drop(SENTIMENT, name, name, "between_thresholds")
        if label and ad.review == "settled":
            rows["labels"].append({"video_id": name, "label": label, "decided_by": "comments", "n_reviewers": 0})
            for index, shot in enumerate(ad.shots):
                if shot.excluded:
                    drop(REVIEW, f"{name}:{index}", name, Review.FRAME_EXCLUDED)
        elif label and ad.review == "excluded":
            drop(REVIEW, name, name, Review.EXCLUDED)
    for number in range(n_files):
        drop(SOURCE, f"file{number}", f"file{number}", "info_not_json")
    for table, some in rows.items():
        catalog.merge(table, pa.Table.from_pylist(some, schema=TABLES[table].schema))
    for stage, of_stage in drops.items():
        catalog.replace_drops(stage, of_stage)


def funnel_of(catalog: Catalog, asked: Settings) -> tuple[list[FunnelStep], Plan | None]:
    frames = read_frames(catalog, asked)
    catalog.replace_drops(WORDS.name, words_drops(frames.values(), asked.ocr.more_than_words))
    try:
        plan = plan_release(catalog, frames, asked)
    except ReleaseError:
        return count_funnel(catalog, asked, frames, None), None
    catalog.replace_drops(RELEASE.name, plan.drops)
    return count_funnel(catalog, asked, frames, plan.summary), plan


@pytest.fixture
def _engines_of_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.Stage, "fingerprint", lambda stage, settings: ENGINES[stage.name])


@pytest.mark.usefixtures("_engines_of_no_cost")
@settings(max_examples=15)
@given(
    ads=ads_of_a_catalog,
    n_files=st.integers(0, 2),
    balance=st.sampled_from(["oversample", "undersample", "none"]),
    reuploads=st.sampled_from(["keep", "drop"]),
)
def test_nothing_leaves_the_funnel_without_a_reason(ads: list[Ad], n_files: int, balance: Any, reuploads: Any) -> None:
    asked = Settings(release=ReleaseSettings(balance=balance, reuploads=reuploads))
    with TemporaryDirectory() as root:
        catalog = Catalog(root)
        write(catalog, ads, n_files)
        funnel, plan = funnel_of(catalog, asked)
        dropped = Counter(catalog.values("drops", "reason"))
    steps = {step.name: step for step in funnel}
    words = steps["frames with more than 5 words"]

    for step in funnel:
        assert step.rows_in + step.repeated == step.rows_out + sum(step.drops.values()), step
    for unit in ("ads", "comments", "frames"):
        of_unit = [step for step in funnel if step.unit == unit]
        assert [step.rows_out for step in of_unit[:-1]] == [step.rows_in for step in of_unit[1:]], unit
    for before, after in pairwise(step for step in funnel if step.unit == "frames"):
        assert (before.n_ads or 0) >= (after.n_ads or 0)

    # what the tables say by themselves
    sampled = [ad for ad in ads if ad.sampling == "frames"]
    assert steps["ads found"].rows_in == len(ads) + n_files
    assert steps["ads with frames"].rows_out == steps["frames sampled"].n_ads == len(sampled)
    assert steps["ads with frames"].drops.get(AWAITS_BUILD, 0) == sum(
        ad.sampling in ("older", "pending", "dropped before") for ad in ads
    )
    texts = Counter(shot.text for ad in sampled for shot in ad.shots)
    assert (words.rows_in, words.rows_out) == (texts.total(), texts["many"])
    assert words.drops.get("too_few_words", 0) == dropped["too_few_words"] == texts["few"]
    assert words.drops.get(AWAITS_BUILD, 0) == texts["pending"] + texts["older"]
    assert steps["ads with such frames"].rows_out == words.n_ads
    with_words = [ad for ad in sampled if any(shot.text == "many" for shot in ad.shots)]
    labelled = sum(ad.sentiment in ("positive", "negative") and ad.review == "settled" for ad in with_words)
    assert steps["frames of labelled ads"].n_ads == labelled
    assert Counter(ad.comment for ad in ads)["scored"] == len(ads) - sum(
        steps["comments scored"].drops.values() if "comments scored" in steps else []
    )

    # what the release holds, as Table 1 counts it
    if plan is None:
        assert funnel[-1].name == "frames of labelled ads"
        return
    all_rows = sum_counts(count_table1(plan.balanced.rows))
    assert steps["ads in the release"].rows_out == steps["frames in the release"].n_ads == all_rows.ads
    assert steps["frames in the release"].rows_out == steps["balanced rows"].rows_in == all_rows.frames
    assert (steps["balanced rows"].rows_out, steps["balanced rows"].n_ads) == (all_rows.rows, all_rows.ads)
    for reason in (Release.FRAME_EXCLUDED, Release.REUPLOAD, Release.UNDERSAMPLED):
        told = sum(drop.reason == reason for drop in plan.drops)
        assert steps["frames in the release"].drops.get(reason, 0) == told


@pytest.mark.usefixtures("_engines_of_no_cost")
def test_every_reason_of_the_release_is_met(tmp_path: Path) -> None:
    whole = [Shot("many", False, "own"), Shot("few", False, "own")]
    good = Ad("frames", whole, lost_moment=False, sentiment="positive", review="settled", comment="scored")
    bad = good._replace(sentiment="negative")
    copy = good._replace(shots=[Shot("many", False, "shared")])
    ads = [
        *([good] * 5 + [bad] * 3 + [copy] * 2),
        bad._replace(shots=[Shot("many", True, "own")]),
        bad._replace(shots=[Shot("few", False, "own")]),
        good._replace(sentiment="dropped"),
        good._replace(review="excluded"),
    ]
    catalog = Catalog(tmp_path)
    write(catalog, ads, 0)
    funnel, plan = funnel_of(catalog, Settings(release=ReleaseSettings(balance="undersample", reuploads="drop")))
    drops = {step.name: dict(step.drops) for step in funnel}
    assert plan is not None
    n_undersampled = len(plan.balanced.removed)
    assert n_undersampled > 0
    gone = {Release.FRAME_EXCLUDED: 1, Release.REUPLOAD: 1, Release.UNDERSAMPLED: n_undersampled}
    assert drops["ads with such frames"] == {"no_frame_with_enough_words": 1}
    assert drops["ads labelled by their comments"] == {"between_thresholds": 1}
    assert drops["ads labelled by people"] == {"excluded_by_people": 1}
    assert drops["frames of labelled ads"] == {"ad_between_thresholds": 1, "ad_excluded_by_people": 1}
    assert drops["frames in the release"] == drops["ads in the release"] == gone
