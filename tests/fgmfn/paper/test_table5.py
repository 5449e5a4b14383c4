"""Table 5 shows what was measured, what is missing and what the paper prints, and invents nothing."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from fgmfn.baselines import MODELS
from fgmfn.evaluation import REDUCED
from fgmfn.paper.measuring import Measured, Place
from fgmfn.paper.meters import Timing
from fgmfn.paper.table5 import PRINTED, SCHEMA, as_figure, as_markdown, as_table, training_hours

PLACE = Place("cpu", "a processor", 2, "2.0")
TIMING = Timing(0.0123, 0.0111, 0.0456, 20)
FGMFN = Measured(
    "fgmfn", PLACE, 64, 132_871_250, 132_871_250, 16_231_389_696, TIMING, 1_200_000_000, 64, 100, TIMING, 9_600_000_000
)
PROBE = replace(FGMFN, model="clip_probe", batch_size=None, epochs=None, step=None, training_bytes=None)
FLOOR = Measured("tfidf", PLACE, 64)
KILLED = replace(PROBE, model="tombert", missing="killed by the system, probably for memory")
ALL = [FGMFN, PROBE, FLOOR, KILLED]


def line_of(markdown: str, title: str) -> list[str]:
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_hours_are_whole_steps_of_all_epochs() -> None:
    # 3,179 rows are 50 batches of 64, the last one smaller
    assert training_hours(Timing(3.6, 3.6, 3.6, 3), 64, 100, 3179) == pytest.approx(50 * 100 / 1000)


def test_a_table_has_a_row_per_model_and_nothing_where_nothing_was_measured() -> None:
    table = as_table(ALL, 3179)
    assert table.schema == SCHEMA
    ours, probe, floor, killed = table.to_pylist()
    assert ours["parameters"] == 132_871_250
    assert ours["latency_median_s"] == 0.0123
    assert ours["s_per_1000_rows"] == pytest.approx(12.3 / 64)
    assert ours["training_h"] == pytest.approx(0.0123 * 50 * 100 / 3600)
    assert (ours["paper_ytb_ads_flops_g"], ours["paper_twitter2015_flops_g"]) == (3.0, 2.9)
    assert probe["training_h"] is None
    assert floor["flops"] is None
    assert floor["paper_ytb_ads_flops_g"] is None
    assert killed["missing"] == "killed by the system, probably for memory"
    assert as_table([FGMFN]).to_pylist()[0]["training_h"] is None


def test_markdown_says_how_it_was_measured_and_why_figures_are_missing() -> None:
    text = as_markdown(ALL, 3179, "twitter2015")
    for said in ("a processor", "2 threads", "64 tokens", "3,179 training rows of twitter2015", "whole process"):
        assert said in text
    assert line_of(text, "FGMFN")[1:6] == ["133", "133", "16.2", "12.3 (11.1–45.6)", "1.20"]
    assert set(line_of(text, "TF-IDF")[1:]) == {"-"}
    assert line_of(text, "TomBERT")[0] == "TomBERT [1]"
    assert "[1] Not measured here: killed by the system, probably for memory" in text


def test_markdown_sets_the_papers_figures_beside_ours() -> None:
    beside = as_markdown(ALL, 3179).split("Beside the paper's")[1]
    assert line_of(beside, "FGMFN")[1:5] == ["133", "130 / 125", "16.2", "3.00 / 2.90"]
    assert "CLIP" not in beside
    assert "Beside the paper's" not in as_markdown([PROBE])


def test_hours_are_left_out_without_rows_to_reckon_them_for() -> None:
    assert "hours" not in as_markdown([PROBE, FGMFN]).split("| model")[1]


def test_the_printed_rows_are_models_of_ours() -> None:
    assert all(set(rows) <= set(MODELS) for rows in PRINTED.values())


@pytest.mark.parametrize("rows", [None, 3179])
def test_the_figure_has_a_bar_for_every_model(rows: int | None) -> None:
    figure = as_figure(ALL, rows)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "TomBERT",
        "TF-IDF",
        "CLIP probe",
        "FGMFN",
    ]
    figure.savefig(io.BytesIO(), format="png")


def test_a_model_that_is_not_its_papers_is_marked_wherever_it_stands() -> None:
    measured = [replace(FGMFN, departures=("backbone small in place of resnet18",)), KILLED]
    assert [row["departures"] for row in as_table(measured).to_pylist()] == [list(one.departures) for one in measured]
    text = as_markdown(measured)
    assert text.count(f"| FGMFN {REDUCED} |") == 2  # ours, and beside the paper's
    assert f"- {REDUCED} FGMFN: backbone small in place of resnet18" in text
    assert "| TomBERT [1] |" in text
    figure = as_figure(measured)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["TomBERT", f"FGMFN {REDUCED}"]
    assert f"{REDUCED} not its paper's model" in str(figure.get_suptitle())
