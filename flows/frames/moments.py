"""Timestamps of an ad to sample: drawn by its id, away from the ends and from each other as the settings ask."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Spacing:
    """Margins and distances of moments, in seconds; none by default, as in the paper."""

    margin_start_s: float = 0.0
    margin_end_s: float = 0.0
    min_distance_s: float = 0.0


ANYWHERE = Spacing()


def choose_timestamps(
    video_id: str, duration_s: float, count: int = 5, seed: int = 0, spacing: Spacing = ANYWHERE
) -> list[float]:
    """Draw moments evenly from [0, duration_s), sorted.

    They depend on the arguments alone: the same ad gives the same moments on every machine and in every
    order of work. Where a video is too short for its margins, both shrink by the same factor until half of the
    video is left between them. Where it is too short for the distance, that shrinks to the n-th part of what is
    left, n being the count.

    Raises:
        ValueError: the duration is not a positive number, or the count is below 1.
    """
    if not 0 < duration_s < math.inf:
        raise ValueError(f"duration_s = {duration_s!r} of {video_id!r}; expected a positive number of seconds")
    if count < 1:
        raise ValueError(f"count = {count!r}; expected at least 1")
    start_s, end_s = between(duration_s, spacing)
    distance_s = _distance(end_s - start_s, count, spacing.min_distance_s)
    # what the distances take up is taken out before the draw and put back between the moments afterwards
    free_s = end_s - start_s - (count - 1) * distance_s
    digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
    draw = random.Random(int.from_bytes(digest))  # noqa: S311  # a sample, not a secret
    drawn = sorted(draw.random() * free_s for _ in range(count))
    # min: rounding can reach the end of the video itself
    latest = math.nextafter(end_s, 0.0)
    return [min(start_s + moment + index * distance_s, latest) for index, moment in enumerate(drawn)]


def between(duration_s: float, spacing: Spacing) -> tuple[float, float]:
    """Start and end of the part that moments are drawn from, without the margins."""
    margins_s = spacing.margin_start_s + spacing.margin_end_s
    shrunk = min(1.0, duration_s / 2 / margins_s) if margins_s else 1.0
    return spacing.margin_start_s * shrunk, duration_s - spacing.margin_end_s * shrunk


def _distance(room_s: float, count: int, asked_s: float) -> float:
    return asked_s if (count - 1) * asked_s <= room_s else room_s / count
