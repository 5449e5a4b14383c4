"""Planted turns are found, and audiences that did not turn are left alone, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import hypergeom

from flows.monitor.period import DAY_US, microseconds
from flows.monitor.turning import LEVEL, LOOKS, MIN_SIDE, Threads, find_changes, most_marked

WEEK_US = 7 * DAY_US


def threads(values: NDArray[np.float64], at: NDArray[np.int64] | None = None) -> Threads:
    """Threads of one comment each."""
    times = np.arange(len(values)) * DAY_US if at is None else at
    return Threads(times, values, np.ones(len(values)), np.ones(len(values), dtype=np.int64))


def audience(chance: np.random.Generator, *parts: tuple[int, float]) -> NDArray[np.float64]:
    """So many opinions after each other, with such a share of positive ones."""
    drawn = [np.where(chance.random(size) < liking, 1, -1) * chance.integers(2, 5, size) for size, liking in parts]
    return np.concatenate(drawn).astype(float)


@settings(max_examples=60)
@given(st.integers(0, MIN_SIDE), st.integers(0, MIN_SIDE))
def test_the_bound_is_above_the_chance_of_such_an_order_and_not_far_above(before: int, after: int) -> None:
    # 20 comments, the only moment is in the middle: how the positive ones fall on its sides is hypergeometric
    halves = [[1.0] * number + [-1.0] * (MIN_SIDE - number) for number in (before, after)]
    found = most_marked(threads(np.array([*halves[0], *halves[1]])))
    assert found is not None
    liked = before + after
    chances = hypergeom(2 * MIN_SIDE, liked, MIN_SIDE)
    apart = abs(before - liked / 2)
    exact = sum(chances.pmf(k) for k in range(MIN_SIDE + 1) if abs(k - liked / 2) >= apart - 1e-9)
    assert found[0] >= exact - 1e-12
    assert found[0] <= 30 * exact


def test_audiences_that_did_not_turn_are_left_alone() -> None:
    chance = np.random.default_rng(0)
    likings = (0.5, 0.9, 0.98)
    alone = [threads(audience(chance, (int(chance.integers(20, 200)), likings[at % 3]))) for at in range(200)]
    marked = [most_marked(ad) for ad in alone]
    assert np.mean([found is not None and found[0] <= 0.05 for found in marked]) <= 0.05
    assert find_changes(alone, least=1, seeds=["ad"] * 200) == [None] * 200


def test_a_year_of_weekly_looks_raises_no_more_false_alarms_than_the_level() -> None:
    chance = np.random.default_rng(1)
    alarms = 0
    for _ in range(20):
        ad = threads(audience(chance, (3 * LOOKS, 0.7)))
        looks = [find_changes([ad[: 3 * week]], least=0.1, seeds=["ad"])[0] for week in range(7, LOOKS + 1, 3)]
        alarms += any(looks)
    assert alarms <= 20 * LEVEL


def test_planted_turns_are_found_where_they_are_and_nothing_else() -> None:
    chance = np.random.default_rng(2)
    planted = [at % 5 == 0 for at in range(60)]
    ads = [threads(audience(chance, (150, 0.9), (50, 0.2 if turned else 0.9))) for turned in planted]
    changes = find_changes(ads, least=1, seeds=[f"ad{at}" for at in range(60)])
    assert [change is not None for change in changes] == planted
    found = [change for change in changes if change is not None]
    assert all(change.turned and change.p <= LEVEL for change in found)
    assert all(abs(microseconds(change.at) / DAY_US - 150) <= 6 for change in found)
    truth = 3 * (0.9 - 0.1), 3 * (0.2 - 0.8)
    for part, true in zip(("before", "after"), truth, strict=True):
        held = [getattr(change, part).low <= true <= getattr(change, part).high for change in found]
        assert sum(held) >= 0.7 * len(found), part


def test_the_latest_of_several_changes_is_told() -> None:
    chance = np.random.default_rng(3)
    ad = threads(audience(chance, (120, 0.95), (120, 0.05), (120, 0.95)))
    [change] = find_changes([ad], least=1, seeds=["ad"])
    assert change is not None
    assert abs(microseconds(change.at) / DAY_US - 240) <= 6
    assert change.before.sign == -1
    assert change.after.sign == 1
    assert change.by > 3
    assert change.before.n_comments < 140


def test_a_change_that_is_sure_and_small_is_no_turn_unless_the_sign_changes() -> None:
    chance = np.random.default_rng(4)
    smaller, crossing = (
        threads(audience(chance, (3000, one), (3000, other))) for one, other in ((0.9, 0.8), (0.55, 0.45))
    )
    changes = find_changes([smaller, crossing], least=1, seeds=["a", "b"])
    assert [change is not None and change.turned for change in changes] == [False, True]
    assert changes[0] is not None
    [turned] = find_changes([smaller], least=0.3, seeds=["a"])
    assert turned is not None
    assert turned.turned


def test_a_thread_is_one_witness() -> None:
    chance = np.random.default_rng(5)
    liked = audience(chance, (100, 1.0))
    # forty angry replies to each other are one thread, at the end
    quarrel = Threads(
        np.arange(101) * DAY_US,
        np.append(liked, -160.0),
        np.append(np.ones(100), 40.0),
        np.append(np.ones(100, dtype=np.int64), 40),
    )
    alone = threads(np.append(liked, np.full(40, -4.0)))
    changes = find_changes([quarrel, alone], least=1, seeds=["a", "b"])
    assert [change is not None for change in changes] == [False, True]


@pytest.mark.parametrize(
    "ad",
    [
        threads(np.array([])),
        threads(np.array([3.0])),
        threads(np.full(50, 3.0)),
        threads(np.repeat([3.0, -3.0], 9)),
        threads(np.repeat([3.0, -3.0], 50), at=np.zeros(100, dtype=np.int64)),
    ],
    ids=["no comment", "one", "all alike", "too few on a side", "all at once"],
)
def test_where_nothing_can_be_told_nothing_is(ad: Threads) -> None:
    assert find_changes([ad], least=1, seeds=["ad"]) == [None]
