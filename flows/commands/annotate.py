"""`ytb-ads annotate ...`: the page on which people judge, who may, how far a round is, and votes in and out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.printing import printable
from flows.commands.catalog import open_catalog
from flows.console import (
    AsJson,
    CatalogDir,
    ConfigFile,
    print_json,
    print_tables,
    progress,
    say,
    say_error,
    warn,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from annotation.interchange.votes import Refused
    from annotation.store import Store
    from annotation.store.people import Invitation, Person
    from annotation.store.round_store import Round
    from data_catalog.catalog import Catalog
    from flows.review.human import Waiting

app = typer.Typer()
annotate_app = typer.Typer(
    name="annotate",
    no_args_is_help=True,
    help="People settle the labels: the page, who may judge, and how far they are and agree.",
    epilog="Start with: ytb-ads annotate invite Ann --role reviewer && ytb-ads annotate serve",
)
app.add_typer(annotate_app)

RoundNumber = Annotated[
    int | None, typer.Option("--round", min=1, metavar="N", help="Number of the round; default: the newest.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name, as others see it.")]
Format = Literal["label-studio", "prodigy", "argilla", "csv", "parquet", "json"]
_TASKS = {"label-studio": ".json", "prodigy": ".jsonl", "argilla": ".json"}
"""Formats of other tools, with the ends of their files."""
Rows = Literal["votes", "flags", "decisions", "threads", "verdicts", "entries", "people", "pairs"]
Pseudonyms = Annotated[
    bool | None,
    typer.Option(
        "--pseudonyms/--names", help="People's pseudonyms, the same in every file; default: review.pseudonyms."
    ),
]
Level = Annotated[str | None, typer.Option(metavar="LEVEL", help="Such as master's or undergraduate.")]
Url = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the page is served, if not where the settings say.")
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="Even if entries have too few reviewers yet: others are still to come.")
]
_PAGE = re.compile(r"https?://[^\s/?#]+/?")
_REFUSALS_SHOWN = 20


@annotate_app.command(epilog="Example: ytb-ads annotate serve --catalog catalog --port 8440")
def serve(
    catalog: CatalogDir = "./catalog",
    host: Annotated[
        str | None, typer.Option(metavar="H", help="Address to listen on; default: this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, metavar="P", help="Default: 8440.")] = None,
    config: ConfigFile = None,
) -> None:
    """Serve the page on which people judge, until Ctrl-C; when everything is judged, the round is closed.

    It is closed once nothing was done for review.quiet_s seconds. Pages count them down; meanwhile everything can be
    taken back, and a verifier or admin can hold the end.
    The Prefect server that PREFECT_API_URL names, if any, then starts the deployment which writes the release;
    otherwise the next `ytb-ads build --review human` writes it.
    """
    from annotation.outcomes import round_status
    from annotation.web.app import serve as serve_page
    from annotation.web.hardening import is_loopback, listening
    from annotation.web.notifying import Channels
    from annotation.web.state import WebSettings
    from flows.review.human import review_store, store_location, watching

    tables, review = open_catalog(catalog, config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    review = review.model_copy(update=given)
    page = WebSettings(
        catalog=tables.root,
        store=store_location(tables, review),
        host=review.host,
        port=review.port,
        public_url=review.page,
        quiet_s=review.quiet_s,
        channels=Channels(**dict(review.notify)),
        videos=review.videos,
    )
    with listening(page.host, page.port) as at_address, review_store(tables, review) as store:
        current = store.rounds.current()
        say(f"the page: {page.url}   (Ctrl-C ends it)")
        if not (page.https or is_loopback(page.host)):
            warn(
                "warning: without https everybody on the network can read what is sent, personal links included: put a "
                "proxy with https in front of it and set review.page"
            )
        say(
            f"round {current.id} is open, with {round_status(store, current.id).n_entries} entries"
            if current
            else f"no round is open: ytb-ads build --source SOURCE --review human --catalog {catalog} opens one"
        )
        at = f" --url {page.url}" if given else ""
        say(f"to let people in: ytb-ads annotate invite NAME --role reviewer --catalog {catalog}{at}")
        with watching(store, lambda round_id: _closed(tables, store.rounds.get(round_id)), quiet_s=review.quiet_s):
            serve_page(page, at_address)


@annotate_app.command(epilog="Example: ytb-ads annotate invite 'Ann Lee' --role reviewer --catalog catalog")
def invite(
    name: Name,
    role: Annotated[
        Literal["reviewer", "verifier", "admin"],
        typer.Option(help="reviewer: judges; verifier: decides what they do not; admin: sees the dashboard."),
    ],
    level: Level = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="A new link for somebody who has one; the old one no longer works.")
    ] = False,
    url: Url = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody in: prints their personal link, this once. Whoever has it judges in their name for 90 days."""
    from annotation.errors import AnnotationError

    _, review = open_catalog(catalog, config)
    address = _address(url, review.address)
    with _open_store(catalog, config, must_exist=False) as (store, _):
        if renew:
            person = _find(store, name)
            if person.role != role:
                raise AnnotationError(f"{printable(person.name)} has the role {person.role}; a new link keeps it")
            if level is not None:
                store.people.set_level(person.id, level)
            invitation = store.people.reissue(person.id)
        else:
            invitation = store.people.invite(name, role, level=level)
    _print_invitation(invitation, address, as_json)


