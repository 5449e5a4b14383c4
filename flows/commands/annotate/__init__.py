"""`ytb-ads annotate ...`: the review page, the people invited, the progress of a round, votes in and out."""

from __future__ import annotations

import typer

from flows.commands.annotate import files, people, rounds
from flows.commands.annotate.rounds import print_waiting

__all__ = ["app", "print_waiting"]

annotate_app = typer.Typer(
    name="annotate",
    no_args_is_help=True,
    help="Let people settle the labels: serve the review page, invite people, show progress and agreement.",
    epilog="Start with: ytb-ads annotate invite Ann --role reviewer && ytb-ads annotate serve",
)
for commands in (rounds.commands, people.commands, files.commands):
    annotate_app.add_typer(commands)
app = typer.Typer()
app.add_typer(annotate_app)
