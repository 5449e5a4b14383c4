"""Look at tables and releases without changing them: SQL over all of them, and rows as tables for the terminal."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from rich.table import Table as RichTable
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, StorageError
from data_catalog.printing import CELL_CHARACTERS, plain, printable, shown
from data_catalog.releases import lineage_of, list_releases, newest_of, read_manifest
from data_catalog.releases.lineage import created_at, may_be_newest, survey_releases
from data_catalog.releases.shards import split_of
from data_catalog.releases.verification import Manifest
from data_catalog.schemas import RELEASE, RELEASE_SCHEMA, TABLES
from data_catalog.storage import Place, arrow_filesystem, refusal, size_of
from data_catalog.tables.duck import connect_duckdb

log = logging.getLogger("ytb_ads")

RELEASE_VIEWS = ("releases", "release", "parent")
"""Views besides the tables: all releases, the newest release, and its parent."""
_RELEASED = re.compile(r"(?i)\b(releases?|parent)\b")
"""Queries that ask for a release; to open them takes a while where there are many."""
_SETTINGS = {
    # queries change nothing: no COPY ... TO, no reading of files outside the catalog's tables
    "enable_external_access": "false",
    # a misspelt table must not find a variable of this program
    "python_enable_replacements": "false",
}

_COLUMNS_ABREAST = 12
"""More columns than these would be torn into bits of words."""


@contextmanager
def connect(catalog: Catalog, *, with_releases: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with a view for every table, all `releases`, the newest `release` and its `parent`.

    The views are of the versions that are newest when the connection is made, or that the catalog is opened as of. A
    release that cannot be read is in none of them, and a warning names it in the end.
    """
    require_catalog(catalog)
    connection = connect_duckdb(**_SETTINGS)
    connection.execute("SET TimeZone = 'UTC'")
    for name in TABLES:  # one that does not exist yet has no row
        connection.register(name, catalog.snapshot(name).dataset)
    damaged = _add_releases(connection, catalog) if with_releases else {}
    with connection:
        yield connection
    for version, problem in damaged.items():
        log.warning("release %s is left out: %s", version, problem)


