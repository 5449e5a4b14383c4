"""DuckDB in memory, without network: what it carries in its wheel is what there is."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import duckdb

_NOTHING_FETCHED = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect_duckdb(**settings: str) -> duckdb.DuckDBPyConnection:
    """Connect to a database in memory that loads no extension; what is registered is of this connection alone.

    Args:
        **settings: further settings of DuckDB, as `memory_limit="2GB"`; they are of a database of its own.
    """
    # opening a database takes 16 ms, another connection to it less than one; after a fork its threads are missing
    return _opened(**settings) if settings else _shared(os.getpid()).cursor()


@contextmanager
def within_memory(limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to a database of its own that holds no more than that, as "400MB", and writes the rest to a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="ytb-ads-") as spill,
        connect_duckdb(temp_directory=spill, memory_limit=limit) as connection,
    ):
        yield connection


@cache
def _shared(process: int) -> duckdb.DuckDBPyConnection:
    return _opened()


# a database that is left to the interpreter's end is reported as leaked
atexit.register(_shared.cache_clear)


def _opened(**settings: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={**_NOTHING_FETCHED, **settings})
