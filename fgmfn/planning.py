"""Plan of one run: a model, its settings, its rows and the folder that its key names."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.building import model_config
from fgmfn.configuration import FgmfnConfig, SentimentConfig
from fgmfn.console import quiet_libraries
from fgmfn.data import Source
from fgmfn.data.prepared import DAY_S, GIGABYTE, Cache, cache_folder
from fgmfn.data.twitter import TWITTER_SETS
from fgmfn.distributed import process_count
from fgmfn.encoders import pretrained_text_config
from fgmfn.errors import ConfigError, DataError, WeightsError
from fgmfn.packaged import PREFIX
from fgmfn.predictions import file_digest
from fgmfn.settings import DataSettings, ModelSettings, load_settings, model_settings_for, shipped_configs


@dataclass(frozen=True)
class Run:
    """One model to train: everything its result depends on."""

    name: str
    settings: ModelSettings
    source: Source
    folder: Path
    devices: dict[str, int]
    """`count`: processes that train it, each with a device; `batch_size`: each one's share of every batch."""

    @property
    def has_dev(self) -> bool:
        """Whether there are rows to choose the weights by."""
        return len(self.source.splits["validation"]) > 0

    @property
    def departures(self) -> tuple[str, ...]:
        """Differences from the model's paper."""
        return departures_of(self.name, self.settings.model, self.source.class_names)


def departures_of(name: str, model: Mapping[str, Any], class_names: Sequence[str]) -> tuple[str, ...]:
    """Return how a registered model differs from its paper under the given settings; nothing is loaded."""
    kind = model_class(name)
    config = sized_config(kind, model, class_names)
    return (*kind.notes, *config.departures(kind.modalities))


def sized_config(kind: Any, model: Mapping[str, Any], class_names: Sequence[str]) -> SentimentConfig:
    """Return a model's configuration with the sizes of its text encoder, where that lies in a package or a folder.

    One of a hub is taken to be of the model's own sizes, and is not asked for.
    """
    config = model_config(kind, dict(model), class_names)
    encoder = getattr(config, "text_encoder", "") if getattr(config, "pretrained", False) else ""
    if not (encoder.startswith(PREFIX) or Path(encoder or ".none").is_dir()):
        return config
    try:
        return model_config(kind, dict(model) | {"text_config": pretrained_text_config(encoder)}, class_names)
    except WeightsError:
        return config


