"""Rounds: serve the review page, show progress and agreement, close a round, and list unreviewed ads."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.annotate.common import (
    Pseudonyms,
    RoundNumber,
    chosen_round,
    open_store,
    print_rows,
    pseudonyms_shown,
    say_closed,
)
from flows.commands.catalog import open_catalog
from flows.console import AsJson, CatalogDir, ConfigFile, print_json, print_tables, say, warn

if TYPE_CHECKING:
    from flows.review.human import Waiting

commands = typer.Typer()


@commands.command(epilog="Example: ytb-ads annotate serve --catalog catalog --port 8440")
def serve(
    catalog: CatalogDir = "./catalog",
    host: Annotated[
        str | None, typer.Option(metavar="H", help="Address to listen on; default: this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, metavar="P", help="Default: 8440.")] = None,
    config: ConfigFile = None,
) -> None:
    """Serve the review page until Ctrl-C; the round is closed when everything is judged.

    It is closed after review.quiet_s seconds without any action. Pages show the countdown; until it ends, everything
    can be taken back, and a verifier or admin can hold the end.
    If PREFECT_API_URL names a Prefect server, that server then starts the deployment which writes the release;
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
        with watching(store, lambda round_id: say_closed(tables, store.rounds.get(round_id)), quiet_s=review.quiet_s):
            serve_page(page, at_address)


@commands.command(epilog="Example: ytb-ads annotate status --catalog catalog")
def status(
    catalog: CatalogDir = "./catalog", config: ConfigFile = None, round_id: RoundNumber = None, as_json: AsJson = False
) -> None:
    """Show the progress of a round and of each person in it."""
    from annotation import outcomes
    from annotation.agreement_tables import until

    with open_store(catalog, config) as (store, _):
        found = chosen_round(store, round_id)
        now, persons = outcomes.round_status(store, found.id), outcomes.progress(store, found.id)
    if as_json:
        everybody = [{**asdict(each), "person": each.person.id} for each in persons]
        facts = {"id": found.id, "opened_at": found.opened_at, "closed_at": found.closed_at, **asdict(now)}
        print_json({"round": facts, "people": everybody})
        return
    end = f"closed {found.closed_at:%Y-%m-%d %H:%M}" if found.closed_at else "open"
    rows = [(state.replace("_", " "), count) for state, count in sorted(now.by_state.items())]
    print_rows(f"Round {found.id}, {end}: {now.n_entries} entries", ("state", "entries"), rows)
    print_rows(
        "Everybody",
        ("name", "role", "done", "of", "seconds an entry", "until"),
        (
            (each.person.name, each.person.role, each.done, each.total, _seconds(each.median_s), until(each))
            for each in persons
        ),
    )


@commands.command(epilog="Example: ytb-ads annotate agreement --catalog catalog --json")
def agreement(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    round_id: RoundNumber = None,
    pseudonyms: Pseudonyms = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far reviewers agree with each other, with themselves, with known answers and with the comments.

    Also shown: agreement by level, how often each reviewer was overruled, the time per ad, and the labels that the
    votes alone suggest.
    """
    from annotation.agreement_tables import agreement_as_json, read_agreement, render_agreement

    with open_store(catalog, config) as (store, tables):
        found = chosen_round(store, round_id)
        measured = read_agreement(store, tables, found.id)
        hidden = pseudonyms_shown(pseudonyms, catalog, config)
        names = store.people.names(pseudonyms=hidden)
    if as_json:
        print_json({"round": found.id, **agreement_as_json(measured, names, pseudonyms=hidden)})
        return
    say(f"round {found.id}")
    print_tables(render_agreement(measured, names))


@commands.command(name="close-round", epilog="Example: ytb-ads annotate close-round --yes --catalog catalog")
def close_round(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Close the open round as it is: settled entries become labels, the others are left to another round.

    If PREFECT_API_URL names a Prefect server, that server then starts the deployment which writes the release.
    """
    from annotation import outcomes
    from annotation.errors import RoundError
    from annotation.protocol import FINAL

    with open_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open; `ytb-ads build --review human` opens one when there are ads to judge")
        now = outcomes.round_status(store, current.id)
        left = sum(count for state, count in now.by_state.items() if state not in FINAL)
        if not yes:
            _ask(f"round {current.id}: {left} of {now.n_entries} entries are not settled")
        store.rounds.close(current.id)
    say_closed(tables, current)


@commands.command(epilog="Example: ytb-ads annotate queue --catalog catalog --json")
def queue(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the ads whose labels nobody has reviewed, with their scores and the words on their frames."""
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


def _seconds(median_s: float | None) -> str:
    return "-" if median_s is None else "under 1" if median_s < 1 else f"{median_s:.1f}"


def _ask(said: str) -> None:
    from annotation.errors import RoundError

    if not sys.stdin.isatty():
        raise RoundError(f"{said}; a closed round cannot be opened again, use --yes to close it")
    warn(said)
    typer.confirm("Close it? It cannot be opened again.", abort=True, err=True)
