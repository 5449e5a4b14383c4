"""`ytb-ads catalog forget`: an ad or an author out of every table and its history, and out of people's rounds."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from data_catalog.errors import CatalogError
from data_catalog.printing import printable
from flows.commands.catalog import CatalogDir
from flows.console import ConfigFile

if TYPE_CHECKING:
    from data_catalog.privacy.forget import Forgetting, Removal

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AUTHOR_HASH = re.compile(r"[0-9a-f]{32}")


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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for other programs.")] = False,
) -> None:
    """Remove an ad, or an author's comments, everywhere and from table history, and never collect them again.

    What people said of an ad on the page of `ytb-ads annotate` goes with it.

    Releases are immutable: those that still contain the ad are listed. End crawls and builds first. What was not
    finished, because the command was killed say, is finished by running it again.
    """
    from data_catalog.privacy.forget import ad_held, author_held, forget_ad, forget_author
    from flows.commands.rounds import opened
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
    tables, review = opened(catalog, config)
    name = f"ad {video_id}" if video_id else f"author {author}"
    if not yes:
        held = ad_held(tables, video_id) if video_id else author_held(tables, str(author))
        _ask(name, held, count_entries_of(tables, review, video_id) if video_id else 0)
    # first, as the ad can be named again where this ends early
    entries = withdraw_ads(tables, review, [video_id] if video_id else [])
    done = forget_ad(tables, video_id) if video_id else forget_author(tables, str(author))
    if as_json:
        typer.echo(json.dumps({**asdict(done), "entries_withdrawn": entries}))
        return
    for line in _report(name, done, entries):
        typer.echo(printable(line))


def _ask(name: str, held: Removal, entries: int) -> None:
    judged = f"{_entries(entries)} of people's rounds with all that was said there" if entries else ""
    said = ", ".join(part for part in (_amounts(held), judged) if part) or "nothing is held"
    if not sys.stdin.isatty():
        raise CatalogError(f"{name}: {said}; this cannot be undone, say --yes to go on")
    typer.echo(f"{name}: {said}", err=True)
    typer.confirm("Remove it from every table and its history? This cannot be undone.", abort=True, err=True)


def _report(name: str, done: Forgetting, entries: int) -> Iterator[str]:
    yield f"{name}: {_amounts(done.removed) or 'nothing of it was held'}"
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
    if done.releases:
        yield "delete these folders and what was published of them, then build again: the new release is without it"
    if done.kind == "author":
        yield "releases hold no comments; the labels of the ads concerned are made anew by the next build"
    yield "a later crawl passes it over"


def _amounts(removed: Removal) -> str:
    rows = [f"{count:,} {'row' if count == 1 else 'rows'} of {table}" for table, count in removed.rows.items()]
    files = [f"{len(removed.media)} media {'file' if len(removed.media) == 1 else 'files'}"] if removed.media else []
    return ", ".join([*rows, *files])


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
