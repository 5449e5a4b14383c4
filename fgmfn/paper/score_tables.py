"""Tables 4 and 6: accuracy and macro-F1 beside what was printed, to compute with, to read and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgmfn.baselines import MODELS
from fgmfn.data import Source
from fgmfn.errors import ConfigError, did_you_mean
from fgmfn.evaluation import REDUCED, reduced_lines
from fgmfn.paper import published
from fgmfn.paper.experiments import Cell, Entry, Recipe
from fgmfn.paper.published import BEST_SEEN
from fgmfn.paper.scores import (
    PrintedRows,
    about,
    about_gains,
    gained,
    how_trained,
    interval_of,
    score_table,
    scratch,
    shown,
    sources_of,
)
from fgmfn.sheets import markdown_table, plain


@dataclass(frozen=True)
class ScoreTable:
    """One table of scores: its words, and the paper's figures by data set and entry."""

    name: str
    title: str
    meanings: str
    """Explanation of its columns and rows."""
    printed: PrintedRows

    def as_table(self, cells: Sequence[Cell]) -> pa.Table:
        """Return a row per entry and source."""
        return score_table(cells, self.printed)

    def as_markdown(self, cells: Sequence[Cell], recipe: Recipe) -> str:
        """Write the table of each source, with its checksums, and what a reader of the figures must know."""
        lines = [f"# {self.name}: {self.title}", "", how_trained(recipe), "", self.meanings, ""]
        rows = self.as_table(cells).to_pylist()
        for source in sources_of(cells):
            own = [row for cell, row in zip(cells, rows, strict=True) if cell.source is source]
            lines += [*_section(source, own), ""]
        return "\n".join(lines)

    def as_figure(self, cells: Sequence[Cell], recipe: Recipe) -> Figure:
        """Draw the table."""
        return score_figure(self.as_table(cells), f"{self.name}: test rows" + scratch(recipe))


TABLE_4 = ScoreTable(
    "Table 4",
    "accuracy and macro-F1 on the test rows, percent",
    "“Paper” is what the paper prints for the row, which for some rows is another model's figure (its RoBERTa row is "
    "BERT's, its TextCNN row MGAN's, its AoM row ARFN's); “published” is what was published for the model itself. A "
    "row that looks at pictures proves something only where it stands above the text-only row.",
    published.TABLE_4,
)
TABLE_6 = ScoreTable(
    "Table 6",
    "FGMFN without each of its parts, percent",
    "w/o MSVF: the deepest feature level's 7 x 7 grid and a plain pooled token. w/o CA: a six-layer Transformer over "
    "text and image tokens. w/o ITC: alpha = 0. w/o MI: beta = 0. Not in the paper's table: lambda = 0, its letter for "
    "the mutual-information loss, under which both views may become constant; each modality alone; the "
    "picture branch alone; both encoders side by side, without fusion; and FGMFN with the pictures of other ads.",
    published.TABLE_6,
)
ABLATIONS = [
    Entry("fgmfn", "FGMFN", "fgmfn"),
    Entry("without_msvf", "w/o MSVF", "fgmfn", {"msvf_enabled": False}),
    Entry("without_ca", "w/o CA", "fgmfn", {"cross_attention_enabled": False}),
    Entry("without_itc", "w/o ITC", "fgmfn", {"itc_alpha": 0.0}),
    Entry("without_mi", "w/o MI", "fgmfn", {"mi_beta": 0.0}),
    Entry("lambda_0", "lambda = 0", "fgmfn", {"mi_lambda": 0.0}),
    *(
        Entry(name, MODELS[name].title, name)
        for name in ("text_only", "image_only", "picture_branch", "own_late_fusion", "shuffled_pictures")
    ),
]
"""The rows of Table 6, and those that the paper's table lacks."""


