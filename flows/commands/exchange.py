"""`ytb-ads annotate agreement`, `export`, `import`: how far people agree, and votes in other programs' formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import typer
from rich.markup import escape

from data_catalog.printing import printable
from flows.commands.catalog import CatalogDir
from flows.commands.rounds import RoundNumber, chosen_round, closed, opened_store, say
from flows.console import AsJson, ConfigFile, err, out, print_tables, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from annotation.interchange.votes import Refused
    from annotation.store import Store
    from annotation.store.round_store import Round
    from data_catalog.catalog import Catalog

_REFUSALS_SHOWN = 20

Format = Literal["label-studio", "csv", "parquet"]
Rows = Literal["votes", "decisions", "verdicts"]


def agreement(
    catalog: CatalogDir = "./catalog", config: ConfigFile = None, round_id: RoundNumber = None, as_json: AsJson = False
) -> None:
    """Say how far reviewers agree with each other, with themselves, with known answers and with the comments."""
    from annotation.agreement_tables import agreement_as_json, read_agreement, render_agreement

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
    kind: Annotated[Format, typer.Option("--format", metavar="FORMAT", help="csv, parquet or label-studio.")],
    rows: Annotated[
        Rows, typer.Option(metavar="ROWS", help="CSV and Parquet: votes, decisions or verdicts; votes can be imported.")
    ] = "votes",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Label Studio: with the comments' label, which people then see.")
    ] = False,
    votes: Annotated[
        bool,
        typer.Option("--votes/--no-votes", help="Label Studio: with votes; it asks nobody about an ad that has one."),
    ] = True,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Label Studio: folder to write the frames' pictures into.")
    ] = None,
    frames_url: Annotated[
        str, typer.Option(metavar="URL", help="Label Studio: where it finds the pictures, as URL + file name.")
    ] = "/data/local-files/?d=frames/",
    round_id: RoundNumber = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Write a round's votes to a file, for Label Studio or as a table.

    Beside Label Studio's FILE.json lies FILE.xml, the labelling interface that fits its tasks.
    """
    from annotation.interchange.table_files import write_table

    if kind == "label-studio" and rows != "votes":
        raise typer.BadParameter(f"--rows {rows}: Label Studio's tasks hold votes; write the {rows} as csv or parquet")
    if kind != "label-studio" and (predictions or pictures or not votes):
        raise typer.BadParameter(
            f"--predictions, --no-votes, --pictures: of Label Studio's tasks; {kind} has none of them"
        )
    suffix = ".json" if kind == "label-studio" else f".{kind}"
    if file.suffix.lower() != suffix:
        raise typer.BadParameter(f"{file}: a file of the format {kind} ends in {suffix}")
    with opened_store(catalog, config) as (store, tables):
        found = chosen_round(store, round_id)
        if kind == "label-studio":
            _write_tasks(store, tables, found, file, frames_url, predictions=predictions, with_votes=votes)
            if pictures:
                _write_pictures(store, tables, found, pictures)
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
        typer.Option(metavar="WHO=NAME", help="Label Studio: which reviewer a user's number there is; repeatable."),
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Take votes of invited reviewers into the open round; importing a file again changes nothing.

    Everybody's last word stands: a vote replaces one that was submitted before it, and never one after it. Rows that
    cannot be taken are named with their reason, and the command then ends with 1; all others are taken.
    """
    from annotation.errors import RoundError
    from annotation.interchange.label_studio import read_tasks
    from annotation.interchange.table_files import read_votes
    from annotation.interchange.votes import import_judgements
    from flows.review.watch import close_if_settled

    people = dict(_pair(each) for each in reviewer or ())
    with opened_store(catalog, config) as (store, tables):
        current = store.rounds.current()
        if current is None:
            raise RoundError("no round is open, and a closed one takes no votes")
        if unknown := [name for name in people.values() if store.people.find(name) is None]:
            raise RoundError(
                f"--reviewer: nobody is called {printable(unknown[0])!r}; invite them first, as a reviewer"
            )
        rows = read_tasks(file, people=people) if file.suffix.lower() == ".json" else read_votes(file)
        with progress("votes", None) as advance:
            imported = import_judgements(store, current.id, rows, advance=advance)
        ended = close_if_settled(store)
    say(
        f"round {current.id}: of the votes, {imported.taken} taken, {imported.known} there already, "
        f"{len(imported.refused)} refused"
    )
    if ended is not None:
        closed(tables, ended)
    if imported.refused:
        _print_refused(file, imported.refused)
        raise typer.Exit(1)


def _write_tasks(
    store: Store, tables: Catalog, found: Round, file: Path, frames_url: str, *, predictions: bool, with_votes: bool
) -> None:
    from annotation.interchange.label_studio import LABELLING_CONFIG, picture_name, round_tasks, write_tasks

    tasks = round_tasks(
        store,
        tables,
        found.id,
        frame_url=lambda frame_id: frames_url + quote(picture_name(frame_id)),
        predictions=predictions,
        with_votes=with_votes,
    )
    write_tasks(tasks, file)
    file.with_suffix(".xml").write_text(LABELLING_CONFIG, encoding="utf-8")


def _write_pictures(store: Store, tables: Catalog, found: Round, folder: Path) -> None:
    from annotation.interchange.label_studio import write_pictures

    entries = store.rounds.entries(found.id).values()
    with progress("frames", len({frame_id for entry in entries for frame_id in entry.frame_ids})) as advance:
        write_pictures(tables, entries, folder, advance=advance)


def _table(store: Store, round_id: int, rows: Rows) -> pa.Table:
    from annotation.interchange.table_files import decisions_table, verdicts_table, votes_table
    from annotation.interchange.votes import judgements
    from annotation.outcomes import verdicts

    if rows == "verdicts":
        return verdicts_table(verdicts(store, round_id))
    entries, log = store.rounds.entries(round_id), store.events(round_id)
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
    votes = "1 vote was" if len(refused) == 1 else f"{len(refused)} votes were"
    err.print(f"[red]error:[/red] {votes} not taken{rest}", highlight=False, soft_wrap=True)
