"""Calibration against second computations: the temperature, intervals that hold what they promise, the joining rule."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from fgmfn.calibration import (
    LEAST,
    MOST,
    Bin,
    Calibration,
    Rule,
    _cross_fitted,
    calibrate,
    fit_temperature,
    join,
    probabilities,
)
from fgmfn.errors import FgmfnError


def planted(
    rows: int, classes: int, temperature: float, seed: int, frames: int = 1
) -> tuple[np.ndarray, list[int], list[str], np.ndarray]:
    """Logits that are calibrated by a temperature, labels drawn by it, the rows' ads and their true probabilities.

    All frames of an ad have one label, and logits alike.
    """
    random = np.random.default_rng(seed)
    logits = np.repeat(random.normal(0, 1.5, (rows // frames, classes)), frames, axis=0)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = np.repeat(random.random(rows // frames), frames)[:, None]
    labels = (shares.cumsum(axis=1) < drawn).sum(axis=1).clip(max=classes - 1)
    return temperature * logits, labels.tolist(), [str(row // frames) for row in range(len(labels))], shares


def calibrated(logits: Any, labels: list[int], ads: list[str] | None = None) -> Calibration:
    """As a training does; every row alone where no ads are given."""
    ads = ads or [str(row) for row in range(len(labels))]
    return calibrate(np.asarray(logits, dtype=np.float32), labels, ads, ads, "rows")


@pytest.mark.parametrize(
    ("classes", "planted_at", "seed"), [(2, 3.0, 0), (3, 0.4, 1), (5, 1.0, 2), (5, 8.0, 3), (2, 0.1, 4)]
)
def test_the_temperature_is_that_of_a_grid_and_of_a_second_optimiser(
    classes: int, planted_at: float, seed: int
) -> None:
    logits, labels, *_ = planted(400, classes, planted_at, seed)
    found = fit_temperature(logits, labels)
    own, true = torch.from_numpy(logits), torch.tensor(labels)

    def loss(temperature: Any) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(own / temperature, true)

    grid = np.geomspace(LEAST, MOST, 4000)
    assert found == pytest.approx(grid[np.argmin([float(loss(float(one))) for one in grid])], rel=2e-3)
    scale = torch.tensor(math.log(planted_at), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [scale], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(scale.exp())
        value.backward()
        return value

    optimizer.step(step)
    assert found == pytest.approx(float(scale.detach().exp()), rel=1e-5)
    assert found == pytest.approx(planted_at, rel=0.35)


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ([[1.0, 0.0]], [0], LEAST),
        ([[1.0, 0.0]], [1], MOST),
        ([[3.0, 0.0, 1.0], [2.0, 1.0, 0.0]], [0, 0], LEAST),
        ([[900.0, 0.0], [0.0, 900.0]], [0, 1], LEAST),
        ([[0.7, 0.7], [2.0, 2.0]], [0, 1], 1.0),
        ([[-np.inf, 0.0, 1.0]], [0], 1.0),  # of a class that no training row had
        ([[-np.inf, -np.inf, 1.0]], [2], 1.0),
        ([[0.0, 120.0, 0.0]] * 3, [1, 1, 0], 120 / math.log(4)),  # one of three is wrong: 2/3, with e^z / (e^z + 2)
        ([[-np.inf, 0.0, 1.0], [-np.inf, 2.0, 0.0]] * 2, [2, 1, 1, 1], None),
    ],
)
def test_few_rows_have_a_temperature_too(logits: Any, labels: list[int], expected: float | None) -> None:
    found = calibrated(logits, labels)
    if expected is not None:
        assert found.temperature == pytest.approx(min(expected, MOST), rel=1e-6)
    assert LEAST <= found.temperature <= MOST
    assert ("its bound" in found.lines()[0]) == (found.temperature in (LEAST, MOST))
    assert (found.after is None) == (len(labels) == 1)
    low, high = found.interval(0.9)
    assert 0 <= low <= high <= 1
    assert low < 0.5, "so few rows make no answer sure"
    assert Calibration.from_json(json.loads(json.dumps(found.as_json(), allow_nan=False))) == found


@pytest.mark.parametrize("row", [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_answers_that_are_no_numbers_are_refused(row: list[float]) -> None:
    with pytest.raises(FgmfnError, match=r"row 2 of 2.*no numbers"):
        probabilities(np.array([[0.0, 1.0], row]))
    with pytest.raises(FgmfnError, match="no numbers"):
        calibrated([[0.0, 1.0], row], [0, 1])


@given(
    arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 5)), elements=st.floats(-60, 60, width=32)),
    st.floats(LEAST, MOST),
)
@settings(max_examples=60, deadline=None)
def test_a_temperature_changes_no_label(logits: np.ndarray, temperature: float) -> None:
    shares = probabilities(logits, temperature)
    assert np.allclose(shares.sum(axis=1), 1)
    chosen = np.take_along_axis(logits, shares.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert np.allclose(chosen, logits.max(axis=1), atol=1e-13)


@pytest.mark.parametrize(("rows", "classes", "frames"), [(60, 3, 1), (300, 2, 1), (500, 5, 5)])
def test_intervals_hold_how_often_answers_are_right(rows: int, classes: int, frames: int) -> None:
    held, widths = [], []
    for seed in range(20):
        found = calibrated(*planted(rows, classes, 2.0, seed, frames)[:3])
        others, _, _, truth = planted(50, classes, 2.0, 1000 + seed)
        for one, true in zip(probabilities(others, found.temperature), truth, strict=True):
            low, high = found.interval(float(one.max()))
            held.append(low <= true[one.argmax()] <= high)
            widths.append(high - low)
    assert 0.925 <= np.mean(held) < 0.995, "95 %; exact intervals hold a little more"
    assert np.mean(widths) < 0.45


def test_a_bins_interval_is_clopper_and_pearsons_and_moves_with_the_probability() -> None:
    exact = binomtest(3, 4).proportion_ci(0.95, "exact")
    bin_ = Bin(0.6, 0.8, 0.7, 0.75, 4, 4.0)
    assert bin_.interval(0.7) == pytest.approx((exact.low, exact.high))
    assert bin_.interval(0.65) == pytest.approx((exact.low - 0.05, exact.high - 0.05))
    # further away nobody knows: it may be the bin's, or move with the probability
    assert bin_.interval(0.3) == pytest.approx((max(exact.low - 0.4, 0), exact.high - 0.1))


def test_rows_of_one_ad_are_one_witness_where_they_are_alike_and_several_where_not() -> None:
    logits, ads = [[1.0, 0.0]] * 40, [str(row // 4) for row in range(40)]
    alike = calibrated(logits, [int(row // 4 < 3) for row in range(40)], ads)
    apart = calibrated(logits, [int(row % 4 == 0) for row in range(40)], ads)
    assert [one.bins[0].count for one in (alike, apart)] == [40, 40]
    assert alike.bins[0].effective == pytest.approx(10, rel=0.15)
    assert apart.bins[0].effective == 40
    exact = binomtest(30, 40).proportion_ci(0.95, "exact")
    assert apart.interval(apart.bins[0].mean) == pytest.approx((exact.low, exact.high))


def test_an_answer_less_probable_than_any_that_was_seen_is_not_sure() -> None:
    logits, labels, *_ = planted(400, 2, 1.0, 0)
    sure = np.abs(logits[:, 0] - logits[:, 1]) > 3
    found = calibrated(logits[sure], np.asarray(labels)[sure].tolist())
    assert found.interval(0.97)[0] > 0.5
    assert found.interval(0.51)[0] < 0.5


def test_a_group_has_no_part_in_its_own_temperature() -> None:
    logits, labels, ads, _ = planted(60, 3, 3.0, 0, frames=3)
    true, groups = np.asarray(labels), np.asarray(ads)
    before = _cross_fitted(logits, true, groups)
    own = groups == "7"
    after = _cross_fitted(logits, np.where(own, (true + 1) % 3, true), groups)
    assert before is not None
    assert after is not None
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before, after)
    # and what is reported is about these, which a loop over the bins' definition says as well
    sure, right = before.max(axis=1), before.argmax(axis=1) == true
    ece = sum(
        abs(right[inside].mean() - sure[inside].mean()) * inside.mean()
        for low in np.arange(15) / 15
        if (inside := (sure > low) & (sure <= low + 1 / 15)).any()
    )
    found = calibrate(logits, labels, ads, ads, "rows")
    assert found.after is not None
    assert found.after["ece"] == pytest.approx(ece)
    assert found.after["log_loss"] == pytest.approx(-np.log(before[np.arange(60), true]).mean())
    assert found.after["log_loss"] < found.before["log_loss"]


@pytest.mark.parametrize("rule", ["mean", "confidence"])
@pytest.mark.parametrize("frames", [1, 2, 50])
def test_frames_are_joined_by_hand_and_in_any_order(rule: Rule, frames: int) -> None:
    random = np.random.default_rng(frames)
    shares = random.dirichlet([0.5] * 3, frames)
    joined = join(shares, rule)
    weights = [max(one) if rule == "confidence" else 1.0 for one in shares.tolist()]
    for number in range(3):
        parts = [weight * one[number] for weight, one in zip(weights, shares.tolist(), strict=True)]
        assert joined[number] == pytest.approx(math.fsum(parts) / math.fsum(weights))
    assert np.array_equal(join(shares[random.permutation(frames)], rule), joined)
    assert joined.sum() == pytest.approx(1)


@pytest.mark.parametrize(("right_where_sure", "rule"), [(True, "confidence"), (False, "mean")])
def test_the_rule_is_the_one_with_the_least_log_loss_on_ads_of_several_frames(
    right_where_sure: bool, rule: str
) -> None:
    # in each ad one frame is sure and two are not; what they say differs
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 50), 3)
    sign = np.where(labels == 1, 1.0, -1.0) * np.tile([1.0, -1.0, -1.0], 50) * (1 if right_where_sure else -1)
    far = sign * np.tile([4.0, 0.5, 0.5], 50) + random.normal(0, 0.3, 150)
    ads = [f"ad{row // 3}" for row in range(150)]
    logits = np.stack([np.zeros(150), far], axis=1)
    found = calibrated([*logits, [0.0, 1.0]], [*labels.tolist(), 1], [*ads, "alone"])
    assert found.rule == rule
    assert found.ads is not None
    assert found.ads.count == 50
    assert min(found.ads.log_loss, key=lambda name: found.ads.log_loss[name]) == rule
    assert f"on 50 ads there (mean {found.ads.log_loss['mean']:.3f}" in found.lines()[-1]
    assert found.interval(0.8, joined=True) != found.interval(0.8)


def test_without_ads_of_several_frames_or_of_one_class_nothing_is_chosen() -> None:
    logits, labels, *_ = planted(40, 2, 1.0, 0)
    for ads in (None, [str(row // 2) for row in range(40)]):  # of the latter, two rows have different labels
        found = calibrated(logits, [0, 1] * 20 if ads else labels, ads)
        assert (found.rule, found.ads) == ("mean", None)
        assert "nothing was chosen" in found.lines()[-1]
        assert found.interval(0.7, joined=True) == found.interval(0.7)
