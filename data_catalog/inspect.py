"""Look at tables and releases without changing them: SQL over all of them, and rows as tables for the terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from rich.table import Table as RichTable
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, ReleaseError
from data_catalog.printing import CELL_CHARACTERS, plain, printable, shown
from data_catalog.releases import lineage_of, list_releases, newest_release_if_any, read_manifest
from data_catalog.releases.lineage import created_at, newest_of
from data_catalog.schemas import SPLITS, TABLES
from data_catalog.storage import Place, arrow_filesystem, refusal
from data_catalog.tables.duck import connect_duckdb

_RELEASED = re.compile(r"(?i)\b(releases?|parent)\b")
"""Queries that ask for a release; to open them takes a while where there are many."""
_SETTINGS = {
    # looking changes nothing: no COPY ... TO, no reading of files that are no table of the catalog
    "enable_external_access": "false",
    # a misspelt table must not find a variable of this program
    "python_enable_replacements": "false",
}


def connect(catalog: Catalog, *, with_releases: bool = True) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with a view for every table, all `releases`, the newest `release` and its `parent`.

    The views are of the versions that are newest when the connection is made, or that the catalog is opened as of.
    """
    require_catalog(catalog)
    connection = connect_duckdb(**_SETTINGS)
    connection.execute("SET TimeZone = 'UTC'")
    for name in TABLES:  # one that does not exist yet has no row
        connection.register(name, catalog.snapshot(name).dataset)
    if with_releases:
        _add_releases(connection, catalog)
    return connection


def select(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The rows of one query.

    Raises:
        CatalogError: it is no query, or more than one: only the last one's rows would be seen.
    """
    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise CatalogError("expected one query that gives rows: SELECT, FROM, DESCRIBE or SHOW")
    return connection.sql(query)


def require_catalog(catalog: Catalog) -> None:
    """Make sure that there is something to look at.

    Raises:
        CatalogError: the folder holds no catalog; a misspelt one must not pass for an empty one.
    """
    if not catalog.tables() and not list_releases(catalog.releases_dir):
        raise CatalogError(
            f"{catalog.root}: no catalog here; `ytb-ads build --source folder:DIR --catalog {catalog.root}` makes one"
        )


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
    """What was asked for as a query: a single word is the name of a table or view."""
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
    if when.isdecimal() and table:
        return catalog.as_of({table: int(when)})
    if when in (found := {path.name: path for path in list_releases(catalog.releases_dir)}):
        return catalog.as_of(read_manifest(found[when])["table_versions"], release=when)
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        numbered = f", a version of {table} as `ytb-ads catalog history {table}` lists it," if table else ""
        raise CatalogError(
            f"{printable(when)!r} is no release{numbered} and no date or time such as 2026-11-23 or "
            "2026-11-23T08:30; releases: " + (", ".join(found) or "none")
        ) from None
    if len(when) <= len("2026-11-23"):
        moment += timedelta(days=1, microseconds=-1)
    return catalog.as_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def count_rows(catalog: Catalog, table: str, where: str | None = None) -> int:
    """Count the rows of one table that a condition in SQL keeps."""
    if not (where and where.strip()):
        return catalog.count(table)
    found = run_sql(catalog, f'SELECT count(*) AS n FROM "{table}" WHERE ({where}\n)')  # noqa: S608 - the owner's own
    return int(found["n"][0].as_py())


def show_rows(
    catalog: Catalog,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    limit: int | None = 20,
) -> pa.Table:
    """Read the first rows of one table that a condition in SQL keeps."""
    if table not in TABLES:
        raise CatalogError(f"there is no table {table!r}; to ask for: {_names(catalog)}")
    schema = TABLES[table].schema
    unknown = [name for name in columns or () if name not in schema.names]
    if unknown:
        raise CatalogError(f"{table} has no column {unknown[0]!r}; it has {', '.join(schema.names)}")
    names = ", ".join(f'"{name}"' for name in columns or schema.names)
    condition = f" WHERE ({where}\n)" if where and where.strip() else ""
    bound = f" LIMIT {limit:d}" if limit is not None else ""
    return run_sql(catalog, f'SELECT {names} FROM "{table}"{condition}{bound}')  # noqa: S608 - the owner's own


def render(rows: pa.Table, *, title: str | None = None, cell_characters: int = CELL_CHARACTERS) -> RichTable:
    """A table for the terminal, every cell of it safe to print."""
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
    names = [info.name for info in catalog.tables()]
    released = bool(list_releases(catalog.releases_dir))
    return ", ".join([*names, *(["releases", "release"] if released else [])])


def _add_releases(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    releases, newest = _releases_of(catalog)
    parts: list[str] = []
    for release in releases:
        data = arrow_filesystem(release / "data")
        for split in SPLITS:
            files = sorted(path.name for path in (release / "data").glob(f"{split}-*.parquet"))
            if not files:
                continue
            view = f"_release_{len(parts)}"
            try:
                connection.register(view, ds.dataset(files, filesystem=data, format="parquet"))
            except (pa.ArrowException, OSError) as error:
                raise refusal(release, error) or CatalogError(
                    f"{release}: cannot be read ({error}); see `ytb-ads catalog verify {release.name}`"
                ) from error
            parts.append(f"SELECT '{release.name}' AS version, '{split}' AS split, * FROM {view}")  # noqa: S608
    if parts and newest:
        union = " UNION ALL BY NAME ".join(parts)
        connection.execute(f"CREATE TEMP VIEW releases AS {union}")
        connection.execute(f"CREATE TEMP VIEW release AS FROM releases WHERE version = '{newest.name}'")
        parent = _parent_of(newest)
        if parent in {path.name for path in releases}:
            connection.execute(f"CREATE TEMP VIEW parent AS FROM releases WHERE version = '{parent}'")


def _releases_of(catalog: Catalog) -> tuple[list[Place], Place | None]:
    """The releases that there were when the catalog was as it is opened, and the newest of them."""
    releases = {path.name: path for path in list_releases(catalog.releases_dir)}
    if catalog.moment is None:
        return list(releases.values()), newest_release_if_any(catalog.releases_dir)
    manifests = {name: read_manifest(path) for name, path in releases.items()}
    if catalog.release is not None:
        known = {catalog.release, *lineage_of(manifests[catalog.release])}
        return [path for name, path in releases.items() if name in known], releases[catalog.release]
    moment = catalog.moment
    if not isinstance(moment, datetime):  # versions of tables tell nothing of releases
        return [], None
    then = {name: manifest for name, manifest in manifests.items() if created_at(name, manifest) <= moment}
    return [releases[name] for name in then], releases[newest_of(then)] if then else None


def _parent_of(release: Place) -> str | None:
    """The release that one was made after; None where its manifest is damaged, which `catalog verify` says."""
    try:
        return read_manifest(release).get("parent")
    except ReleaseError:
        return None
