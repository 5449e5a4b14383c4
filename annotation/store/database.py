"""One database, SQLite's file or a PostgreSQL server: how it is opened, read and written.

Writers come one after the other, on SQLite by its own lock and on PostgreSQL by one of ours. So a submission is
checked against what is really there, and the events' numbers grow in the order in which they can be seen: whoever
has read up to one number has missed none below it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, insert, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from annotation.errors import StoreError
from annotation.store.schema import REFUSE_CHANGES, UPGRADES, VERSION, metadata, versions

_BUSY_S = 30
"""Longest wait of a writer for the others, in seconds."""
_WRITERS_LOCK = 0x5954_4241_4453
"""Number of the lock that writers on PostgreSQL hold; it says YTBADS."""


class Database:
    """An open database; threads share it, and every process opens its own.

    Args:
        location: path of a SQLite file, or a `postgresql://` url.
        must_exist: refuse a SQLite file that is not there, where a misspelt path must not pass for an empty store.

    Raises:
        StoreError: it cannot be reached, is no database, or was written by another version.
    """

    def __init__(self, location: str | Path, *, must_exist: bool = False) -> None:
        url = _url(location)
        self.shown = url.render_as_string(hide_password=True)
        self._path = Path(url.database or "") if url.drivername == "sqlite" else None
        if self._path is not None:
            self.shown = str(self._path)
            if must_exist and not self._path.is_file():
                raise StoreError(f"{self.shown}: no annotation here; `ytb-ads annotate serve` makes one")
        self._turn = threading.Lock()
        self._engine = self._connected(url)
        self._file: tuple[int, int] | None = None
        try:
            self._prepare()
        except (OSError, sqlite3.Error, SQLAlchemyError, Timeout) as error:
            self._engine.dispose()
            raise StoreError(f"{self.shown}: cannot be opened as the annotation's store ({_reason(error)})") from error
        except StoreError:
            self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to look with; readers wait for nobody, and each query sees one moment.

        Raises:
            StoreError: the database does not answer, or its file was removed or replaced.
        """
        self._require_file()
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, PoolTimeoutError) as error:
            raise StoreError(f"{self.shown}: cannot be read ({_reason(error)})") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction no other writer runs beside; once this returns without an error, what it wrote stays.

        Raises:
            StoreError: the others did not make room in time, or the database was lost. What a lost database made of
                the transaction cannot be known: submit it again, with the same key.
        """
        self._require_file()
        try:
            # threads queue here, in turn: SQLite itself lets those who wait sleep, ever longer, and ask again
            with self._turn, self._engine.execution_options(writes=True).begin() as connection:
                if self._path is None:
                    connection.execute(select(func.pg_advisory_xact_lock(_WRITERS_LOCK)))
                yield connection
        except (OperationalError, PoolTimeoutError) as error:
            raise StoreError(f"{self.shown}: could not be written ({_reason(error)}); submit it again") from error

    def empty_log(self) -> None:
        """On SQLite: leave nothing in the log beside the file, in which what was removed would still stand."""
        if self._path is not None:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as plain:
                plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _require_file(self) -> None:
        """Refuse to go on in a file that has no name any more: whoever removed it would not find what was saved."""
        if self._path is not None and self._file is not None and _identity(self._path) != self._file:
            raise StoreError(
                f"{self.shown}: was removed or replaced while this program had it open; put it back, or start the "
                "program again"
            )

    def _connected(self, url: URL) -> Engine:
        if self._path is None:
            try:
                return create_engine(url, pool_pre_ping=True)
            except ModuleNotFoundError as error:
                raise StoreError(
                    f"{self.shown}: PostgreSQL needs its driver: pip install 'ytb-ads[postgres]'"
                ) from error
        engine = create_engine(url, connect_args={"timeout": _BUSY_S})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _prepare(self) -> None:
        """Make what is missing; processes that open a new store at once take turns."""
        if self._path is None:
            with self.write() as connection:
                self._make_tables(connection)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock", timeout=_BUSY_S, mode=0o600):
            if not self._path.exists():
                # for the owner's eyes: it holds names and what people wrote. A file that is there must not be opened
                # beside SQLite: closing it would take away the locks that this process holds on it
                self._path.touch(mode=0o600)
            self._file = _identity(self._path)
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as plain:
                plain.execute("PRAGMA journal_mode = WAL")
            with self.write() as connection:
                self._make_tables(connection)

    def _make_tables(self, connection: Connection) -> None:
        if connection.dialect.has_table(connection, versions.name):
            found = connection.scalar(select(func.max(versions.c.version)))
            if found not in (*UPGRADES, VERSION):
                raise StoreError(
                    f"{self.shown}: version {found} of the store, and this program reads {VERSION}; use the program "
                    "that wrote it"
                )
            for version in range(found, VERSION):
                for statement in UPGRADES[version]:
                    connection.execute(text(statement))
                connection.execute(insert(versions).values(version=version + 1))
            if found != VERSION:
                metadata.create_all(connection)
            return
        metadata.create_all(connection)
        for statement in REFUSE_CHANGES[connection.dialect.name]:
            connection.execute(text(statement))
        connection.execute(insert(versions).values(version=VERSION))


def _identity(path: Path) -> tuple[int, int] | None:
    """Names a file whatever its path; None where there is none, or none can be reached."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _url(location: str | Path) -> URL:
    given = os.fspath(location)
    if "://" not in given:
        return URL.create("sqlite", database=str(Path(given).expanduser().absolute()))
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise StoreError("the store's url cannot be read; expected postgresql://USER:PASSWORD@HOST/DATABASE") from error
    if url.drivername == "sqlite" and url.database:
        return URL.create("sqlite", database=str(Path(url.database).expanduser().absolute()))
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(f"{url.drivername}: no database that the annotation knows; a file's path or postgresql://...")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # transactions begin where we say so, below, and not where the driver guesses
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # in WAL mode only FULL has a commit on the disk before it is acknowledged
    connection.execute("PRAGMA synchronous = FULL")
    # what is forgotten is overwritten, too, and not left in the file's free pages
    connection.execute("PRAGMA secure_delete = ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reason(error: Exception) -> str:
    """The database's own message, on one line; never the statement's values, nor a password."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(origin).split())[:300]
