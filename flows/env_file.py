"""The file `.env` of the working directory, for secrets that belong neither in a settings file nor in a shell."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv.parser import parse_stream

from flows.errors import SettingsError

ENV_FILE = Path(".env")
_OURS = "YTB_ADS_"
_READ_BY_OTHERS = ("AWS_", "YTB_ADS_CATALOG")
"""Prefixes of variables that are read from the environment only: object stores, and the catalog's place."""


def read_env_file() -> dict[str, str]:
    """The variables of `.env`, whatever they are for.

    Raises:
        SettingsError: it cannot be read, or a line of it is none of a file of variables.
    """
    if not ENV_FILE.is_file():
        return {}
    try:
        with ENV_FILE.open(encoding="utf-8-sig") as file:
            # not dotenv_values, which passes lines over that it cannot read; `$` in a secret is a `$`
            lines = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE}: cannot be read ({error}); mend it or move it away") from error
    for line in lines:
        if line.error:
            raise SettingsError(
                f"{ENV_FILE}: line {line.original.line} is not NAME=VALUE, or its quotes do not end; mend it, or put # "
                "before it"
            )
        if line.value is None and (line.key or "").upper().startswith(_OURS):
            raise SettingsError(
                f"{ENV_FILE}: line {line.original.line}: {line.key} has no value; write {line.key}=VALUE"
            )
    return {line.key: line.value for line in lines if line.key is not None and line.value is not None}


def export_env_file() -> None:
    """Put the variables of `.env` that libraries read into the environment, unless they have a value there.

    Raises:
        SettingsError: it cannot be read.
    """
    for name, value in read_env_file().items():
        if name.startswith(_READ_BY_OTHERS) and not os.environ.get(name):
            os.environ[name] = value
