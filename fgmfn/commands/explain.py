"""`fgmfn explain RUN`: explanations of a model's answers, for pictures with their words or rows of a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgmfn.commands.options import DATA_HELP, Config, DataDir, Images, Json, Words, open_data
from fgmfn.console import print_json, print_line, print_paths, reports
from fgmfn.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from fgmfn.data import Rows
    from fgmfn.explaining import Explainer
    from fgmfn.explanations import Explanation

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a trained model, as printed by `fgmfn train`.")],
    image: Annotated[
        list[Path] | None, typer.Option(help="Picture file; repeat the option for more, each with its --text.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Words on the picture; one --text per --image, in the same order.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Part of the text that the label is about; one per --text.")
    ] = None,
    auxiliary: Annotated[
        list[str] | None, typer.Option(help="Additional text that a model may read, such as a caption; one per --text.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "--release", help=f"Data of the run. {DATA_HELP}"),
    ] = None,
    images: Images = None,
    data_dir: DataDir = None,
    config: Config = None,
    words: Words = None,
    split: Annotated[str, typer.Option(help="Split of the rows: train, validation or test.")] = "validation",
    row: Annotated[
        list[str] | None, typer.Option(help="Name of a row of the split; repeat the option for more.")
    ] = None,
    deletion_test: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of rows of the split, drawn at random, whose explanations are tested instead of shown."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="HTML file for the explanations.")] = None,
    as_json: Json = False,
) -> None:
    """Explain a model's answers: words and regions that count, each modality, and the nearest training ads.

    The model predicts again without each word and without each region of the picture; the effect is the loss of the
    answer's probability, in points. The nearest training ads need the run's data once: an index is kept in its folder.

    [bold]Examples[/bold]

      fgmfn explain runs/fgmfn-3f2a9c81d0 --image frame.jpg --text "Golden hour, half the price" --html why.html

      fgmfn explain runs/fgmfn-3f2a9c81d0 --data catalog/releases --split test --row ad1:0 --json

      fgmfn explain runs/fgmfn-3f2a9c81d0 --data catalog/releases --split validation --deletion-test 100
    """
    given = bool(image or text)
    if given == bool(row or deletion_test) or (row and deletion_test):
        raise typer.BadParameter("give --image with --text, or --data with --row, or --data with --deletion-test")
    if image and len(image) != len(text or ()):
        raise InputError(f"{len(image)} pictures and {len(text or ())} texts; every --image needs its --text")
    from fgmfn.explaining import Explainer
    from fgmfn.inference import Predictor
    from fgmfn.neighbours import open_index

    predictor = Predictor.open(run)
    checkpoint = predictor.checkpoint
    source = open_data(data, config, images=images, data_dir=data_dir, words=words) if data else None
    if given:
        from fgmfn.inference import read_image

        pictures = [read_image(path) for path in image or ()]
        explainer = Explainer(predictor, index=open_index(checkpoint, source))
        found = explainer.explain(pictures, text or [], target, auxiliary)
        names = [str(path) for path in image or ()] or list(text or ())
    else:
        from fgmfn.scoring import split_of

        if source is None:
            raise typer.BadParameter("--row and --deletion-test need the run's data (--data)")
        rows = split_of(checkpoint, source, split)
        if deletion_test is not None:
            _test(Explainer(predictor), _drawn(rows, deletion_test), as_json=as_json)
            return
        rows = _named(rows, row or [])
        found = Explainer(predictor, index=open_index(checkpoint, source)).explain_rows(rows)
        names = rows.name
    _write(run, names, found, html, as_json=as_json)


def _named(rows: Rows, names: list[str]) -> Rows:
    numbers = {name: number for number, name in enumerate(rows.name)}
    for name in names:
        if name not in numbers:
            raise InputError(f"no row {name!r} in the split{did_you_mean(name, rows.name)}")
    return rows.take([numbers[name] for name in names])


def _drawn(rows: Rows, count: int) -> Rows:
    import numpy as np

    drawn = np.random.default_rng(0).permutation(len(rows))[:count]
    return rows.take(sorted(map(int, drawn)))


def _test(explainer: Explainer, rows: Rows, *, as_json: bool) -> None:
    from fgmfn.deletion import deletion_test

    found = deletion_test(explainer, rows)
    if as_json:
        print_json([vars(one) | {"difference": one.difference._asdict()} for one in found])
        return
    for one in found:
        print_line(str(one))
    if not found:
        reports.print("no row has enough words or regions to take some of them away")


def _write(run: Path, names: list[str], found: list[Explanation], html: Path | None, *, as_json: bool) -> None:
    from fgmfn.explanation_page import explanation_lines, explanations_page
    from fgmfn.sheets import write_file

    if html is not None:
        page = explanations_page(f"Why {run.name} answers so", list(zip(names, found, strict=True)))
        path = write_file(html.parent, html.name, page)
    if as_json:
        print_json([{"name": name} | one.as_json() for name, one in zip(names, found, strict=True)])
        return
    for name, one in zip(names, found, strict=True):
        first, *lines = explanation_lines(one)
        print_line(f"{name}: {first}")
        for line in lines:
            print_line(line)
    if html is not None:
        print_paths([path])
