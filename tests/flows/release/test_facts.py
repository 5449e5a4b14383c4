"""The facts of a release, and the tables that the terminal shows of them."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from data_catalog.printing import is_new_emoji, readable
from flows.funnel import FunnelStep
from flows.release.facts import (
    ClassCounts,
    ReleaseFacts,
    choose_examples,
    count_table1,
    sum_counts,
)
from flows.release.resampling import PlannedRow
from flows.release.terminal import render_funnel, render_table1
from flows.settings import OcrSettings, ReviewSettings, SentimentSettings, Settings


def plain_text(table: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=110, color_system=None, force_terminal=False).print(table)
    return file.getvalue()


def rows(label: str, count: int, split: str = "train", draw: int = 0) -> list[PlannedRow]:
    return [PlannedRow(split, f"{label}{i // 2}:{i % 2}", draw, f"{label}{i // 2}", label) for i in range(count)]  # type: ignore[arg-type]


def test_table_1_counts_rows_and_the_distinct_frames_and_ads_behind_them() -> None:
    table1 = count_table1(rows("positive", 4) + rows("negative", 2) + rows("negative", 2, draw=1))
    assert table1["train"]["positive"] == ClassCounts(rows=4, frames=4, ads=2)
    assert table1["train"]["negative"] == ClassCounts(rows=4, frames=2, ads=1)
    assert table1["test"]["negative"] == ClassCounts()


def test_totals_are_over_all_or_over_the_part_that_is_named() -> None:
    table1 = count_table1(rows("positive", 4) + rows("negative", 2, "test"))
    assert sum_counts(table1).rows == 6
    assert sum_counts(table1, "negative").rows == 2
    assert sum_counts(table1, split="train").rows == 4
    assert sum_counts(table1, "negative", "train").rows == 0


def test_examples_come_from_both_classes_and_from_as_many_ads_as_there_are() -> None:
    plan = rows("positive", 20) + rows("negative", 3) + rows("negative", 3, draw=1)
    chosen = choose_examples(plan, per_class=4, seed=1)
    assert [row.label for row in chosen] == ["negative"] * 3 + ["positive"] * 4
    assert len({row.video_id for row in chosen if row.label == "positive"}) == 4
    assert all(row.draw == 0 for row in chosen)
    assert chosen == choose_examples(plan[::-1], per_class=4, seed=1)


def test_the_manifest_part_is_json_and_holds_the_funnel_with_its_reasons(facts: ReleaseFacts) -> None:
    manifest = json.loads(json.dumps(facts.manifest()))
    assert manifest["synthetic"] is True
    assert manifest["funnel"][0]["drops"] == {"no_comments": 1, "corrupt_media": 1}
    assert manifest["labels"]["decided_by"] == {"policy auto": 8}


@given(st.text(max_size=60))
def test_a_strangers_text_becomes_one_printable_line(text: str) -> None:
    line = readable(text)
    assert all(character.isprintable() or is_new_emoji(character) for character in line)
    assert line == line.strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand  gaps", "two lines and gaps"),
        ("\x1b[31mred\x07", "[31mred"),
        ("exe\u202egnp", "exegnp"),
        ("x" * 300, "x" * 279 + "…"),
        ("Größe 5€ 日本", "Größe 5€ 日本"),
        ("🩷🫨", "🩷🫨"),
    ],
)
def test_control_and_reordering_characters_go_and_words_stay(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_the_funnel_shows_every_stage_and_every_reason(facts: ReleaseFacts) -> None:
    text = plain_text(render_funnel(facts.funnel))
    for part in (
        "12",
        "10 ads",
        "1 no_comments",
        "1 corrupt_media",
        "20 too_few_words",
        "22 rows of 9 ads",
        "+5 drawn again",
    ):
        assert part in text


def test_markup_in_a_reason_is_shown_and_not_obeyed() -> None:
    text = plain_text(render_funnel([FunnelStep("[bold]stage[/bold]", 1, 0, {"[red]why[/red]\x1b[2J": 1})]))
    assert "[bold]stage[/bold]" in text
    assert "[red]why[/red]" in text
    assert "\x1b" not in text


def test_table_1_on_the_terminal_names_rows_frames_and_ads(facts: ReleaseFacts) -> None:
    words = plain_text(render_table1(facts.after)).split()
    train = words[words.index("train") : words.index("validation")]
    assert " ".join(train) == "train 8 rows 8 rows 16 rows 8 frames, 4 ads 3 frames, 2 ads 11 frames, 6 ads"


def test_the_yields_on_the_terminal_are_those_of_the_table(facts: ReleaseFacts) -> None:
    text = plain_text(facts.yields.as_table())
    said = [word for cells in facts.yields.cells() for cell in cells for word in cell.split()]
    assert Counter(said) <= Counter(text.split())
    assert "*" in text.split()


def test_an_empty_release_can_be_shown(facts: ReleaseFacts) -> None:
    empty = replace(facts, after=count_table1([]), funnel=[])
    assert "0 rows" in plain_text(render_table1(empty.after))
    assert "step" in plain_text(render_funnel(empty.funnel))


def test_a_release_names_no_path_of_the_machine_that_made_it(facts: ReleaseFacts) -> None:
    here = Path("/home/zoe/files")
    settings = Settings(
        ocr=OcrSettings(model_dir=here),
        sentiment=SentimentSettings(lexicon=here, jar=here / "SentiStrength.jar", java=f"{here}/java"),
    )
    told = replace(facts, settings=settings).published_settings()
    assert "zoe" not in json.dumps(told)
    assert told["sentiment"]["positive"] == 2.5


def test_a_release_names_neither_where_people_judge_nor_the_answers_of_gold_entries(facts: ReleaseFacts) -> None:
    review = ReviewSettings(
        store=SecretStr("postgresql://zoe:hunter2@db.zoe.example/votes"),
        page="https://ads.zoe.example",
        host="zoe.example",
        gold={"zoesgoldenad": "positive"},
    )
    told = replace(facts, settings=Settings(review=review)).published_settings()
    assert "zoe" not in json.dumps(told)
    assert "hunter2" not in json.dumps(told) + repr(review)
    assert told["review"]["reviewers"] == 5
