"""The distribution of the ads' means as a picture, one panel for each aggregation, with the thresholds."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flows.sentiment.labelling import AGGREGATIONS, ThresholdMode, Thresholds
from flows.sentiment.report import SentimentReport
from flows.sentiment.yield_table import Yield

_BIN = 0.25
_BINS = [edge * _BIN for edge in range(-20, 21)]
_LINES: dict[ThresholdMode, str] = {"fixed": "solid", "quantile": "dotted"}
_POSITIVE, _NEGATIVE, _NEITHER = "#1b7837", "#b2182b", "#b8bcc4"


def draw_distribution(report: SentimentReport, path: Path) -> None:
    """Write the picture as PNG; bars in the colour of the label that the thresholds in force give them.

    Raises:
        OSError: the file cannot be written.
    """
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 7.5), layout="constrained")
        panels = figure.subplots(len(AGGREGATIONS), sharex=True)
        for panel, aggregation in zip(panels, AGGREGATIONS, strict=True):
            rows = [row for row in report.yields.rows if row.aggregation == aggregation]
            _draw_panel(panel, report.means[aggregation], rows, report.chosen.mode)
        panels[-1].set_xlabel("mean of an ad's comments")
        figure.suptitle(f"Means of {report.n_ads:,} ads over {report.n_scored:,} comments", fontsize=12)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=150, metadata={"Software": None})


def _draw_panel(panel: Axes, means: list[float], rows: list[Yield], mode: ThresholdMode) -> None:
    shown = next(row for row in rows if row.mode == mode)
    heights, _ = np.histogram(means, bins=_BINS)
    colours = [_colour(edge, shown.thresholds) for edge in _BINS[:-1]]
    panel.bar(_BINS[:-1], heights, width=_BIN, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    for row in rows:
        counts = f"{row.positive.ads} positive, {row.negative.ads} negative, {row.dropped} dropped"
        for at, colour in ((row.thresholds.positive, _POSITIVE), (row.thresholds.negative, _NEGATIVE)):
            if math.isfinite(at):
                panel.axvline(at, color=colour, linestyle=_LINES[row.mode], linewidth=1.4)
        panel.plot([], [], color="black", linestyle=_LINES[row.mode], label=f"{row.mode}: {counts}")
    in_force = any(row.chosen for row in rows)
    title = f"{shown.aggregation}, in force" if in_force else shown.aggregation
    panel.set_title(title, loc="left", pad=20, weight="bold" if in_force else "normal")
    panel.set_ylabel("ads")
    panel.set_xlim(-5, 5)
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8, borderpad=0.2)


def _colour(edge: float, thresholds: Thresholds) -> str:
    """Of a bin that begins there: a label's if all of it has that label."""
    if edge >= thresholds.positive:
        return _POSITIVE
    return _NEGATIVE if edge + _BIN <= thresholds.negative else _NEITHER
