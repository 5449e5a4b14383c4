"""Pictures of `benchmarks.labels`, in colours that people with any colour vision tell apart (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from benchmarks.audiences import NOISES, Agreement, Estimate, Floats
from flows.sentiment.labelling import Thresholds
from flows.settings import Aggregation

BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#767676"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
COLOURS: dict[str, str] = {"dominant": BLUE, "dominant_with_neutral": ORANGE, "scale": GREEN}
MARKS = {"dominant": "o", "dominant_with_neutral": "s", "scale": "^"}
TITLES = {
    "off_topic": "off-topic, neutral", "foreign": "other languages,\nleft out where seen",
    "foreign_counted": "other languages,\nall counted", "copies": "copied spam, left out",
    "copies_counted": "copied spam, counted", "spam": "spam, each in its own words",
    "fans": "fans who write much", "irony": "irony: the opposite is meant",
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """Stability by number of comments, mean over ads."""

    aggregation: Aggregation
    name: str
    thresholds: Thresholds
    sizes: Sequence[int]
    stability: Sequence[Estimate]


def draw_comments(curves: Sequence[Curve], needs: Sequence[tuple[float, float]], path: Path) -> None:
    """Learning curves, and the comments needed by the formula beside those measured."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        panels = figure.subplots(1, 3)
        for panel, name in zip(panels, dict.fromkeys(curve.name for curve in curves), strict=False):
            for curve in (curve for curve in curves if curve.name == name):
                colour, mark = COLOURS[curve.aggregation], MARKS[curve.aggregation]
                low, high = ([getattr(one, end) for one in curve.stability] for end in ("low", "high"))
                panel.plot(
                    curve.sizes, [one.value for one in curve.stability], color=colour, marker=mark, markersize=4,
                    label=curve.aggregation.replace("_", " "),
                )  # fmt: skip
                panel.fill_between(curve.sizes, low, high, color=colour, alpha=0.15, linewidth=0)
            _sizes_axis(panel, curves[0].sizes)
            panel.set_ylim(0.5, 1.01)
            panel.yaxis.set_major_formatter(PercentFormatter(1))
            panel.set_title(f"{name} as thresholds", loc="left")
            panel.set_xlabel("comments drawn (that count)")
        panels[0].set_ylabel("draws with the ad's label,\nmean over ads and 95 % interval")
        panels[1].legend(loc="lower right", frameon=False)
        _draw_needs(panels[2], [need for need in needs if np.isfinite(need[1])])
        _save(figure, path)


def _draw_needs(panel: Any, needs: Sequence[tuple[float, float]]) -> None:
    formula, measured = np.array(needs).T
    panel.loglog([1, 5000], [1, 5000], color=BLACK, linewidth=1, label="equal")
    panel.loglog(formula, measured, "o", color=BLUE, markersize=4, alpha=0.5, label="one ad, one aggregation")
    panel.set_xlabel("comments needed by the formula")
    panel.set_ylabel("measured")
    panel.set_title("same label in 95 % of the draws", loc="left")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    panel.legend(loc="upper left", frameon=False)


def draw_noise(
    found: Mapping[str, Mapping[tuple[str, float, str], Agreement]], shares: Sequence[float], path: Path
) -> None:
    """Accuracy of the labels by share of noise: a panel for each kind, a line for each set of texts and thresholds."""
    lines = {"±1": BLUE, "terciles": ORANGE}
    styles = dict(zip(found, ("-", "--"), strict=False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        panels = figure.subplots(2, len(NOISES) // 2, sharex=True, sharey=True)
        for panel, noise in zip(panels.flat, NOISES, strict=True):
            for name, agreements in found.items():
                for kind, colour in lines.items():
                    accuracy = [agreements[noise, share, kind].accuracy for share in shares]
                    panel.plot(
                        shares, [one.value for one in accuracy], color=colour, linestyle=styles[name], marker="o",
                        markersize=3, label=f"{name}, {kind}",
                    )  # fmt: skip
                    low, high = ([getattr(one, end) for one in accuracy] for end in ("low", "high"))
                    panel.fill_between(shares, low, high, color=colour, alpha=0.12, linewidth=0)
            panel.axhline(0.5, color=GREY, linewidth=0.8)
            panel.set_title(TITLES[noise], loc="left", fontsize=9)
            panel.set_ylim(0.2, 1.03)
            panel.xaxis.set_major_formatter(PercentFormatter(1))
            panel.yaxis.set_major_formatter(PercentFormatter(1))
        figure.supxlabel("share of the comments that are noise", fontsize=9)
        figure.supylabel("labels that are right", fontsize=9)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
        _save(figure, path)


def draw_audiences(lines: Mapping[str, Mapping[str, Floats]], path: Path) -> None:
    """Share of ads that are labelled by the audience's share of positive comments."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
        for panel, (name, found) in zip(panels, lines.items(), strict=True):
            for kind, style in (("±2.5", "-"), ("±1", "--")):
                for label, colour in (("negative", ORANGE), ("positive", BLUE)):
                    panel.plot(
                        found["share"],
                        found[f"{kind} {label}"],
                        color=colour,
                        linestyle=style,
                        label=f"{label} at {kind}",
                    )
            panel.set_title(f"audiences of {name}", loc="left")
            panel.set_xlabel("positive among the comments that are not neutral")
            panel.xaxis.set_major_formatter(PercentFormatter(1))
            panel.yaxis.set_major_formatter(PercentFormatter(1))
        panels[0].set_ylabel("ads that get the label")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
        _save(figure, path)


def _sizes_axis(panel: Any, sizes: Sequence[int]) -> None:
    panel.set_xscale("log")
    panel.set_xticks([n for n in sizes if n not in (75, 150)], minor=False)
    panel.minorticks_off()
    panel.xaxis.set_major_formatter(ScalarFormatter())


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png", dpi=110, facecolor="white", metadata={"Software": None})
