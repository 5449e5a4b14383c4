"""Table 7: predictions of chosen models for single samples, beside the pictures and the words."""

from __future__ import annotations

import io
import random
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from PIL import Image

from fgmfn.data import Rows, Source
from fgmfn.errors import InputError, did_you_mean
from fgmfn.evaluation import REDUCED, reduced_lines
from fgmfn.inference import load_checkpoint
from fgmfn.paper.experiments import Cell
from fgmfn.paper.scores import about, unproven_lines
from fgmfn.scoring import predict_split
from fgmfn.sheets import markdown_table, plain, printable

SPLIT = "test"
THUMBNAIL = 480
"""Maximum pixels of a picture's longer side, in the files beside the Markdown and in the PNG."""


@dataclass(frozen=True)
class Sample:
    """One picture with its words, and the rows that share both: the targets of a tweet, or a single frame."""

    name: str
    numbers: tuple[int, ...]
    """Rows of the test split."""


@dataclass(frozen=True)
class Answers:
    """One model's probabilities [rows, C] for the rows of all samples, or the reason why there are none."""

    cell: Cell
    seed: int
    probabilities: np.ndarray | None


def find_samples(rows: Rows, named: Sequence[str]) -> list[Sample]:
    """Return the samples that contain the named rows, pictures or groups, in that order.

    Raises:
        InputError: There is no such row.
    """
    samples = _all_samples(rows)
    of_row = {number: sample for sample in samples for number in sample.numbers}
    found: dict[str, Sample] = {}
    for name in named:
        numbers = [
            number
            for number in range(len(rows))
            if name in (rows.name[number], rows.picture[number], rows.group[number])
        ]
        if not numbers:
            known = [*rows.name, *dict.fromkeys(rows.group)]
            raise InputError(f"sample {name!r}: no row, picture or group of the test rows{did_you_mean(name, known)}")
        found |= {of_row[number].name: of_row[number] for number in numbers}
    return list(found.values())


def draw_samples(rows: Rows, count: int, seed: int) -> list[Sample]:
    """Draw samples at random, from as many different tweets or ads as possible.

    Samples whose targets have the most different labels come first: they distinguish models best.
    """
    samples = _all_samples(rows)
    random.Random(seed).shuffle(samples)  # noqa: S311 - a choice of examples, not a secret
    samples.sort(key=lambda sample: -len({rows.label[number] for number in sample.numbers}))
    groups = [rows.group[sample.numbers[0]] for sample in samples]
    before = [groups[:place].count(group) for place, group in enumerate(groups)]
    order = sorted(range(len(samples)), key=before.__getitem__)
    return [samples[place] for place in order[:count]]


def _all_samples(rows: Rows) -> list[Sample]:
    together: dict[tuple[str, str], list[int]] = {}
    for number, key in enumerate(zip(rows.picture, rows.text, strict=True)):
        together.setdefault(key, []).append(number)
    return [Sample(rows.name[numbers[0]], tuple(numbers)) for numbers in together.values()]


def ask(cells: Sequence[Cell], samples: Sequence[Sample]) -> list[Answers]:
    """Let the first seed's weights of each trained model predict the samples' rows."""
    return [_ask(cell, samples) for cell in cells]


def _ask(cell: Cell, samples: Sequence[Sample]) -> Answers:
    if not cell.trained:
        return Answers(cell, -1, None)
    seed, trained = next(iter(cell.trained.items()))
    source = cell.source
    rows = source.splits[SPLIT].take([number for sample in samples for number in sample.numbers])
    asked = replace(source, splits=source.splits | {SPLIT: rows})
    return Answers(cell, seed, predict_split(load_checkpoint(trained.checkpoint), asked, SPLIT, progress=False))


def write_pictures(source: Source, samples: Sequence[Sample], folder: Path) -> list[Path | None]:
    """Write each sample's picture, reduced, as a JPEG; None for samples without an available picture.

    Raises:
        InputError: They cannot be written there.
    """
    pictures = thumbnails(source, samples)
    try:
        if any(picture is not None for picture in pictures):
            folder.mkdir(parents=True, exist_ok=True)
        paths: list[Path | None] = []
        for number, picture in enumerate(pictures, 1):
            path = None if picture is None else folder / f"{number}.jpg"
            if picture is not None and path is not None:
                picture.save(path, quality=88)
            paths.append(path)
    except OSError as error:
        raise InputError(f"{folder}: pictures cannot be written there: {error}") from error
    return paths


def thumbnails(source: Source, samples: Sequence[Sample]) -> list[Image.Image | None]:
    stored = source.splits[SPLIT].pictures
    if stored is None:
        return [None] * len(samples)
    return [_thumbnail(stored.read(sample.numbers[0])) for sample in samples]


def _thumbnail(encoded: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(encoded)).convert("RGB")
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture


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
    ("departures", pa.list_(pa.string())),
]
"""One row for each row of the data and each model."""


def as_table(source: Source, samples: Sequence[Sample], answers: Sequence[Answers]) -> pa.Table:
    """Return one row for each row of the samples and each model."""
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
            "departures": answers.cell.departures,
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
    """Return each sample as Markdown: its picture, its words, and a line per target with every model's answer."""
    lines = [f"# {TITLE}", "", f"Test rows of {plain(source.name)}. " + about(source)[0], ""]
    lines += [_how(answers), "", *unproven_lines(one.cell.entry.model for one in answers)]
    lines += [f"Not run here: {one.cell.entry.title}: {one.cell.missing}  " for one in answers if not one.cell.trained]
    lines += [f"{line}  " for line in reduced_lines({one.cell.entry.title: one.cell.departures for one in answers})]
    columns = ["about", "truth", *(one.cell.title for one in answers)]
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
        header += [(_column(number, len(answers)), one.cell.title, FAINT) for number, one in enumerate(answers)]
        top = _row(right, header, top - line / 2, line)
        for number in sample.numbers:
            truth = rows.label[number]
            cells = [(0.0, textwrap.shorten(printable(rows.target[number]), 22, placeholder="…") or "-", "black")]
            cells.append((0.2, source.class_names[truth], "black"))
            for column, one in enumerate(answers):
                cells.append((_column(column, len(answers)), *_said(one, place, truth, source.class_names)))
            top = _row(right, cells, top, line)
            place += 1
    if any(one.cell.departures for one in answers):
        figure.supxlabel(f"{REDUCED} not its paper's model", fontsize=9)
    return figure


def _column(number: int, count: int) -> float:
    return 0.34 + 0.66 * number / count


def _row(axes: Any, cells: Sequence[tuple[float, str, str]], top: float, line: float) -> float:
    for left, text, colour in cells:
        # Dollar signs in tweets do not mark formulas.
        axes.text(left, top, text, color=colour, fontsize=9, va="top", transform=axes.transAxes, parse_math=False)
    return top - line


def _lines(axes: Any, cells: Sequence[tuple[float, str, str]], top: float, line: float) -> float:
    for cell in cells:
        top = _row(axes, [cell], top, line)
    return top
