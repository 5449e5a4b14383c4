"""What the paper's commands print: scores side by side, where files lie, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

    from fgmfn.data import Source
    from fgmfn.paper.experiments import Cell


def print_scores(cells: Sequence[Cell], sources: Sequence[Source]) -> None:
    """Print accuracy and macro-F1 per source, the checksums of the rows, and why rows are missing."""
    from rich.console import Console
    from rich.table import Table

    from fgmfn.paper.scores import mean_and_sd, shown

    console = Console()
    table = Table(title="Test rows, mean ± standard deviation over seeds, percent", title_justify="left")
    table.add_column("model")
    for source in sources:
        table.add_column(f"{source.name}\naccuracy", justify="right")
        table.add_column(f"{source.name}\nmacro-F1", justify="right")
    reasons = list(dict.fromkeys(cell.missing for cell in cells if cell.missing))
    for key in dict.fromkeys(cell.entry.key for cell in cells):
        own = [cell for cell in cells if cell.entry.key == key]
        figures = []
        for cell in own:
            tested = [one.test for one in cell.trained.values() if one.test]
            mark = f" [{reasons.index(cell.missing) + 1}]" if cell.missing else ""
            figures.append(shown(*mean_and_sd([metrics.accuracy for metrics in tested])) + mark)
            figures.append(shown(*mean_and_sd([metrics.macro_f1 for metrics in tested])))
        table.add_row(own[0].entry.title, *(figure.replace("[", r"\[") for figure in figures))
    console.print(table)
    for number, reason in enumerate(reasons, 1):
        console.print(f"[{number}] {reason}", soft_wrap=True, markup=False)
    print_checksums(sources)


def print_checksums(sources: Sequence[Source]) -> None:
    """Print which rows the figures are of."""
    from rich.console import Console

    for source in sources:
        rows = ", ".join(f"{split} {checksum[:12]}" for split, checksum in source.checksums.items())
        Console().print(f"rows of {source.name}: {rows}", soft_wrap=True, markup=False, highlight=False)


def print_paths(paths: Sequence[Path]) -> None:
    """Print where files lie, one per line."""
    sys.stdout.write("".join(f"{path}\n" for path in paths))


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows for a program to read."""
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")


def print_answers(rows: Sequence[dict[str, Any]]) -> None:
    """Print a case study: each sample's words, then a line per target with a column per model."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fgmfn.paper.writing import printable

    console = Console()
    for sample in dict.fromkeys(row["sample"] for row in rows):
        own = [row for row in rows if row["sample"] == sample]
        console.print(Text(printable(own[0]["text"])))
        table = Table("row", "about", "truth", *dict.fromkeys(row["model"] for row in own))
        table.columns[0].overflow = "fold"  # a name that can be given to --sample
        for name in dict.fromkeys(row["row"] for row in own):
            answers = [row for row in own if row["row"] == name]
            first = [answers[0][column] for column in ("row", "target", "label")]
            table.add_row(*(Text(printable(cell)) for cell in first), *(_answer(row) for row in answers))
        console.print(table)
    for reason in dict.fromkeys(row["missing"] for row in rows if row["missing"]):
        console.print(f"not run: {reason}", soft_wrap=True, markup=False)


def _answer(row: dict[str, Any]) -> Text:
    from rich.text import Text

    if row["right"] is None:
        return Text("not run")
    return Text(f"{row['predicted']} {row['probability']:.0%}", style="green" if row["right"] else "red")


def print_efficiency(rows: Sequence[dict[str, Any]]) -> None:
    """Print a line per model: its size, its work, its times and its memory."""
    from rich.console import Console
    from rich.table import Table

    first = rows[0]
    title = f"{first['device_name']}, {first['threads']} threads, {first['text_length']} tokens"
    table = Table(title=title, title_justify="left")
    for column in ("model", "params\nM", "trained\nM", "GFLOPs", "latency\nms", "step\nms", "batch", "train\nGB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        figures = [
            _in(row["parameters"], 1e6),
            _in(row["trainable_parameters"], 1e6),
            _in(row["flops"], 1e9, 2),
            _in(row["latency_median_s"], 1e-3),
            _in(row["step_median_s"], 1e-3),
            "-" if row["batch_size"] is None else str(row["batch_size"]),
            _in(row["training_bytes"], 1e9),
        ]
        table.add_row(row["title"], *figures)
    console = Console()
    console.print(table)
    for row in rows:
        if row["missing"]:
            console.print(f"{row['title']}: {row['missing']}", soft_wrap=True, markup=False)


def _in(value: float | None, unit: float, digits: int = 1) -> str:
    return "-" if value is None else f"{value / unit:.{digits}f}"
