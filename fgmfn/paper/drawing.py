"""Scores as a picture: one line per entry, ours with its spread over seeds beside what was printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, PAPER, ORIGINAL, FAINT = "#1f4e9c", "#b5431d", "#7a7a7a", "#d9d9d9"
MEASURES = {"accuracy": "accuracy (%)", "macro_f1": "macro-F1 (%)"}


def score_figure(table: pa.Table, title: str) -> Figure:
    """Draw a table of `scores.score_table`: a column of panels per measure, a row of panels per source."""
    rows = table.to_pylist()
    sources = list(dict.fromkeys(row["data"] for row in rows))
    most = max(sum(row["data"] == source for row in rows) for source in sources)
    figure = Figure(figsize=(11, 1.2 + len(sources) * (1.0 + 0.27 * most)), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(len(sources), 2, squeeze=False)
    for line, source in zip(panels, sources, strict=True):
        own = [row for row in rows if row["data"] == source]
        for axes, (measure, label) in zip(line, MEASURES.items(), strict=True):
            _panel(axes, own, measure)
            axes.set_xlabel(label)
            axes.set_title(f"{source}, test rows {(own[0]['test_checksum'] or '')[:12]}", loc="left", fontsize=10)
        line[1].set_yticklabels([])
    legend = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=len(legend), frameon=False)
    return figure


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
    places = range(len(rows))
    axes.set_yticks(places, [row["title"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    _marks(
        axes, [(row[f"paper_{measure}"], place) for row, place in zip(rows, places, strict=True)], "|", PAPER, "paper"
    )
    originals = [(row[f"original_{measure}"], place) for row, place in zip(rows, places, strict=True)]
    _marks(axes, originals, "x", ORIGINAL, "published for the model itself")
    ours = [
        (100 * row[f"test_{measure}_mean"], place, 100 * (row[f"test_{measure}_sd"] or 0.0))
        for row, place in zip(rows, places, strict=True)
        if row[f"test_{measure}_mean"] is not None
    ]
    means, heights, spreads = zip(*ours, strict=True) if ours else ((), (), ())
    axes.errorbar(means, heights, xerr=spreads, fmt="o", color=OURS, markersize=5, capsize=2.5, label="ours, mean ± sd")
    for row, place in zip(rows, places, strict=True):
        if not row["seeds"]:
            axes.annotate(
                "not run here", (0.01, place), xycoords=("axes fraction", "data"), va="center", color=ORIGINAL
            )
    axes.margins(x=0.2)  # room for it


def _marks(axes: Axes, values: Sequence[tuple[float | None, int]], marker: str, colour: str, label: str) -> None:
    known = [(value, place) for value, place in values if value is not None]
    if known:
        axes.scatter(*zip(*known, strict=True), marker=marker, color=colour, label=label)
