"""`ytb-ads annotate`: the page on which people judge, who may, how far they are, and what goes in and out."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.commands.catalog import CatalogDir
from flows.commands.exchange import agreement, export, import_votes
from flows.commands.people import invite, people, revoke
from flows.commands.rounds import RoundNumber, chosen_round, closed, opened, opened_store, print_rows, say
from flows.console import AsJson, ConfigFile, err, out, print_tables

if TYPE_CHECKING:
    from flows.review.waiting import Waiting

annotate_app = typer.Typer(
    name="annotate",
    no_args_is_help=True,
    help="People settle the labels: the page, who may judge, and how far they are and agree.",
    epilog="Start with: ytb-ads annotate invite Ann --role reviewer && ytb-ads annotate serve",
)


annotate_app.command(epilog="Example: ytb-ads annotate invite 'Ann Lee' --role reviewer --catalog catalog")(invite)
annotate_app.command(epilog="Example: ytb-ads annotate people --catalog catalog")(people)
annotate_app.command(epilog="Example: ytb-ads annotate revoke 'Ann Lee' --catalog catalog")(revoke)
annotate_app.command(epilog="Example: ytb-ads annotate agreement --catalog catalog --json")(agreement)
annotate_app.command(epilog="Example: ytb-ads annotate export votes.csv --format csv --catalog catalog")(export)
annotate_app.command(name="import", epilog="Example: ytb-ads annotate import votes.csv --catalog catalog")(import_votes)


def print_waiting(waiting: Waiting, catalog: str, as_json: bool) -> None:
    """How many entries wait for people, and where they judge them."""
    if as_json:
        out.print_json(json.dumps({"review": waiting.as_json()}))
        return
    if waiting.release:
        say(f"release of what was judged before: {waiting.release}")
    say(f"{waiting}")
    say(f"the page: ytb-ads annotate serve --catalog {catalog}   ({waiting.page})")
    say(f"who may judge: ytb-ads annotate invite NAME --role reviewer --catalog {catalog}")


@annotate_app.command(epilog="Example: ytb-ads annotate serve --catalog catalog --port 8440")
def serve(
    catalog: CatalogDir = "./catalog",
    host: Annotated[
        str | None, typer.Option(metavar="H", help="Address to listen on; default: this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, metavar="P", help="Default: 8440.")] = None,
    config: ConfigFile = None,
) -> None:
    """Serve the page on which people judge, until Ctrl-C; when the last entry is settled, the round is closed.

    It is closed once nothing was done for review.quiet_s seconds, in which the last judgement can be taken back.
    The Prefect server that PREFECT_API_URL names, if any, then starts the deployment which writes the release;
    otherwise the next `ytb-ads build --review human` writes it.
    """
    from annotation.outcomes import round_status
    from annotation.web.app import listening
    from annotation.web.app import serve as serve_page
    from annotation.web.state import WebSettings
    from flows.review.human import review_store, store_location
    from flows.review.watch import watching

    tables, review = opened(catalog, config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    review = review.model_copy(update=given)
    page = WebSettings(
        catalog=tables.root,
        store=store_location(tables, review),
        host=review.host,
        port=review.port,
        public_url=review.page,
    )
    with listening(page) as at_address, review_store(tables, review) as store:
        current = store.rounds.current()
        say(f"the page: {page.url}   (Ctrl-C ends it)")
        say(
            f"round {current.id} is open, with {round_status(store, current.id).n_entries} entries"
            if current
            else f"no round is open: ytb-ads build --source SOURCE --review human --catalog {catalog} opens one"
        )
        at = f" --url {page.url}" if given else ""
        say(f"to let people in: ytb-ads annotate invite NAME --role reviewer --catalog {catalog}{at}")
        with watching(store, lambda round_id: closed(tables, round_id), quiet_s=review.quiet_s):
            serve_page(page, at_address)


@annotate_app.command(epilog="Example: ytb-ads annotate status --catalog catalog")
def status(
    catalog: CatalogDir = "./catalog", config: ConfigFile = None, round_id: RoundNumber = None, as_json: AsJson = False
) -> None:
    """Show how far a round is, and everybody in it."""
    from annotation import outcomes

    with opened_store(catalog, config) as (store, _):
        found = chosen_round(store, round_id)
        now, persons = outcomes.round_status(store, found.id), outcomes.progress(store, found.id)
    if as_json:
        everybody = [{**asdict(each), "person": each.person.id} for each in persons]
        facts = {"id": found.id, "opened_at": found.opened_at, "closed_at": found.closed_at, **asdict(now)}
        out.print_json(json.dumps({"round": facts, "people": everybody}, default=str))
        return
    end = f"closed {found.closed_at:%Y-%m-%d %H:%M}" if found.closed_at else "open"
    rows = [(state.replace("_", " "), count) for state, count in sorted(now.by_state.items())]
    print_rows(f"Round {found.id}, {end}: {now.n_entries} entries", ("state", "entries"), rows)
    print_rows(
        "Everybody",
        ("name", "role", "done", "of", "seconds an entry"),
        ((each.person.name, each.person.role, each.done, each.total, _seconds(each.median_s)) for each in persons),
    )


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

    with opened_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open; `ytb-ads build --review human` opens one when there are ads to judge")
        now = outcomes.round_status(store, current.id)
        left = sum(count for state, count in now.by_state.items() if state not in FINAL)
        if not yes:
            _ask(f"round {current.id}: {left} of {now.n_entries} entries are not settled")
        store.rounds.close(current.id)
    closed(tables, current.id)


@annotate_app.command(epilog="Example: ytb-ads annotate queue --catalog catalog --json")
def queue(catalog: CatalogDir = "./catalog", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the ads whose labels nobody has reviewed, with the scores behind them and what their frames say."""
    from annotation.unreviewed import render_queue, unreviewed
    from flows.review.human import already_judged

    tables, review = opened(catalog, config)
    entries = unreviewed(tables, already_judged(tables, review))
    if as_json:
        out.print_json(json.dumps([asdict(entry) for entry in entries]))
        return
    print_tables(render_queue(entries))


def _seconds(median_s: float | None) -> str:
    return "-" if median_s is None else "under 1" if median_s < 1 else f"{median_s:.1f}"


def _ask(said: str) -> None:
    from annotation.errors import RoundError

    if not sys.stdin.isatty():
        raise RoundError(f"{said}; a closed round is not opened again, say --yes to close it")
    err.print(escape(said), highlight=False, soft_wrap=True)
    typer.confirm("Close it? It cannot be opened again.", abort=True, err=True)
