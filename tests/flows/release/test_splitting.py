"""Splits: by ad and by group of re-uploads, the same on every machine, and no ad moves for another's sake."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label
from flows.release.splitting import LabelledAd, Placement, split_ads, stratify_ads

METHODS = [split_ads, stratify_ads]
Splitting = Callable[..., dict[str, Placement]]


def ads(count: int, label: Label, category: str = "apparel", **facts: int) -> list[LabelledAd]:
    names = [f"{label}-{category}-{i}" for i in range(count)]
    return [LabelledAd(name, label, category, group=name, **facts) for name in names]


def places(found: Mapping[str, Placement]) -> dict[str, str]:
    return {ad: place.split for ad, place in found.items()}


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


@pytest.mark.parametrize("split", METHODS)
@settings(max_examples=25)
@given(some=many_ads())
def test_an_ad_and_its_reuploads_never_straddle_two_splits(split: Splitting, some: list[LabelledAd]) -> None:
    splits = places(split(some))
    assert splits.keys() == {ad.video_id for ad in some}
    homes = {(ad.group, splits[ad.video_id]) for ad in some}
    assert len(homes) == len({ad.group for ad in some})


@pytest.mark.parametrize("split", METHODS)
@settings(max_examples=25)
@given(some=many_ads(), random=st.randoms(use_true_random=False), seed=st.integers())
def test_the_order_in_which_ads_come_changes_nothing(
    split: Splitting, some: list[LabelledAd], random: Any, seed: int
) -> None:
    mixed = list(some)
    random.shuffle(mixed)
    assert split(some, seed=seed) == split(mixed, seed=seed)


@pytest.mark.parametrize("split", METHODS)
@settings(max_examples=25)
@given(good=st.integers(3, 30), bad=st.integers(3, 30), n_frames=st.integers(1, 5), seed=st.integers())
def test_every_split_has_both_classes_from_three_groups_on(
    split: Splitting, good: int, bad: int, n_frames: int, seed: int
) -> None:
    some = ads(good, "positive", n_frames=n_frames) + ads(bad, "negative")
    splits = places(split(some, seed=seed))
    assert {(splits[ad.video_id], ad.label) for ad in some} == {(s, label) for s in SPLITS for label in LABELS}


@pytest.mark.parametrize("split", METHODS)
@pytest.mark.parametrize(
    ("count", "expected"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "test", "validation"})]
)
def test_few_groups_fill_train_then_test_then_validation(split: Splitting, count: int, expected: set[str]) -> None:
    for seed in range(20):
        for ratios in ({"train": 0.8, "validation": 0.1, "test": 0.1}, {"train": 0.4, "validation": 0.5, "test": 0.1}):
            splits = places(split(ads(count, "negative"), ratios=ratios, seed=seed))
            assert set(splits.values()) == expected


def test_the_split_is_the_one_that_another_program_computes() -> None:
    """`printf adN | openssl mac -macopt hexkey:KEY -macopt size:8 BLAKE2BMAC`, KEY from `printf 0 | b2sum -l 256`."""
    numbers = {"ad0": 0.2957, "ad1": 0.8035, "ad5": 0.4403, "ad9": 0.8553, "ad20": 0.7996, "ad23": 0.9396}
    expected = {ad: "train" if n < 0.8 else "validation" if n < 0.9 else "test" for ad, n in numbers.items()}
    assert set(expected.values()) == set(SPLITS)
    assert places(split_ads([LabelledAd(ad, "positive", None, ad) for ad in numbers])) == expected


@settings(max_examples=50)
@given(many_ads(), st.data())
def test_no_ad_moves_when_others_come_go_or_are_labelled_or_sampled_otherwise(
    some: list[LabelledAd], data: st.DataObject
) -> None:
    before = places(split_ads(some))
    changes = st.tuples(st.booleans(), st.sampled_from(LABELS), st.sampled_from(["food", None]), st.integers(1, 5))
    later = [
        LabelledAd(ad.video_id, label, category, ad.group, n_frames)
        for ad in some
        for stays, label, category, n_frames in [data.draw(changes)]
        if stays
    ]
    later += [
        LabelledAd(f"new{n}", data.draw(st.sampled_from(LABELS)), None, data.draw(st.sampled_from(["g0", f"new{n}"])))
        for n in range(data.draw(st.integers(0, 20)))
    ]
    kept = {ad.group: before[ad.video_id] for ad in some}
    after = places(split_ads(later, kept=kept))
    assert [ad for ad in before.keys() & after.keys() if before[ad] != after[ad]] == []


def test_of_1000_ads_without_any_memory_none_moves_when_one_goes_or_hundreds_come() -> None:
    some = ads(500, "positive") + ads(500, "negative", "food")
    before = split_ads(some)
    assert {place.decided_by for place in before.values()} == {"hash"}
    for gone in range(0, 1000, 97):
        left = [ad for number, ad in enumerate(some) if number != gone]
        assert split_ads(left).items() <= before.items()
    assert before.items() <= split_ads(some + ads(300, "negative", "films")).items()


def test_only_an_ad_without_a_split_is_placed_where_a_class_is_missing() -> None:
    old = [LabelledAd(f"old{n}", "positive", None, f"old{n}") for n in range(4)]
    new = [LabelledAd(f"new{n}", "positive", None, f"new{n}") for n in range(2)]
    kept = dict.fromkeys((ad.group for ad in old), "train")
    assert {place.split for place in split_ads(old, kept=kept).values()} == {"train"}
    later = split_ads(old + new, kept=kept)
    assert {later[ad.video_id] for ad in old} == {("train", "kept")}
    assert {later[ad.video_id].split for ad in new} == {"validation", "test"}


def test_the_ad_that_is_placed_for_need_is_the_one_nearest_to_the_splits_range() -> None:
    some = [LabelledAd(ad, "positive", None, ad) for ad in ("ad0", "ad2", "ad4", "ad5", "ad10")]  # 0.1 to 0.62
    found = split_ads(some)
    assert found["ad10"] == ("test", "filled"), "0.62 is nearest to the test's range, which is filled first"
    assert found["ad5"] == ("validation", "filled"), "0.44 is nearest of the rest"
    assert [found[ad] for ad in ("ad0", "ad2", "ad4")] == [("train", "hash")] * 3


def test_a_group_with_ads_of_both_classes_counts_for_both_and_takes_neither_from_a_split() -> None:
    some = [
        LabelledAd(f"{group}{label}", label, None, group) for group in ("ad0", "ad1", "ad2", "ad3") for label in LABELS
    ]
    splits = places(split_ads(some))
    assert {(splits[ad.video_id], ad.label) for ad in some} == {(s, label) for s in SPLITS for label in LABELS}


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_shares_hold_within_the_bounds_of_a_binomial_in_every_class_and_category(share: float) -> None:
    ratios = {"train": share, "validation": 1 - share, "test": 0.0}
    some = [ad for label in LABELS for category in ("apparel", "food", "films") for ad in ads(400, label, category)]
    within = 0
    for seed in range(10):
        splits = places(split_ads(some, ratios=ratios, seed=seed))
        counts = Counter((ad.label, ad.category) for ad in some if splits[ad.video_id] == "train")
        spread = math.sqrt(400 * share * (1 - share))
        assert len(counts) == 6
        assert all(abs(count - 400 * share) <= 4.5 * spread for count in counts.values())
        within += sum(abs(count - 400 * share) <= 1.96 * spread for count in counts.values())
    assert within / 60 == pytest.approx(0.95, abs=0.08)


def test_other_shares_move_only_ads_between_the_old_and_the_new_bound() -> None:
    some = ads(500, "positive") + ads(500, "negative")
    before = places(split_ads(some))
    after = places(split_ads(some, ratios={"train": 0.7, "validation": 0.2, "test": 0.1}))
    moved = {(before[ad], after[ad]) for ad in before if before[ad] != after[ad]}
    assert moved == {("train", "validation")}
    assert sum(before[ad] != after[ad] for ad in before) == pytest.approx(100, abs=4 * math.sqrt(90))


def test_stratified_shares_hold_within_each_class_and_category() -> None:
    some = [ad for label in LABELS for category in ("apparel", "food", "films") for ad in ads(100, label, category)]
    splits = places(stratify_ads(some, seed=3))
    counts = Counter((splits[ad.video_id], ad.label, ad.category) for ad in some)
    for (split, _, _), count in counts.items():
        assert abs(count - {"train": 80, "validation": 10, "test": 10}[split]) <= 1
    assert len(counts) == 18


def test_stratified_shares_are_shares_of_frames_not_of_ads() -> None:
    some = ads(50, "positive", n_frames=5) + ads(50, "positive", "food", n_frames=1)
    splits = places(stratify_ads(some))
    train = sum(ad.n_frames for ad in some if splits[ad.video_id] == "train")
    assert abs(train / 300 - 0.8) < 0.03


def test_the_stratified_division_is_the_same_on_every_machine() -> None:
    splits = places(stratify_ads(ads(5, "positive"), seed=1))
    assert [splits[f"positive-apparel-{i}"] for i in range(5)] == ["train", "test", "validation", "train", "train"]


@pytest.mark.parametrize("split", METHODS)
def test_another_seed_gives_another_division(split: Splitting) -> None:
    some = ads(40, "positive")
    assert split(some, seed=1) != split(some, seed=2)


@pytest.mark.parametrize("split", METHODS)
@pytest.mark.parametrize("empty", ["validation", "test"])
def test_a_split_with_share_zero_stays_empty(split: Splitting, empty: str) -> None:
    ratios = {"train": 0.9, "validation": 0.1, "test": 0.1} | {empty: 0.0}
    assert set(places(split(ads(30, "positive"), ratios=ratios)).values()) == set(SPLITS) - {empty}


@pytest.mark.parametrize(
    ("ratios", "complaint"),
    [
        ({"train": 0.8, "test": 0.2}, "expected train, validation, test"),
        ({"train": 0.8, "validation": 0.1, "test": 0.2}, "add up to 1"),
        ({"train": 1.2, "validation": -0.1, "test": -0.1}, "shares from 0 to 1"),
        ({"train": 0.0, "validation": 0.5, "test": 0.5}, "nothing for train"),
    ],
)
@pytest.mark.parametrize("split", METHODS)
def test_shares_that_are_none_are_refused_with_their_values(
    split: Splitting, ratios: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ReleaseError, match=complaint):
        split(ads(3, "positive"), ratios=ratios)


@pytest.mark.parametrize("split", METHODS)
def test_an_ad_that_comes_twice_is_refused(split: Splitting) -> None:
    with pytest.raises(ReleaseError, match="positive-apparel-0"):
        split(ads(1, "positive") + ads(1, "positive"))


@pytest.mark.parametrize("split", METHODS)
def test_a_label_of_no_class_is_refused(split: Splitting) -> None:
    with pytest.raises(ReleaseError, match="label 'mixed'"):
        split([LabelledAd("ad", "mixed", None, "ad")])  # type: ignore[arg-type]
