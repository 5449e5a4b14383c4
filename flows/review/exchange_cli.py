"""`ytb-ads annotate agreement`, `export`, `import`: how far people agree, and votes in other programs' formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import typer
from rich.markup import escape

from data_catalog.cli import CatalogDir
from data_catalog.printing import printable
from flows.console import AsJson, ConfigFile, err, out, print_tables
from flows.review.console import RoundNumber, chosen_round, closed, opened_store, say

if TYPE_CHECKING:
    import pyarrow as pa

    from annotation.judgements import Refused
    from annotation.store import Store

_REFUSALS_SHOWN = 20

Format = Literal["label-studio", "csv", "parquet"]
Rows = Literal["votes", "decisions", "verdicts"]


def agreement(
    catalog: CatalogDir = "./catalog", config: ConfigFile = None, round_id: RoundNumber = None, as_json: AsJson = False
) -> None:
    """Say how far reviewers agree with each other, with themselves, with known answers and with the comments."""
    from annotation.report import agreement_as_json, read_agreement, render_agreement

    with opened_store(catalog, config) as (store, tables):
        found = chosen_round(store, round_id)
        measured = read_agreement(store, tables, found.id)
        names = {person.id: person.name for person in store.people.all()}
    if as_json:
        out.print_json(json.dumps({"round": found.id, **agreement_as_json(measured, names)}))
        return
    say(f"round {found.id}")
    print_tables(render_agreement(measured, names))


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    kind: Annotated[Format, typer.Option("--format", help="Format of the file.")],
    rows: Annotated[Rows, typer.Option(help="What CSV and Parquet hold; only votes can be imported.")] = "votes",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Label Studio: with the comments' label, which people then see.")
    ] = False,
    frames_url: Annotated[
        str, typer.Option(metavar="URL", help="Label Studio: where it finds the picture of frame ID, as URL + ID.jpg.")
    ] = "/data/local-files/?d=frames/",
    round_id: RoundNumber = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Write a round's votes to a file, for Label Studio or as a table."""
    from annotation.label_studio import round_tasks, write_tasks
    from annotation.tables import write_table

    suffix = ".json" if kind == "label-studio" else f".{kind}"
    if file.suffix.lower() != suffix:
        raise typer.BadParameter(f"{file}: a file of the format {kind} ends in {suffix}")
    with opened_store(catalog, config) as (store, tables):
        found = chosen_round(store, round_id)
        if kind == "label-studio":

            def frame_url(frame_id: str) -> str:
                return f"{frames_url}{quote(frame_id, safe='')}.jpg"

            write_tasks(round_tasks(store, tables, found.id, frame_url=frame_url, predictions=predictions), file)
        else:
            write_table(_table(store, found.id, rows), file)
    say(f"round {found.id}: written to {file}")


def import_votes(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Votes: .csv or .parquet as `export` writes them, Label Studio's .json."),
    ],
    reviewer: Annotated[
        list[str] | None,
        typer.Option(metavar="WHO=NAME", help="Label Studio: which reviewer an email or number there is; repeatable."),
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Take votes of invited reviewers into the open round; importing a file again changes nothing.

    Rows that cannot be taken are named with their reason, and the command then ends with 1; all others are taken.
    """
    from annotation.errors import RoundError
    from annotation.judgements import import_judgements
    from annotation.label_studio import read_tasks
    from annotation.vote_files import read_votes
    from flows.review.watch import close_if_settled

    people = dict(_pair(each) for each in reviewer or ())
    with opened_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open, and a closed one takes no votes")
        rows = read_tasks(file, people=people) if file.suffix.lower() == ".json" else read_votes(file)
        imported = import_judgements(store, current.id, rows)
        ended = close_if_settled(store)
    say(f"round {current.id}: {imported.taken} votes taken, {len(imported.refused)} refused")
    if ended is not None:
        closed(tables, ended)
    if imported.refused:
        _print_refused(file, imported.refused)
        raise typer.Exit(1)


def _table(store: Store, round_id: int, rows: Rows) -> pa.Table:
    from annotation.judgements import judgements
    from annotation.reading import verdicts
    from annotation.tables import decisions_table, verdicts_table, votes_table

    if rows == "verdicts":
        return verdicts_table(verdicts(store, round_id))
    log, entries = store.events(round_id), store.rounds.entries(round_id)
    names = {person.id: person.name for person in store.people.all()}
    if rows == "decisions":
        return decisions_table(log, entries, names)
    return votes_table(judgements(log, entries, names))


def _pair(given: str) -> tuple[str, str]:
    who, _, name = given.rpartition("=")
    if not who or not name:
        raise typer.BadParameter(f"--reviewer {given}: expected an email or number, = and the reviewer's name")
    return who, name


def _print_refused(file: Path, refused: tuple[Refused, ...]) -> None:
    for each in refused[:_REFUSALS_SHOWN]:
        err.print(escape(printable(f"{file}, {each.line}: {each.reason}")), highlight=False, soft_wrap=True)
    more = len(refused) - _REFUSALS_SHOWN
    rest = f"; {more} more are not shown" if more > 0 else ""
    err.print(f"[red]error:[/red] {len(refused)} votes were not taken{rest}", highlight=False, soft_wrap=True)
