"""`ytb-ads catalog ...`: tables, rows, SQL, rules, history, and the removal of an ad or an author."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from data_catalog.errors import CatalogError, YtbAdsError
from data_catalog.printing import plain, printable
from flows.commands.releases import releases_app
from flows.console import (
    AsJson,
    AsJsonLines,
    CatalogDir,
    ConfigFile,
    print_lines,
    print_table,
    print_tables,
    progress,
    show_progress,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from data_catalog.catalog import Catalog
    from data_catalog.privacy.forget import Forgetting, Removal
    from flows.settings import ReviewSettings

_ROWS_PRINTED = 200
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AUTHOR_HASH = re.compile(r"[0-9a-f]{32}")


class _OneLineErrors(TyperGroup):
    """Report refusals as one line on standard error, with exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        show_progress()
        try:
            return super().invoke(ctx)
        except YtbAdsError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            said = [printable(line) for line in lines if line.strip("^~")]
            typer.echo("error: " + "; ".join(said), err=True)
            raise typer.Exit(1) from error


app = typer.Typer()
catalog_app = typer.Typer(
    name="catalog",
    cls=_OneLineErrors,
    no_args_is_help=True,
    help="Inspect the working tables and the releases; only `forget` changes them.",
    epilog="Example: ytb-ads catalog sql 'SELECT label, count(*) FROM labels GROUP BY label'",
)
app.add_typer(catalog_app)
catalog_app.add_typer(releases_app)

AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="Read an earlier state: a release, a date (its end), a time (UTC), or the version number of one table.",
    ),
]


@catalog_app.command(epilog="Example: ytb-ads catalog tables --json")
def tables(catalog: CatalogDir = "./catalog", as_json: AsJsonLines = False) -> None:
    """List the tables: rows, version, size on disk, key."""
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog

    require_catalog(Catalog(catalog))
    infos = Catalog(catalog).tables()
    if as_json:
        print_lines(json.dumps(asdict(info)) for info in infos)
        return
    rows = [(i.name, f"{i.rows:,}", i.version, f"{i.size_bytes / 1e6:.1f} MB", ", ".join(i.key)) for i in infos]
    print_table(("table", "rows", "version", "size", "key"), rows)


@catalog_app.command(epilog='Example: ytb-ads catalog show texts --where "n_words > 5" --columns frame_id,text')
def show(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A table, as `tables` lists it, or `release`.")],
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of rows.")] = 20,
    where: Annotated[str | None, typer.Option(metavar="SQL", help="Condition that rows must meet.")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns, separated by commas.")] = None,
    as_of: AsOf = None,
    catalog: CatalogDir = "./catalog",
    as_json: AsJsonLines = False,
) -> None:
    """Print rows of one table."""
    from data_catalog.inspect import count_rows, show_rows

    opened = _opened(catalog, as_of, table)
    names = [name.strip() for name in columns.split(",")] if columns else None
    rows = show_rows(opened, table, columns=names, where=where, limit=limit)
    _print_rows(rows, as_json, count_rows(opened, table, where) if rows.num_rows == limit else rows.num_rows)


@catalog_app.command(epilog='Example: ytb-ads catalog sql "SELECT reason, count(*) FROM drops GROUP BY reason"')
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A query in DuckDB's SQL.")],
    as_of: AsOf = None,
    catalog: CatalogDir = "./catalog",
    as_json: AsJsonLines = False,
) -> None:
    """Run a query over all tables, all `releases`, the newest `release` and its `parent`."""
    from data_catalog.inspect import run_sql

    _print_rows(run_sql(_opened(catalog, as_of), query), as_json)


@catalog_app.command(epilog="Example: ytb-ads catalog export comments --to comments.parquet")
def export(
    asked: Annotated[str, typer.Argument(metavar="TABLE|QUERY", help="A table, or a query in DuckDB's SQL.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The file: .parquet, .csv or .jsonl.")],
    as_of: AsOf = None,
    catalog: CatalogDir = "./catalog",
) -> None:
    """Write the rows of a table or a query to a file; .csv and .jsonl hold pictures as base64."""
    from data_catalog.export import export_rows

    table = None if len(asked.split()) > 1 else asked.strip()
    opened = _opened(catalog, as_of, table)
    with progress("rows", None) as advance:
        rows = export_rows(opened, asked, to, advance)
    typer.echo(f"{to}: {rows:,} rows")