@quiet_libraries()
def plan_run(
    name: str,
    source: Source,
    config: Path | str | None,
    output: Path,
    *,
    seed: int | None = None,
    from_scratch: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Settle one model's run; nothing is built, read or downloaded yet.

    Args:
        name: the model's name in the registry.
        source: its rows.
        config: a TOML file of settings, a shipped configuration's name, or None for the model's own recipe.
        output: where the run's folder lies, named after the model and the key of all it depends on.
        seed: replaces the configuration's seed.
        from_scratch: start the encoders at random.
        changes: settings of the model that override the configuration's, and a table `training` for its training.

    Raises:
        ConfigError: A setting or the model's name is wrong.
        DataError: The model looks at pictures that are not there.
    """
    kind = model_class(name)
    if config is None and issubclass(kind.config_class, FgmfnConfig):
        config = source.name if source.name in shipped_configs() else "ytb_ads"
    run_settings = load_settings(config, from_scratch=from_scratch, seed=seed)
    settings = model_settings_for(name, run_settings, kind, from_scratch=from_scratch, seed=seed, changes=changes)
    if settings.data.fit is None:
        shown = "crop" if source.dataset in TWITTER_SETS else "letterbox"
        settings = replace(settings, data=settings.data.model_copy(update={"fit": shown}))
    model_config(kind, settings.model, source.class_names)
    if "image" in kind.modalities and source.splits["train"].pictures is None:
        raise DataError(f"{source.name}: {name} looks at pictures; name their folder (--images DIR)")
    count = 1 if issubclass(kind, FittedModel) else process_count()
    devices = _devices(settings.training.batch_size, count, settings.training.accumulation)
    return Run(name, settings, source, output / f"{name}-{_key(name, settings, source, devices)}", devices)


def _devices(batch_size: int, count: int, accumulation: int) -> dict[str, int]:
    if batch_size % (count * accumulation):
        parts = f"{accumulation} parts by " if accumulation > 1 else ""
        raise ConfigError(
            f"setting [training] batch_size = {batch_size}; expected a multiple of {count * accumulation}: "
            f"its rows are those of one step, shared evenly by {parts}{count} processes"
        )
    return {"count": count, "batch_size": batch_size // count}


def _key(name: str, settings: ModelSettings, source: Source, devices: dict[str, int]) -> str:
    parts = {
        "devices": devices,
        "code": code_version(name),
        "model": name,
        "settings": settings.as_key(),
        "rows": source.row_set_hash,
    } | _first_weights(settings.model)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


NAMING_FILES = ("text_encoder", "encoders", "backbone_weights", "word_vectors", "sentiment_words")
"""Model settings that may name a local file or folder."""


def _first_weights(model: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the digests of local weight files for the key: a file can be replaced under the same name."""
    if not model.get("pretrained", True):
        return {}
    paths = {name: Path(str(model[name])) for name in NAMING_FILES if model.get(name)}
    digests = {name: _content(path) for name, path in paths.items() if path.exists()}
    return {"files": digests} if digests else {}


def _content(path: Path) -> str:
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    states = [(file, file.stat()) for file in files]
    return _digest_of_files(tuple((file, state.st_size, state.st_mtime_ns) for file, state in states))


@cache
def _digest_of_files(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Return a digest of files by name and content; a changed size or time causes them to be read again."""
    contents = "".join(f"{file.name} {file_digest(file)}\n" for file, *_ in files)
    return hashlib.sha256(contents.encode()).hexdigest()


PACKAGE = Path(__file__).parent
REGISTRY = "fgmfn.baselines"
TRAINED_BY = ("fgmfn.building", "fgmfn.trainer", "fgmfn.data", "fgmfn.processing")
"""Modules that every model's training runs through; those that write and show results are not among them."""


PREPARED_BY = (
    "processing.py",
    "encoders.py",
    "images.py",
    "inputs.py",
    "data/batches.py",
    "data/encoded.py",
    "data/pictures.py",
    "data/prepared.py",
    "data/twitter.py",
)
"""Files of the code that prepares the tokens, pictures and encoders' outputs of the cache."""


def preparation_version() -> str:
    """Return the version of the code that prepares rows, 12 hexadecimal digits."""
    digests = (_read(PACKAGE / file)[1] for file in PREPARED_BY)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


def open_cache(data: DataSettings) -> Cache:
    """Return the cache of prepared rows that the settings name."""
    return Cache(cache_folder(data.cache), data.cache_gb * GIGABYTE, data.cache_days * DAY_S, preparation_version())


@cache
def code_version(name: str) -> str:
    """Return the version of the code that trains a registered model, 12 hexadecimal digits."""
    reached: dict[str, str] = {}
    waiting = [MODELS[name].module, *TRAINED_BY]
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if file is not None and module not in reached:
            imported, reached[module] = _read(file)
            waiting += imported
    lines = (f"{module} {reached[module]}\n" for module in sorted(reached))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


def _file(module: str) -> Path | None:
    """Return a module's file, or None for what is not a module of this package.

    The registry is left out: it names every model, but no model is trained by the others' code.
    """
    package, *parts = module.split(".")
    if package != PACKAGE.name or module == REGISTRY:
        return None
    place = PACKAGE.joinpath(*parts)
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


@cache
def _read(file: Path) -> tuple[list[str], str]:
    """Return what a module imports at its top, and its code's digest.

    Imports inside functions are not followed.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = [name for node in tree.body for name in _imports(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_docstring(part)] or [ast.Pass()]
    return imported, hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _imports(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
