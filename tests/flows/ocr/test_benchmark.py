"""The benchmark prints what it promises, for one engine and for all that are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def measured(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "ocr.py", *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("folder", ["ocr", "."])
def test_cards_are_measured_from_either_folder(shared_data: Path, folder: str) -> None:
    (row,) = measured("--data", str(shared_data / folder), "--set", "cards", "--engine", "rapidocr", "--number", "3")

    assert (row["engine"], row["pictures"]) == ("rapidocr", 3)
    assert (row["decision_accuracy"], row["word_recall"], row["word_precision"]) == (1, 1, 1)
    assert row["ms_per_frame"] > row["detect_ms"] > 0
    assert {"decode_ms", "recognise_ms", "rest_ms", "count_error", "false_words_per_textless_frame"} <= set(row)


def test_without_a_name_all_engines_that_are_there_are_measured_on_the_same_pictures(shared_data: Path) -> None:
    rows = measured("--data", str(shared_data / "ocr"), "--set", "rendered", "--number", "2")

    assert rows[0]["engine"] == "rapidocr"
    assert {row["pictures"] for row in rows} == {2}
    assert set(rows[0]["groups"]) == {"English", "German"}
