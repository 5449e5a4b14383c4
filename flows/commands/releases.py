"""`ytb-ads catalog ...` for releases: list, fetch, verify and compare them, and trace a row back to its sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_catalog.errors import CatalogError
from data_catalog.printing import plain, printable
from flows.console import AsJson, AsJsonLines, CatalogDir, ConfigFile, print_lines, print_table, print_tables, warn

if TYPE_CHECKING:
    from data_catalog.releases.comparison import ReleaseDiff

releases_app = typer.Typer()


@releases_app.command(epilog="Example: ytb-ads catalog releases")
def releases(catalog: CatalogDir = "./catalog", as_json: AsJsonLines = False) -> None:
    """List the releases by version: parent, rows per split, and path; `*` marks the newest."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import newest_of, read_manifests, survey_releases

    folder = Catalog(catalog).releases_dir
    manifests = read_manifests(folder)
    newest = newest_of(manifests) if manifests else None
    for error in survey_releases(folder)[1].values():
        warn(f"left out: {error}")
    listed = [
        {
            "version": version,
            "newest": version == newest,
            "parent": manifest.get("parent"),
            "synthetic": manifest.get("synthetic"),
            "rows": {split: facts.get("rows") for split, facts in manifest["splits"].items()},
            "row_set_hash": manifest["row_set_hash"],
            "path": str(folder / version),
        }
        for version, manifest in manifests.items()
    ]
    if as_json:
        print_lines(json.dumps(plain(release)) for release in listed)
        return
    print_table(
        ("version", "parent", "ads", "rows", "row-set hash", "path"),
        [
            (
                f"{r['version']}{' *' if r['newest'] else ''}",
                r["parent"] or "",
                "synthetic" if r["synthetic"] else "crawled",
                _counts(r["rows"]),
                r["row_set_hash"],
                r["path"],
            )
            for r in listed
        ],
    )


