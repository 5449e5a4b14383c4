"""The file `.env` of the working directory: secrets that belong neither into a settings file nor into a shell."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from flows.errors import SettingsError

ENV_FILE = Path(".env")
_READ_BY_OTHERS = ("AWS_", "YTB_ADS_CATALOG")
"""Beginnings of variables that are looked for in the environment alone: of object stores, and the catalog's place."""


def read_env_file() -> dict[str, str]:
    """The variables of `.env`, whatever they are for.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        # `$` in a secret is a `$`
        held = dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE}: cannot be read ({error}); mend it or move it away") from error
    return {name: value for name, value in held.items() if value is not None}


def export_env_file() -> None:
    """Put the variables of `.env` that libraries read into the environment, unless they are set there.

    Raises:
        SettingsError: it cannot be read.
    """
    for name, value in read_env_file().items():
        if name.startswith(_READ_BY_OTHERS):
            os.environ.setdefault(name, value)
