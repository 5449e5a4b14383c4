"""Checks of settings that need more than the settings: files, programs, libraries and secrets that they name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from fgmfn.baselines import check_models
from fgmfn.errors import FgmfnError
from fgmfn.settings import load_settings as load_model_settings
from flows.errors import SettingsError
from flows.settings import Settings, load_settings
from flows.settings.listing import Value, values_in_force
from flows.settings.secrets import BlockSecret

_MADE_IF_MISSING = {"crawl.quota.ledger"}
_EXTRAS = {
    ("ocr", "engine", "easyocr"): "easyocr",
    ("runner", "kind", "ray"): "prefect_ray",
    ("runner", "kind", "dask"): "prefect_dask",
}
"""By setting and value: the library that the package's extra of that name brings."""


def find_faults(file: Path | None = None) -> list[str]:
    """Find everything that would make a run with these settings fail, one sentence each.

    Raises:
        SettingsError: the settings themselves are refused.
    """
    settings = load_settings(file)
    of_values = (fault for value in values_in_force(file) for fault in _of_value(value))
    return [*of_values, *_of_programs(settings), *_of_training(settings)]


def _of_value(value: Value) -> Iterator[str]:
    setting = ".".join(value.path)
    for part in value.value if isinstance(value.value, tuple) else (value.value,):
        if isinstance(part, BlockSecret):
            try:
                part.get_secret_value()
            except SettingsError as error:
                yield f"setting {setting}: {error}"
        elif isinstance(part, Path):
            named = part.expanduser()
            looked_for = named.absolute().parent if setting in _MADE_IF_MISSING else named
            if not looked_for.exists():
                yield f"setting {setting}: {looked_for} is not there (from {value.origin})"


def _of_programs(settings: Settings) -> Iterator[str]:
    for (section, key, value), library in _EXTRAS.items():
        if getattr(getattr(settings, section), key) == value and find_spec(library) is None:
            yield f"setting {section}.{key}: {value} is not installed; pip install 'ytb-ads[{value}]'"
    if settings.ocr.engine == "tesseract" and not shutil.which("tesseract"):
        yield "setting ocr.engine: no program tesseract on the PATH (Debian: apt-get install tesseract-ocr)"
    if settings.sentiment.engine == "java" and not shutil.which(settings.sentiment.java):
        yield f"setting sentiment.java: no program {settings.sentiment.java} on the PATH"


def _of_training(settings: Settings) -> Iterator[str]:
    try:
        load_model_settings(settings.training.config)
    except FgmfnError as error:
        yield f"setting training.config: {error}"
    try:
        check_models(list(settings.training.models))
    except FgmfnError as error:
        yield f"setting training.models: {error}"
