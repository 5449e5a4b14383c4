"""`fgmfn train | evaluate | predict | models | search | paper`: results on standard output, talk on standard error.

Exit codes: 0 done, 1 refused with a reason, 2 wrong usage.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fgmfn.baselines import MODELS, check_models, unproven
from fgmfn.errors import FgmfnError, InputError
from fgmfn.paper.cli import app as paper
from fgmfn.search.cli import search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fgmfn.data import Source
    from fgmfn.evaluation import Metrics
    from fgmfn.training import TrainedModel

# Line breaks in the help below are meant: rich markup keeps the examples' lines apart.
app = typer.Typer(
    help="FGMFN: the sentiment of image-text advertisements, and the models beside it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(paper, name="paper")
results = Console()
talk = Console(stderr=True, highlight=False, soft_wrap=True)

DEFAULT_RELEASES = "catalog/releases"
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        "--release",
        help="A release folder or a folder of releases (its newest); twitter2015 or twitter2017; a folder or file of "
        "tables: CSV, TSV, JSONL or Parquet.",
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        help="A TOML file, or one of tiny, ytb_ads, twitter2015, twitter2017. Unset: every model's own recipe."
    ),
]
ImagesOption = Annotated[Path | None, typer.Option(help="The folder of the pictures that the data name.")]
DataDirOption = Annotated[
    Path | None, typer.Option(help="The folder that holds the Twitter sets' folders 2015 and 2017.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@app.command()
def train(
    data: DataOption = DEFAULT_RELEASES,
    images: ImagesOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help=f"One or more of {', '.join(MODELS)}; repeat the option or separate by commas."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where every trained model gets its folder.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Replaces the configuration's seed.")] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start at random: nothing is downloaded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train models of the comparison; print accuracy and macro-F1 side by side.

    A killed run goes on where it was; a finished one is not trained again.

    [bold]Examples[/bold]

      fgmfn train --config tiny

      fgmfn train --data catalog/releases/2026.11.24 --model fgmfn,text_only,image_only

      fgmfn train --model tfidf,bilstm --data twitter2015 --data-dir twitter

      fgmfn train --model fgmfn,text_only --data twitter2017 --data-dir twitter --images twitter/2017_images

      torchrun --nproc-per-node 4 -m fgmfn train --config ytb_ads
    """
    from fgmfn.training import train_models

    names = [name.strip() for given in model or ["fgmfn,text_only"] for name in given.split(",") if name.strip()]
    names = check_models(names)
    source = _open(data, config, images, data_dir)
    trained = train_models(source, config, output, names, seed=seed, from_scratch=from_scratch)
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun the first process speaks for all
    announce(trained)
    if title := unproven(names):
        talk.print(f"Without a text-only row beside it {title}'s row proves nothing: add --model text_only")
    if as_json:
        _print_json([_trained_as_json(one) for one in trained])
        return
    print_comparison(trained)


def _open(data: str, config: str | None, images: Path | None, data_dir: Path | None) -> Source:
    """Open data as a configuration's [source] says, the command line's folders going before it."""
    from fgmfn.data import open_source
    from fgmfn.settings import load_settings

    given = {name: path for name, path in (("images", images), ("data_dir", data_dir)) if path is not None}
    return open_source(data, load_settings(config).source.model_copy(update=given))


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `fgmfn train` printed.")],
    data: DataOption = DEFAULT_RELEASES,
    images: ImagesOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Score a trained model on a split: accuracy, macro-F1, confusion matrix.

    [bold]Example[/bold]

      fgmfn evaluate runs/fgmfn-3f2a9c81d0 --release catalog/releases/2026.11.24 --split test
    """
    from fgmfn.evaluation import confusion_table
    from fgmfn.inference import evaluate_split, load_checkpoint

    loaded = load_checkpoint(checkpoint)
    opened = _open(data, config, images, data_dir)
    metrics = evaluate_split(loaded, opened, split)
    if as_json:
        _print_json({"model": loaded.name, "split": split, "checksum": opened.checksums[split]} | metrics.as_json())
        return
    title = f"{MODELS[loaded.name].title} on {split} of {opened.name}: {metrics.rows} rows"
    results.print(confusion_table(metrics, opened.class_names, title))
    checksum = opened.checksums[split][:12]
    results.print(f"accuracy {metrics.accuracy:.1%}, macro-F1 {metrics.macro_f1:.1%}, checksum of the rows {checksum}")


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `fgmfn train` printed.")],
    image: Annotated[list[Path] | None, typer.Option(help="A picture; repeat for more, each with a --text.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="The words on that picture.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="What the words are about; one per --text.")] = None,
    auxiliary: Annotated[
        list[str] | None, typer.Option(help="Further words that a model may read, such as a caption; one per --text.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "--release", help="Predict a split of these data instead.")
    ] = None,
    images: ImagesOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    split: Annotated[str, typer.Option(help="Which split: train, validation or test.")] = "test",
    output: Annotated[Path | None, typer.Option(help="Parquet file for the split's predictions.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict single ads, or every row of a split into a Parquet file.

    [bold]Examples[/bold]

      fgmfn predict runs/fgmfn-3f2a9c81d0 --image frame.jpg --text "Golden hour, half the price"

      fgmfn predict runs/fgmfn-3f2a9c81d0 --release catalog/releases --split test --output predictions.parquet
    """
    singly = bool(image or text)
    if (data is None) == (not singly):
        raise typer.BadParameter("give either --image with --text, or --data with --output")
    if data is not None and output is None:
        raise typer.BadParameter("--data needs --output FILE.parquet for the predictions")
    if data is not None and output is not None:
        _predict_split(checkpoint, lambda: _open(data, config, images, data_dir), split, output)
    else:
        _predict_singly(checkpoint, image or [], text or [], target, auxiliary, as_json=as_json)


