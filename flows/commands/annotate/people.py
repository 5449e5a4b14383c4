"""Invite and revoke people, set levels, assign parts of a round, and list everybody."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from data_catalog.printing import printable
from flows.commands.annotate.common import find_person, open_store, pair, print_rows
from flows.commands.catalog import open_catalog
from flows.console import AsJson, CatalogDir, ConfigFile, print_json, say, warn

if TYPE_CHECKING:
    from annotation.store.people import Invitation

commands = typer.Typer()
Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name, as others see it.")]
Level = Annotated[str | None, typer.Option(metavar="LEVEL", help="Such as master's or undergraduate.")]
Url = Annotated[
    str | None, typer.Option(metavar="URL", help="Address of the page, if it is not the one in the settings.")
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="Go on although some entries have too few reviewers so far.")
]
_PAGE = re.compile(r"https?://[^\s/?#]+/?")


@commands.command(epilog="Example: ytb-ads annotate invite 'Ann Lee' --role reviewer --catalog catalog")
def invite(
    name: Name,
    role: Annotated[
        Literal["reviewer", "verifier", "admin"],
        typer.Option(help="reviewer: judges; verifier: decides where reviewers disagree; admin: sees the dashboard."),
    ],
    level: Level = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make a new link for somebody who has one; the old link stops working.")
    ] = False,
    url: Url = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Invite a person and print their personal link, once. Whoever has the link judges in their name for 90 days."""
    from annotation.errors import AnnotationError

    _, review = open_catalog(catalog, config)
    address = _address(url, review.address)
    with open_store(catalog, config, must_exist=False) as (store, _):
        if renew:
            person = find_person(store, name)
            if person.role != role:
                raise AnnotationError(f"{printable(person.name)} has the role {person.role}; a new link keeps it")
            if level is not None:
                store.people.set_level(person.id, level)
            invitation = store.people.reissue(person.id)
        else:
            invitation = store.people.invite(name, role, level=level)
    _print_invitation(invitation, address, as_json)


@commands.command(
    name="invite-all", epilog="Example: ytb-ads annotate invite-all people.csv --links links.csv --catalog catalog"
)
def invite_all(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV with the columns name, role and, optionally, level, entries, deadline."
        ),
    ],
    links: Annotated[Path, typer.Option(metavar="CSV", help="New file for the links, which you alone can read.")],
    incomplete: Incomplete = False,
    url: Url = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Invite many people, all of them or none, and write their links to a file.

    `entries` is a reviewer's part of the open round: a number, a share such as 50%, or all. `deadline` is a day such
    as 2026-12-15. `ytb-ads annotate assign` changes both.
    """
    from annotation.guests import new_file, read_guests, write_links

    _, review = open_catalog(catalog, config)
    address = _address(url, review.address)
    guests = read_guests(file)
    with open_store(catalog, config, must_exist=False) as (store, _), new_file(links) as out:
        store.invite_all(guests, lambda made: write_links(out, made, address), incomplete=incomplete)
    say(f"{len(guests)} people invited; their links, shown this once: {links}")


@commands.command(epilog="Example: ytb-ads annotate level 'Ann Lee' undergraduate --catalog catalog")
def level(
    name: Name,
    level: Annotated[str, typer.Argument(metavar="LEVEL", help="Such as master's or undergraduate; empty: no level.")],
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Set a person's level; agreement is reported by level."""
    with open_store(catalog, config) as (store, _):
        person = store.people.set_level(find_person(store, name).id, level)
    say(f"{printable(person.name)}: {printable(person.level or 'no level')}")


@commands.command(epilog="Example: ytb-ads annotate assign 'Ann Lee=300' 'Bob Ray=50%' --deadline 2026-12-15")
def assign(
    parts: Annotated[
        list[str], typer.Argument(metavar="NAME=ENTRIES...", help="A number, a share such as 50%, or all.")
    ],
    deadline: Annotated[
        str, typer.Option(metavar="DAY", help="Last day, such as 2026-12-15 (until its end, UTC); shown to reviewers.")
    ] = "",
    incomplete: Incomplete = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Assign parts of the open round to reviewers; a reviewer without an assignment judges all of it.

    Parts are drawn with the round's seed; the numbers of reviewers of any two entries differ by at most one. Entries
    that a reviewer has judged or was assigned before stay with them, and other reviewers' entries do not change.
    """
    from annotation.assignment import parse_quota
    from annotation.errors import RoundError

    named = dict(pair(each, "a reviewer's name, = and a number of entries, a share or all") for each in parts)
    with open_store(catalog, config) as (store, _):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open; entries can only be assigned in an open round")
        people = {find_person(store, name): parse_quota(entries, deadline) for name, entries in named.items()}
        quotas = {person.id: quota for person, quota in people.items()}
        drawn = store.assignments.assign(current.id, quotas, incomplete=incomplete)
    for person in people:
        own = drawn[person.id]
        count = "all" if own.entry_ids is None else f"{len(own.entry_ids):,}"
        until = f", until {own.deadline:%Y-%m-%d}" if own.deadline else ""
        say(f"{printable(person.name)}: {count} entries{until}")
    ends = [drawn[person.id].deadline for person in people]
    if any(end and end < datetime.now(UTC) for end in ends):
        warn(f"warning: {deadline} is over already")


@commands.command(epilog="Example: ytb-ads annotate people --catalog catalog")
def people(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List everybody who was invited, and the state of their links."""
    now = datetime.now(UTC)
    with open_store(catalog, config) as (store, _):
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
    print_rows(
        f"{len(known)} people",
        ("name", "role", "level", "link", "until", "id"),
        (
            (row["name"], row["role"], row["level"] or "-", row["state"], f"{row['until']:%Y-%m-%d}", row["id"])
            for row in known
        ),
    )


@commands.command(epilog="Example: ytb-ads annotate revoke 'Ann Lee' --catalog catalog")
def revoke(name: Name, catalog: CatalogDir = "./catalog", config: ConfigFile = None) -> None:
    """Revoke a person's access at once, also on pages that they have open. Their judgements are kept."""
    with open_store(catalog, config) as (store, _):
        person = store.people.revoke(find_person(store, name).id)
    say(f"{person.name} is shut out; `ytb-ads annotate invite --renew` lets them in again")


def _print_invitation(invitation: Invitation, address: str, as_json: bool) -> None:
    person, link = invitation.person, invitation.link(address)
    if as_json:
        shown = {"name": person.name, "id": person.id, "role": person.role, "until": person.expires_at, "link": link}
        print_json(shown)
        return
    say(link)
    warn(f"for {person.name}, {person.role}, until {person.expires_at:%Y-%m-%d}; shown this once")


def _address(url: str | None, otherwise: str) -> str:
    """Return the page's address for links."""
    if url is not None and not _PAGE.fullmatch(url):
        raise typer.BadParameter(f"--url {printable(url)}: expected the page's address, as https://ads.example.org")
    return url or otherwise
