"""`fgmfn train | evaluate | predict | models | cache`: one model or several on one set of data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgmfn.baselines import MODELS, check_models, unproven
from fgmfn.commands.options import (
    DATA_HELP,
    Config,
    DataDir,
    FromScratch,
    Images,
    Json,
    SourceOptions,
    Words,
    names_of,
    open_data,
    takes,
)
from fgmfn.console import print_json, print_line, reports, results, short_checksums
from fgmfn.errors import InputError

if TYPE_CHECKING:
    from fgmfn.training import TrainedModel

# Line breaks in the help texts are intended: rich markup keeps the examples on separate lines.
app = typer.Typer(rich_markup_mode="rich")
Checkpoint = Annotated[Path, typer.Argument(help="Folder of a trained model, as printed by `fgmfn train`.")]
Split = Annotated[str, typer.Option(help="Split of the data: train, validation or test.")]


@app.command()
@takes(SourceOptions)
def train(
    source: SourceOptions,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Models to train, of {', '.join(MODELS)}; repeat the option or separate by commas. "
            "Unset: fgmfn, text_only."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder in which each trained model gets a folder.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Seed of the training. Unset: the configuration's.")] = None,
    from_scratch: FromScratch = False,
    as_json: Json = False,
) -> None:
    """Train models of the comparison; print accuracy and macro-F1 side by side.

    A killed run is resumed; a finished one is not trained again.

    [bold]Examples[/bold]

      fgmfn train --config tiny

      fgmfn train --data catalog/releases/2026.11.24 --model fgmfn,text_only,image_only

      fgmfn train --model tfidf,bilstm --data twitter2015 --data-dir twitter

      fgmfn train --model fgmfn,text_only --data twitter2017 --data-dir twitter --images twitter/2017_images

      torchrun --nproc-per-node 4 -m fgmfn train --config ytb_ads
    """
    from fgmfn.distributed import is_first_process
    from fgmfn.training import train_models

    names = check_models(["fgmfn", "text_only"] if model is None else names_of(model))
    trained = train_models(source.open(), source.config, output, names, seed=seed, from_scratch=from_scratch)
    if not is_first_process():
        return
    announce(trained)
    if missing := unproven(names):
        reports.print(missing)
    if as_json:
        print_json([one.as_json() for one in trained])
    else:
        print_comparison(trained)


@app.command()
@takes(SourceOptions)
def evaluate(source: SourceOptions, checkpoint: Checkpoint, split: Split = "test", as_json: Json = False) -> None:
    """Score a trained model on a split: accuracy, macro-F1, confusion matrix.

    [bold]Example[/bold]

      fgmfn evaluate runs/fgmfn-3f2a9c81d0 --release catalog/releases/2026.11.24 --split test
    """
    from fgmfn.evaluation import REDUCED, confusion_table, reduced_lines, surety_lines
    from fgmfn.inference import load_checkpoint
    from fgmfn.scoring import evaluate_split

    loaded = load_checkpoint(checkpoint)
    opened = source.open()
    metrics = evaluate_split(loaded, opened, split)
    checksum, departures = opened.checksums[split], loaded.model.departures()
    calibrated = loaded.calibration
    if as_json:
        named = {"model": loaded.name, "split": split, "checksum": checksum, "departures": departures}
        fitted = {"calibrated_by": calibrated and calibrated.as_json()}
        print_json(named | metrics.as_json() | fitted)
        return
    title = f"{MODELS[loaded.name].title} on {split} of {opened.name}: {metrics.rows} rows"
    results.print(confusion_table(metrics, opened.class_names, title))
    mark = REDUCED if departures else ""
    figures = f"accuracy {metrics.accuracy:.1%}{mark}, macro-F1 {metrics.macro_f1:.1%}{mark}"
    results.print(f"{figures}, checksum of the rows {checksum[:12]}")
    said = calibrated.lines() if calibrated else ["not calibrated: an older run, or one without development rows"]
    if before := (metrics.calibration or {}).get("uncalibrated"):
        said.insert(0, f"before calibration: ECE {before['ece']:.1%}, Brier {before['brier']:.3f}")
    for line in (
        *surety_lines(metrics),
        *said,
        *reduced_lines({MODELS[loaded.name].title: departures}),
    ):
        print_line(line)


@app.command()
def predict(
    checkpoint: Checkpoint,
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
        typer.Option("--data", "--release", help=f"Predict the rows of a split of these data. {DATA_HELP}"),
    ] = None,
    images: Images = None,
    data_dir: DataDir = None,
    config: Config = None,
    words: Words = None,
    split: Split = "test",
    rows: Annotated[
        Path | None,
        typer.Option(
            help="Predict unlabelled pictures with their words: a folder (frame.jpg with frame.txt), a CSV or a JSONL "
            "file."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File for the predictions: Parquet for --data; CSV, JSONL or Parquet for --rows."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict single ads, many without labels, or every row of a split.

    A row of --rows that cannot be read has the reason in place of an answer; the exit code is then 1. A killed run is
    resumed.

    [bold]Examples[/bold]

      fgmfn predict runs/fgmfn-3f2a9c81d0 --image frame.jpg --text "Golden hour, half the price"

      fgmfn predict runs/fgmfn-3f2a9c81d0 --release catalog/releases --split test --output predictions.parquet

      fgmfn predict runs/fgmfn-3f2a9c81d0 --rows frames.csv --images frames --output answers.csv
    """
    if [data is not None, bool(image or text), rows is not None].count(True) != 1:
        raise typer.BadParameter("give one of --image with --text, --rows with --output, and --data with --output")
    if rows is not None:
        if output is None:
            raise typer.BadParameter("--rows needs --output FILE.csv, .jsonl or .parquet for the predictions")
        _predict_rows(checkpoint, rows, output, config, images)
        return
    if data is None:
        _predict_singly(checkpoint, image or [], text or [], target, auxiliary, as_json=as_json)
        return
    if output is None:
        raise typer.BadParameter("--data needs --output FILE.parquet for the predictions")
    import pyarrow.parquet as pq

    from fgmfn.inference import load_checkpoint
    from fgmfn.scoring import predict_split, prediction_table

    loaded = load_checkpoint(checkpoint)
    source = open_data(data, config, images=images, data_dir=data_dir, words=words)
    table = prediction_table(source, split, predict_split(loaded, source, split))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, output)
    except OSError as error:
        raise InputError(f"{output}: the predictions cannot be written there: {error}") from error
    reports.print(f"{table.num_rows} predictions")
    print_line(str(output))


