"""The course of a training, epoch by epoch, in its metrics.json and as history.png, and how sure the model became."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgmfn.callbacks import Epoch
from fgmfn.predictions import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE, RELIABILITY = "history.png", "reliability.png"
SECONDS_BETWEEN = 10.0
"""A picture takes a tenth of a second, which short epochs do not have."""


def epochs_so_far(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs of a run, finished or not, as plain values."""
    file = folder / METRICS
    epochs: list[dict[str, Any]] = json.loads(file.read_text("utf-8")).get("epochs", []) if file.is_file() else []
    return epochs


def epochs_until(folder: Path, epoch: Epoch, parts: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return a run's epochs with this one as the last; a resumed training replaces those that it trains again.

    Args:
        folder: of the run.
        epoch: the newest.
        parts: what the model's parts did in it, as `fgmfn.recording.look_inside` says it.
    """
    newest = asdict(epoch) | ({} if parts is None else {"parts": parts})
    return [*(one for one in epochs_so_far(folder) if one["number"] < epoch.number), newest]


def draw_history(folder: Path, epochs: list[dict[str, Any]]) -> None:
    """Draw the epochs into the run's folder: always at the end, before that at most once in `SECONDS_BETWEEN`."""
    picture, newest = folder / PICTURE, epochs[-1]
    fresh = picture.is_file() and time.time() - picture.stat().st_mtime < SECONDS_BETWEEN
    if newest["number"] >= newest["of"] or (newest["number"] > 1 and not fresh):
        _draw(epochs, picture)


def _draw(epochs: list[dict[str, Any]], file: Path) -> None:
    """Losses on training (solid) and development rows (dashed), and scores on the latter."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    numbers = [epoch["number"] for epoch in epochs]
    for place, name in enumerate(epochs[-1]["losses"]):
        color = f"C{place}"
        losses.plot(numbers, [epoch["losses"].get(name) for epoch in epochs], color=color, label=name.replace("_", " "))
        losses.plot(numbers, [epoch["dev"].get(name) for epoch in epochs], "--", color=color)
    for name in ("accuracy", "macro_f1"):
        scores.plot(numbers, [epoch["dev"].get(name) for epoch in epochs], label=name.replace("_", " "))
    losses.set(xlabel="epoch", title="loss: training (solid), development (dashed)")
    scores.set(xlabel="epoch", title="development rows", ylim=(0, 1))
    for axes in (losses, scores):
        axes.legend()
    _write(figure, file)


def draw_reliability(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Draw into the run's folder how often the model is right, by how sure it is, and how many rows are how sure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    right, rows = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins, width = calibration["bins"], 1 / calibration["of"]
    sure = [one["confidence"] for one in bins]
    right.plot((0, 1), (0, 1), "--", color="0.6", label="as sure as right")
    right.plot(sure, [one["accuracy"] for one in bins], "o-", label=f"ECE {calibration['ece']:.1%}")
    right.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    right.legend()
    rows.bar(sure, [one["rows"] for one in bins], width=width)
    rows.set(xlabel="largest probability", ylabel="rows")
    _write(figure, folder / RELIABILITY)


def _write(figure: Figure, file: Path) -> None:
    """Write a picture as a whole: killed at any time, it is the former one."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    beside = file.with_name(f".{file.name}")
    beside.write_bytes(drawn.getvalue())
    beside.replace(file)