def ablations(names: Sequence[str]) -> list[Entry]:
    """Return the rows of Table 6 of these names in the table's order, or all of them.

    Raises:
        ConfigError: The table has no such row.
    """
    known = [entry.key for entry in ABLATIONS]
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown row {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
    return [entry for entry in ABLATIONS if not names or entry.key in names]


def _section(source: Source, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    missing = list(dict.fromkeys(row["missing"] for row in rows if row["missing"]))
    originals = any(row["original_accuracy"] is not None for row in rows)
    groups = ["paper", *(["published"] if originals else []), "ours"]
    columns = ["model", "looks at", *(f"{group} {name}" for group in groups for name in ("accuracy", "macro-F1"))]
    compared = any(row["against"] for row in rows)
    gains = [f"{measure} to FGMFN" for measure in ("accuracy", "macro-F1") if compared]
    columns += ["dev macro-F1", *gains, "seeds"]
    body = []
    for row in rows:
        mark = f" [{missing.index(row['missing']) + 1}]" if row["missing"] else ""
        cells = [f"{row['title']}{mark}", " and ".join(row["modalities"])]
        cells += [_percent(row["paper_accuracy"]), _percent(row["paper_macro_f1"])]
        if originals:
            cells += [_percent(row["original_accuracy"]), _percent(row["original_macro_f1"])]
        for split, measure in (("test", "accuracy"), ("test", "macro_f1"), ("dev", "macro_f1")):
            cells.append(shown(row[f"{split}_{measure}_mean"], row[f"{split}_{measure}_sd"], row["departures"]))
            cells[-1] += interval_of(row, measure) if split == "test" else ""
        cells += [gained(row, measure) for measure in MEASURES if compared]
        body.append([*cells, str(len(row["seeds"]) or "-")])
    lines = [f"## {plain(source.name)}", "", *about(source), "", *markdown_table(columns, body, text_columns=2), ""]
    lines += [f"[{number}] Not run here: {reason}  " for number, reason in enumerate(missing, 1)]
    lines += _originals(rows)
    lines += ["", *about_gains(rows)]
    departing = reduced_lines({row["title"]: row["departures"] for row in rows})
    lines += ["", f"{REDUCED} Not its paper's model:", "", *(f"- {line}" for line in departing)] if departing else []
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in (note for note in row["notes"] if note not in row["departures"]):
            notes.setdefault(note, []).append(row["title"])
    lines += ["", *(f"- {', '.join(titles)}: {note}" for note, titles in notes.items())] if notes else []
    best = BEST_SEEN.get(source.dataset or "")
    if best:
        figures = f"{best.accuracy:.1f} and {best.macro_f1:.1f}"
        lines += ["", f"The highest figures that we have seen published on these rows are {best.source}'s: {figures}."]
    return lines


def _originals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    named = [f"{row['title']}: {row['original_source']}" for row in rows if row["original_source"]]
    return [f"Published: {'; '.join(named)}."] if named else []


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


OURS, PAPER, ORIGINAL, FAINT = "#1f4e9c", "#b5431d", "#7a7a7a", "#d9d9d9"
MEASURES = {"accuracy": "accuracy (%)", "macro_f1": "macro-F1 (%)"}


def score_figure(table: pa.Table, title: str) -> Figure:
    """Draw a table of scores: a column of panels per measure, a row of panels per source."""
    rows = table.to_pylist()
    sources = list(dict.fromkeys(row["data"] for row in rows))
    most = max(sum(row["data"] == source for row in rows) for source in sources)
    figure = Figure(figsize=(11, 1.2 + len(sources) * (1.0 + 0.27 * most)), layout="constrained")
    reduced = f"; {REDUCED} not its paper's model" if any(row["departures"] for row in rows) else ""
    figure.suptitle(title + reduced)
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
    axes.set_yticks(places, [row["title"] + (f" {REDUCED}" if row["departures"] else "") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    _marks(
        axes, [(row[f"paper_{measure}"], place) for row, place in zip(rows, places, strict=True)], "|", PAPER, "paper"
    )
    originals = [(row[f"original_{measure}"], place) for row, place in zip(rows, places, strict=True)]
    _marks(axes, originals, "x", ORIGINAL, "published for the model itself")
    ours = [
        (100 * row[f"test_{measure}_mean"], place, _spread(row, measure))
        for row, place in zip(rows, places, strict=True)
        if row[f"test_{measure}_mean"] is not None
    ]
    means, heights, spreads = zip(*ours, strict=True) if ours else ((), (), ())
    several = any(len(row["seeds"]) > 1 for row in rows)
    label = "ours, mean ± sd" if several else "ours, 95 % interval"
    around = np.transpose(spreads) if ours else None
    axes.errorbar(means, heights, xerr=around, fmt="o", color=OURS, markersize=5, capsize=2.5, label=label)
    for row, place in zip(rows, places, strict=True):
        if not row["seeds"]:
            axes.annotate(
                "not run here", (0.01, place), xycoords=("axes fraction", "data"), va="center", color=ORIGINAL
            )
    axes.margins(x=0.2)  # room for it


def _spread(row: Mapping[str, Any], measure: str) -> tuple[float, float]:
    """Percent below and above a mean: of several seeds the standard deviation, of one its interval."""
    mean, sd, low, high = (row[f"test_{measure}_{figure}"] for figure in ("mean", "sd", "low", "high"))
    if sd is None and low is not None:
        return max(0.0, 100 * (mean - low)), max(0.0, 100 * (high - mean))
    return 100 * (sd or 0.0), 100 * (sd or 0.0)


def _marks(axes: Axes, values: Sequence[tuple[float | None, int]], marker: str, colour: str, label: str) -> None:
    known = [(value, place) for value, place in values if value is not None]
    if known:
        axes.scatter(*zip(*known, strict=True), marker=marker, color=colour, label=label)