def _predict_rows(checkpoint: Path, rows: Path, output: Path, config: str | None, images: Path | None) -> None:
    from fgmfn.answering import answer_rows
    from fgmfn.commands.options import source_settings
    from fgmfn.inference import Predictor

    settings = source_settings(config)
    total, unanswered = answer_rows(Predictor.open(checkpoint), rows, output, settings, images=images)
    print_line(str(output))
    reports.print(f"{total - unanswered} of {total} rows are answered")
    if unanswered:
        reports.print("the others have their reason in the column `reason`", markup=False)
        raise typer.Exit(1)


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
        print_json([{kind: name} | vars(one) for (kind, name), one in zip(named, predictions, strict=True)])
        return
    for (_, name), one in zip(named, predictions, strict=True):
        shares = ", ".join(f"{label} {share:.1%}" for label, share in one.probabilities.items())
        print_line(f"{name}: {one.label} ({shares})")


@app.command()
def models(as_json: Json = False) -> None:
    """List the models that can be trained, at their full size: modalities, parameters, source.

    Nothing is downloaded, and no memory is allocated for weights.

    [bold]Example[/bold]

      fgmfn models --json
    """
    from rich.table import Table

    from fgmfn.console import quiet_libraries
    from fgmfn.sizes import full_size

    with quiet_libraries():
        sizes = {name: full_size(name) or (None, None) for name in MODELS}
    if as_json:
        print_json([_model_as_json(name, *sizes[name]) for name in MODELS])
        return
    table = Table(title="Models at full size, for three classes", title_justify="left")
    for column in ("--model", "looks at", "parameters", "trainable", "source"):
        table.add_column(column, justify="right" if column in ("parameters", "trainable") else "left")
    for name, row in MODELS.items():
        figures = ["by the data" if size is None else f"{size / 1e6:.1f} M" for size in sizes[name]]
        table.add_row(name, " and ".join(row.modalities), *figures, row.source)
    results.print(table)


def _model_as_json(name: str, total: int | None, trainable: int | None) -> dict[str, Any]:
    row = MODELS[name]
    sizes = {"parameters": total, "trainable_parameters": trainable}
    return {"name": name, "title": row.title, "modalities": row.modalities, **sizes, "source": row.source}


@app.command()
def cache(
    config: Config = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all prepared rows except those that a process has open.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the prepared rows in the cache, with folder and size.

    [bold]Examples[/bold]

      fgmfn cache

      fgmfn cache --clear
    """
    from datetime import UTC, datetime

    from rich.table import Table

    from fgmfn.data.prepared import GIGABYTE
    from fgmfn.planning import open_cache
    from fgmfn.settings import load_settings

    data = load_settings(config).data
    opened = open_cache(data)
    if clear:
        reports.print(f"{len(opened.tidy(everything=True))} removed")
    entries = opened.entries()
    total = sum(entry.size_bytes for entry in entries)
    used = [datetime.fromtimestamp(entry.used_at, UTC).isoformat(" ", "minutes") for entry in entries]
    if as_json:
        listed = [
            {"what": entry.what, "folder": str(entry.folder), "bytes": entry.size_bytes, "used_at": at}
            for entry, at in zip(entries, used, strict=True)
        ]
        print_json({"folder": str(opened.folder), "bytes": total, "entries": listed})
        return
    table = Table(title=f"{opened.folder}: {total / GIGABYTE:.2f} GB of {data.cache_gb:g} GB", title_justify="left")
    for column in ("prepared", "GB", "last used"):
        table.add_column(column, justify="right" if column == "GB" else "left")
    for entry, at in zip(entries, used, strict=True):
        table.add_row(entry.what, f"{entry.size_bytes / GIGABYTE:.2f}", at)
    results.print(table)


def announce(trained: Sequence[TrainedModel]) -> None:
    """Report models that were not trained again, and notes on the scores."""
    for name in (one.model for one in trained if one.already_trained):
        reports.print(f"{name}: already trained with these settings on these rows; nothing was done")
    for note in dict.fromkeys(note for one in trained for note in one.notes):
        reports.print(f"note: {note}")


def print_comparison(trained: Sequence[TrainedModel]) -> None:
    """Print accuracy and macro-F1 side by side, and the folder of each model."""
    from fgmfn.evaluation import Comparison, comparison_table, reduced_lines, surety_lines

    rows = [Comparison(MODELS[one.model].title, one.dev, one.test, one.seconds, one.departures) for one in trained]
    tested = next((one.test.rows for one in trained if one.test), 0)
    results.print(comparison_table(rows, f"Accuracy and macro-F1, {tested} test rows"))
    for line in (
        *surety_lines(next((one.test for one in trained if one.test), None), own=False),
        *reduced_lines({row.title: row.departures for row in rows}),
    ):
        print_line(line)
    results.print(f"rows: {short_checksums(next((one.checksums for one in trained), {}))}")
    for one in trained:
        print_line(f"{one.model}: {one.checkpoint}")
