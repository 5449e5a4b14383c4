"""Status of a catalog without running anything, and the tables of a terminal: the funnel and Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from data_catalog.inspect import require_catalog
from data_catalog.printing import counted
from data_catalog.releases import newest_release_if_any
from data_catalog.schemas import LABELS, SPLITS
from flows.funnel import FunnelStep, count_funnel
from flows.ocr.texts import read_frames
from flows.release.facts import ClassCounts, Table1, sum_counts
from flows.release.plan import plan_release
from flows.settings import load_settings


@dataclass(frozen=True)
class Status:
    """A catalog's funnel and newest release."""

    funnel: list[FunnelStep]
    release: str | None
    """Version of the newest release."""
    synthetic: bool
    """Some of its ads were rendered, not crawled."""

    def as_json(self) -> dict[str, Any]:
        """The status as plain values."""
        return {**vars(self), "funnel": [step.as_json() for step in self.funnel]}


def read_status(root: str, config: Path | None) -> Status:
    """Count the funnel and look up the newest release.

    Raises:
        CatalogError: there is no catalog.
    """
    settings = load_settings(config)
    catalog = Catalog(root)
    require_catalog(catalog)
    frames = read_frames(catalog, settings)
    try:
        planned = plan_release(catalog, frames, settings).summary
    except ReleaseError:  # a class has no rows yet
        planned = None
    newest = newest_release_if_any(catalog.releases_dir)
    return Status(
        funnel=count_funnel(catalog, settings, frames, planned),
        release=newest.name if newest else None,
        synthetic=bool(catalog.values("ads", "video_id", where="synthetic")),
    )


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
    return f"{counted(counts.rows, 'row')}\n{counted(counts.frames, 'frame')}, {counted(counts.ads, 'ad')}"
