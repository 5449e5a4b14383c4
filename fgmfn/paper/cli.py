"""`fgmfn paper table4 | table5 | table6 | table7 | figure3 | figure4`: each table and figure by one command.

Every command writes NAME.md, NAME.parquet and NAME.png. One that was stopped goes on where it was; what is trained
already is read, not trained again.
"""

from __future__ import annotations

import typer

from fgmfn.paper.case_commands import table7
from fgmfn.paper.efficiency_commands import table5
from fgmfn.paper.score_commands import figure3, figure4, table4, table6

app = typer.Typer(
    help="The paper's tables and figures, each by one command: Markdown, Parquet and PNG.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for command in (table4, table5, table6, table7, figure3, figure4):
    app.command()(command)