@annotate_app.command(
    name="invite-all", epilog="Example: ytb-ads annotate invite-all people.csv --links links.csv --catalog catalog"
)
def invite_all(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV with the columns name, role and, if you like, level, entries, deadline."
        ),
    ],
    links: Annotated[Path, typer.Option(metavar="CSV", help="New file for the links, which you alone can read.")],
    incomplete: Incomplete = False,
    url: Url = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Let many people in, all of them or nobody, and write their links to a file.

    Entries are a reviewer's part of the open round: a number, a share such as 50%, or all; a deadline is a day such as
    2026-12-15. `ytb-ads annotate assign` changes them.
    """
    from annotation.guests import new_file, read_guests, write_links

    _, review = open_catalog(catalog, config)
    address = _address(url, review.address)
    guests = read_guests(file)
    with _open_store(catalog, config, must_exist=False) as (store, _), new_file(links) as out:
        store.invite_all(guests, lambda made: write_links(out, made, address), incomplete=incomplete)
    say(f"{len(guests)} people invited; their links, shown this once: {links}")


@annotate_app.command(epilog="Example: ytb-ads annotate level 'Ann Lee' undergraduate --catalog catalog")
def level(
    name: Name,
    level: Annotated[str, typer.Argument(metavar="LEVEL", help="Such as master's or undergraduate; empty: none.")],
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Say what somebody's level is; agreement is shown level by level."""
    with _open_store(catalog, config) as (store, _):
        person = store.people.set_level(_find(store, name).id, level)
    say(f"{printable(person.name)}: {printable(person.level or 'no level')}")


