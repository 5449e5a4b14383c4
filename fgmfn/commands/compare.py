"""`fgmfn compare A B` and `fgmfn diagnose RUN`: which of two models is better, and whether a model's parts work."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgmfn.baselines import MODELS
from fgmfn.commands.options import DATA_HELP, DEFAULT_DATA, Config, DataDir, Images, Json, Words, open_data
from fgmfn.console import print_json, print_line, print_paths, reports, results
from fgmfn.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from fgmfn.comparing import Outcome
    from fgmfn.data import Source
    from fgmfn.diagnosing import Diagnosis

app = typer.Typer(rich_markup_mode="rich")
SIDE_HELP = "Folder of a run, folder of one model's runs with several seeds, or a pattern of runs in quotes."
Side = Annotated[Path, typer.Argument(help=SIDE_HELP)]


class KeptSplit(StrEnum):
    """Rows whose predictions a run keeps."""

    VALIDATION = "validation"
    TEST = "test"


@app.command()
def compare(
    a: Side,
    b: Side,
    split: Annotated[KeptSplit, typer.Option(help="Split whose rows are compared.")] = KeptSplit.TEST,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "--release", help=f"Data to predict again for runs that have kept no predictions. {DATA_HELP}"
        ),
    ] = None,
    images: Images = None,
    data_dir: DataDir = None,
    config: Config = None,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Say by how much A is better than B on the same rows, with a 95 % interval, or that they are not distinguishable.

    Rows of one ad are drawn together, and seeds that both have are paired. A p below 0.05 distinguishes two models: it
    is the larger of a bootstrap's p and that of a permutation test that exchanges whole ads. McNemar's test, which
    assumes independent rows, is printed too. The exit code is 0 whichever model is better, and 1 if the rows differ.

    [bold]Examples[/bold]

      fgmfn compare runs/fgmfn-3f2a9c81d0 runs/text_only-90be11c2f4

      fgmfn compare "runs/fgmfn-*" "runs/text_only-*" --split validation --json
    """
    from fgmfn.comparing import compare as compare_sides
    from fgmfn.comparing import read_side

    def predict(folder: Path, checksum: str) -> pa.Table:
        from fgmfn.inference import load_checkpoint
        from fgmfn.scoring import predict_split, prediction_table

        source = open_data(str(data), config, images=images, data_dir=data_dir, words=words)
        _refuse_others(source, folder, split, checksum)
        return prediction_table(source, split, predict_split(load_checkpoint(folder), source, split))

    again = predict if data else None
    outcome = compare_sides(read_side(a, split, again), read_side(b, split, again), split)
    if outcome.left_out:
        left_out = ", ".join(map(str, outcome.left_out))
        reports.print(f"left out, as one side alone has them: seeds {left_out}")
    if as_json:
        print_json(outcome.as_json())
    else:
        _print(outcome)


def _refuse_others(source: Source, folder: Path, split: str, checksum: str) -> None:
    """Refuse rows other than those that a run was scored on.

    Raises:
        DataError: They are others.
    """
    if (there := source.checksums.get(split)) != checksum:
        raise DataError(f"{folder}: was scored on the {split} rows {checksum}; those of {source.path} are {there}")


def _print(outcome: Outcome) -> None:
    from rich.table import Table

    from fgmfn.comparing import p_value
    from fgmfn.evaluation import REDUCED, reduced_lines
    from fgmfn.predictions import MEASURES

    found = outcome.difference
    sides = {"A": outcome.a, "B": outcome.b}
    marks = {name: REDUCED if side.departures else "" for name, side in sides.items()}
    for name, side in sides.items():
        title = MODELS[side.model].title if side.model in MODELS else side.model
        print_line(f"{name}: {title}{marks[name]}, {side.path}")
    if outcome.a.checksum != outcome.b.checksum:
        reports.print("Both have read other words of the same rows.")
    seeds = f"seeds {', '.join(map(str, outcome.seeds))}" if len(outcome.seeds) > 1 else "one run each"
    table = Table(
        title=f"{found.rows} {outcome.split} rows in {found.groups} groups, {seeds}; percent", title_justify="left"
    )
    table.add_column("")
    for column in (*(f"{name}{mark}" for name, mark in marks.items()), "A - B", "95 % interval", "p"):
        table.add_column(column, justify="right")
    for name, ((value, low, high), p) in outcome.differences.items():
        shares = [
            f"{100 * scores[name]:.1f}{mark}" for scores, mark in zip(outcome.scores, marks.values(), strict=True)
        ]
        shown = f"[{100 * low:+.1f}, {100 * high:+.1f}]".replace("[", r"\[")
        table.add_row(MEASURES.get(name, name), *shares, f"{100 * value:+.1f}", shown, p_value(p).removeprefix("p = "))
    results.print(table)
    for line in reduced_lines({name: side.departures for name, side in sides.items()}):
        print_line(line)
    for name in MEASURES:
        print_line(outcome.verdict(name))
    if len(outcome.seeds) == 1:
        reports.print("One run each: what another seed would change is in no interval.")
    tests = [f"{one.new} against {one.old} rows, {p_value(one.p)}" for one in outcome.mcnemar]
    print_line(f"McNemar, right where the other is wrong, A against B: {'; '.join(tests)}")
    if found.groups < found.rows:
        reports.print("McNemar's test takes rows for independent; those of one group are not, so its p is too small.")


