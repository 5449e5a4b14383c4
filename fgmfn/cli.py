"""`fgmfn train | evaluate | predict | models`: results on standard output, talk on standard error.

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

from fgmfn.baselines import MODELS
from fgmfn.errors import FgmfnError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgmfn.evaluation import Metrics
    from fgmfn.training import TrainedModel

# Line breaks in the help below are meant: rich markup keeps the examples' lines apart.
app = typer.Typer(
    help="FGMFN: the sentiment of image-text advertisements, learned from a release folder.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
results = Console()
talk = Console(stderr=True, highlight=False, soft_wrap=True)

DEFAULT_RELEASES = Path("catalog/releases")
ReleaseOption = Annotated[
    Path, typer.Option("--release", help="A release folder, or a folder of releases: then its newest.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@app.command()
def train(
    release: ReleaseOption = DEFAULT_RELEASES,
    config: Annotated[str, typer.Option(help="A TOML file, or a shipped configuration: tiny, ytb_ads.")] = "ytb_ads",
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
    """Train FGMFN and the rows beside it; print accuracy and macro-F1 side by side.

    A killed run goes on where it was; a finished one is not trained again.

    [bold]Examples[/bold]

      fgmfn train --config tiny

      fgmfn train --release catalog/releases/2026.11.24 --model fgmfn,text_only,image_only

      torchrun --nproc-per-node 4 -m fgmfn train --config ytb_ads
    """
    from fgmfn.training import train_models

    names = [name.strip() for given in model or ["fgmfn,text_only"] for name in given.split(",") if name.strip()]
    trained = train_models(release, config, output, names, seed=seed, from_scratch=from_scratch)
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun the first process speaks for all
    announce(trained)
    if "fgmfn" in names and "text_only" not in names:
        talk.print("Without the text-only row beside it FGMFN's row proves nothing: add --model text_only")
    if as_json:
        _print_json([_trained_as_json(one) for one in trained])
        return
    print_comparison(trained)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `fgmfn train` printed.")],
    release: ReleaseOption = DEFAULT_RELEASES,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Score a trained model on a split of a release: accuracy, macro-F1, confusion matrix.

    [bold]Example[/bold]

      fgmfn evaluate runs/fgmfn-3f2a9c81d0 --release catalog/releases/2026.11.24 --split test
    """
    from fgmfn.data import find_release, open_release
    from fgmfn.evaluation import confusion_table
    from fgmfn.inference import evaluate_split, load_checkpoint

    loaded = load_checkpoint(checkpoint)
    opened = open_release(find_release(release))
    metrics = evaluate_split(loaded, opened, split)
    if as_json:
        _print_json({"model": loaded.name, "split": split} | metrics.as_json())
        return
    title = f"{MODELS[loaded.name].title} on {split} of {opened.version}: {metrics.rows} rows"
    results.print(confusion_table(metrics, opened.class_names, title))
    results.print(f"accuracy {metrics.accuracy:.1%}, macro-F1 {metrics.macro_f1:.1%}")


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `fgmfn train` printed.")],
    image: Annotated[list[Path] | None, typer.Option(help="A picture; repeat for more, each with a --text.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="The words on that picture.")] = None,
    release: Annotated[Path | None, typer.Option(help="Predict a release's split instead.")] = None,
    split: Annotated[str, typer.Option(help="Which split: train, validation or test.")] = "test",
    output: Annotated[Path | None, typer.Option(help="Parquet file for the split's predictions.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict single ads, or every row of a release's split into a Parquet file.

    [bold]Examples[/bold]

      fgmfn predict runs/fgmfn-3f2a9c81d0 --image frame.jpg --text "Golden hour, half the price"

      fgmfn predict runs/fgmfn-3f2a9c81d0 --release catalog/releases --split test --output predictions.parquet
    """
    if (release is None) == (not image):
        raise typer.BadParameter("give either --image with --text, or --release with --output")
    if release is not None and output is None:
        raise typer.BadParameter("--release needs --output FILE.parquet for the predictions")
    if release is not None and output is not None:
        _predict_release(checkpoint, release, split, output)
    else:
        _predict_images(checkpoint, image or [], text or [], as_json=as_json)


def _predict_release(checkpoint: Path, release: Path, split: str, output: Path) -> None:
    import pyarrow.parquet as pq

    from fgmfn.data import find_release, open_release
    from fgmfn.inference import load_checkpoint, predict_split, prediction_table

    loaded = load_checkpoint(checkpoint)
    opened = open_release(find_release(release))
    table = prediction_table(opened, split, predict_split(loaded, opened, split))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, output)
    except OSError as error:
        raise InputError(f"{output}: the predictions cannot be written there: {error}") from error
    talk.print(f"{table.num_rows} predictions")
    results.print(str(output), soft_wrap=True, markup=False)


def _predict_images(checkpoint: Path, images: list[Path], texts: list[str], *, as_json: bool) -> None:
    from fgmfn.inference import load_checkpoint, read_image
    from fgmfn.inference import predict as predict_pairs

    if len(images) != len(texts):
        raise InputError(f"{len(images)} pictures and {len(texts)} texts; every --image needs its --text")
    pictures = [read_image(path) for path in images]
    predictions = predict_pairs(load_checkpoint(checkpoint), pictures, texts)
    if as_json:
        _print_json([{"image": str(path)} | vars(one) for path, one in zip(images, predictions, strict=True)])
        return
    for path, one in zip(images, predictions, strict=True):
        shares = ", ".join(f"{name} {share:.1%}" for name, share in one.probabilities.items())
        results.print(f"{path}: {one.label} ({shares})", soft_wrap=True, markup=False)


@app.command()
def models(
    config: Annotated[str, typer.Option(help="A TOML file, or a shipped configuration: tiny, ytb_ads.")] = "ytb_ads",
    as_json: JsonOption = False,
) -> None:
    """List the models that can be trained: what they look at and how large they are.

    [bold]Example[/bold]

      fgmfn models --config ytb_ads
    """
    from rich.table import Table

    from fgmfn.baselines import model_class
    from fgmfn.configuration import FgmfnConfig
    from fgmfn.encoders import on_meta_device, parameter_counts
    from fgmfn.settings import load_settings

    settings = load_settings(config)
    model_config = FgmfnConfig(**settings.model)
    sizes = {name: parameter_counts(on_meta_device(model_class(name), model_config)) for name in MODELS}
    if as_json:
        _print_json(
            [
                {"model": name, "modalities": row.modalities, "parameters": sizes[name][0], "trainable": sizes[name][1]}
                for name, row in MODELS.items()
            ]
        )
        return
    table = Table(title=f"Models with configuration {config}", title_justify="left")
    for column in ("--model", "looks at", "parameters", "trainable"):
        table.add_column(column, justify="right" if column in ("parameters", "trainable") else "left")
    for name, row in MODELS.items():
        total, trainable = sizes[name]
        table.add_row(name, " and ".join(row.modalities), f"{total / 1e6:.1f} M", f"{trainable / 1e6:.1f} M")
    results.print(table)


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
    for one in trained:
        results.print(f"{one.model}: {one.checkpoint}", soft_wrap=True, markup=False)


def _trained_as_json(one: TrainedModel) -> dict[str, Any]:
    def scores(metrics: Metrics | None) -> dict[str, Any] | None:
        return None if metrics is None else metrics.as_json()

    return vars(one) | {"checkpoint": str(one.checkpoint), "dev": scores(one.dev), "test": scores(one.test)}


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
