"""Figure 3: which class is taken for which, pooled over seeds, one matrix per model and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgmfn.evaluation import reduced_lines
from fgmfn.paper.experiments import Cell, Recipe
from fgmfn.paper.scores import about, how_trained, scratch, unproven_lines
from fgmfn.sheets import markdown_table, plain

TITLE = "Figure 3: confusion matrices of the test rows"
WIDE = 4
"""Matrices side by side."""
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("data", pa.string()),
    ("model", pa.string()),
    ("true", pa.string()),
    ("predicted", pa.string()),
    ("rows", pa.int64()),
    ("share_of_true", pa.float64()),
    ("seeds", pa.list_(pa.int64())),
    ("test_checksum", pa.string()),
    ("missing", pa.string()),
    ("departures", pa.list_(pa.string())),
]
"""A row per cell of a matrix; a model that did not run has one row with its reason."""


def matrix_of(cell: Cell) -> np.ndarray | None:
    """Return counts [C, C] added up over seeds, true classes down; None where nothing was tested."""
    scored = [one.test.confusion for one in cell.trained.values() if one.test]
    return np.sum(scored, axis=0) if scored else None


def shares(matrix: np.ndarray) -> np.ndarray:
    """Return each row's counts as shares of that true class; a class without rows has none."""
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def as_table(cells: Sequence[Cell]) -> pa.Table:
    """Return a row per cell of each matrix."""
    return pa.Table.from_pylist([row for cell in cells for row in _rows(cell)], schema=pa.schema(COLUMNS))


def _rows(cell: Cell) -> list[dict[str, Any]]:
    common: dict[str, Any] = {
        "data": cell.source.name,
        "model": cell.entry.key,
        "seeds": list(cell.trained),
        "test_checksum": cell.source.checksums.get("test"),
        "missing": cell.missing,
        "departures": cell.departures,
    }
    matrix = matrix_of(cell)
    if matrix is None:
        return [common]
    names, parts = cell.source.class_names, shares(matrix)
    return [
        common | {"true": true, "predicted": predicted, "rows": int(matrix[i, j]), "share_of_true": float(parts[i, j])}
        for i, true in enumerate(names)
        for j, predicted in enumerate(names)
    ]


def as_markdown(cells: Sequence[Cell], recipe: Recipe) -> str:
    """Write every matrix: counts, and shares of each true class."""
    lines = [f"# {TITLE}", "", how_trained(recipe, counts=True), "", "True classes down, predicted ones across.", ""]
    for cell in cells:
        lines += [f"## {cell.title} on {plain(cell.source.name)}", "", *about(cell.source), ""]
        lines += [f"{line}\n" for line in reduced_lines({cell.entry.title: cell.departures})]
        matrix = matrix_of(cell)
        if matrix is None:
            lines += [f"Not run here: {cell.missing or 'there are no test rows'}", ""]
            continue
        names = cell.source.class_names
        body = [
            [name, *(f"{count} ({share:.0%})" for count, share in zip(counts, row, strict=True))]
            for name, counts, row in zip(names, matrix, shares(matrix), strict=True)
        ]
        seeds = ", ".join(map(str, cell.trained))
        lines += [f"Added up over seeds {seeds}:", "", *markdown_table(["true \\ predicted", *names], body), ""]
    lines += unproven_lines(cell.entry.model for cell in cells)
    return "\n".join(lines)


def as_figure(cells: Sequence[Cell], recipe: Recipe) -> Figure:
    """Draw the matrices, rows of them for each source, coloured by the share of each true class."""
    sources = list(dict.fromkeys(cell.source.name for cell in cells))
    of_source = [[cell for cell in cells if cell.source.name == name] for name in sources]
    lines = [own[first : first + WIDE] for own in of_source for first in range(0, len(own), WIDE)]
    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1 + 3.4 * columns, 0.5 + 3.6 * len(lines)), layout="constrained")
    figure.suptitle(TITLE + scratch(recipe))
    for panels, line in zip(figure.subplots(len(lines), columns, squeeze=False), lines, strict=True):
        for axes in panels[len(line) :]:
            axes.set_axis_off()
        for axes, cell in zip(panels, line, strict=False):
            _draw_cell(axes, cell)
    return figure


def _draw_cell(axes: Axes, cell: Cell) -> None:
    checksum = cell.source.checksums.get("test", "")[:12]
    axes.set_title(f"{cell.title} on {cell.source.name}\ntest rows {checksum}", fontsize=9)
    matrix = matrix_of(cell)
    if matrix is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "not run here", ha="center", va="center", transform=axes.transAxes)
    else:
        draw_matrix(axes, matrix, cell.source.class_names)


def draw_matrix(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Draw counts [C, C] with their shares."""
    parts = shares(matrix)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    axes.set_xticks(places, names)
    axes.set_yticks(places, names, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for i in places:
        for j in places:
            colour = "white" if parts[i, j] > 0.55 else "black"
            axes.text(j, i, f"{parts[i, j]:.0%}\n{matrix[i, j]}", ha="center", va="center", color=colour, fontsize=9)
