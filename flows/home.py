"""This host: the folder of its settings, its own catalog, and how it resolves paths in events of other hosts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import psutil

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, StorageError
from flows.env_file import export_env_file
from flows.errors import SettingsError

HOME_VARIABLE = "YTB_ADS_HOME"
"""Names the folder in which a run looks for `ytb_ads.toml` and `.env`."""
CATALOG_VARIABLE = "YTB_ADS_CATALOG"
"""Names the catalog of this host, as a folder of this host or a place in a bucket."""
DEFAULT_CATALOG = "catalog"
_PACKAGES = ("annotation", "data_catalog", "fgmfn", "flows")


def enter_home() -> dict[str, str]:
    """Go to the folder of this host's settings, before a run of a deployment begins; `prefect.yaml` names this step.

    Returns:
        The folder, in the form in which Prefect has its own steps tell it.

    Raises:
        SettingsError: `YTB_ADS_HOME` names no folder of this host.
    """
    home = find_home()
    os.chdir(home)
    return {"directory": str(home)}


def find_home() -> Path:
    """The folder that `YTB_ADS_HOME` names, or else the one in which this run's worker was started.

    A process worker starts its runs in temporary folders. In a container of its own a run has no worker above it: there
    it is the folder in which the container begins.

    Raises:
        SettingsError: the variable names no folder of this host.
    """
    if named := os.environ.get(HOME_VARIABLE):
        home = Path(named).expanduser()
        if not (home.is_absolute() and home.is_dir()):
            raise SettingsError(
                f"{HOME_VARIABLE}={named} is no absolute path of a folder of this host; set it in the worker's "
                "environment to the folder of ytb_ads.toml and .env"
            )
        return home
    for process in psutil.Process().parents():
        if {("worker", "start")} & {*zip(words := process.cmdline(), words[1:], strict=False)}:
            return Path(process.cwd())
    return Path.cwd()


def own_catalog() -> str:
    """The place of this host's catalog: what its environment or `.env` names, or else the folder `catalog`.

    Raises:
        SettingsError: `.env` cannot be read.
    """
    export_env_file()
    return os.environ.get(CATALOG_VARIABLE) or DEFAULT_CATALOG


def catalog_here(named: str | None, lacks: Callable[[Catalog], str | None]) -> Catalog:
    """The catalog that an event names, or else this host's own: whichever holds what the event tells of.

    Hosts see one catalog under different paths, and a path of one host may be another catalog on the next.

    Args:
        named: its place on the host that told of it.
        lacks: describes what a catalog lacks of it; None if it has everything.

    Raises:
        CatalogError: neither holds it, or can be asked.
    """
    own, problems = own_catalog(), []
    for place in dict.fromkeys([named or own, own]):
        try:
            catalog = Catalog(place)
            problem = lacks(catalog) if catalog.place.is_dir() else "is not on this host"
        except StorageError as error:
            problem = f"cannot be asked ({error})"
        if problem is None:
            return catalog
        problems.append(f"{place}{' (of this host)' if place == own else ''}: {problem}")
    raise CatalogError(
        f"{'; '.join(problems)}. Set {CATALOG_VARIABLE}, in the environment of this host's worker or the .env of its "
        "folder, to the place at which this host finds the catalog of the event"
    )


@cache
def program_version() -> str:
    """Version of the package with a digest of its modules: `0.1.0+3f2a9c81`, on every host that runs the same code."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for package in _PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return f"{version('ytb-ads')}+{digest.hexdigest()[:8]}"