@catalog_app.command(epilog="Example: ytb-ads catalog describe texts")
def describe(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="All tables if not given.")] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Describe the tables and their columns: meaning, type, unit, key, nullability, and upstream tables."""
    from data_catalog.inspect import RELEASE_VIEWS
    from data_catalog.schemas import RELEASE, TABLES

    known = {**TABLES, RELEASE.name: RELEASE}
    asked = RELEASE.name if table in RELEASE_VIEWS else table
    if asked is not None and asked not in known:
        raise CatalogError(f"there is no table {printable(asked)!r}; tables are {', '.join(known)}")
    described = [known[asked]] if asked else list(known.values())
    if as_json:
        print_lines(json.dumps(column) for spec in described for column in spec.described())
    elif table is None:
        print_table(
            ("table", "a row is", "key", "made from"),
            [(spec.name, spec.meaning, ", ".join(spec.key), ", ".join(spec.upstream)) for spec in described],
        )
    else:
        [spec] = described
        made_from = f", made from {', '.join(spec.upstream)}" if spec.upstream else ""
        typer.echo(f"{spec.name}: a row is {spec.meaning}{made_from}")
        names = ("column", "type", "unit", "key", "null", "of", "meaning")
        print_table(names, [tuple(column[name] for name in names) for column in spec.described()])


@catalog_app.command(epilog="Example: ytb-ads catalog check --rules ours.sql")
def check(
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Additional rules, as SQL; repeatable.")
    ] = None,
    show_rules: Annotated[bool, typer.Option("--show-rules", help="Print the rules instead of running them.")] = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJsonLines = False,
) -> None:
    """Check the data-quality rules on the tables and the newest release; exit code 1 if an `error` rule is broken.

    A rule is a query for the rows that break it; docs/catalog.md explains how to write your own.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.checks import all_rules, broken
    from data_catalog.checks import check as ask
    from data_catalog.inspect import require_newest_release
    from flows.settings import load_settings

    asked = all_rules(*load_settings(config).release.checks, *rules or [])
    if show_rules:
        print_lines(f"-- {rule.name}: {rule.severity}: {rule.meaning}\n{rule.query};\n" for rule in asked)
        return
    results = ask(Catalog(catalog), asked)
    if as_json:
        print_lines(
            json.dumps(
                {**asdict(result.rule), "verdict": result.verdict, "broken": result.broken, "examples": result.examples}
            )
            for result in results
        )
    else:
        held = sum(result.verdict == "holds" for result in results)
        rows = [
            (result.verdict, result.rule.name, result.rule.meaning, result.broken, result.said)
            for result in results
            if result.verdict != "holds"
        ]
        if rows:
            print_table(("", "rule", "holds if", "rows", "first of them"), rows)
        typer.echo(f"{held} of {len(results)} rules hold")
    require_newest_release(Catalog(catalog))
    if broken(results):
        raise typer.Exit(1)


@catalog_app.command(epilog="Example: ytb-ads catalog history frames")
def history(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Name of a table, as `tables` lists it.")],
    catalog: CatalogDir = "./catalog",
    as_json: AsJsonLines = False,
) -> None:
    """List a table's commits, newest first."""
    from data_catalog.catalog import Catalog

    commits = Catalog(catalog).history(table)
    if as_json:
        print_lines(json.dumps(plain(asdict(commit))) for commit in commits)
        return
    rows = [(c.version, c.at, c.operation, c.rows_written, c.files_removed) for c in commits]
    print_table(("version", "at", "operation", "rows written", "files removed"), rows)


