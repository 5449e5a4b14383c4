"""What a table shows of its runs: means, spreads, what was printed, checksums, and reasons in place of figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgmfn.baselines import CONTROLS, MODELS
from fgmfn.data import Source
from fgmfn.evaluation import REDUCED, Metrics, score
from fgmfn.paper import figure3, figure4, score_tables
from fgmfn.paper.experiments import Cell, Entry, Recipe, entries_of
from fgmfn.paper.published import ORIGINAL, TABLE_4, TABLE_6
from fgmfn.paper.scores import mean_and_sd, shown
from fgmfn.sheets import plain, write_sheet
from fgmfn.training import TrainedModel
from tests.fgmfn.runs import labels, write_run

RECIPE = Recipe(seeds=(42, 43), runs=Path("runs"))


@pytest.fixture
def cell(tweets: Source) -> Callable[..., Cell]:
    """A cell whose seeds, 42 and on, were right on so many of ten test rows."""

    def make(entry: Entry, *right: int, missing: str | None = None) -> Cell:
        trained = {
            42 + number: TrainedModel(
                entry.model, Path(f"runs/{entry.key}-{number}"), metrics(right_ones), metrics(right_ones), False, 1.5
            )
            for number, right_ones in enumerate(right)
        }
        return Cell(entry, tweets, trained, missing)

    return make


def metrics(right: int) -> Metrics:
    """Ten rows of class 0 and 1 in turn, the first of them right."""
    true = [number % 2 for number in range(10)]
    return score(true, [label if number < right else 2 for number, label in enumerate(true)], 3)


def test_a_row_has_mean_and_spread_beside_what_was_printed(cell: Callable[..., Cell]) -> None:
    (row,) = score_tables.TABLE_4.as_table([cell(*entries_of(["tombert"]), 6, 8)]).to_pylist()
    assert row["test_accuracy_by_seed"] == [0.6, 0.8]
    assert row["test_accuracy_mean"] == pytest.approx(0.7)
    assert row["test_accuracy_sd"] == pytest.approx(math.sqrt(0.02))
    assert (row["paper_accuracy"], row["paper_macro_f1"]) == (77.15, 71.15)
    assert (row["original_accuracy"], row["original_macro_f1"]) == (77.15, 71.75)
    assert row["seeds"] == [42, 43]
    assert row["test_checksum"]
    text = score_tables.TABLE_4.as_markdown([cell(*entries_of(["tombert"]), 6, 8)], RECIPE)
    assert "| TomBERT | text and image | 77.15 | 71.15 | 77.15 | 71.75 | 70.0 ± 14.1 |" in text
    assert row["test_checksum"][:12] in text
    assert "seeds 42 to 43" in text


def test_a_row_that_is_not_its_papers_model_is_marked_beside_every_figure(cell: Callable[..., Cell]) -> None:
    reduced, whole = cell(*entries_of(["tombert"]), 6, 8), cell(*entries_of(["mimn"]), 6, 8)
    reason = "text encoder small in place of bert-base-uncased"
    for seed, one in reduced.trained.items():
        reduced.trained[seed] = replace(one, departures=(reason,), notes=(reason,))
    cells = [reduced, whole]
    text = score_tables.TABLE_4.as_markdown(cells, RECIPE)
    lines = {line.split(" |")[0]: line for line in text.splitlines() if line.startswith("|")}
    assert lines["| TomBERT"].count(f"± 14.1{REDUCED} |") == 1
    assert [lines[f"| {name}"].count(REDUCED) for name in ("TomBERT", "MIMN")] == [3, 0]  # two test figures and dev's
    assert text.count(reason) == 1
    assert f"- {REDUCED} TomBERT: {reason}" in text
    assert [row["departures"] for row in score_tables.TABLE_4.as_table(cells).to_pylist()] == [[reason], []]
    labels = [
        label.get_text()
        for axes in score_tables.TABLE_4.as_figure(cells, RECIPE).axes
        for label in axes.get_yticklabels()
    ]
    assert f"TomBERT {REDUCED}" in labels
    assert "MIMN" in labels
    grid = [replace(reduced, entry=entry) for entry in figure4.entries((0.1,), (0.5,))]
    for text in (figure3.as_markdown(cells, RECIPE), figure4.as_markdown(grid, RECIPE)):
        assert reason in text
        assert REDUCED in text.replace(f"{REDUCED} ", "", 1)
    assert [row["departures"] for row in figure3.as_table(cells).to_pylist()][::9] == [[reason], []]


def test_a_row_that_did_not_run_has_its_reason_and_no_figure(cell: Callable[..., Cell]) -> None:
    cells = [cell(*entries_of(["roberta"]), missing="weights are missing: x"), cell(*entries_of(["tfidf"]), 5)]
    missing, _ = score_tables.TABLE_4.as_table(cells).to_pylist()
    assert missing["test_accuracy_mean"] is None
    assert missing["missing"] == "weights are missing: x"
    text = score_tables.TABLE_4.as_markdown(cells, RECIPE)
    assert "| RoBERTa [1] | text | 74.15 | 68.86 | - | - | - | - |" in text
    assert "[1] Not run here: weights are missing: x" in text
    assert "| TF-IDF | text | - | - | 50.0 |" in text


@pytest.mark.parametrize(
    ("write", "recipe", "note"),
    [
        (score_tables.TABLE_4.as_markdown, RECIPE, "These are not the rows of Twitter-2015"),
        (
            score_tables.TABLE_4.as_markdown,
            replace(RECIPE, from_scratch=True),
            "at random here: nothing printed compares",
        ),
        (score_tables.TABLE_4.as_markdown, replace(RECIPE, seeds=(42,)), "Ours: seed 42 alone"),
        (figure3.as_markdown, RECIPE, "Ours: counts added up over seeds 42 to 43"),
    ],
)
def test_a_sheet_says_what_its_figures_compare_with(
    write: Callable[..., str], recipe: Recipe, note: str, cell: Callable[..., Cell]
) -> None:
    assert note in write([cell(*entries_of(["tfidf"]), 5, 6)], recipe)


@pytest.fixture
def kept(tweets: Source, tmp_path: Path) -> Callable[..., Cell]:
    """A cell whose runs, of seed 1 and on, have kept predictions: as many are right as it says."""

    def make(entry: Entry, right: float, seeds: int) -> Cell:
        cell = Cell(entry, tweets)
        for seed in range(1, seeds + 1):
            folder = tmp_path / f"{entry.key}-{seed}"
            scored = score(labels(), write_run(folder, right, seed=seed, model=entry.model), 3)
            cell.trained[seed] = TrainedModel(entry.model, folder, scored, scored, False, 1.0)
        return cell

    return make


def test_rows_are_compared_with_fgmfn_on_the_same_rows_and_seeds(kept: Callable[..., Cell]) -> None:
    chosen = (("fgmfn", 0.85, 3), ("text_only", 0.6, 2), ("late_fusion", 0.85, 3))
    cells = [kept(*entries_of([name]), right, seeds) for name, right, seeds in chosen]
    fgmfn, text, fusion = score_tables.TABLE_4.as_table(cells).to_pylist()
    assert (fgmfn["against"], fgmfn["gain_accuracy"]) == (None, None)
    assert (text["against"], text["against_seeds"]) == ("fgmfn", [1, 2])
    gains = [text["test_accuracy_by_seed"][at] - fgmfn["test_accuracy_by_seed"][at] for at in range(2)]
    assert text["gain_accuracy"] == pytest.approx(sum(gains) / 2)
    assert (text["test_rows"], text["test_groups"]) == (240, 80)
    assert fusion["gain_macro_f1_p"] > 0.05
    assert fusion["test_accuracy_low"] < fusion["test_accuracy_mean"] < fusion["test_accuracy_high"]
    text_page = score_tables.TABLE_4.as_markdown(cells, RECIPE)
    assert "240 test rows in 80 groups" in text_page
    assert "accuracy to FGMFN" in text_page
    shown_gain = f"{100 * fusion['gain_accuracy']:+.1f} [{100 * fusion['gain_accuracy_low']:+.1f}, "
    assert shown_gain in text_page
    assert "add --model image_only,own_late_fusion" in text_page


def test_a_difference_beyond_chance_is_marked_and_one_seed_shows_its_interval(kept: Callable[..., Cell]) -> None:
    cells = [kept(*entries_of([name]), right, 1) for name, right in (("fgmfn", 0.9), ("text_only", 0.4))]
    fgmfn, text = score_tables.TABLE_4.as_table(cells).to_pylist()
    assert text["gain_accuracy_p"] < 0.01
    page = score_tables.TABLE_4.as_markdown(cells, replace(RECIPE, seeds=(1,)))
    low, high = (f"{100 * fgmfn[f'test_accuracy_{end}']:.1f}" for end in ("low", "high"))
    assert f"| {100 * fgmfn['test_accuracy_mean']:.1f} [{low}, {high}] |" in page
    assert "] ** |" in page
    assert score_tables.TABLE_4.as_figure(cells, RECIPE).axes


@pytest.mark.parametrize("sheet", [figure3, figure4])
def test_figures_of_fgmfn_alone_name_the_controls_that_are_missing(sheet: Any, cell: Callable[..., Cell]) -> None:
    cells = [cell(entry, 5, 6) for entry in figure4.entries([0.1], [0.05, 1])]
    assert "matched controls text_only, image_only, own_late_fusion" in sheet.as_markdown(cells, RECIPE)


def test_a_table_with_all_controls_warns_of_none(kept: Callable[..., Cell]) -> None:
    controls = [name for name in CONTROLS if name in MODELS]
    cells = [kept(*entries_of([name]), 0.7, 1) for name in ("fgmfn", *controls)]
    assert "matched controls" not in score_tables.TABLE_4.as_markdown(cells, RECIPE)
    assert "matched controls" in score_tables.TABLE_4.as_markdown(cells[:-1], RECIPE)
    assert "matched controls" not in score_tables.TABLE_4.as_markdown(cells[1:], RECIPE)


def test_table_6_holds_the_four_ablations_lambda_0_and_each_modality(cell: Callable[..., Cell]) -> None:
    cells = [cell(entry, 5, 6) for entry in score_tables.ABLATIONS]
    titles = [row["title"] for row in score_tables.TABLE_6.as_table(cells).to_pylist()]
    assert titles[:6] == ["FGMFN", "w/o MSVF", "w/o CA", "w/o ITC", "w/o MI", "lambda = 0"]
    assert titles[6:8] == ["text only", "image only"]
    assert {row.title for name, row in MODELS.items() if name in CONTROLS} <= set(titles)
    assert "| w/o CA | text and image | 78.80 | 73.90 |" in score_tables.TABLE_6.as_markdown(cells, RECIPE)


def test_the_printed_figures_are_whole(cell: Callable[..., Cell]) -> None:
    assert all(len(rows) == 14 for rows in TABLE_4.values())
    assert all(len(rows) == 5 for rows in TABLE_6.values())
    assert TABLE_4["ytb_ads"]["fgmfn"].accuracy == 70.54
    assert ORIGINAL["twitter2017"]["aom"].macro_f1 == 75.0


def test_confusion_matrices_are_added_up_over_seeds(cell: Callable[..., Cell]) -> None:
    cells = [cell(*entries_of(["fgmfn"]), 6, 8), cell(*entries_of(["vgg16"]), missing="pictures are missing")]
    rows = figure3.as_table(cells).to_pylist()
    counts = {(row["true"], row["predicted"]): row["rows"] for row in rows[:9]}
    assert counts["negative", "negative"] == 3 + 4
    assert counts["negative", "positive"] == 2 + 1
    assert sum(counts.values()) == 20
    assert rows[9]["missing"] == "pictures are missing"
    text = figure3.as_markdown(cells, RECIPE)
    assert "| negative | 7 (70%) | 0 (0%) | 3 (30%) |" in text
    assert "Not run here: pictures are missing" in text
    assert len(figure3.as_figure(cells, RECIPE).axes) == 2


def test_a_grid_shows_both_splits_and_the_choice_by_development_rows(cell: Callable[..., Cell]) -> None:
    points = figure4.entries([0.1, 0.5], [0.05, 1])
    assert [(entry.changes["itc_alpha"], entry.changes["mi_beta"]) for entry in points] == [
        (0.1, 0.05),
        (0.1, 1),
        (0.5, 0.05),
        (0.5, 1),
    ]
    cells = [cell(entry, right, right) for entry, right in zip(points, (4, 5, 9, 6), strict=True)]
    table = figure4.as_table(cells)
    assert table["alpha"].to_pylist() == [0.1, 0.1, 0.5, 0.5]
    assert table["beta"].to_pylist() == [0.05, 1.0, 0.05, 1.0]
    text = figure4.as_markdown(cells, RECIPE)
    assert "Best on the development rows: alpha = 0.5, beta = 0.05." in text
    assert "| 0.5 | 90.0 ± 0.0 | 60.0 ± 0.0 |" in text


def test_points_that_are_equally_good_are_all_named(cell: Callable[..., Cell]) -> None:
    cells = [cell(entry, right) for entry, right in zip(figure4.entries([0.1], [0.05, 1]), (6, 6), strict=True)]
    text = figure4.as_markdown(cells, RECIPE)
    assert "Best on the development rows: alpha = 0.1, beta = 0.05; alpha = 0.1, beta = 1." in text


def test_a_grid_without_any_run_is_drawn_empty(cell: Callable[..., Cell]) -> None:
    cells = [cell(entry, missing="pictures are missing") for entry in figure4.entries([0.1], [0.05, 1])]
    assert "Not run here: pictures are missing" in figure4.as_markdown(cells, RECIPE)
    assert figure4.as_figure(cells, RECIPE).axes


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_a_mean_lies_among_its_values_and_a_spread_is_none_below_zero(values: list[float]) -> None:
    mean, sd = mean_and_sd(values)
    assert mean is not None
    assert sd is not None
    assert min(values) - 1e-9 <= mean <= max(values) + 1e-9
    assert sd >= 0


def test_one_value_has_no_spread() -> None:
    assert mean_and_sd([0.5]) == (0.5, None)
    assert mean_and_sd([]) == (None, None)
    assert (shown(0.5, None), shown(None, None)) == ("50.0", "-")


@given(st.text())
def test_words_of_strangers_stay_on_one_line_without_markup(text: str) -> None:
    shown_text = plain(text)
    assert "\n" not in shown_text
    assert "<" not in shown_text
    unescaped = shown_text.replace("\\\\", "")
    assert all(unescaped[at - 1] == "\\" for at, sign in enumerate(unescaped) if sign in "|`*_[]!#" and at)
    assert not unescaped.startswith(tuple("|`*_[]!#"))


def test_the_three_files_replace_older_ones(cell: Callable[..., Cell], tmp_path: Path) -> None:
    cells = [cell(*entries_of(["tfidf"]), 5)]
    for _ in range(2):
        paths = write_sheet(
            tmp_path / "paper",
            "table4",
            markdown=score_tables.TABLE_4.as_markdown(cells, RECIPE),
            table=score_tables.TABLE_4.as_table(cells),
            figure=score_tables.TABLE_4.as_figure(cells, RECIPE),
        )
    assert [path.name for path in paths] == ["table4.md", "table4.parquet", "table4.png"]
    assert sorted(path.name for path in (tmp_path / "paper").iterdir()) == sorted(path.name for path in paths)
    assert paths[2].read_bytes().startswith(b"\x89PNG")
