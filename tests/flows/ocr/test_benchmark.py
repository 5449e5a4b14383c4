"""The benchmark prints what it promises, for one engine and for all that are installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ocr import main

Measure = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Measure:
    """Run the benchmark with these arguments; one dictionary for each engine."""

    def run(*arguments: str | Path) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["ocr.py", *map(str, arguments), "--json"])
        main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.parametrize("folder", ["ocr", "."])
def test_cards_are_measured_from_either_folder(shared_data: Path, measured: Measure, folder: str) -> None:
    (row,) = measured("--data", shared_data / folder, "--set", "cards", "--engine", "rapidocr", "--number", 3)

    assert (row["engine"], row["pictures"]) == ("rapidocr", 3)
    assert (row["decision_accuracy"], row["word_recall"], row["word_precision"]) == (1, 1, 1)
    assert row["ms_per_frame"] > row["detect_ms"] > 0
    assert {"decode_ms", "recognise_ms", "rest_ms", "count_error", "false_words_per_textless_frame"} <= set(row)


def test_frames_that_nobody_wrote_down_are_compared_with_all_that_is_read(shared_data: Path, measured: Measure) -> None:
    (row,) = measured(
        *("--data", shared_data, "--set", "dense", "--engine", "rapidocr", "--number", 5, "--detail", "decision")
    )

    assert (row["pictures"], row["decided_right"], row["decided"]) == (5, 5, 5)
    assert set(row["groups"]) == {"ads", "screens"}
    assert row["groups"]["screens"]["word_recall"] < 1
    assert row["version"].endswith("+decision5")
    assert sum(row["rungs"].values()) == 5


def test_without_a_name_all_engines_that_are_there_are_measured_on_the_same_pictures(
    shared_data: Path, measured: Measure
) -> None:
    rows = measured("--data", shared_data / "ocr", "--set", "rendered", "--number", 2)

    assert rows[0]["engine"] == "rapidocr"
    assert {row["pictures"] for row in rows} == {2}
    assert set(rows[0]["groups"]) == {"English", "German"}