def _predict_split(checkpoint: Path, opened: Callable[[], Source], split: str, output: Path) -> None:
    import pyarrow.parquet as pq

    from fgmfn.inference import load_checkpoint, predict_split, prediction_table

    loaded, source = load_checkpoint(checkpoint), opened()
    table = prediction_table(source, split, predict_split(loaded, source, split))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, output)
    except OSError as error:
        raise InputError(f"{output}: the predictions cannot be written there: {error}") from error
    talk.print(f"{table.num_rows} predictions")
    results.print(str(output), soft_wrap=True, markup=False)


def _predict_singly(
    checkpoint: Path,
    images: list[Path],
    texts: list[str],
    targets: list[str] | None,
    auxiliary: list[str] | None,
    *,
    as_json: bool,
) -> None:
    from fgmfn.inference import load_checkpoint, read_image
    from fgmfn.inference import predict as predict_pairs

    if images and len(images) != len(texts):
        raise InputError(f"{len(images)} pictures and {len(texts)} texts; every --image needs its --text")
    pictures = [read_image(path) for path in images]
    predictions = predict_pairs(load_checkpoint(checkpoint), pictures, texts, targets, auxiliary)
    named = [("image", str(path)) for path in images] or [("text", text) for text in texts]
    if as_json:
        _print_json([{kind: name} | vars(one) for (kind, name), one in zip(named, predictions, strict=True)])
        return
    for (_, name), one in zip(named, predictions, strict=True):
        shares = ", ".join(f"{label} {share:.1%}" for label, share in one.probabilities.items())
        results.print(f"{name}: {one.label} ({shares})", soft_wrap=True, markup=False)


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the models that can be trained, at their full size: what they look at, how large they are, whose they are.

    Nothing is downloaded and no memory is taken for weights.

    [bold]Example[/bold]

      fgmfn models --json
    """
    from rich.table import Table

    from fgmfn.baselines import full_size
    from fgmfn.quiet import quiet_libraries

    with quiet_libraries():
        sizes = {name: full_size(name) for name in MODELS}
    if as_json:
        _print_json([_model_as_json(name, sizes[name]) for name in MODELS])
        return
    table = Table(title="Models at full size, for three classes", title_justify="left")
    for column in ("--model", "looks at", "parameters", "trainable", "source"):
        table.add_column(column, justify="right" if column in ("parameters", "trainable") else "left")
    for name, row in MODELS.items():
        figures = [f"{size / 1e6:.1f} M" for size in sizes[name] or ()] or ["by the data", "by the data"]
        table.add_row(name, " and ".join(row.modalities), *figures, row.source)
    results.print(table)


def _model_as_json(name: str, sizes: tuple[int, int] | None) -> dict[str, Any]:
    total, trainable = sizes or (None, None)
    row = MODELS[name]
    return {
        "name": name,
        "title": row.title,
        "modalities": row.modalities,
        "parameters": total,
        "trainable_parameters": trainable,
        "source": row.source,
    }


app.command()(search)


def announce(trained: Sequence[TrainedModel]) -> None:
    """Say what was not trained again, and what a reader of the scores must know."""
    for name in (one.model for one in trained if one.already_trained):
        talk.print(f"{name}: already trained with these settings on these rows; nothing was done")
    for note in dict.fromkeys(note for one in trained for note in one.notes):
        talk.print(f"note: {note}")


def print_comparison(trained: Sequence[TrainedModel]) -> None:
    """Print accuracy and macro-F1 side by side, and where each model lies."""
    from fgmfn.evaluation import Comparison, comparison_table

    rows = [Comparison(MODELS[one.model].title, one.dev, one.test, one.seconds) for one in trained]
    tested = next((one.test.rows for one in trained if one.test), 0)
    results.print(comparison_table(rows, f"Accuracy and macro-F1, {tested} test rows"))
    checksums = next((one.checksums for one in trained), {})
    results.print("rows: " + ", ".join(f"{split} {checksum[:12]}" for split, checksum in checksums.items()))
    for one in trained:
        results.print(f"{one.model}: {one.checkpoint}", soft_wrap=True, markup=False)


def _trained_as_json(one: TrainedModel) -> dict[str, Any]:
    def scores(metrics: Metrics | None) -> dict[str, Any] | None:
        return None if metrics is None else metrics.as_json()

    return vars(one) | {
        "checkpoint": str(one.checkpoint),
        "checksums": dict(one.checksums),
        "dev": scores(one.dev),
        "test": scores(one.test),
    }


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


class _Talk(logging.Handler):
    """What the package reports while it works, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        talk.print(record.getMessage(), markup=False)


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 1."""
    reports = logging.getLogger("fgmfn")
    reports.setLevel(logging.INFO)
    reports.handlers = [_Talk()]
    try:
        app()
    except FgmfnError as error:
        _refuse(str(error))
    except OSError as error:  # a full disk, a file where a folder should be, a missing permission
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _refuse(reason: str) -> None:
    talk.print(f"fgmfn: {reason}", style="red", markup=False)
    sys.exit(1)