@releases_app.command(epilog="Example: ytb-ads catalog fetch 2026.11.23 --catalog s3://bucket/ads")
def fetch(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="The newest if not given.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A model trained on it, as `ytb-ads train` names its folder.")
    ] = None,
    catalog: CatalogDir = "./catalog",
) -> None:
    """Fetch a release, or a model, to a folder of this machine, and print that folder.

    From an object store it is fetched once, into your cache, and the hashes of a release are checked.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.releases import fetch_release, find_release, newest_release
    from data_catalog.storage import fetch_folder, folders_of

    tables = Catalog(catalog)
    release = find_release(tables.releases_dir, version) if version else newest_release(tables.releases_dir)
    if model is None:
        typer.echo(str(fetch_release(release)))
        return
    models = {path.name: path for path in folders_of(tables.place / "models" / release.name, "metrics.json")}
    if model not in models:
        there_are = ", ".join(sorted(models)) or "none"
        raise CatalogError(f"{printable(model)}: no such model of release {release.name}; there are {there_are}")
    typer.echo(str(fetch_folder(models[model], "metrics.json")))


@releases_app.command(epilog="Example: ytb-ads catalog verify 2026.11.23")
def verify(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="The newest if not given.")] = None,
    catalog: CatalogDir = "./catalog",
) -> None:
    """Read every byte of a release and report what is wrong; exit code 1 if anything is."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import find_release, newest_release, verify_release

    folder = Catalog(catalog).releases_dir
    release = find_release(folder, version) if version else newest_release(folder)
    problems = verify_release(release)
    print_lines(printable(problem) for problem in problems)
    if problems:
        typer.echo(f"error: release {release.name} is not what was written; problems: {len(problems)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"release {release.name} is whole: {release}")


@releases_app.command(epilog="Example: ytb-ads catalog diff 2026.11.16 2026.11.23")
def diff(
    older: Annotated[
        str | None,
        typer.Argument(
            metavar="[A]",
            help="Version to compare with. Default: the parent of B, also if A is the newest and B is not given.",
        ),
    ] = None,
    newer: Annotated[
        str | None, typer.Argument(metavar="[B]", help="Version to compare; the newest if not given.")
    ] = None,
    catalog: CatalogDir = "./catalog",
    as_json: AsJson = False,
) -> None:
    """Show what changed from release A to release B: ads, labels, splits, frames, words, settings, engines."""
    from data_catalog.catalog import Catalog
    from data_catalog.releases import diff_releases, find_release, list_releases, newest_release, read_manifest

    folder = Catalog(catalog).releases_dir
    before = find_release(folder, older) if older else None
    after = find_release(folder, newer) if newer else newest_release(folder)
    if before is None or (newer is None and before == after):
        parent = read_manifest(after).get("parent")
        if parent is None:
            raise CatalogError(f"release {after.name} is the first, it has no parent; name the release to compare with")
        others = [path.name for path in list_releases(folder) if path != after]
        if parent not in others:
            raise CatalogError(
                f"the parent of release {after.name}, {parent}, is gone; name the release to compare with, "
                f"there are {', '.join(others) or 'no others'}"
            )
        before = find_release(folder, parent)
    found = diff_releases(before, after)
    if as_json:
        print_lines([json.dumps(plain(found.as_json()))])
        return
    for names, rows in _diff_tables(found):
        print_table(names, rows)


@releases_app.command(epilog="Example: ytb-ads catalog explain 2026.11.23:test:0 --html row.html")
def explain(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="VIDEO_ID or VIDEO_ID:FRAME, with the prefix RELEASE: if it is not in the newest; or "
            "RELEASE:SPLIT:ROW.",
        ),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page with the pictures.")
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Trace a row back: its split, frame and words, the label, each vote, the comments with most weight, the drops.

    Read from the tables as they were when the release was made. Write -- before an id that begins with a dash.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.export import finished_or_not_there
    from data_catalog.inspect import require_catalog
    from flows.look.page import provenance_html, render_provenance
    from flows.look.provenance import explain_row
    from flows.settings import load_settings

    tables = Catalog(catalog)
    require_catalog(tables)
    row = explain_row(tables, asked, load_settings(config))
    if as_json:
        typer.echo(json.dumps(row.as_json()))
    else:
        print_tables(render_provenance(row))
    if html is not None:
        with finished_or_not_there(html) as unfinished:
            unfinished.write_text(provenance_html(row), "utf-8")
        typer.echo(f"page: {html}", err=True)


def _counts(rows: dict[str, Any]) -> str:
    return ", ".join(f"{split} {count}" for split, count in rows.items())


def _diff_tables(found: ReleaseDiff) -> Iterator[tuple[tuple[str, ...], list[tuple[object, ...]]]]:
    """Tables of the changes; those of labels, splits and settings only if there are any."""
    which = {
        "ads added": found.ads_added,
        "ads gone": found.ads_gone,
        "ads with another score": found.rescored,
        "frames added": found.frames_added,
        "frames gone": found.frames_gone,
        "frames with another picture": found.frames_changed,
        "frames with other words": found.words_changed,
    }
    versions = (found.older, found.newer)
    counts = found.counts().items()
    yield (
        (f"{found.older} -> {found.newer}", "", ""),
        [
            *((what, n, _few(which.get(what, ()))) for what, n in counts),
            *([] if any(n for _, n in counts) else [(found.summary(), "", "")]),
        ],
    )
    for title, changes in (
        ("relabelled ad", found.relabelled),
        ("ad in another split", found.moved),
        ("ad in another category", found.recategorised),
        ("setting", found.settings),
        ("engine", found.engines),
        ("threshold", found.thresholds),
    ):
        if changes:
            yield (title, *versions), [(name, str(before), str(after)) for name, (before, after) in changes.items()]
    yield (
        ("split", "class", *versions),
        [
            (split, label, str(before), str(after))
            for split, by_label in found.balance.items()
            for label, (before, after) in reversed(by_label.items())
        ],
    )
    yield (
        ("ads of mean score", *versions),
        [(f"{b.low:g} to {b.high:g}", b.before, b.after) for b in found.scores if b.before or b.after],
    )


def _few(names: Iterable[str], at_most: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:at_most]) + (", …" if len(listed) > at_most else "")