def select(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The rows of one query.

    Raises:
        CatalogError: it is no query, or more than one: only the last one's rows would be seen.
    """
    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise CatalogError("expected one query that gives rows: SELECT, FROM, DESCRIBE or SHOW")
    return connection.sql(query)


def holds_anything(catalog: Catalog) -> bool:
    """Whether the catalog has a table or a release."""
    return any(catalog.snapshot(name).exists for name in TABLES) or bool(list_releases(catalog.releases_dir))


def require_catalog(catalog: Catalog) -> None:
    """Make sure that there is something to look at.

    Raises:
        CatalogError: the folder holds no catalog; a misspelt one must not pass for an empty one.
    """
    if not holds_anything(catalog):
        raise CatalogError(
            f"{catalog.root}: no catalog here; `ytb-ads build --source folder:DIR --catalog {catalog.root}` makes one"
        )


def require_newest_release(catalog: Catalog) -> None:
    """Make sure that the newest release can be looked at, if there is one.

    Raises:
        CatalogError: it, or the manifest of one that may be the newest, cannot be read.
    """
    if list_releases(catalog.releases_dir):
        views, damaged = _views_of_releases(catalog)
        if "release" not in views:
            said = "; ".join(f"release {version}: {problem}" for version, problem in damaged.items())
            raise CatalogError(f"the newest release cannot be read, so that no rule was asked of it: {said}")


def run_sql(catalog: Catalog, query: str) -> pa.Table:
    """Run one query over the tables and releases.

    Raises:
        CatalogError: with DuckDB's own message and the names that can be asked for.
    """
    with connect(catalog, with_releases=_RELEASED.search(query) is not None) as connection:
        try:
            return select(connection, query).to_arrow_table()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise wrong_query(catalog, error) from error


def query_of(asked: str) -> str:
    """Turn an argument into a query: a single word is the name of a table or view."""
    name = asked.strip()
    return asked if len(name.split()) > 1 else f'FROM "{name}"'


def wrong_query(catalog: Catalog, error: BaseException) -> CatalogError:
    """The error of a query, with the names that can be asked for."""
    return refusal(catalog.place, error) or CatalogError(f"{str(error).strip()}\nTo ask for: {_names(catalog)}")


def as_of(catalog: Catalog, when: str, table: str | None = None) -> Catalog:
    """The catalog as it was.

    Args:
        catalog: the catalog.
        when: the version of a release: what that was made from; a date, whose end counts, or a time, in UTC unless it
            says otherwise; or, for one table, the number of its version.
        table: the one table that is asked for, if it is one.

    Raises:
        CatalogError: `when` is nothing of these.
    """
    if when.isdecimal() and table and not _only_a_date(catalog, when, table):
        return catalog.as_of({table: int(when)})
    if when in (found := {path.name: path for path in list_releases(catalog.releases_dir)}):
        return catalog.as_of(read_manifest(found[when])["table_versions"], release=when)
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        numbered = f", a version of {table} as `ytb-ads catalog history {table}` lists it," if table else ""
        raise CatalogError(
            f"{printable(when)!r} is no release{numbered} and no date or time such as 2026-11-23, 20261123 or "
            "2026-11-23T08:30; releases: " + (", ".join(found) or "none")
        ) from None
    if len(when) <= len("2026-11-23"):
        moment += timedelta(days=1, microseconds=-1)
    return catalog.as_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _only_a_date(catalog: Catalog, when: str, table: str) -> bool:
    """Tell whether a number is written as dates are, 20261123, and is no version of the table."""
    return len(when) == len("20261123") and int(when) > max(c.version for c in catalog.history(table))


def count_rows(catalog: Catalog, table: str, where: str | None = None) -> int:
    """Count the rows of one table, or view of releases, that a condition in SQL keeps."""
    if table in TABLES and not (where and where.strip()):
        return catalog.count(table)
    condition = f" WHERE ({where}\n)" if where and where.strip() else ""
    found = run_sql(catalog, f'SELECT count(*) AS n FROM "{table}"{condition}')  # noqa: S608 - the owner's own
    return int(found["n"][0].as_py())


def show_rows(
    catalog: Catalog,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    limit: int | None = 20,
) -> pa.Table:
    """Read the first rows of one table, or view of releases, that a condition in SQL keeps."""
    if table in RELEASE_VIEWS:
        known = ["version", "split", *RELEASE.schema.names]
    elif table in TABLES:
        known = TABLES[table].schema.names
    else:
        raise CatalogError(f"there is no table {table!r}; to ask for: {_names(catalog)}")
    unknown = [name for name in columns or () if name not in known]
    if unknown:
        raise CatalogError(f"{table} has no column {unknown[0]!r}; it has {', '.join(known)}")
    names = ", ".join(f'"{name}"' for name in columns or known)
    condition = f" WHERE ({where}\n)" if where and where.strip() else ""
    bound = f" LIMIT {limit:d}" if limit is not None else ""
    return run_sql(catalog, f'SELECT {names} FROM "{table}"{condition}{bound}')  # noqa: S608 - the owner's own


def render(rows: pa.Table, *, title: str | None = None, cell_characters: int = CELL_CHARACTERS) -> RichTable:
    """A table for the terminal, every cell of it safe to print; of many columns a row is a block of lines."""
    if rows.num_columns > _COLUMNS_ABREAST:
        return _render_blocks(rows, title, cell_characters)
    return render_rows(
        rows.column_names, zip(*(c.to_pylist() for c in rows.columns), strict=True), title, cell_characters
    )


def render_rows(
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str | None = None,
    cell_characters: int = CELL_CHARACTERS,
) -> RichTable:
    """The same for rows that are at hand as values."""
    table = RichTable(title=Text(title) if title else None)
    for name in names:
        table.add_column(Text(printable(name)))
    for row in rows:
        table.add_row(*(Text(shown(value, cell_characters)) for value in row))
    return table


def _render_blocks(rows: pa.Table, title: str | None, cell_characters: int) -> RichTable:
    """A line for each column, which stays readable at any width."""
    table = RichTable("column", "value", title=Text(title) if title else None)
    for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        for name, value in zip(rows.column_names, row, strict=True):
            table.add_row(Text(printable(name)), Text(shown(value, cell_characters)))
        table.add_section()
    return table


def refuse_equal_names(names: Sequence[str]) -> None:
    """Refuse rows of which a column would be lost.

    Raises:
        CatalogError: two columns have one name.
    """
    if twice := sorted({name for name in names if list(names).count(name) > 1}):
        raise CatalogError(f"two columns are named {twice[0]}; name one of them otherwise, with AS")


def json_lines(rows: pa.Table) -> Iterable[str]:
    """One JSON object per row, in ASCII; pictures as their kind and size.

    Raises:
        CatalogError: two columns have one name.
    """
    refuse_equal_names(rows.column_names)
    for batch in rows.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield json.dumps(plain(row))


def _names(catalog: Catalog) -> str:
    """List the tables and views that can be queried, and the releases that cannot."""
    names = [info.name for info in catalog.tables()]
    views, damaged = _views_of_releases(catalog)
    damage = [f"release {version}: {problem}" for version, problem in damaged.items()]
    return "; ".join([", ".join([*names, *views]), *damage])


class _Part(NamedTuple):
    """The rows of one split of a release."""

    version: str
    split: str
    rows: ds.Dataset


def _add_releases(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, str]:
    """Make the views of releases; returns the releases that cannot be read, with what is wrong."""
    views, damaged = _views_of_releases(catalog)
    registered: dict[int, str] = {}
    for view, parts in views.items():
        selects = []
        for part in parts:
            name = registered.setdefault(id(part), f"_release_{len(registered)}")
            connection.register(name, part.rows)
            selects.append(f"SELECT '{part.version}' AS version, '{part.split}' AS split, * FROM {name}")  # noqa: S608
        connection.execute(f"CREATE TEMP VIEW {view} AS {' UNION ALL BY NAME '.join(selects)}")
    return damaged


def _views_of_releases(catalog: Catalog) -> tuple[dict[str, list[_Part]], dict[str, str]]:
    """The views of releases that can be read with their parts, and the releases that cannot, with what is wrong."""
    manifests, unread = survey_releases(catalog.releases_dir)
    damaged = {version: str(error) for version, error in unread.items()}
    now = catalog.moment is None
    unknown = may_be_newest(manifests, unread) if now else []
    there, newest = _releases_of(catalog, manifests)
    parts: dict[str, list[_Part]] = {}
    for version in there:
        try:
            parts[version] = _parts_of(catalog.releases_dir / version, manifests[version])
        except StorageError:
            raise
        except CatalogError as error:
            damaged[version] = f"{error}; see `ytb-ads catalog verify {version}`"
    parent = manifests[newest].get("parent") if newest else None
    views = {
        "releases": [part for of_release in parts.values() for part in of_release],
        "release": parts.get(newest or "", []) if not unknown else [],
        "parent": parts.get(parent or "", []) if not unknown else [],
    }
    return {view: of_view for view, of_view in views.items() if of_view}, damaged


def _parts_of(release: Place, manifest: Manifest) -> list[_Part]:
    """A release's rows by split, from the files that its manifest names.

    Raises:
        CatalogError: a file is missing, is not as long as the manifest says, or is no Parquet.
    """
    files: dict[str, list[str]] = {}
    there = arrow_filesystem(release)
    for name, facts in manifest["files"].items():
        if split := split_of(name):
            file = release / name
            if (size := size_of(file)) is None:
                raise CatalogError(f"{file} is missing")
            if size != facts.get("size_bytes", size):
                raise CatalogError(f"{file} has {size} bytes, not {facts['size_bytes']}")
            try:
                pq.read_schema(name, filesystem=there)
            except (pa.ArrowException, OSError) as error:
                raise refusal(release, error) or CatalogError(f"{file} cannot be read ({error})") from error
            files.setdefault(split, []).append(name)
    # columns that came later are null
    return [
        _Part(release.name, split, ds.dataset(sorted(of_split), RELEASE_SCHEMA, "parquet", there))
        for split, of_split in files.items()
    ]


def _releases_of(catalog: Catalog, manifests: Mapping[str, Manifest]) -> tuple[list[str], str | None]:
    """The releases that there were when the catalog was as it is opened, and the newest of them."""
    if catalog.release is not None:
        known = {catalog.release, *lineage_of(manifests[catalog.release])}
        return [version for version in manifests if version in known], catalog.release
    then = dict(manifests)
    if isinstance(catalog.moment, datetime):
        moment = catalog.moment
        then = {version: one for version, one in manifests.items() if created_at(version, one) <= moment}
    elif catalog.moment is not None:  # versions of tables tell nothing of releases
        then = {}
    return list(then), newest_of(then) if then else None
