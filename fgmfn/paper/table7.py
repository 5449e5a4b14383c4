"""Table 7: what chosen models say about given samples, beside the pictures and the words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure

from fgmfn.data import Source
from fgmfn.paper.samples import SPLIT, Answers, Sample, thumbnails
from fgmfn.paper.scores import about
from fgmfn.paper.writing import markdown_table, plain, printable

TITLE = "Table 7: what models say about single samples"
GOOD, BAD, FAINT = "#1b7837", "#b2182b", "#6b6b6b"
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("data", pa.string()),
    ("sample", pa.string()),
    ("row", pa.string()),
    ("text", pa.string()),
    ("target", pa.string()),
    ("label", pa.string()),
    ("model", pa.string()),
    ("predicted", pa.string()),
    ("right", pa.bool_()),
    ("probability", pa.float64()),
    ("seed", pa.int64()),
    ("checkpoint", pa.string()),
    ("missing", pa.string()),
]
"""A row per row of the data and model."""


def as_table(source: Source, samples: Sequence[Sample], answers: Sequence[Answers]) -> pa.Table:
    """Return a row per row of the samples and model."""
    rows = [row for one in answers for row in _rows(source, samples, one)]
    return pa.Table.from_pylist(rows, schema=pa.schema(COLUMNS))


def _rows(source: Source, samples: Sequence[Sample], answers: Answers) -> list[dict[str, Any]]:
    rows, names = source.splits[SPLIT], source.class_names
    places = [(sample, number) for sample in samples for number in sample.numbers]
    made = []
    for place, (sample, number) in enumerate(places):
        row: dict[str, Any] = {
            "data": source.name,
            "sample": sample.name,
            "row": rows.name[number],
            "text": rows.text[number],
            "target": rows.target[number],
            "label": names[rows.label[number]],
            "model": answers.cell.entry.key,
            "missing": answers.cell.missing,
        }
        if answers.probabilities is not None:
            said = int(answers.probabilities[place].argmax())
            row |= {
                "predicted": names[said],
                "right": said == rows.label[number],
                "probability": float(answers.probabilities[place, said]),
                "seed": answers.seed,
                "checkpoint": str(answers.cell.trained[answers.seed].checkpoint),
            }
        made.append(row)
    return made


def as_markdown(
    source: Source, samples: Sequence[Sample], answers: Sequence[Answers], pictures: Sequence[Path | None]
) -> str:
    """Write each sample: its picture, its words, and a line per target with every model's answer."""
    lines = [f"# {TITLE}", "", f"Test rows of {plain(source.name)}. " + about(source)[0], ""]
    lines += [_how(answers), ""]
    lines += [f"Not run here: {one.cell.entry.title}: {one.cell.missing}  " for one in answers if not one.cell.trained]
    columns = ["about", "truth", *(one.cell.entry.title for one in answers)]
    rows, place = source.splits[SPLIT], 0
    for sample, picture in zip(samples, pictures, strict=True):
        lines += ["", f"## {plain(sample.name)}", ""]
        if picture is not None:
            lines += [f"![{plain(sample.name)}]({picture.parent.name}/{picture.name})", ""]
        lines += [f"> {plain(rows.text[sample.numbers[0]])}", ""]
        body = []
        for number in sample.numbers:
            truth = rows.label[number]
            said = [_said(one, place, truth, source.class_names) for one in answers]
            body.append([plain(rows.target[number]) or "-", source.class_names[truth], *(text for text, _ in said)])
            place += 1
        lines += markdown_table(columns, body, text_columns=len(columns))
    return "\n".join(lines) + "\n"


def _how(answers: Sequence[Answers]) -> str:
    seeds = sorted({one.seed for one in answers if one.cell.trained})
    by = f"trained with seed {', '.join(map(str, seeds))}; " if seeds else ""
    return f"Single samples illustrate and prove nothing. Models {by}a percentage is the answer's probability."


def _said(answers: Answers, place: int, truth: int, names: Sequence[str]) -> tuple[str, str]:
    """Return a model's answer to one row and its colour."""
    if answers.probabilities is None:
        return "not run", FAINT
    said = int(answers.probabilities[place].argmax())
    sign, colour = ("✓", GOOD) if said == truth else ("✗", BAD)
    return f"{sign} {names[said]} {answers.probabilities[place, said]:.0%}", colour


def as_figure(source: Source, samples: Sequence[Sample], answers: Sequence[Answers]) -> Figure:
    """Draw each sample's picture and words, and every model's answer in green or red."""
    rows, width = source.splits[SPLIT], 2.6 + 1.9 * len(answers)
    heights = [1.5 + 0.3 * max(3, len(sample.numbers)) for sample in samples]
    figure = Figure(figsize=(3.2 + width, sum(heights) + 0.4), layout="constrained")
    panels = figure.subplots(len(samples), 2, squeeze=False, height_ratios=heights, width_ratios=[3.0, width])
    place = 0
    for (left, right), sample, picture, height in zip(
        panels, samples, thumbnails(source, samples), heights, strict=True
    ):
        left.set_axis_off()
        right.set_axis_off()
        if picture is None:
            left.text(0.5, 0.5, "no picture at hand", ha="center", va="center", color=FAINT, transform=left.transAxes)
        else:
            left.imshow(picture)
        line = 0.26 / height
        words = textwrap.wrap(printable(rows.text[sample.numbers[0]]), int(13 * width), max_lines=3, placeholder=" …")
        top = _lines(right, [(0.0, word, "black") for word in words], 0.97, line)
        header = [(0.0, "about", FAINT), (0.2, "truth", FAINT)]
        header += [(_column(number, len(answers)), one.cell.entry.title, FAINT) for number, one in enumerate(answers)]
        top = _row(right, header, top - line / 2, line)
        for number in sample.numbers:
            truth = rows.label[number]
            cells = [(0.0, textwrap.shorten(printable(rows.target[number]), 22, placeholder="…") or "-", "black")]
            cells.append((0.2, source.class_names[truth], "black"))
            for column, one in enumerate(answers):
                cells.append((_column(column, len(answers)), *_said(one, place, truth, source.class_names)))
            top = _row(right, cells, top, line)
            place += 1
    return figure


def _column(number: int, count: int) -> float:
    return 0.34 + 0.66 * number / count


def _row(axes: Any, cells: Sequence[tuple[float, str, str]], top: float, line: float) -> float:
    for left, text, colour in cells:
        # Dollar signs of tweets are no formulas.
        axes.text(left, top, text, color=colour, fontsize=9, va="top", transform=axes.transAxes, parse_math=False)
    return top - line


def _lines(axes: Any, cells: Sequence[tuple[float, str, str]], top: float, line: float) -> float:
    for cell in cells:
        top = _row(axes, [cell], top, line)
    return top
