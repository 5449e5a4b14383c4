"""Options that several commands share: dataclasses that a command receives as one argument each.

    @app.command()
    @takes(TableOptions)
    def table4(options: TableOptions, model: Models = None) -> None: ...

has the options of `TableOptions` and `--model`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from fgmfn.data import Source
    from fgmfn.paper.experiments import Recipe
    from fgmfn.settings import SourceSettings


class WordsRead(StrEnum):
    """Values of `words` in [source]."""

    TEXT = "text"
    AUXILIARY = "auxiliary"
    BOTH = "both"


DEFAULT_DATA = "catalog/releases"
DATA_HELP = (
    "A release folder, or a folder of releases, of which the newest is used; twitter2015 or twitter2017; a folder or "
    "file of tables: CSV, TSV, JSONL or Parquet."
)
Data = Annotated[str, typer.Option("--data", "--release", help=DATA_HELP)]
SomeData = Annotated[
    list[str], typer.Option("--data", "--release", help=f"{DATA_HELP} Repeat the option for more columns.")
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the pictures that the data name. Unset: the configuration's.")
]
SomeImages = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[DATA=]DIR",
        help="Folder of the pictures: DIR for all data, or DATA=DIR for one of them, such as twitter2015=DIR.",
    ),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder that contains the Twitter sets' folders 2015 and 2017.")]
Config = Annotated[
    str | None,
    typer.Option(
        help="Configuration: a TOML file, or one of light, tiny, ytb_ads, twitter2015, twitter2017. Unset: each "
        "model's own recipe."
    ),
]
Words = Annotated[
    WordsRead | None,
    typer.Option(
        metavar="text|auxiliary|both",
        help="Text that models read as a sentence: a row's text, its auxiliary text (a Twitter picture's caption) or "
        "both. Unset: the configuration's.",
    ),
]
MODELS_HELP = "Models to include; repeat the option or separate by commas."
Models = Annotated[list[str] | None, typer.Option("--model", help=f"{MODELS_HELP} Unset: all.")]
FromScratch = Annotated[
    bool,
    typer.Option(
        "--from-scratch", help="Start encoders with random instead of pretrained weights; nothing is downloaded."
    ),
]
Runs = Annotated[Path, typer.Option(help="Folder of the trained models, the one that fgmfn train writes to.")]
Output = Annotated[Path, typer.Option(help="Folder for the Markdown, Parquet and PNG files.")]
OnlyFinished = Annotated[
    bool, typer.Option("--only-finished", help="Train nothing; report what has been trained so far.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

DEFAULT_RUNS, DEFAULT_OUTPUT = Path("runs"), Path("paper")


def takes(*kinds: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of dataclasses, which it receives as its first arguments.

    Args:
        kinds: dataclasses whose annotations are options of typer.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(kinds) :]
        shared = {kind: _parameters(kind) for kind in kinds}

        @wraps(command)
        def call(**given: Any) -> None:
            groups = [kind(**{one.name: given.pop(one.name) for one in shared[kind]}) for kind in kinds]
            command(*groups, **given)

        parameters = [*own, *(one for kind in kinds for one in shared[kind])]
        named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        call.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in named}
        return call

    return decorate


def _parameters(kind: type[Any]) -> list[inspect.Parameter]:
    """Return a dataclass's fields as parameters with the same defaults."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(kind)
    ]


@dataclass(frozen=True)
class SourceOptions:
    """One set of data with its folders, and the configuration."""

    data: Data = DEFAULT_DATA
    images: Images = None
    data_dir: DataDir = None
    config: Config = None
    words: Words = None

    def open(self) -> Source:
        """Open the data as the configuration's [source] says; folders on the command line override it."""
        return open_data(self.data, self.config, images=self.images, data_dir=self.data_dir, words=self.words)


