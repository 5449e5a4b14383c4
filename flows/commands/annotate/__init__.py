"""`ytb-ads annotate ...`: the page on which people judge, who may, how far a round is, and votes in and out."""

from __future__ import annotations

import typer

from flows.commands.annotate import files, people, rounds
from flows.commands.annotate.rounds import print_waiting

__all__ = ["app", "print_waiting"]

annotate_app = typer.Typer(
    name="annotate",
    no_args_is_help=True,
    help="People settle the labels: the page, who may judge, and how far they are and agree.",
    epilog="Start with: ytb-ads annotate invite Ann --role reviewer && ytb-ads annotate serve",
)
for commands in (rounds.commands, people.commands, files.commands):
    annotate_app.add_typer(commands)
app = typer.Typer()
app.add_typer(annotate_app)
