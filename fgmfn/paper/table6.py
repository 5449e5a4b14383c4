"""Table 6: FGMFN without each of its parts, and the rows that the paper's table lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fgmfn.baselines import MODELS
from fgmfn.paper.drawing import score_figure
from fgmfn.paper.experiments import Cell, Entry, Recipe
from fgmfn.paper.published import TABLE_6
from fgmfn.paper.scores import score_markdown, score_table
from fgmfn.paper.table4 import how_trained, scratch

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

TITLE = "Table 6: FGMFN without each of its parts, percent"
ENTRIES = [
    Entry("fgmfn", "FGMFN", "fgmfn"),
    Entry("without_msvf", "w/o MSVF", "fgmfn", {"msvf_enabled": False}),
    Entry("without_ca", "w/o CA", "fgmfn", {"cross_attention_enabled": False}),
    Entry("without_itc", "w/o ITC", "fgmfn", {"itc_alpha": 0.0}),
    Entry("without_mi", "w/o MI", "fgmfn", {"mi_beta": 0.0}),
    Entry("lambda_0", "lambda = 0", "fgmfn", {"mi_lambda": 0.0}),
    *(Entry(name, MODELS[name].title, name) for name in ("text_only", "image_only")),
]
MEANINGS = (
    "w/o MSVF: the deepest feature level's 7 x 7 grid and a plain pooled token. w/o CA: a six-layer Transformer over "
    "text and image tokens. w/o ITC: alpha = 0. w/o MI: beta = 0. Not in the paper's table: lambda = 0, its letter for "
    "the mutual-information loss, under which both views may become constant; and each modality alone."
)


def as_table(cells: Sequence[Cell]) -> pa.Table:
    """Return a row per configuration and source."""
    return score_table(cells, TABLE_6)


def as_markdown(cells: Sequence[Cell], recipe: Recipe) -> str:
    """Write the table."""
    return score_markdown(TITLE, [how_trained(recipe), MEANINGS], cells, TABLE_6)


def as_figure(cells: Sequence[Cell], recipe: Recipe) -> Figure:
    """Draw the table."""
    return score_figure(as_table(cells), "Table 6: test rows" + scratch(recipe))
