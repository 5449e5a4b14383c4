"""Tables and releases on disk or on an object store: the stages' shared data, and the published datasets.

Working tables are Delta Lake tables that `Catalog` writes; `schemas` has their columns and keys.
Releases are immutable folders of plain Parquet, written and checked by `releases`. The names below are
imported when they are first used, as loading Arrow would slow down `ytb-ads --help`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_catalog.catalog import Catalog as Catalog
    from data_catalog.errors import CatalogError as CatalogError
    from data_catalog.errors import ReleaseError as ReleaseError
    from data_catalog.errors import YtbAdsError as YtbAdsError
    from data_catalog.schemas import LABELS as LABELS
    from data_catalog.schemas import TABLES as TABLES
    from data_catalog.tables.drops import Drop as Drop

_HOME = {
    "LABELS": "schemas",
    "TABLES": "schemas",
    "Catalog": "catalog",
    "CatalogError": "errors",
    "Drop": "tables.drops",
    "ReleaseError": "errors",
    "YtbAdsError": "errors",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'data_catalog' has no attribute {name!r}")
    return getattr(import_module(f"data_catalog.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
