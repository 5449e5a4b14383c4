"""Splits: by ad and by group of re-uploads, both classes everywhere, the same on every machine."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label
from flows.release.splitting import LabelledAd, split_ads


def ads(count: int, label: Label, category: str = "apparel", **facts: int) -> list[LabelledAd]:
    names = [f"{label}-{category}-{i}" for i in range(count)]
    return [LabelledAd(name, label, category, group=name, **facts) for name in names]


@st.composite
def many_ads(draw: st.DrawFn) -> list[LabelledAd]:
    count = draw(st.integers(1, 60))
    return [
        LabelledAd(
            video_id=f"v{i}",
            label=draw(st.sampled_from(LABELS)),
            category=draw(st.sampled_from(["apparel", "food", None])),
            group=f"g{draw(st.integers(0, 40))}",
            n_frames=draw(st.integers(1, 5)),
        )
        for i in range(count)
    ]


@given(many_ads())
def test_an_ad_and_its_reuploads_never_straddle_two_splits(some: list[LabelledAd]) -> None:
    splits = split_ads(some)
    assert splits.keys() == {ad.video_id for ad in some}
    homes = {(ad.group, splits[ad.video_id]) for ad in some}
    assert len(homes) == len({ad.group for ad in some})


@given(many_ads(), st.randoms(use_true_random=False), st.integers())
def test_the_order_in_which_ads_come_changes_nothing(some: list[LabelledAd], random: object, seed: int) -> None:
    mixed = list(some)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert split_ads(some, seed=seed) == split_ads(mixed, seed=seed)


@given(st.integers(3, 30), st.integers(3, 30), st.integers(1, 5), st.integers())
def test_every_split_has_both_classes_from_three_groups_on(good: int, bad: int, n_frames: int, seed: int) -> None:
    some = ads(good, "positive", n_frames=n_frames) + ads(bad, "negative")
    splits = split_ads(some, seed=seed)
    assert {(splits[ad.video_id], ad.label) for ad in some} == {(s, label) for s in SPLITS for label in LABELS}


@pytest.mark.parametrize(
    ("count", "expected"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "test", "validation"})]
)
def test_few_groups_fill_train_then_test_then_validation(count: int, expected: set[str]) -> None:
    for seed in range(5):
        for ratios in ({"train": 0.8, "validation": 0.1, "test": 0.1}, {"train": 0.4, "validation": 0.5, "test": 0.1}):
            splits = split_ads(ads(count, "negative"), ratios=ratios, seed=seed)
            assert set(splits.values()) == expected


def test_the_shares_hold_within_each_class_and_category() -> None:
    some = [ad for label in LABELS for category in ("apparel", "food", "films") for ad in ads(100, label, category)]
    splits = split_ads(some, seed=3)
    counts = Counter((splits[ad.video_id], ad.label, ad.category) for ad in some)
    for (split, _, _), count in counts.items():
        assert abs(count - {"train": 80, "validation": 10, "test": 10}[split]) <= 1
    assert len(counts) == 18


def test_shares_are_shares_of_frames_not_of_ads() -> None:
    some = ads(50, "positive", n_frames=5) + ads(50, "positive", "food", n_frames=1)
    splits = split_ads(some)
    train = sum(ad.n_frames for ad in some if splits[ad.video_id] == "train")
    assert abs(train / 300 - 0.8) < 0.03


def test_the_division_is_the_same_on_every_machine() -> None:
    splits = split_ads(ads(5, "positive"), seed=1)
    assert [splits[f"positive-apparel-{i}"] for i in range(5)] == ["train", "test", "validation", "train", "train"]


def test_another_seed_gives_another_division() -> None:
    some = ads(40, "positive")
    assert split_ads(some, seed=1) != split_ads(some, seed=2)


def test_a_split_with_share_zero_stays_empty() -> None:
    ratios = {"train": 0.9, "validation": 0.0, "test": 0.1}
    assert set(split_ads(ads(30, "positive"), ratios=ratios).values()) == {"train", "test"}


@pytest.mark.parametrize(
    ("ratios", "complaint"),
    [
        ({"train": 0.8, "test": 0.2}, "expected train, validation, test"),
        ({"train": 0.8, "validation": 0.1, "test": 0.2}, "add up to 1"),
        ({"train": 1.2, "validation": -0.1, "test": -0.1}, "shares from 0 to 1"),
        ({"train": 0.0, "validation": 0.5, "test": 0.5}, "nothing for train"),
    ],
)
def test_shares_that_are_none_are_refused_with_their_values(ratios: dict[str, float], complaint: str) -> None:
    with pytest.raises(ReleaseError, match=complaint):
        split_ads(ads(3, "positive"), ratios=ratios)


def test_an_ad_that_comes_twice_is_refused() -> None:
    with pytest.raises(ReleaseError, match="positive-apparel-0"):
        split_ads(ads(1, "positive") + ads(1, "positive"))


def test_a_label_of_no_class_is_refused() -> None:
    with pytest.raises(ReleaseError, match="label 'mixed'"):
        split_ads([LabelledAd("ad", "mixed", None, "ad")])  # type: ignore[arg-type]
