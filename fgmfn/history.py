"""The course of a training, epoch by epoch: history.json and history.png in the run's folder, while it goes on."""

from __future__ import annotations

import io
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fgmfn.trainer import Epoch

HISTORY = "history.json"
PICTURE = "history.png"
SECONDS_BETWEEN = 10.0
"""A picture takes a tenth of a second, which short epochs do not have."""


def add_to_history(folder: Path, epoch: Epoch) -> list[dict[str, Any]]:
    """Add an epoch to a run's history and return all; a resumed training replaces the epochs that it trains again."""
    file, picture = folder / HISTORY, folder / PICTURE
    epochs = json.loads(file.read_text("utf-8")) if file.is_file() else []
    epochs = [one for one in epochs if one["number"] < epoch.number] + [asdict(epoch)]
    _write(file, (json.dumps(epochs, indent=1) + "\n").encode())
    fresh = picture.is_file() and time.time() - picture.stat().st_mtime < SECONDS_BETWEEN
    if epoch.number >= epoch.of or (epoch.number > 1 and not fresh):
        _draw(epochs, picture)
    return epochs


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
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    _write(file, drawn.getvalue())


def _write(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}")
    beside.write_bytes(content)
    beside.replace(file)
