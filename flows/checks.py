"""Results of checks: one line each, as a table for people and as an exit code for monitors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich import box
from rich.table import Table
from rich.text import Text

_STATES = {True: ("ok", "green"), None: ("warning", "yellow"), False: ("failed", "red")}


@dataclass(frozen=True)
class Check:
    """One check; `ok` is None for a warning: it works, but not for long or not as well as it could."""

    name: str
    ok: bool | None
    said: str
    todo: str = ""

    @property
    def state(self) -> str:
        """`ok`, `warning` or `failed`."""
        return _STATES[self.ok][0]


def render_checks(checks: Sequence[Check], title: str) -> Table:
    """The checks as a table: subject, state, and remedy."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("check", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("found", "what to do"):
        table.add_column(name, overflow="fold")
    for row in checks:
        table.add_row(Text(row.name), Text(row.state, style=_STATES[row.ok][1]), Text(row.said), Text(row.todo))
    return table


def exit_code(checks: Sequence[Check]) -> int:
    """0 if all is well, 1 for warnings, 2 for failures, as monitors of the Nagios family read them."""
    states = [check.ok for check in checks]
    return 2 if False in states else 1 if None in states else 0


def age_in_words(age: timedelta) -> str:
    """Hours, or from two days on days."""
    hours = max(0.0, age.total_seconds() / 3600)
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
