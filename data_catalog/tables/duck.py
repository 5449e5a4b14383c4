"""DuckDB in memory, without network: what it carries in its wheel is what there is."""

from __future__ import annotations

import duckdb

_NOTHING_FETCHED = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect_duckdb(**settings: str) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory that downloads and loads no extension.

    Args:
        **settings: further settings of DuckDB, as `memory_limit="2GB"`.
    """
    return duckdb.connect(":memory:", config={**_NOTHING_FETCHED, **settings})
