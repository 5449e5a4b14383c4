"""Moments depend on the ad alone, and keep away from its ends and from each other."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.frames.moments import Spacing, between, choose_timestamps
from flows.frames.passes import nearest_keys

video_ids = st.text("abcXYZ019_-", min_size=1, max_size=11)
durations = st.floats(0.001, 36_000)
seconds = st.floats(0, 1000)
spacings = st.builds(Spacing, seconds, seconds, seconds)
ROUNDING_S = 1e-6


@given(video_ids, durations, st.integers(1, 50), st.integers(), spacings)
def test_moments_are_sorted_and_inside_the_margins(
    video_id: str, duration_s: float, count: int, seed: int, spacing: Spacing
) -> None:
    moments = choose_timestamps(video_id, duration_s, count, seed, spacing)

    start_s, end_s = between(duration_s, spacing)
    assert len(moments) == count
    assert moments == sorted(moments)
    assert all(start_s <= moment < end_s for moment in moments)
    assert 0 <= start_s < end_s <= duration_s
    assert moments == choose_timestamps(video_id, duration_s, count, seed, spacing)


@given(video_ids, durations, st.integers(2, 50), st.integers(), spacings)
def test_moments_keep_their_distance_or_an_even_share_of_the_room(
    video_id: str, duration_s: float, count: int, seed: int, spacing: Spacing
) -> None:
    moments = choose_timestamps(video_id, duration_s, count, seed, spacing)

    start_s, end_s = between(duration_s, spacing)
    room_s = end_s - start_s
    fits = (count - 1) * spacing.min_distance_s <= room_s
    asked_s = spacing.min_distance_s if fits else room_s / count
    assert min(later - earlier for earlier, later in pairwise(moments)) >= asked_s - ROUNDING_S


@given(durations, spacings)
def test_margins_are_as_asked_or_leave_half_of_the_video(duration_s: float, spacing: Spacing) -> None:
    start_s, end_s = between(duration_s, spacing)

    if spacing.margin_start_s + spacing.margin_end_s <= duration_s / 2:
        assert (start_s, end_s) == (spacing.margin_start_s, duration_s - spacing.margin_end_s)
    else:
        assert end_s - start_s == pytest.approx(duration_s / 2)


@given(video_ids, st.integers(0, 9))
def test_another_seed_or_id_gives_other_moments(video_id: str, seed: int) -> None:
    moments = choose_timestamps(video_id, 100.0, seed=seed)

    assert moments != choose_timestamps(video_id, 100.0, seed=seed + 1)
    assert moments != choose_timestamps(video_id + "x", 100.0, seed=seed)


def test_the_moments_are_these_on_every_machine() -> None:
    moments = choose_timestamps("dQw4w9WgXcQ", 100.0, count=3, seed=0)

    assert moments == pytest.approx([36.58478208515168, 62.51610552847777, 68.35332529025074], abs=1e-9)


def test_moments_are_spread_over_the_whole_video() -> None:
    moments = np.array([choose_timestamps(f"ad{number}", 1.0) for number in range(500)])

    assert np.histogram(moments, bins=4, range=(0, 1))[0] == pytest.approx([625] * 4, rel=0.1)


def test_with_a_distance_the_first_and_the_last_moment_still_reach_the_ends() -> None:
    spacing = Spacing(min_distance_s=10)
    moments = np.array([choose_timestamps(f"ad{number}", 60.0, spacing=spacing) for number in range(500)])

    assert moments[:, 0].min() < 1
    assert moments[:, -1].max() > 59


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.inf, math.nan])
def test_a_video_without_length_has_no_moments(duration_s: float) -> None:
    with pytest.raises(ValueError, match="duration_s"):
        choose_timestamps("a", duration_s)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="count = 0"):
        choose_timestamps("a", 1.0, count=0)


TENTHS = st.integers(0, 300).map(lambda tenth: tenth / 10)


@given(st.lists(TENTHS, min_size=1, max_size=8, unique=True), st.lists(TENTHS, min_size=5, max_size=5, unique=True))
def test_moments_take_key_frames_each_once_and_the_rest_are_reached_soonest(keys_s: Any, moments_s: Any) -> None:
    keys_s, moments_s = [0.0, *sorted({*keys_s} - {0.0})], sorted(moments_s)

    taken = nearest_keys(keys_s, moments_s, (0.0, 30.0))

    inside = [at_s for at_s in keys_s if at_s < 30.0]
    assert len(taken) == len(set(taken.values())) == min(len(inside), len(moments_s))
    assert list(taken) == sorted(taken)
    assert list(taken.values()) == sorted(taken.values())

    def decoded_s(moment_s: float) -> float:
        return moment_s - max(key_s for key_s in keys_s if key_s <= moment_s)

    # what is decoded exactly costs no more than what is not, unless it would show the key frame's picture again
    exact = [moment_s for moment_s in moments_s if moment_s not in taken]
    others = [decoded_s(moment_s) for moment_s in taken if decoded_s(moment_s) >= 1.0]
    assert all(decoded_s(moment_s) <= min(others, default=math.inf) for moment_s in exact)


def test_of_five_moments_and_four_key_frames_the_one_soonest_behind_a_key_frame_is_exact() -> None:
    keys_s = [0.0, 8.3, 16.7, 25.0]

    taken = nearest_keys(keys_s, [3.0, 8.5, 18.0, 20.0, 29.0], (0.0, 30.0))

    assert taken == {3.0: 0, 8.5: 1, 20.0: 2, 29.0: 3}
