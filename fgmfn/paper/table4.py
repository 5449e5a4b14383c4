"""Table 4: every model on every set of data, beside what was printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fgmfn.paper.drawing import score_figure
from fgmfn.paper.experiments import Cell, Recipe
from fgmfn.paper.published import TABLE_4
from fgmfn.paper.scores import score_markdown, score_table

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

TITLE = "Table 4: accuracy and macro-F1 on the test rows, percent"
MEANINGS = (
    "“Paper” is what the paper prints for the row, which for some rows is another model's figure (its RoBERTa row is "
    "BERT's, its TextCNN row MGAN's, its AoM row ARFN's); “published” is what was published for the model itself. A "
    "row that looks at pictures proves something only where it stands above the text-only row."
)


def as_table(cells: Sequence[Cell]) -> pa.Table:
    """Return a row per model and source."""
    return score_table(cells, TABLE_4)


def as_markdown(cells: Sequence[Cell], recipe: Recipe) -> str:
    """Write the table."""
    return score_markdown(TITLE, [how_trained(recipe), MEANINGS], cells, TABLE_4)


def as_figure(cells: Sequence[Cell], recipe: Recipe) -> Figure:
    """Draw the table."""
    return score_figure(as_table(cells), "Table 4: test rows" + scratch(recipe))


def scratch(recipe: Recipe) -> str:
    """Say in a picture's title that nothing in it was pretrained, if that is so."""
    return ", every encoder from scratch" if recipe.from_scratch else ""


def how_trained(recipe: Recipe, *, counts: bool = False) -> str:
    """Say in one paragraph how the figures of a table came about.

    Args:
        recipe: of its runs.
        counts: the figures are counts, added up over the seeds.
    """
    several = len(recipe.seeds) > 1
    seeds = f"seeds {recipe.seeds[0]} to {recipe.seeds[-1]}" if several else f"seed {recipe.seeds[0]} alone"
    if several:
        seeds = f"{'counts added up' if counts else 'mean ± standard deviation'} over {seeds}"
    settings = f"the settings of `{Path(recipe.config).name}`" if recipe.config else "each model's own recipe"
    random = (
        " **Encoders that are otherwise pretrained started at random here: nothing printed compares with that.**"
        if recipe.from_scratch
        else ""
    )
    return (
        f"Ours: {seeds}, trained by {settings}. The weights are those of the epoch with the best macro-F1 on the "
        f"development rows, by which models without epochs choose their settings; the test rows were read once.{random}"
    )
