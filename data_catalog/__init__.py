"""Tables and releases on disk or on an object store: what the stages share, and what leaves the house.

Working tables are Delta Lake tables that `Catalog` writes; their columns and keys stand in `schemas`.
Releases are immutable folders of plain Parquet, made and checked by `releases`.
"""

from data_catalog.catalog import Catalog, Drop
from data_catalog.errors import CatalogError, ReleaseError, YtbAdsError
from data_catalog.schemas import LABELS, TABLES

__all__ = ["LABELS", "TABLES", "Catalog", "CatalogError", "Drop", "ReleaseError", "YtbAdsError"]
