"""The paper's tables and figures in one go, and one report of them that can stand as a paper's appendix.

What is needed is looked for first; then each part's runs are trained as its own command trains them, so that all share
one folder of runs, are resumed, and may be divided among processes. The report can be written at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fgmfn.errors import ConfigError, did_you_mean
from fgmfn.paper import figure3, figure4, table5
from fgmfn.paper.experiments import Cell, entries_of, run_experiments
from fgmfn.paper.measuring import Measured
from fgmfn.paper.needs import lacking
from fgmfn.paper.report import PARTS, Part, Reproduction, write_report
from fgmfn.paper.score_tables import ABLATIONS, TABLE_4, TABLE_6
from fgmfn.sheets import write_sheet

WRITE_EVERY_S = 30.0
"""After a run a part's files are written again if they are older than this."""


def chosen_parts(
    only: Sequence[str], models: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Part]:
    """Return the parts that are trained, in their order.

    Args:
        only: their names; empty: all.
        models: rows of Table 4.
        alphas: of Figure 4.
        betas: of Figure 4.

    Raises:
        ConfigError: There is no such part.
    """
    if unknown := next((name for name in only if name not in PARTS), None):
        raise ConfigError(f"--only {unknown}{did_you_mean(unknown, PARTS)}; known: {', '.join(PARTS)}")
    parts = [
        Part("table4", tuple(entries_of(models)), TABLE_4),
        Part("table6", tuple(ABLATIONS), TABLE_6),
        Part("figure3", tuple(entries_of(["fgmfn"])), figure3),
        Part("figure4", tuple(figure4.entries(alphas, betas)), figure4),
    ]
    return [part for part in parts if not only or part.key in only]


def reproduce(work: Reproduction, output: Path, measure: Callable[[], Sequence[Measured]] | None) -> list[Path]:
    """Train what is not trained yet, part by part, and write each part's files and the report.

    Args:
        work: parts, data and needs; its cells are filled in.
        output: where files go.
        measure: measures Table 5; None: it is left out.

    Returns:
        The files.

    Raises:
        KeyboardInterrupt: It was stopped; what there is has been written.
    """
    paths: list[Path] = []
    for part in work.parts:
        told = _now_and_then(work, part, output)
        try:
            work.cells[part.key] = run_experiments(
                part.entries, work.sources, work.recipe, told=told, lacking=lacking(work.needs)
            )
        finally:
            if part.key in work.cells:
                paths += write_part(work, part, output)
            paths += write_report(work, output)
    if measure is not None:
        work.measured = measure()
        paths += [*write_table5(work, output), *write_report(work, output)]
    return list(dict.fromkeys(paths))


def _now_and_then(work: Reproduction, part: Part, output: Path) -> Callable[[list[Cell]], None]:
    """Note the cells as they stand, and write the part's files if the last time is a while ago."""
    written = time.monotonic()

    def told(cells: list[Cell]) -> None:
        nonlocal written
        work.cells[part.key] = cells
        if time.monotonic() - written > WRITE_EVERY_S:
            write_part(work, part, output)
            written = time.monotonic()

    return told


# --- files ---


def write_part(work: Reproduction, part: Part, output: Path) -> tuple[Path, ...]:
    """Write a part's Markdown, Parquet and PNG, as its own command does."""
    cells, sheet = work.cells[part.key], part.sheet
    return write_sheet(
        output,
        part.key,
        markdown=sheet.as_markdown(cells, work.recipe),
        table=sheet.as_table(cells),
        figure=sheet.as_figure(cells, work.recipe),
    )


def write_table5(work: Reproduction, output: Path) -> tuple[Path, ...]:
    """Write what was measured, if anything was."""
    if not work.measured:
        return ()
    rows, name = work.training_rows()
    return write_sheet(
        output,
        "table5",
        markdown=table5.as_markdown(work.measured, rows, name),
        table=table5.as_table(work.measured, rows),
        figure=table5.as_figure(work.measured, rows),
    )