@catalog_app.command(
    epilog="Example: ytb-ads catalog forget dQw4w9WgXcQ, or: ytb-ads catalog forget --author HASH --yes"
)
def forget(
    video_id: Annotated[
        str | None, typer.Argument(metavar="[VIDEO_ID]", help="An ad; after `--` if it begins with -.")
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", metavar="HASH", help="An author, as the column author_hash names them.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove an ad, or an author's comments, from all tables and their history, and never collect them again.

    Judgements and discussions of the ad in `ytb-ads annotate` are removed too.

    Releases are immutable: the command lists those that still contain the ad, and the models trained on them. Stop
    crawls and builds first. If the command is killed, run it again to finish.
    """
    from data_catalog.privacy.forget import ad_held, author_held, forget_ad, forget_author
    from flows.models import METRICS
    from flows.review.human import count_entries_of, withdraw_ads

    if (video_id is None) == (author is None):
        raise typer.BadParameter("give one of the two: the id of an ad, or --author HASH")
    if video_id is not None and not _VIDEO_ID.fullmatch(video_id):
        raise CatalogError(f"{printable(video_id)!r} is no video id")
    if author is not None and not _AUTHOR_HASH.fullmatch(author):
        raise CatalogError(
            f"{printable(author)!r} is no author's hash; find it with `ytb-ads catalog show comments "
            "--columns author_hash,text --where \"comment_id = '...'\"`"
        )
    tables, review = open_catalog(catalog, config)
    name = f"ad {video_id}" if video_id else f"author {author}"
    if not yes:
        held = ad_held(tables, video_id) if video_id else author_held(tables, str(author))
        _ask(name, held, count_entries_of(tables, review, video_id) if video_id else 0)
    # first, as the ad can be named again where this ends early
    entries = withdraw_ads(tables, review, [video_id] if video_id else [])
    done = forget_ad(tables, video_id) if video_id else forget_author(tables, str(author))
    versions = sorted({held.version for held in done.releases})
    models = [str(file.parent) for each in versions for file in tables.models_dir.glob(f"{each}/*/{METRICS}")]
    if as_json:
        typer.echo(json.dumps({**asdict(done), "models": models, "entries_withdrawn": entries}))
        return
    for line in _report(name, done, models, entries):
        typer.echo(printable(line))


def _opened(catalog: str, when: str | None, table: str | None = None) -> Catalog:
    """Open a catalog, as of a time if one is given."""
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import as_of, require_catalog
    from data_catalog.schemas import TABLES

    opened = Catalog(catalog)
    if when is None:
        return opened
    require_catalog(opened)
    return as_of(opened, when, table if table in TABLES else None)


def open_catalog(catalog: str, config: Path | None) -> tuple[Catalog, ReviewSettings]:
    """Open a catalog that must exist, and load the review settings; a misspelt path is not an empty catalog.

    Raises:
        CatalogError: there is no catalog.
        SettingsError: a setting is wrong.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.settings import load_settings

    tables, settings = Catalog(catalog), load_settings(config)
    require_catalog(tables)
    return tables, settings.review


def _print_rows(rows: pa.Table, as_json: bool, there_are: int | None = None) -> None:
    """Print rows, and how many more there are."""
    from data_catalog.inspect import json_lines, render

    if as_json:
        print_lines(json_lines(rows))
    else:
        print_tables(render(rows.slice(0, _ROWS_PRINTED)))
    printed = rows.num_rows if as_json else min(rows.num_rows, _ROWS_PRINTED)
    total = rows.num_rows if there_are is None else there_are
    if total > printed:
        words = ["--json"] if total > _ROWS_PRINTED else []
        words += [f"--limit {total}"] if total > rows.num_rows else []
        typer.echo(f"{total - printed:,} more rows; {' '.join(words)} prints all of them", err=True)


def _ask(name: str, held: Removal, entries: int) -> None:
    judged = f"{_entries(entries)} of people's rounds with all that was said there" if entries else ""
    said = ", ".join(part for part in (_amounts(held), judged) if part) or "nothing is held"
    if not sys.stdin.isatty():
        raise CatalogError(f"{name}: {said}; this cannot be undone, use --yes to go on")
    typer.echo(f"{name}: {said}", err=True)
    typer.confirm("Remove it from every table and its history? This cannot be undone.", abort=True, err=True)


def _report(name: str, done: Forgetting, models: list[str], entries: int) -> Iterator[str]:
    yield f"{name}: {_amounts(done.removed) or 'nothing was held'}"
    if entries:
        yield f"annotation: withdrawn from {_entries(entries)}, with all that was said there"
    yield from (f"emptied: {place} of {rows} rows" for place, rows in done.emptied.items())
    yield from (f"deleted: {file}" for file in done.removed.media)
    files = sum(purged.data_files + purged.log_files for purged in done.purged)
    yield f"history: purged of {len(done.purged)} tables, {files} files of older versions removed"
    if left := sum(purged.left for purged in done.purged):
        yield f"history: {left} young files may be another writer's; run this again in an hour"
    yield from (f"still named in {place}: {rows} rows of others" for place, rows in done.named_in.items())
    for release in done.releases:
        rows = "cannot be read, and may contain it" if release.rows is None else f"contains {release.rows} rows of it"
        yield f"release {release.version} {rows}: {release.path}"
    yield from (f"model of such a release, which may name it and has learned from its rows: {path}" for path in models)
    if done.releases:
        yield "delete these folders and what was published of them, then build again: the new release is without it"
    if done.kind == "author":
        yield "releases hold no comments; the labels of the ads concerned are made anew by the next build"
    yield "later crawls skip it"


def _amounts(removed: Removal) -> str:
    rows = [f"{count:,} {'row' if count == 1 else 'rows'} of {table}" for table, count in removed.rows.items()]
    files = [f"{len(removed.media)} media {'file' if len(removed.media) == 1 else 'files'}"] if removed.media else []
    return ", ".join([*rows, *files])


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