@annotate_app.command(epilog="Example: ytb-ads annotate assign 'Ann Lee=300' 'Bob Ray=50%' --deadline 2026-12-15")
def assign(
    parts: Annotated[
        list[str], typer.Argument(metavar="NAME=ENTRIES...", help="A number, a share such as 50%, or all.")
    ],
    deadline: Annotated[
        str, typer.Option(metavar="DAY", help="Until when, such as 2026-12-15 (its end, UTC); shown and listed.")
    ] = "",
    incomplete: Incomplete = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Give reviewers their part of the open round; whoever has none judges all of it.

    Parts are drawn by the round's seed, so that every entry has as many reviewers as any other one, give or take one.
    What somebody has judged or was given before stays theirs, and the other reviewers' entries do not change.
    """
    from annotation.assignment import parse_quota
    from annotation.errors import RoundError

    named = dict(_pair(each, "a reviewer's name, = and a number of entries, a share or all") for each in parts)
    with _open_store(catalog, config) as (store, _):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open, and entries are those of a round")
        people = {_find(store, name): parse_quota(entries, deadline) for name, entries in named.items()}
        quotas = {person.id: quota for person, quota in people.items()}
        drawn = store.assignments.assign(current.id, quotas, incomplete=incomplete)
    for person in people:
        own = drawn[person.id]
        count = "all" if own.entry_ids is None else f"{len(own.entry_ids):,}"
        until = f", until {own.deadline:%Y-%m-%d}" if own.deadline else ""
        say(f"{printable(person.name)}: {count} entries{until}")


@annotate_app.command(epilog="Example: ytb-ads annotate people --catalog catalog")
def people(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List everybody who was invited, and whether their link still works."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    with _open_store(catalog, config) as (store, _):
        known = [
            {
                "name": person.name,
                "id": person.id,
                "role": person.role,
                "level": person.level,
                "invited": person.created_at,
                "until": person.revoked_at or person.expires_at,
                "state": "revoked" if person.revoked_at else "valid" if person.may_enter(now) else "expired",
            }
            for person in store.people.all()
        ]
    if as_json:
        print_json(known)
        return
    _print_rows(
        f"{len(known)} people",
        ("name", "role", "level", "link", "until", "id"),
        (
            (row["name"], row["role"], row["level"] or "-", row["state"], f"{row['until']:%Y-%m-%d}", row["id"])
            for row in known
        ),
    )


@annotate_app.command(epilog="Example: ytb-ads annotate revoke 'Ann Lee' --catalog catalog")
def revoke(name: Name, catalog: CatalogDir = "./catalog", config: ConfigFile = None) -> None:
    """Shut somebody out at once, on a page that they have open too. What they did stays."""
    with _open_store(catalog, config) as (store, _):
        person = store.people.revoke(_find(store, name).id)
    say(f"{person.name} is shut out; `ytb-ads annotate invite --renew` lets them in again")


@annotate_app.command(epilog="Example: ytb-ads annotate status --catalog catalog")
def status(
    catalog: CatalogDir = "./catalog", config: ConfigFile = None, round_id: RoundNumber = None, as_json: AsJson = False
) -> None:
    """Show how far a round is, and everybody in it."""
    from annotation import outcomes
    from annotation.agreement_tables import until

    with _open_store(catalog, config) as (store, _):
        found = _chosen_round(store, round_id)
        now, persons = outcomes.round_status(store, found.id), outcomes.progress(store, found.id)
    if as_json:
        everybody = [{**asdict(each), "person": each.person.id} for each in persons]
        facts = {"id": found.id, "opened_at": found.opened_at, "closed_at": found.closed_at, **asdict(now)}
        print_json({"round": facts, "people": everybody})
        return
    end = f"closed {found.closed_at:%Y-%m-%d %H:%M}" if found.closed_at else "open"
    rows = [(state.replace("_", " "), count) for state, count in sorted(now.by_state.items())]
    _print_rows(f"Round {found.id}, {end}: {now.n_entries} entries", ("state", "entries"), rows)
    _print_rows(
        "Everybody",
        ("name", "role", "done", "of", "seconds an entry", "until"),
        (
            (each.person.name, each.person.role, each.done, each.total, _seconds(each.median_s), until(each))
            for each in persons
        ),
    )


@annotate_app.command(epilog="Example: ytb-ads annotate agreement --catalog catalog --json")
def agreement(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    round_id: RoundNumber = None,
    pseudonyms: Pseudonyms = None,
    as_json: AsJson = False,
) -> None:
    """Say how far reviewers agree with each other, with themselves, with known answers and with the comments.

    And level by level, how often each was overruled, how long ads take, and which labels the votes alone suggest.
    """
    from annotation.agreement_tables import agreement_as_json, read_agreement, render_agreement

    with _open_store(catalog, config) as (store, tables):
        found = _chosen_round(store, round_id)
        measured = read_agreement(store, tables, found.id)
        hidden = _pseudonyms(pseudonyms, catalog, config)
        names = store.people.names(pseudonyms=hidden)
    if as_json:
        print_json({"round": found.id, **agreement_as_json(measured, names, pseudonyms=hidden)})
        return
    say(f"round {found.id}")
    print_tables(render_agreement(measured, names))


@annotate_app.command(epilog="Example: ytb-ads annotate export votes.csv --format csv --catalog catalog")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    kind: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="csv, parquet, json, label-studio, prodigy or argilla.")
    ],
    rows: Annotated[
        Rows,
        typer.Option(
            metavar="ROWS",
            help="Of a table: votes, flags, decisions, threads (discussions), verdicts, or the figures of entries, "
            "people or pairs; votes can be imported.",
        ),
    ] = "votes",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Other tools: with the comments' label, which people then see.")
    ] = False,
    votes: Annotated[
        bool,
        typer.Option("--votes/--no-votes", help="Other tools: with votes; they ask nobody about an ad that has one."),
    ] = True,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Other tools: folder to write the frames' pictures into.")
    ] = None,
    frames_url: Annotated[
        str, typer.Option(metavar="URL", help="Other tools: where they find the pictures, as URL + file name.")
    ] = "/data/local-files/?d=frames/",
    pseudonyms: Pseudonyms = None,
    round_id: RoundNumber = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Write a round's votes to a file, for another tool or as a table; or decisions, discussions and verdicts.

    Beside Label Studio's FILE.json lies FILE.xml, the labelling interface that fits its tasks.
    """
    from annotation.interchange.table_files import write_table

    if kind in _TASKS and rows != "votes":
        raise typer.BadParameter(f"--rows {rows}: {kind} takes votes; write the {rows} as csv, parquet or json")
    if kind not in _TASKS and (predictions or pictures or not votes):
        raise typer.BadParameter(
            f"--predictions, --no-votes, --pictures: of label-studio, prodigy and argilla; {kind} has none of them"
        )
    suffix = _TASKS.get(kind, f".{kind}")
    if file.suffix.lower() != suffix:
        raise typer.BadParameter(f"{file}: a file of the format {kind} ends in {suffix}")
    with _open_store(catalog, config) as (store, tables):
        found = _chosen_round(store, round_id)
        names = store.people.names(pseudonyms=_pseudonyms(pseudonyms, catalog, config))
        if kind in _TASKS:
            write = _write_tasks if kind == "label-studio" else _write_records
            write(store, tables, found, file, frames_url, names, predictions=predictions, with_votes=votes)
            if pictures:
                _write_pictures(store, tables, found, pictures)
        else:
            write_table(_table(store, tables, found.id, rows, names), file)
    say(f"round {found.id}: written to {file}")


@annotate_app.command(name="import", epilog="Example: ytb-ads annotate import votes.csv --catalog catalog")
def import_votes(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Votes: .csv or .parquet as `export` writes them, .json of Label Studio or Argilla, Prodigy's .jsonl.",
        ),
    ],
    reviewer: Annotated[
        list[str] | None,
        typer.Option(metavar="WHO=NAME", help="Which reviewer a user of another tool is; repeatable."),
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Take votes of invited reviewers into the open round; importing a file again changes nothing.

    Everybody's last word stands: a vote replaces one that was submitted before it, and never one after it. Rows that
    cannot be taken are named with their reason, and what is no vote is counted by kind. The command then ends with 1;
    all others are taken.
    """
    from annotation.ending import read_ending
    from annotation.errors import RoundError
    from annotation.interchange.files import read_file
    from annotation.interchange.votes import import_judgements
    from flows.review.human import close_if_settled

    people = dict(_pair(each, "what the other tool calls them, = and the reviewer's name") for each in reviewer or ())
    _, review = open_catalog(catalog, config)
    with _open_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open, and a closed one takes no votes")
        if unknown := [name for name in people.values() if store.people.find(name) is None]:
            raise RoundError(
                f"--reviewer: nobody is called {printable(unknown[0])!r}; invite them first, as a reviewer"
            )
        with progress("votes", None) as advance:
            imported = import_judgements(store, current.id, read_file(file, people=people), advance=advance)
        ended = close_if_settled(store, quiet_s=review.quiet_s)
        closed = None if ended is None else store.rounds.get(ended)
        waits = closed is None and read_ending(store, current.id, quiet_s=review.quiet_s).complete
    say(
        f"round {current.id}: of the votes, {imported.taken} taken, {imported.known} there already, "
        f"{len(imported.refused)} refused"
    )
    if closed is not None:
        _closed(tables, closed)
    if waits:
        say(f"round {current.id}: everything is judged; the page's server or the next build closes it")
    if imported.ignored:
        kinds = ", ".join(f"{count} {printable(kind)}" for kind, count in sorted(imported.ignored.items()))
        say_error(f"no votes, and ignored: {kinds}")
    if imported.refused:
        _print_refused(file, imported.refused)
    if imported.refused or imported.ignored:
        raise typer.Exit(1)


@annotate_app.command(name="close-round", epilog="Example: ytb-ads annotate close-round --yes --catalog catalog")
def close_round(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """End the open round as it is: what is settled becomes labels, the rest awaits another round.

    The Prefect server that PREFECT_API_URL names, if any, then starts the deployment which writes the release.
    """
    from annotation import outcomes
    from annotation.errors import RoundError
    from annotation.protocol import FINAL

    with _open_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open; `ytb-ads build --review human` opens one when there are ads to judge")
        now = outcomes.round_status(store, current.id)
        left = sum(count for state, count in now.by_state.items() if state not in FINAL)
        if not yes:
            _ask(f"round {current.id}: {left} of {now.n_entries} entries are not settled")
        store.rounds.close(current.id)
    _closed(tables, current)


@annotate_app.command(epilog="Example: ytb-ads annotate queue --catalog catalog --json")
def queue(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the ads whose labels nobody has reviewed, with the scores behind them and what their frames say."""
    from annotation.unreviewed import render_queue, unreviewed
    from flows.review.human import already_judged

    tables, review = open_catalog(catalog, config)
    entries = unreviewed(tables, already_judged(tables, review))
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    print_tables(render_queue(entries))


def print_waiting(waiting: Waiting, catalog: str, config: Path | None, as_json: bool) -> None:
    """Print the number of entries that wait for people, and the address of the page."""
    if as_json:
        print_json({"review": waiting.as_json()})
        return
    if waiting.release:
        say(f"release of what was judged before: {waiting.release}")
    say(f"{waiting}")
    options = f"--catalog {catalog}" + (f" --config {config}" if config else "")
    say(f"the page: ytb-ads annotate serve {options}   ({waiting.page})")
    say(f"who may judge: ytb-ads annotate invite NAME --role reviewer {options}")


@contextmanager
def _open_store(catalog: str, config: Path | None, *, must_exist: bool = True) -> Iterator[tuple[Store, Catalog]]:
    """A catalog's store, for as long as it is needed, with its catalog.

    Raises:
        StoreError: there is none, or it cannot be opened.
    """
    from flows.review.human import review_store

    tables, review = open_catalog(catalog, config)
    with review_store(tables, review, must_exist=must_exist) as store:
        yield store, tables


def _chosen_round(store: Store, round_id: int | None) -> Round:
    """A round by its number, or the newest.

    Raises:
        RoundError: there is no such round, or none at all.
    """
    from annotation.errors import RoundError

    if round_id is not None:
        return store.rounds.get(round_id)
    rounds = store.rounds.all()
    if not rounds:
        raise RoundError("there has been no round; `ytb-ads build --review human` opens one")
    return rounds[-1]


def _closed(tables: Catalog, closed: Round) -> None:
    """Say that a round is over, to the Prefect server too."""
    from flows.review.flow import tell_closed

    then = (
        "the Prefect server was told, and starts the deployment that writes the release"
        if tell_closed(tables, closed)
        else "`ytb-ads build --review human` writes the release"
    )
    say(f"round {closed.id} is closed; {then}")


def _print_rows(title: str, names: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print a table; what is in it is shown as plain text."""
    say(title)  # a title of the table itself would be broken where the table is narrow
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    print_tables(table)


def _find(store: Store, name: str) -> Person:
    from annotation.errors import AnnotationError

    person = store.people.find(name) or next((each for each in store.people.all() if each.id == name), None)
    if person is None:
        raise AnnotationError(f"nobody is called {printable(name)!r}; `ytb-ads annotate people` lists everybody")
    return person


def _print_invitation(invitation: Invitation, address: str, as_json: bool) -> None:
    person, link = invitation.person, invitation.link(address)
    if as_json:
        shown = {"name": person.name, "id": person.id, "role": person.role, "until": person.expires_at, "link": link}
        print_json(shown)
        return
    say(link)
    warn(f"for {person.name}, {person.role}, until {person.expires_at:%Y-%m-%d}; shown this once")


def _address(url: str | None, otherwise: str) -> str:
    """The page's address for links."""
    if url is not None and not _PAGE.fullmatch(url):
        raise typer.BadParameter(f"--url {printable(url)}: expected the page's address, as https://ads.example.org")
    return url or otherwise


def _pseudonyms(asked: bool | None, catalog: str, config: Path | None) -> bool:
    return open_catalog(catalog, config)[1].pseudonyms if asked is None else asked


def _seconds(median_s: float | None) -> str:
    return "-" if median_s is None else "under 1" if median_s < 1 else f"{median_s:.1f}"


def _ask(said: str) -> None:
    from annotation.errors import RoundError

    if not sys.stdin.isatty():
        raise RoundError(f"{said}; a closed round is not opened again, say --yes to close it")
    warn(said)
    typer.confirm("Close it? It cannot be opened again.", abort=True, err=True)


def _write_tasks(
    store: Store,
    tables: Catalog,
    found: Round,
    file: Path,
    frames_url: str,
    names: Mapping[str, str],
    *,
    predictions: bool,
    with_votes: bool,
) -> None:
    from annotation.interchange.label_studio import LABELLING_CONFIG, picture_name, round_tasks, write_tasks

    tasks = round_tasks(
        store,
        tables,
        found.id,
        frame_url=lambda frame_id: frames_url + quote(picture_name(frame_id)),
        predictions=predictions,
        with_votes=with_votes,
        names=names,
    )
    write_tasks(tasks, file)
    file.with_suffix(".xml").write_text(LABELLING_CONFIG, encoding="utf-8")


def _write_records(
    store: Store,
    tables: Catalog,
    found: Round,
    file: Path,
    frames_url: str,
    names: Mapping[str, str],
    *,
    predictions: bool,
    with_votes: bool,
) -> None:
    from annotation.interchange.argilla import argilla_records
    from annotation.interchange.label_studio import picture_name, write_tasks
    from annotation.interchange.prodigy import prodigy_tasks, write_lines
    from annotation.interchange.round_rows import round_rows

    def frame_url(frame_id: str) -> str:
        return frames_url + quote(picture_name(frame_id))

    rows = round_rows(store, tables, found.id, names=names, predictions=predictions, with_votes=with_votes)
    if file.suffix.lower() == ".jsonl":
        write_lines(prodigy_tasks(rows, frame_url), file)
    else:
        write_tasks(argilla_records(rows, frame_url), file)


def _write_pictures(store: Store, tables: Catalog, found: Round, folder: Path) -> None:
    from annotation.interchange.label_studio import write_pictures

    entries = store.rounds.entries(found.id).values()
    with progress("frames", len({frame_id for entry in entries for frame_id in entry.frame_ids})) as advance:
        write_pictures(tables, entries, folder, advance=advance)


def _table(store: Store, tables: Catalog, round_id: int, rows: Rows, names: Mapping[str, str]) -> pa.Table:
    from annotation.agreement_tables import read_agreement
    from annotation.interchange.agreement_files import entries_table, pairs_table, people_table
    from annotation.interchange.table_files import (
        decisions_table,
        flags_table,
        threads_table,
        verdicts_table,
        votes_table,
    )
    from annotation.interchange.votes import judgements
    from annotation.outcomes import verdicts
    from annotation.threads import contributions

    def of_log(make: Callable[..., Any]) -> Any:
        return make(store.events(round_id), store.rounds.entries(round_id), names)

    first = store.rounds.get(round_id).options.verifier_first
    makers: dict[Rows, Callable[[], pa.Table]] = {
        "votes": lambda: votes_table(of_log(judgements)),
        "flags": lambda: of_log(flags_table),
        "decisions": lambda: of_log(partial(decisions_table, verifier_first=first)),
        "threads": lambda: threads_table(of_log(contributions)),
        "verdicts": lambda: verdicts_table(verdicts(store, round_id)),
        "entries": lambda: entries_table(read_agreement(store, tables, round_id)),
        "people": lambda: people_table(read_agreement(store, tables, round_id), names),
        "pairs": lambda: pairs_table(read_agreement(store, tables, round_id), names),
    }
    return makers[rows]()


def _pair(given: str, expected: str) -> tuple[str, str]:
    who, _, name = given.rpartition("=")
    if not who or not name:
        raise typer.BadParameter(f"{given}: expected {expected}")
    return who, name


def _print_refused(file: Path, refused: tuple[Refused, ...]) -> None:
    for each in refused[:_REFUSALS_SHOWN]:
        warn(f"{file}, {each.line}: {each.reason}")
    more = len(refused) - _REFUSALS_SHOWN
    rest = f"; {more} more are not shown" if more > 0 else ""
    votes = "1 vote was" if len(refused) == 1 else f"{len(refused)} votes were"
    say_error(f"{votes} not taken{rest}")