@dataclass(frozen=True)
class TrainingOptions:
    """Training settings and output folders of a table or figure."""

    data: SomeData = (DEFAULT_DATA,)  # type: ignore[assignment]
    images: SomeImages = None
    data_dir: DataDir = None
    config: Config = None
    words: Words = None
    from_scratch: FromScratch = False
    only_finished: OnlyFinished = False
    runs: Runs = DEFAULT_RUNS
    output: Output = DEFAULT_OUTPUT
    as_json: Json = False

    def sources(self) -> list[Source]:
        """Open every set of data with its pictures.

        Raises:
            DataError: There is no such data.
            ConfigError: The configuration cannot be read.
            typer.BadParameter: `--images` names data that `--data` does not.
        """
        from fgmfn.data import open_source

        return [open_source(one, settings) for one, settings in self.source_settings().items()]

    def source_settings(self) -> dict[str, SourceSettings]:
        """Return the [source] settings of each set of data, with the folders on the command line.

        Raises:
            ConfigError: The configuration cannot be read.
            typer.BadParameter: `--images` names data that `--data` does not.
        """
        folders = self._picture_folders()
        return {
            one: source_settings(
                self.config,
                images=folders.get(one, folders.get("")),
                data_dir=self.data_dir,
                words=self.words,
            )
            for one in self.data
        }

    def _picture_folders(self) -> Mapping[str, Path]:
        """Return the folder of each set of data; the folder of all data has the empty name."""
        folders: dict[str, Path] = {}
        for given in self.images or ():
            name, equals, folder = given.partition("=")
            if not equals or Path(given).is_dir():
                name, folder = "", given
            elif name not in self.data:
                raise typer.BadParameter(
                    f"--images {given}: --data does not name {name!r}, only {', '.join(self.data)}"
                )
            if name in folders:
                whose = name or "all data"
                raise typer.BadParameter(f"--images names two folders for {whose}; write DATA=DIR for each of them")
            folders[name] = Path(folder)
        return folders

    def recipe(self, first_seed: int, seeds: int = 1) -> Recipe:
        """Return the recipe, with this many seeds, counted up from the first."""
        from fgmfn.paper.experiments import Recipe

        counted = tuple(range(first_seed, first_seed + seeds))
        return Recipe(counted, self.runs, self.config, self.from_scratch, self.only_finished)


@dataclass(frozen=True)
class SeedOptions:
    """The seeds that each row is trained with."""

    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds with which each row is trained.")] = 5
    first_seed: Annotated[int, typer.Option(min=0, help="First seed; each further seed is one higher.")] = 42


@dataclass(frozen=True)
class GridOptions:
    """The weights of FGMFN's losses that Figure 4 is drawn over."""

    alphas: Annotated[
        str | None,
        typer.Option(
            help="Weights of the contrastive loss in Figure 4, separated by commas. Unset: 0.1,0.3,0.5,0.8,1.0."
        ),
    ] = None
    betas: Annotated[
        str | None,
        typer.Option(
            help="Weights of the mutual-information loss in Figure 4, separated by commas. "
            "Unset: 0.01,0.05,0.1,0.5,1.0."
        ),
    ] = None

    def weights(self) -> tuple[list[float], list[float]]:
        """Return both, or the defaults.

        Raises:
            typer.BadParameter: They are not numbers of 0 or more.
        """
        from fgmfn.paper.figure4 import ALPHAS, BETAS

        return _numbers(self.alphas, ALPHAS, "--alphas"), _numbers(self.betas, BETAS, "--betas")


def _numbers(given: str | None, default: Sequence[float], option: str) -> list[float]:
    """Read a comma-separated list of weights, each of them a number of 0 or more."""
    if given is None:
        return list(default)
    try:
        numbers = [float(part) for part in given.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} {given}: {error}") from error
    if not numbers or any(not 0 <= number < float("inf") for number in numbers):
        raise typer.BadParameter(f"{option} {given}: expected numbers of 0 or more, separated by commas")
    return list(dict.fromkeys(numbers))


def open_data(data: str, config: str | None, **settings: Path | str | None) -> Source:
    """Open one set of data as a configuration's [source] says; the given settings override it.

    Raises:
        DataError: There is no such data.
        ConfigError: The configuration cannot be read.
    """
    from fgmfn.data import open_source

    return open_source(data, source_settings(config, **settings))


def source_settings(config: str | None, **settings: Path | str | None) -> SourceSettings:
    """Return a configuration's [source]; the given settings override it.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    from fgmfn.settings import load_settings

    given = {name: str(value) if name == "words" else value for name, value in settings.items() if value is not None}
    return load_settings(config).source.model_copy(update=given)


def names_of(given: Sequence[str] | None) -> list[str]:
    """Split a repeated or comma-separated option; empty if it was not given."""
    return [name.strip() for part in given or () for name in part.split(",") if name.strip()]
