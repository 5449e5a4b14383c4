"""Where the commands print: as wide as the terminal, and untorn where there is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from flows.console import print_tables

ROW = Text("a cell of a row " * 10)


def test_a_row_that_goes_into_a_pipe_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables(ROW)
    assert capsys.readouterr().out.splitlines() == [ROW.plain]


def test_a_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40)
    monkeypatch.setattr("flows.console.out", terminal)
    print_tables(ROW)
    assert isinstance(terminal.file, io.StringIO)
    assert max(map(len, terminal.file.getvalue().splitlines())) <= 40
