"""Figure 4: FGMFN over a grid of the two losses' weights, alpha of eq. 9 and beta of eq. 11."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fgmfn.evaluation import reduced_lines
from fgmfn.paper.experiments import Cell, Entry, Recipe
from fgmfn.paper.scores import about, how_trained, mean_and_sd, score_table, scratch, shown, sources_of, unproven_lines
from fgmfn.sheets import markdown_table, plain

TITLE = "Figure 4: the weights of the contrastive loss (alpha) and of the mutual-information loss (beta)"
ALPHAS = (0.1, 0.3, 0.5, 0.8, 1.0)
BETAS = (0.01, 0.05, 0.1, 0.5, 1.0)
"""Ours, around the values of the paper's Table 3: the paper draws its grid without printing it."""
PANELS = {"dev_macro_f1": "dev macro-F1 (%)", "test_accuracy": "test accuracy (%)"}


def entries(alphas: Sequence[float], betas: Sequence[float]) -> list[Entry]:
    """Return one entry per point of the grid."""
    return [
        Entry(_key(alpha, beta), f"alpha {alpha:g}, beta {beta:g}", "fgmfn", {"itc_alpha": alpha, "mi_beta": beta})
        for alpha in alphas
        for beta in betas
    ]


def _key(alpha: float, beta: float) -> str:
    return f"alpha={alpha:g},beta={beta:g}"


def as_table(cells: Sequence[Cell]) -> pa.Table:
    """Return a row per point of the grid and source."""
    table = score_table(cells, {})
    for number, name in enumerate(("alpha", "beta")):
        setting = ("itc_alpha", "mi_beta")[number]
        table = table.add_column(number + 1, name, pa.array([float(cell.entry.changes[setting]) for cell in cells]))
    return table


def as_markdown(cells: Sequence[Cell], recipe: Recipe) -> str:
    """Write both grids of each source: alpha down, beta across."""
    lines = [f"# {TITLE}", "", how_trained(recipe), ""]
    lines += ["Weights are to be chosen by the development rows; the test rows are what the paper's figure shows.", ""]
    for source in sources_of(cells):
        lines += [f"## FGMFN on {plain(source.name)}", "", *about(source), ""]
        own = [cell for cell in cells if cell.source is source]
        grid = _Grid(own)
        for measure, label in PANELS.items():
            means, spreads = grid.values(measure)
            departing = grid.departures
            body = [
                [f"{alpha:g}", *(shown(mean, sd, departing) for mean, sd in zip(row, others, strict=True))]
                for alpha, row, others in zip(grid.alphas, means, spreads, strict=True)
            ]
            columns = ["alpha \\ beta", *(f"{beta:g}" for beta in grid.betas)]
            lines += [f"{label}:", "", *markdown_table(columns, body), ""]
        if best := grid.best():
            points = "; ".join(f"alpha = {alpha:g}, beta = {beta:g}" for alpha, beta in best)
            lines += [f"Best on the development rows: {points}.", ""]
        lines += reduced_lines({"FGMFN": grid.departures})
        lines += [f"Not run here: {reason}" for reason in dict.fromkeys(cell.missing for cell in own) if reason]
    lines += unproven_lines(cell.entry.model for cell in cells)
    return "\n".join(lines) + "\n"


def as_figure(cells: Sequence[Cell], recipe: Recipe) -> Figure:
    """Draw two heat maps per source, with the choice by development rows framed."""
    sources = sources_of(cells)
    first = _Grid([cell for cell in cells if cell.source is sources[0]])
    width, height = 2 * (1.6 + 0.85 * len(first.betas)), len(sources) * (1.3 + 0.6 * len(first.alphas)) + 0.4
    figure = Figure(figsize=(max(8, width), height), layout="constrained")
    figure.suptitle(f"Figure 4: FGMFN by the weights of its losses{scratch(recipe)}; framed: best on development rows")
    for line, source in zip(figure.subplots(len(sources), 2, squeeze=False), sources, strict=True):
        grid = _Grid([cell for cell in cells if cell.source is source])
        for axes, (measure, label) in zip(line, PANELS.items(), strict=True):
            checksum = source.checksums.get("test", "")[:12]
            _draw(axes, grid, measure, f"{label}, {source.name}, test rows {checksum}")
    return figure


class _Grid:
    """The points of one source."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.alphas = list(dict.fromkeys(float(cell.entry.changes["itc_alpha"]) for cell in cells))
        self.betas = list(dict.fromkeys(float(cell.entry.changes["mi_beta"]) for cell in cells))
        self._cells = {cell.entry.key: cell for cell in cells}
        self.departures = list(dict.fromkeys(each for cell in cells for each in cell.departures))

    def values(self, measure: str) -> tuple[list[list[float | None]], list[list[float | None]]]:
        """Return means and standard deviations [alphas, betas] of `dev_macro_f1` or `test_accuracy`."""
        split, _, name = measure.partition("_")
        pairs = [[self._spread(_key(alpha, beta), split, name) for beta in self.betas] for alpha in self.alphas]
        return [[mean for mean, _ in row] for row in pairs], [[sd for _, sd in row] for row in pairs]

    def _spread(self, key: str, split: str, name: str) -> tuple[float | None, float | None]:
        scored = [getattr(one, split) for one in self._cells[key].trained.values()]
        return mean_and_sd([getattr(metrics, name) for metrics in scored if metrics])

    def best(self) -> list[tuple[float, float]]:
        """Return alpha and beta of the highest mean macro-F1 on the development rows, several where they are equal."""
        means, _ = self.values("dev_macro_f1")
        known = [
            (mean, alpha, beta)
            for alpha, row in zip(self.alphas, means, strict=True)
            for beta, mean in zip(self.betas, row, strict=True)
            if mean is not None
        ]
        highest = max((mean for mean, _, _ in known), default=0.0)
        return [(alpha, beta) for mean, alpha, beta in known if mean == highest]


def _draw(axes: Axes, grid: _Grid, measure: str, title: str) -> None:
    means, spreads = grid.values(measure)
    values = np.array([[np.nan if mean is None else 100 * mean for mean in row] for row in means])
    picture: Any = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(grid.betas)), [f"{beta:g}" for beta in grid.betas])
    axes.set_yticks(range(len(grid.alphas)), [f"{alpha:g}" for alpha in grid.alphas])
    axes.set_xlabel("beta")
    axes.set_ylabel("alpha")
    axes.set_title(title, fontsize=10)
    for i, row in enumerate(means):
        for j, mean in enumerate(row):
            dark = mean is not None and picture.norm(100 * mean) < 0.55
            text = shown(mean, spreads[i][j], grid.departures).replace(" ± ", "\n± ")
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    for alpha, beta in grid.best():
        corner = (grid.betas.index(beta) - 0.5, grid.alphas.index(alpha) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#d62728", linewidth=2.5, clip_on=False, zorder=5))
