"""Export votes and verdicts of a round, for another tool or as a table, and import votes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer

from data_catalog.printing import printable
from flows.commands.annotate.common import (
    Pseudonyms,
    RoundNumber,
    chosen_round,
    open_store,
    pair,
    pseudonyms_shown,
    say_closed,
)
from flows.commands.catalog import open_catalog
from flows.console import CatalogDir, ConfigFile, progress, say, say_error, warn

if TYPE_CHECKING:
    import pyarrow as pa

    from annotation.interchange.round_rows import RoundRow
    from annotation.interchange.votes import Refused
    from annotation.store import Store
    from annotation.store.round_store import Round
    from data_catalog.catalog import Catalog

commands = typer.Typer()

Format = Literal["label-studio", "prodigy", "argilla", "csv", "parquet", "json"]
_TASKS = {"label-studio": ".json", "prodigy": ".jsonl", "argilla": ".json"}
"""Formats of other tools, with the suffixes of their files."""
Rows = Literal["votes", "flags", "decisions", "threads", "verdicts", "entries", "people", "pairs"]
_REFUSALS_SHOWN = 20


@commands.command(epilog="Example: ytb-ads annotate export votes.csv --format csv --catalog catalog")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    kind: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="csv, parquet, json, label-studio, prodigy or argilla.")
    ],
    rows: Annotated[
        Rows,
        typer.Option(
            metavar="ROWS",
            help="Rows of a table: votes, flags, decisions, threads (discussions), verdicts, or the agreement figures "
            "of entries, people or pairs. Only votes can be imported again.",
        ),
    ] = "votes",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Other tools: include the comments' label; people then see it.")
    ] = False,
    votes: Annotated[
        bool,
        typer.Option(
            "--votes/--no-votes", help="Other tools: include votes; the tools ask nobody about an ad that has one."
        ),
    ] = True,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Other tools: folder to write the frames' pictures into.")
    ] = None,
    frames_url: Annotated[
        str, typer.Option(metavar="URL", help="Other tools: prefix of a picture's address; the file name is added.")
    ] = "/data/local-files/?d=frames/",
    pseudonyms: Pseudonyms = None,
    round_id: RoundNumber = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Write a round's votes, decisions, discussions or verdicts to a file, as a table or for another tool.

    For Label Studio, FILE.xml is written beside FILE.json: the labelling interface that fits the tasks.
    """
    from annotation.interchange.round_rows import round_rows
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
    with open_store(catalog, config) as (store, tables):
        found = chosen_round(store, round_id)
        names = store.people.names(pseudonyms=pseudonyms_shown(pseudonyms, catalog, config))
        if kind in _TASKS:
            told = round_rows(store, tables, found.id, names=names, predictions=predictions, with_votes=votes)
            _write_for_tool(told, kind, file, frames_url)
            if pictures:
                _write_pictures(store, tables, found, pictures)
        else:
            write_table(_table(store, tables, found.id, rows, names), file)
    say(f"round {found.id}: written to {file}")


@commands.command(name="import", epilog="Example: ytb-ads annotate import votes.csv --catalog catalog")
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
        typer.Option(metavar="WHO=NAME", help="User of another tool = name of the reviewer; repeatable."),
    ] = None,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
) -> None:
    """Import votes of invited reviewers into the open round; importing a file again changes nothing.

    A reviewer's latest vote counts: an imported vote replaces an earlier one, never a later one. Rows that cannot be
    imported are listed with the reason; rows that are not votes are counted by kind. In both cases the other rows are
    imported and the command exits with 1.
    """
    from annotation.ending import read_ending
    from annotation.errors import RoundError
    from annotation.interchange.files import read_file
    from annotation.interchange.votes import import_judgements
    from flows.review.human import close_if_settled

    people = dict(pair(each, "what the other tool calls them, = and the reviewer's name") for each in reviewer or ())
    _, review = open_catalog(catalog, config)
    with open_store(catalog, config) as (store, tables):
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
        say_closed(tables, closed)
    if waits:
        say(f"round {current.id}: everything is judged; the page's server or the next build closes it")
    if imported.ignored:
        kinds = ", ".join(f"{count} {printable(kind)}" for kind, count in sorted(imported.ignored.items()))
        say_error(f"no votes, and ignored: {kinds}")
    if imported.refused:
        _print_refused(file, imported.refused)
    if imported.refused or imported.ignored:
        raise typer.Exit(1)


def _write_for_tool(rows: Iterator[RoundRow], kind: Format, file: Path, frames_url: str) -> None:
    from annotation.interchange.argilla import argilla_records
    from annotation.interchange.label_studio import LABELLING_CONFIG, label_studio_tasks, picture_name, write_tasks
    from annotation.interchange.prodigy import prodigy_tasks, write_lines

    def frame_url(frame_id: str) -> str:
        return frames_url + quote(picture_name(frame_id))

    if kind == "prodigy":
        write_lines(prodigy_tasks(rows, frame_url), file)
    elif kind == "argilla":
        write_tasks(argilla_records(rows, frame_url), file)
    else:
        write_tasks(label_studio_tasks(rows, frame_url), file)
        file.with_suffix(".xml").write_text(LABELLING_CONFIG, encoding="utf-8")


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


def _print_refused(file: Path, refused: tuple[Refused, ...]) -> None:
    for each in refused[:_REFUSALS_SHOWN]:
        warn(f"{file}, {each.line}: {each.reason}")
    more = len(refused) - _REFUSALS_SHOWN
    rest = f"; {more} more are not shown" if more > 0 else ""
    votes = "1 vote was" if len(refused) == 1 else f"{len(refused)} votes were"
    say_error(f"{votes} not taken{rest}")
