"""Balanced classes by random resampling of the training rows, and of no others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, SPLITS, Label

Resampling = Literal["oversample", "undersample", "none"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)


@dataclass(frozen=True, order=True)
class PlannedRow:
    """A row of the planned release: a frame, its split, and how many times resampling has drawn it before."""

    split: str
    frame_id: str
    draw: int
    video_id: str
    label: Label


@dataclass(frozen=True)
class Balanced:
    """The rows after balancing, sorted, and those that undersampling removed."""

    rows: list[PlannedRow]
    removed: list[PlannedRow]
    why_removed: str = ""


def balance_rows(
    rows: Iterable[PlannedRow], *, mode: Resampling = "oversample", seed: int = 0, yields: str = ""
) -> Balanced:
    """Make the classes of the training split equally large.

    `oversample` draws rows of the smaller class again, at random, and every row n times before any row
    n + 1 times. `undersample` takes rows of the larger class out, at random. `none` leaves all as it is.
    The same rows and seed give the same result in whatever order the rows come.

    Args:
        rows: one row per frame, `draw` 0.
        mode: how to balance.
        seed: another seed draws other rows.
        yields: the yield table as text, for the message if a class is empty.

    Raises:
        ReleaseError: a class has no training row, a frame comes twice, or the mode is unknown.
    """
    ordered = sorted(rows)
    _check(ordered, mode)
    train: dict[str, list[PlannedRow]] = defaultdict(list)
    for row in ordered:
        if row.split == "train":
            train[row.label].append(row)
    if empty := [label for label in LABELS if not train[label]]:
        counts = ", ".join(f"{len(train[label])} {label}" for label in LABELS)
        elsewhere = sorted({row.split for row in ordered if row.label in empty})
        kept = f" Those in {' and '.join(elsewhere)} keep their split; another `release.seed` divides anew."
        raise ReleaseError(
            f"no {' and no '.join(empty)} training row ({counts}): a release needs both classes."
            f"{kept if elsewhere else ''} "
            "Add ads, or choose another aggregation or thresholds that fill both classes"
            + (f":\n{yields}" if yields else ".")
        )
    small, large = sorted((train[label] for label in LABELS), key=len)
    if mode == "oversample":
        return Balanced(sorted([*ordered, *_draw_again(small, len(large) - len(small), seed)]), [])
    if mode == "undersample":
        taken = _shuffled(large, seed, turn=0)[len(small) :]
        why = f"{len(large)} {large[0].label} rows against {len(small)} {small[0].label}"
        return Balanced(sorted(set(ordered) - set(taken)), sorted(taken), why)
    return Balanced(ordered, [])


def _draw_again(rows: list[PlannedRow], count: int, seed: int) -> list[PlannedRow]:
    """Draw `count` rows: whole turns over all rows first, then a part of one more turn."""
    turns, rest = divmod(count, len(rows))
    whole = [replace(row, draw=turn) for turn in range(1, turns + 1) for row in rows]
    last = _shuffled(rows, seed, turn=turns + 1)[:rest]
    return whole + [replace(row, draw=turns + 1) for row in last]


def _shuffled(rows: list[PlannedRow], seed: int, turn: int) -> list[PlannedRow]:
    """The rows in an order that depends on their ids, the seed and the turn alone."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{turn}:{row.frame_id}".encode()).digest())


def _check(rows: list[PlannedRow], mode: str) -> None:
    if mode not in RESAMPLINGS:
        raise ReleaseError(f"resampling mode {mode!r}; expected one of {', '.join(RESAMPLINGS)}")
    seen: set[str] = set()
    for row in rows:
        if row.split not in SPLITS or row.label not in LABELS or row.draw:
            raise ReleaseError(f"row {row}: not a first draw of a known label in a known split")
        if row.frame_id in seen:
            raise ReleaseError(f"frame {row.frame_id} comes more than once; balancing needs each frame once")
        seen.add(row.frame_id)
