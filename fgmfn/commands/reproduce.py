"""`fgmfn paper reproduce`: check the requirements, train the paper's tables and figures, write one report."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fgmfn.baselines import MODELS, check_models
from fgmfn.commands.options import GridOptions, Models, SeedOptions, TrainingOptions, names_of, takes
from fgmfn.console import print_json, print_line, print_paths, results

if TYPE_CHECKING:
    from fgmfn.paper.measuring import Measured
    from fgmfn.paper.needs import Need

log = logging.getLogger(__name__)

Given = list[tuple[str, object]]
"""Options with their values; None if they are left out."""
STYLES = {"missing": "red", "differs": "yellow", "found": "green"}


@takes(TrainingOptions, SeedOptions, GridOptions)
def reproduce(
    options: TrainingOptions,
    seeds: SeedOptions,
    grid: GridOptions,
    model: Models = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Parts to run: table4, table6, figure3, figure4, table5; repeat the option or separate by commas. "
            "Unset: all."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the requirements: exit code 0 if all are met, else 1.")
    ] = False,
) -> None:
    """Train Tables 4 and 6 and Figures 3 and 4, measure Table 5, and write one report: reproduction.html and .md.

    All requirements are checked first and listed in one table: data and pictures with checksums, weights, which are
    fetched from the hub if it can be reached, memory, disk and device. Rows that cannot run are left out, and the
    report says why. A stopped command is resumed; several processes can share its runs.

    [bold]Examples[/bold]

      fgmfn paper reproduce --check --data twitter2015 --data-dir twitter --images twitter/2015_images

      fgmfn paper reproduce --data catalog/releases --config light --model fgmfn,text_only --only table4,figure3

      fgmfn paper reproduce --data catalog/releases --only-finished
    """
    from fgmfn.errors import DataError
    from fgmfn.paper.needs import complete, find_all, open_all
    from fgmfn.paper.report import PARTS, Reproduction
    from fgmfn.paper.reproduce import chosen_parts
    from fgmfn.paper.reproduce import reproduce as run
    from fgmfn.sheets import check_output

    models, chosen = check_models(names_of(model) or list(MODELS)), names_of(only)
    parts = chosen_parts(chosen, models, *grid.weights())
    commands = _commands(options, seeds, grid, model, [name for name in PARTS if not chosen or name in chosen])
    if not check:
        check_output(options.output)
    sources, needs = open_all(options.source_settings(), decode=not options.only_finished)
    work = Reproduction(parts, sources, options.recipe(seeds.first_seed, seeds.seeds), commands=commands)
    work.needs = needs = [*needs, *find_all(work.planned(), options.runs, fetch=not options.only_finished)]
    if check and options.as_json:
        print_json({"complete": complete(needs), "needs": [need.as_json() for need in needs]})
    elif not options.as_json:
        _print_needs(needs)
    if check:
        raise typer.Exit(0 if complete(needs) else 1)
    if not sources:
        raise DataError("no data could be opened, see above: nothing is trained")

    def measure() -> Sequence[Measured]:
        from fgmfn.paper.measuring import MEASUREMENTS, WITHOUT_PARSER, MeasureOptions, measure_models
        from fgmfn.settings import shipped_configs

        own = sources[0].name if sources[0].name in shipped_configs() else None  # as in its own command
        wanted = MeasureOptions(config=options.config or own, changes=WITHOUT_PARSER)
        return measure_models(models, wanted, options.runs / MEASUREMENTS, only_finished=options.only_finished)

    try:
        paths = run(work, options.output, measure if "table5" in commands else None)
    except KeyboardInterrupt:
        log.info("stopped; the same command goes on from here, --only-finished reports what there is")
        raise
    if options.as_json:
        print_json({"complete": complete(needs), "needs": [need.as_json() for need in needs], **work.as_json()})
        return
    for name, (done, wanted) in work.counted().items():
        print_line(f"{name}: {done:,} of {wanted:,} results")
    print_paths(paths)


def _print_needs(needs: Sequence[Need]) -> None:
    """Print one table of the requirements, missing ones first."""
    from rich.table import Table
    from rich.text import Text

    from fgmfn.paper.report import rows_said

    table = Table(
        "state", "what", "found, and what to do", title="What is needed", title_justify="left", show_lines=True
    )
    for need in sorted(needs, key=lambda need: list(STYLES).index(need.state)):
        whose = f"\nfor {rows_said(need)}" if need.rows else ""
        todo = Text(f"\n{need.todo}", style="bold") if need.todo else ""
        state = Text(need.state, style=STYLES[need.state])
        table.add_row(state, Text(need.what + whose, overflow="fold"), Text(need.found, overflow="fold").append(todo))
    results.print(table)
    counted = {state: sum(need.state == state for need in needs) for state in STYLES}
    print_line(", ".join(f"{count} {state}" for state, count in counted.items() if count))


def _commands(
    options: TrainingOptions, seeds: SeedOptions, grid: GridOptions, model: list[str] | None, parts: Sequence[str]
) -> dict[str, str]:
    """Return the command that was called, and the command of each part, quoted for a shell."""
    data: Given = [("--data", one) for one in options.data]
    pictures: Given = [("--images", one) for one in options.images or ()]
    rows: Given = [("--model", one) for one in model or ()]
    words_read: Given = [("--words", options.words)]
    places: Given = [("--data-dir", options.data_dir), ("--config", options.config)]
    places += [("--runs", options.runs), ("--output", options.output)]
    counted: Given = [("--seeds", seeds.seeds), ("--first-seed", seeds.first_seed)]
    own: dict[str, Given] = {"table4": rows, "figure4": [("--alphas", grid.alphas), ("--betas", grid.betas)]}
    commands = {"reproduce": shlex.join(["fgmfn", *sys.argv[1:]])}
    for part in parts:
        given = [*data[:1], *rows, *places]  # of Table 5
        if part != "table5":
            given = [*data, *pictures, *words_read, *places, *counted, *own.get(part, [])]
        words = [word for option, value in given if value is not None for word in (option, str(value))]
        scratch = ["--from-scratch"] if options.from_scratch and part != "table5" else []
        commands[part] = shlex.join(["fgmfn", "paper", part, *words, *scratch])
    return commands
