"""`ytb-ads annotate invite`, `people`, `revoke`: who may judge."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from data_catalog.printing import printable
from flows.commands.catalog import CatalogDir
from flows.commands.rounds import opened, opened_store, print_rows, say
from flows.console import AsJson, ConfigFile, err, out

if TYPE_CHECKING:
    from annotation.store import Store
    from annotation.store.people import Invitation, Person

_PAGE = re.compile(r"https?://[^\s/?#]+/?")
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the others know the person by.")]


def invite(
    name: Name,
    role: Annotated[
        Literal["reviewer", "verifier", "admin"],
        typer.Option(help="reviewer: judges; verifier: decides what they do not; admin: sees the dashboard."),
    ],
    renew: Annotated[
        bool, typer.Option("--renew", help="A new link for somebody who has one; the old one no longer works.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the page is served, if not where the settings say.")
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody in: prints their personal link, this once. Whoever has it judges in their name for 90 days."""
    from annotation.errors import AnnotationError

    if url is not None and not _PAGE.fullmatch(url):
        raise typer.BadParameter(f"--url {printable(url)}: expected the page's address, as https://ads.example.org")
    _, review = opened(catalog, config)
    with opened_store(catalog, config, must_exist=False) as (store, _):
        if renew:
            person = _find(store, name)
            if person.role != role:
                raise AnnotationError(f"{printable(person.name)} has the role {person.role}; a new link keeps it")
            invitation = store.people.reissue(person.id)
        else:
            invitation = store.people.invite(name, role)
    _print_invitation(invitation, url or review.address, as_json)


def people(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List everybody who was invited, and whether their link still works."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    with opened_store(catalog, config) as (store, _):
        known = [
            {
                "name": person.name,
                "id": person.id,
                "role": person.role,
                "invited": person.created_at,
                "until": person.revoked_at or person.expires_at,
                "state": "revoked" if person.revoked_at else "valid" if person.may_enter(now) else "expired",
            }
            for person in store.people.all()
        ]
    if as_json:
        out.print_json(json.dumps(known, default=str))
        return
    print_rows(
        f"{len(known)} people",
        ("name", "role", "link", "until", "id"),
        ((row["name"], row["role"], row["state"], f"{row['until']:%Y-%m-%d}", row["id"]) for row in known),
    )


def revoke(name: Name, catalog: CatalogDir = "./catalog", config: ConfigFile = None) -> None:
    """Shut somebody out at once, on a page that they have open too. What they did stays."""
    with opened_store(catalog, config) as (store, _):
        person = store.people.revoke(_find(store, name).id)
    say(f"{person.name} is shut out; `ytb-ads annotate invite --renew` lets them in again")


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
        out.print_json(json.dumps(shown, default=str))
        return
    out.print(escape(link), highlight=False, soft_wrap=True)
    err.print(
        f"for {escape(printable(person.name))}, {person.role}, until {person.expires_at:%Y-%m-%d}; shown this once",
        highlight=False,
        soft_wrap=True,
    )