@app.command()
def diagnose(
    run: Annotated[Path, typer.Argument(help="Folder of a trained model, as printed by `fgmfn train`.")],
    split: Annotated[KeptSplit, typer.Option(help="Split whose rows are predicted.")] = KeptSplit.TEST,
    data: Annotated[
        str | None,
        typer.Option("--data", "--release", help=f"Data of the run. {DATA_HELP} Unset: {DEFAULT_DATA}, if it exists."),
    ] = None,
    images: Images = None,
    data_dir: DataDir = None,
    config: Config = None,
    words: Words = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the report. Unset: the run's folder.")] = None,
    as_json: Json = False,
) -> None:
    """Check whether a trained model's parts work: the course of its training, and the cost of hiding pictures or words.

    The same rows are predicted again with pictures of other rows, with blank pictures, with masked words and with
    neither; each difference from the unchanged answers has a 95 % interval. Losses, gradients by part and loss, the
    gate and the attention's entropy are read from metrics.json. The report is one file, diagnosis.html, and
    diagnosis.md, .png and .parquet.

    [bold]Examples[/bold]

      fgmfn diagnose runs/fgmfn-3f2a9c81d0

      fgmfn diagnose runs/fgmfn-3f2a9c81d0 --data rows.csv --images pictures --config light --split validation --json
    """
    from fgmfn import diagnosing
    from fgmfn.comparing import read_record
    from fgmfn.pages import render_page
    from fgmfn.sheets import check_output, write_file, write_sheet

    record, folder = read_record(run), output or run
    check_output(folder)
    probing, lacking = None, diagnosing.lacking(record)
    named = data or (DEFAULT_DATA if Path(DEFAULT_DATA).exists() else None)
    checksum = (record.get("checksums") or {}).get(split)
    if record.get("finished") is False:
        lacking.append("no probes: the training has not finished")
    elif checksum is None:
        lacking.append(f"no probes: the run has no {split} rows")
    elif named is None:
        lacking.append("no probes: name the run's data (--data)")
    else:
        from fgmfn.inference import load_checkpoint
        from fgmfn.probing import probe

        source = open_data(named, config, images=images, data_dir=data_dir, words=words)
        _refuse_others(source, run, split, checksum)
        probing = probe(load_checkpoint(run), source, split)
        for reason in dict.fromkeys(probing.left_out.values()):
            names = [name for name, own in probing.left_out.items() if own == reason]
            lacking.append(f"no probe of {', '.join(names)}: {reason}")
    found = diagnosing.Diagnosis(run, record, probing, tuple(lacking))
    markdown = diagnosing.as_markdown(found, "diagnosis.png")
    table, figure = diagnosing.as_table(found), diagnosing.as_figure(found)
    paths = write_sheet(folder, "diagnosis", markdown=markdown, table=table, figure=figure)
    paths = (*paths, write_file(folder, "diagnosis.html", render_page(markdown, folder)))
    if as_json:
        print_json(found.as_json())
        return
    _print_diagnosis(found)
    print_paths(paths)


def _print_diagnosis(found: Diagnosis) -> None:
    from rich.markup import escape
    from rich.table import Table

    from fgmfn.comparing import MEANING
    from fgmfn.diagnosing import PROBE_COLUMNS, probe_rows
    from fgmfn.evaluation import REDUCED, reduced_lines
    from fgmfn.predictions import MEASURES

    print_line(f"{found.title}{REDUCED if found.departures else ''}, {found.run}")
    if probing := found.probing:
        title = f"{probing.rows} {probing.split} rows in {probing.groups} groups; percent"
        table = Table(title=title, title_justify="left")
        first = PROBE_COLUMNS.index(MEASURES[found.measure])
        shown = (0, first, first + 1, -2)
        for place in shown:
            table.add_column(
                PROBE_COLUMNS[place].replace(" ", "\n"), justify="right" if place else "left", no_wrap=True
            )
        for cells in probe_rows(probing):
            table.add_row(*(escape(cells[place]) for place in shown))
        results.print(table)
        print_line(MEANING)
    for line in (*found.findings(), *reduced_lines({found.title: found.departures})):
        print_line(line)
    for line in found.lacking:
        reports.print(line, markup=False)
