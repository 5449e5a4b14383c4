"""Options that the paper's commands share, and what they mean together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fgmfn.data import Source
    from fgmfn.paper.experiments import Recipe

Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        "--release",
        help="As for fgmfn train: a release, twitter2015, twitter2017, a table. Repeat for more columns.",
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[DATA=]DIR", help="Folder of the pictures: of all data, or of one of them (twitter2015=DIR)."
    ),
]
DataDir = Annotated[Path | None, typer.Option(help="The folder that holds the Twitter sets' folders 2015 and 2017.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only these rows; repeat the option or separate by commas.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds each row is trained with.")]
FirstSeed = Annotated[int, typer.Option(min=0, help="The first of them; the others count on from it.")]
Config = Annotated[
    str | None, typer.Option(help="A TOML file, or a shipped configuration. Unset: every model's own recipe.")
]
FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Start pretrained encoders at random: nothing is downloaded.")
]
Runs = Annotated[Path, typer.Option(help="The folder of trained models, the one that fgmfn train writes to.")]
Output = Annotated[Path, typer.Option(help="Where the Markdown, Parquet and PNG files go.")]
OnlyFinished = Annotated[
    bool, typer.Option("--only-finished", help="Train nothing: write down what has been trained so far.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the rows as JSON for a program to read.")]


DEFAULT_DATA = ["catalog/releases"]
DEFAULT_RUNS, DEFAULT_OUTPUT = Path("runs"), Path("paper")


def names_of(given: Sequence[str] | None) -> list[str] | None:
    """Split a repeated or comma-separated option; None where it was not given."""
    names = [name.strip() for part in given or () for name in part.split(",") if name.strip()]
    return names or None


def open_sources(
    data: Sequence[str], images: Sequence[str] | None, data_dir: Path | None, config: str | None
) -> list[Source]:
    """Open every source with its pictures.

    Raises:
        DataError: There is no such data.
        ConfigError: The configuration cannot be read.
        typer.BadParameter: `--images` names data that `--data` does not.
    """
    from fgmfn.data import open_source
    from fgmfn.settings import load_settings

    settings = load_settings(config).source
    folders = _picture_folders(images or (), data)
    sources = []
    for one in dict.fromkeys(data):
        folder = folders.get(one, folders.get(""))
        given = {name: path for name, path in (("images", folder), ("data_dir", data_dir)) if path is not None}
        sources.append(open_source(one, settings.model_copy(update=given)))
    return sources


def _picture_folders(images: Sequence[str], data: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each data, that of all data under the empty name."""
    folders: dict[str, Path] = {}
    for given in images:
        name, equals, folder = given.partition("=")
        if not equals or Path(given).is_dir():
            name, folder = "", given
        elif name not in data:
            raise typer.BadParameter(f"--images {given}: --data does not name {name!r}, only {', '.join(data)}")
        if name in folders:
            whose = name or "all data"
            raise typer.BadParameter(f"--images names two folders for {whose}; write DATA=DIR for each of them")
        folders[name] = Path(folder)
    return folders


def recipe_of(
    seeds: int, first_seed: int, config: str | None, runs: Path, *, from_scratch: bool, only_finished: bool
) -> Recipe:
    """Put the options of training together."""
    from fgmfn.paper.experiments import Recipe

    return Recipe(
        seeds=tuple(range(first_seed, first_seed + seeds)),
        runs=runs,
        config=config,
        from_scratch=from_scratch,
        only_finished=only_finished,
    )
