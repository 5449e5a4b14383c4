"""The benchmark of a GPU runs through at a tiny size, wherever it is."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks import gpu


def test_a_dry_run_writes_the_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--dry-run", "--device", "cpu"])
    gpu.main()
    printed = capsys.readouterr().out
    rows = re.findall(r"^\| (\w+) \| no \| ([\d.]+) \| ([\d.]+) \| - \| ([\d.]+)% \|", printed, re.MULTILINE)
    assert [row[0] for row in rows] == list(gpu.MODELS)
    assert all(float(row[1]) > 0 and 0 <= float(row[3]) <= 100 for row in rows)
    assert len(re.findall(r"^\| (4|16) \| \d+\.\d\d \|$", printed, re.MULTILINE)) == 2
    assert printed.startswith("```sh\npython -m benchmarks.gpu ")
