"""`ytb-ads catalog ...`: tables, rows, SQL, history and releases on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from data_catalog.errors import YtbAdsError
from data_catalog.printing import plain, printable

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PRINTED = 200


class _OneLineErrors(TyperGroup):
    """Refusals are one line on standard error and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except YtbAdsError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            said = [printable(line) for line in lines if line.strip("^~")]
            typer.echo("error: " + "; ".join(said), err=True)
            raise typer.Exit(1) from error


catalog_app = typer.Typer(
    name="catalog",
    cls=_OneLineErrors,
    no_args_is_help=True,
    help="Look at the working tables and the releases; of these commands `forget` alone changes them.",
    epilog="Example: ytb-ads catalog sql 'SELECT label, count(*) FROM labels GROUP BY label'",
)

CatalogDir = Annotated[
    str,
    typer.Option("--catalog", envvar="YTB_ADS_CATALOG", metavar="DIR", help="Folder or url of the catalog."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line, for other programs.")]


@catalog_app.command(epilog="Example: ytb-ads catalog tables --json")
def tables(catalog: CatalogDir = "./catalog", as_json: AsJson = False) -> None:
    """List the tables: rows, version, size on disk, key."""
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog

    require_catalog(Catalog(catalog))
    infos = Catalog(catalog).tables()
    if as_json:
        _print_lines(json.dumps(asdict(info)) for info in infos)
        return
    rows = [(i.name, f"{i.rows:,}", i.version, f"{i.size_bytes / 1e6:.1f} MB", ", ".join(i.key)) for i in infos]
    _print_table(("table", "rows", "version", "size", "key"), rows)


@catalog_app.command(epilog='Example: ytb-ads catalog show texts --where "n_words > 5" --columns frame_id,text')
def show(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Name of a table, as `tables` lists it.")],
    limit: Annotated[int, typer.Option(min=0, help="Rows at most.")] = 20,
    where: Annotated[str | None, typer.Option(metavar="SQL", help="Condition that rows must meet.")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns, parted by commas.")] = None,
    catalog: CatalogDir = "./catalog",
    as_json: AsJson = False,
) -> None:
    """Print rows of one table."""
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import show_rows

    names = [name.strip() for name in columns.split(",")] if columns else None
    _print_rows(show_rows(Catalog(catalog), table, columns=names, where=where, limit=limit), as_json)


@catalog_app.command(epilog='Example: ytb-ads catalog sql "SELECT reason, count(*) FROM drops GROUP BY reason"')
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A query in DuckDB's SQL.")],
    catalog: CatalogDir = "./catalog",
    as_json: AsJson = False,
) -> None:
    """Run a query over all tables, all `releases` and the newest `release`."""
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import run_sql

    _print_rows(run_sql(Catalog(catalog), query), as_json)


@catalog_app.command(epilog="Example: ytb-ads catalog history frames")
def history(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Name of a table, as `tables` lists it.")],
    catalog: CatalogDir = "./catalog",
    as_json: AsJson = False,
) -> None:
    """List a table's commits, newest first."""
    from data_catalog.catalog import Catalog

    commits = Catalog(catalog).history(table)
    if as_json:
        _print_lines(json.dumps(plain(asdict(commit))) for commit in commits)
        return
    rows = [(c.version, c.at, c.operation, c.rows_written, c.files_removed) for c in commits]
    _print_table(("version", "at", "operation", "rows written", "files removed"), rows)


@catalog_app.command(epilog="Example: ytb-ads catalog releases")
def releases(catalog: CatalogDir = "./catalog", as_json: AsJson = False) -> None:
    """List the releases, oldest first: rows of each split, and where they lie."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import list_releases, read_manifest

    manifests = [(path, read_manifest(path)) for path in list_releases(Catalog(catalog).releases_dir)]
    listed = [
        {
            "version": path.name,
            "synthetic": manifest.get("synthetic"),
            "rows": {split: facts.get("rows") for split, facts in manifest["splits"].items()},
            "row_set_hash": manifest["row_set_hash"],
            "path": str(path),
        }
        for path, manifest in manifests
    ]
    if as_json:
        _print_lines(json.dumps(plain(release)) for release in listed)
        return
    _print_table(
        ("version", "ads", "rows", "row-set hash", "path"),
        [
            (
                r["version"],
                "synthetic" if r["synthetic"] else "crawled",
                _counts(r["rows"]),
                r["row_set_hash"],
                r["path"],
            )
            for r in listed
        ],
    )


@catalog_app.command(epilog="Example: ytb-ads catalog verify 2026.11.23")
def verify(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="The newest if not given.")] = None,
    catalog: CatalogDir = "./catalog",
) -> None:
    """Read every byte of a release and say what is wrong with it; exit code 1 if something is."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import find_release, newest_release, verify_release

    folder = Catalog(catalog).releases_dir
    release = find_release(folder, version) if version else newest_release(folder)
    problems = verify_release(release)
    _print_lines(printable(problem) for problem in problems)
    if problems:
        typer.echo(f"error: release {release.name} is not what was written; problems: {len(problems)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"release {release.name} is whole: {release}")


@catalog_app.command(epilog="Example: ytb-ads catalog diff 2026.11.16 2026.11.23")
def diff(
    older: Annotated[str, typer.Argument(metavar="A", help="Version to compare with.")],
    newer: Annotated[str, typer.Argument(metavar="B", help="Version that is compared.")],
    catalog: CatalogDir = "./catalog",
    as_json: AsJson = False,
) -> None:
    """Say what release B has that release A has not, and the other way round."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import diff_releases

    folder = Catalog(catalog).releases_dir
    found = diff_releases(folder / older, folder / newer)
    if as_json:
        _print_lines([json.dumps(plain(asdict(found)))])
        return
    rows: list[tuple[str, object, str]] = [
        ("frames added", len(found.added), _few(found.added)),
        ("frames removed", len(found.removed), _few(found.removed)),
        ("frames changed", len(found.changed), _few(found.changed)),
        ("ads relabelled", len(found.relabelled), _few(_moves(found.relabelled))),
        ("ads in another split", len(found.moved), _few(_moves(found.moved))),
    ]
    rows += [(f"rows in {s}", f"{a.get('rows')} -> {b.get('rows')}", "") for s, (a, b) in found.counts.items()]
    _print_table(("", f"{found.older} -> {found.newer}", ""), rows)


def _counts(rows: dict[str, Any]) -> str:
    return ", ".join(f"{split} {count}" for split, count in rows.items())


def _moves(changes: dict[str, tuple[str, str]]) -> list[str]:
    return [f"{key}: {before} -> {after}" for key, (before, after) in changes.items()]


def _few(names: Iterable[str], at_most: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:at_most]) + (", …" if len(listed) > at_most else "")


def _print_rows(rows: pa.Table, as_json: bool) -> None:
    from data_catalog.inspect import json_lines, render

    if as_json:
        _print_lines(json_lines(rows))
        return
    _console().print(render(rows.slice(0, _ROWS_PRINTED)))
    if rows.num_rows > _ROWS_PRINTED:
        typer.echo(f"{rows.num_rows - _ROWS_PRINTED:,} more rows; --json prints all of them", err=True)


def _print_table(names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    from data_catalog.inspect import render_rows

    _console().print(render_rows(names, rows, cell_characters=200))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _console() -> Console:
    console = Console()
    # a pipe has no width; wrapping there would only tear rows apart
    return console if console.is_terminal else Console(width=200)
