"""Balancing: training rows alone, whole turns first, seeded, and never a class out of nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label
from flows.release.resampling import RESAMPLINGS, PlannedRow, Resampling, balance_rows


def rows(count: int, label: Label, split: str = "train") -> list[PlannedRow]:
    return [PlannedRow(split, f"{split}-{label}-{i}", 0, f"{label}-{i // 5}", label) for i in range(count)]


plans = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(0, 5)).map(
    lambda n: (
        rows(n[0], "positive")
        + rows(n[1], "negative")
        + rows(n[2], "positive", "test")
        + rows(n[3], "negative", "validation")
    )
)


def of(plan: list[PlannedRow], label: str, split: str = "train") -> list[PlannedRow]:
    return [row for row in plan if row.label == label and row.split == split]


@given(plans, st.integers())
def test_oversampling_makes_the_training_classes_equal_and_keeps_every_row(plan: list[PlannedRow], seed: int) -> None:
    balanced = balance_rows(plan, seed=seed).rows
    assert len(of(balanced, "positive")) == len(of(balanced, "negative"))
    assert set(plan) <= set(balanced)
    assert len(balanced) == len(set(balanced))


@given(plans, st.integers())
def test_no_row_appears_n_plus_one_times_before_every_row_of_its_class_appears_n_times(
    plan: list[PlannedRow], seed: int
) -> None:
    balanced = balance_rows(plan, seed=seed).rows
    for label in LABELS:
        times = Counter(row.frame_id for row in of(balanced, label))
        assert max(times.values()) - min(times.values()) <= 1
        for frame, count in times.items():
            assert sorted(row.draw for row in balanced if row.frame_id == frame) == list(range(count))


@given(plans, st.sampled_from(RESAMPLINGS), st.integers())
def test_validation_and_test_rows_are_never_touched(plan: list[PlannedRow], mode: Resampling, seed: int) -> None:
    balanced = balance_rows(plan, mode=mode, seed=seed).rows
    for split in set(SPLITS) - {"train"}:
        assert [r for r in balanced if r.split == split] == sorted(r for r in plan if r.split == split)


@given(plans, st.sampled_from(RESAMPLINGS), st.integers(), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_come_changes_nothing(
    plan: list[PlannedRow], mode: Resampling, seed: int, random: object
) -> None:
    mixed = list(plan)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert balance_rows(plan, mode=mode, seed=seed) == balance_rows(mixed, mode=mode, seed=seed)


@given(plans, st.integers())
def test_undersampling_gives_every_row_it_removes_a_reason(plan: list[PlannedRow], seed: int) -> None:
    balanced = balance_rows(plan, mode="undersample", seed=seed)
    assert sorted([*balanced.rows, *balanced.removed]) == sorted(plan)
    assert len(of(balanced.rows, "positive")) == len(of(balanced.rows, "negative"))
    assert all(row.split == "train" for row in balanced.removed)
    assert bool(balanced.why_removed) >= bool(balanced.removed)


def test_what_is_drawn_is_the_same_on_every_machine() -> None:
    drawn = [row for row in balance_rows(rows(5, "positive") + rows(3, "negative"), seed=1).rows if row.draw]
    assert [row.frame_id for row in drawn] == ["train-negative-0", "train-negative-2"]


def test_another_seed_draws_other_rows() -> None:
    plan = rows(45, "positive") + rows(30, "negative")
    assert balance_rows(plan, seed=1) != balance_rows(plan, seed=2)


def test_equal_classes_stay_as_they_are() -> None:
    plan = rows(4, "positive") + rows(4, "negative")
    for mode in RESAMPLINGS:
        assert balance_rows(plan, mode=mode).rows == sorted(plan)


@pytest.mark.parametrize("mode", RESAMPLINGS)
def test_an_empty_class_stops_with_the_yield_table(mode: Resampling) -> None:
    plan = rows(4, "positive") + rows(4, "negative", "test")
    with pytest.raises(ReleaseError, match=r"no negative training row \(0 negative, 4 positive\)") as caught:
        balance_rows(plan, mode=mode, yields="dominant  539  24")
    assert "dominant  539  24" in str(caught.value)
    assert "Those in test keep their split; another `release.seed` divides anew" in str(caught.value)


def test_no_rows_at_all_name_both_classes() -> None:
    with pytest.raises(ReleaseError, match=r"no negative and no positive training row .* both classes\. Add ads"):
        balance_rows([])


def test_a_frame_that_comes_twice_is_refused() -> None:
    with pytest.raises(ReleaseError, match="frame train-positive-0 comes more than once"):
        balance_rows(rows(1, "positive") + rows(1, "positive") + rows(1, "negative"))


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ReleaseError, match="'smote'; expected one of oversample, undersample, none"):
        balance_rows(rows(1, "positive"), mode="smote")  # type: ignore[arg-type]
