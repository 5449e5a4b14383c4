"""`fgmfn export`: a trained model for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgmfn.commands.options import DATA_HELP, Config, DataDir, Images, Json, SourceOptions, Words
from fgmfn.console import print_json, print_line, reports

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a trained model, as printed by `fgmfn train`.")],
    output: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    form: Annotated[str, typer.Option("--format", help="Format of the export; only onnx.")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Compute linear layers and convolutions in 8 bits.")] = False,
    data: Annotated[
        str,
        typer.Option(
            "--data", "--release", help=f"Data to check the export on: the run's, or others with real rows. {DATA_HELP}"
        ),
    ] = "catalog/releases",
    images: Images = None,
    data_dir: DataDir = None,
    config: Config = None,
    words: Words = None,
    split: Annotated[
        str, typer.Option(help="Split whose rows the export must answer as the model does: train, validation or test.")
    ] = "validation",
    as_json: Json = False,
) -> None:
    """Write a trained model for ONNX Runtime, with its processor, calibration and checksums.

    The export is refused unless it answers real rows as the model does, in batches of several sizes and lengths: every
    logit to within 1e-4, or with --int8 at most 0.5 points of accuracy less. Every command that takes a trained model
    also takes the export's folder.

    [bold]Examples[/bold]

      fgmfn export runs/fgmfn-3f2a9c81d0 --output exports/fgmfn

      fgmfn export runs/fgmfn-3f2a9c81d0 --int8 --data rows.csv --images pictures --config light --output exports/int8
    """
    if form != "onnx":
        raise typer.BadParameter(f"--format {form}: expected onnx")
    from fgmfn.export import export_onnx
    from fgmfn.inference import load_checkpoint
    from fgmfn.scoring import split_of

    loaded = load_checkpoint(checkpoint)
    source = SourceOptions(data, images, data_dir, config, words).open()
    rows = split_of(loaded, source, split)
    shown = source.splits.get("train") if int8 else None
    manifest = export_onnx(loaded, output, rows, int8=int8, calibration=shown or None)
    if as_json:
        print_json({"folder": str(output)} | manifest)
        return
    parity = manifest["parity"]
    line = f"{parity['rows']} {split} rows: logits differ by at most {parity['largest']:.2g}"
    if parity["accuracy"] is not None:
        line += f", accuracy {parity['accuracy']:.1%}, PyTorch's {parity['accuracy_of_model']:.1%}"
    reports.print(f"{line}, the same class for {parity['agreement']:.1%}")
    print_line(str(output))
