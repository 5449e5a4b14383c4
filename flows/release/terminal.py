"""Tables of a release for a terminal: the funnel and Table 1."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.schemas import LABELS, SPLITS
from flows.funnel import FunnelStep
from flows.release.facts import ClassCounts, Table1, sum_counts


def render_funnel(funnel: Sequence[FunnelStep], title: str = "Funnel") -> Table:
    """Steps of the funnel: what came in, what went on, and the reasons for the rest."""
    table = _table(title, ["step"], ["in", "out"])
    table.add_column("dropped, by reason", overflow="fold")
    for step in funnel:
        cells = step.cells()
        table.add_row(Text(cells.step), cells.rows_in, cells.rows_out, Text("\n".join(cells.dropped) or "none"))
    return table


def render_table1(after: Table1, title: str = "Table 1") -> Table:
    """Rows by split and class, with the distinct frames and ads behind them, in the paper's order of classes."""
    table = _table(title, ["split"], [*reversed(LABELS), "all"])
    for split in SPLITS:
        table.add_row(
            split, *(_cell(after[split][label]) for label in reversed(LABELS)), _cell(sum_counts(after, split=split))
        )
    table.add_section()
    table.add_row("all", *(_cell(sum_counts(after, label)) for label in reversed(LABELS)), _cell(sum_counts(after)))
    return table


def _table(title: str, names: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _cell(counts: ClassCounts) -> str:
    return f"{counts.rows:,} rows\n{counts.frames:,} frames, {counts.ads:,} ads"
