"""Accuracy and macro-F1 of a table's entries over seeds, and the sentences that tables and figures share."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgmfn.baselines import MODELS, unproven
from fgmfn.comparing import MEANING, stars
from fgmfn.data import SPLITS, Source
from fgmfn.evaluation import REDUCED, bracket
from fgmfn.paper.experiments import Cell, Recipe
from fgmfn.paper.published import DATASETS, ORIGINAL, ROWS, Printed
from fgmfn.predictions import Predictions, predictions_file, read_predictions
from fgmfn.settings import CHOSEN_BY, load_settings
from fgmfn.statistics import Intervals, PairedDifference, paired_difference, score_intervals

PrintedRows = Mapping[str, Mapping[str, Printed]]
MEASURES = ("accuracy", "macro_f1")

SCHEMA = pa.schema(
    [
        ("data", pa.string()),
        ("entry", pa.string()),
        ("title", pa.string()),
        ("model", pa.string()),
        ("modalities", pa.list_(pa.string())),
        ("paper_accuracy", pa.float64()),
        ("paper_macro_f1", pa.float64()),
        ("original_accuracy", pa.float64()),
        ("original_macro_f1", pa.float64()),
        ("original_source", pa.string()),
        ("seeds", pa.list_(pa.int64())),
        *((f"{split}_{measure}_by_seed", pa.list_(pa.float64())) for split in ("dev", "test") for measure in MEASURES),
        *(
            (f"{split}_{measure}_{figure}", pa.float64())
            for split in ("dev", "test")
            for measure in MEASURES
            for figure in ("mean", "sd")
        ),
        *((f"test_{measure}_{end}", pa.float64()) for measure in MEASURES for end in ("low", "high")),
        ("test_rows", pa.int64()),
        ("test_groups", pa.int64()),
        ("against", pa.string()),
        ("against_seeds", pa.list_(pa.int64())),
        *((f"gain_{measure}{figure}", pa.float64()) for measure in MEASURES for figure in ("", "_low", "_high", "_p")),
        ("seconds", pa.list_(pa.float64())),
        ("checkpoints", pa.list_(pa.string())),
        ("train_checksum", pa.string()),
        ("validation_checksum", pa.string()),
        ("test_checksum", pa.string()),
        ("missing", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("departures", pa.list_(pa.string())),
    ]
)
"""Scores are shares, printed figures percent; `missing` says why a row has no figures of ours, or not all of them,
`departures` in what its model is not its paper's.

`low` and `high` bound 95 % intervals over groups and seeds; `gain` is what a row has more than FGMFN's on the same rows
with the same seeds, whose entry is `against`.
"""
REFERENCE = "fgmfn"
"""The entry that others are compared with."""


def score_table(cells: Sequence[Cell], printed: PrintedRows) -> pa.Table:
    """Return a row per entry and source.

    Args:
        cells: what was trained.
        printed: the paper's figures by data set and entry.
    """
    rows = [_row(cell, printed) | _intervals(cell) | _gain(cell, cells) for cell in cells]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _intervals(cell: Cell) -> dict[str, Any]:
    kept = _kept(cell)
    if kept is None:
        return {}
    found, rows, groups = _score_intervals(kept)
    intervals = {measure: getattr(found, measure) for measure in MEASURES}
    ends = {f"test_{name}_{end}": getattr(one, end) for name, one in intervals.items() for end in ("low", "high")}
    return ends | {"test_rows": rows, "test_groups": groups}


def _gain(cell: Cell, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return a row's gain over the reference, if both have kept their predictions and have common seeds."""
    found = next((one for one in cells if one.source is cell.source and one.entry.key == REFERENCE), None)
    if found is None or found is cell:
        return {}
    common = cell.trained.keys() & found.trained.keys()
    old, new = (_kept(one, common) for one in (found, cell))
    if not old or not new:
        return {}
    difference = _difference(old, new)
    gains: dict[str, Any] = {"against": REFERENCE, "against_seeds": sorted(common)}
    for place, measure in enumerate(MEASURES):
        interval = getattr(difference, measure)
        gains |= {f"gain_{measure}": interval.value, f"gain_{measure}_p": difference.p[place]}
        gains |= {f"gain_{measure}_low": interval.low, f"gain_{measure}_high": interval.high}
    return gains


def _kept(cell: Cell, seeds: Collection[int] | None = None) -> tuple[Path, ...] | None:
    """Files of the test rows' predictions by seed; None where there is none, or one is missing."""
    chosen = sorted(cell.trained if seeds is None else seeds)
    files = tuple(cell.trained[seed].checkpoint / predictions_file("test") for seed in chosen)
    return files if files and all(file.is_file() for file in files) else None


@lru_cache(maxsize=1024)  # a table is written again and again while its runs are trained; a finished run never changes
def _score_intervals(files: tuple[Path, ...]) -> tuple[Intervals, int, int]:
    rows, predicted = _read(files)
    found = score_intervals(rows.labels, predicted, rows.groups, len(rows.class_names))
    return found, len(rows.labels), len(set(rows.groups))


@lru_cache(maxsize=1024)
def _difference(old: tuple[Path, ...], new: tuple[Path, ...]) -> PairedDifference:
    (rows, before), (_, after) = _read(old), _read(new)
    return paired_difference(rows.labels, before, after, rows.groups, len(rows.class_names))


def _read(files: Sequence[Path]) -> tuple[Predictions, np.ndarray]:
    """The rows, and what each run predicts, [S, N]."""
    read = [read_predictions(pq.read_table(file)) for file in files]
    return read[0], np.stack([one.predicted for one in read])


def _row(cell: Cell, printed: PrintedRows) -> dict[str, Any]:
    paper, original = _printed(cell, printed), _printed(cell, ORIGINAL)
    trained = list(cell.trained.values())
    row: dict[str, Any] = {
        "data": cell.source.name,
        "entry": cell.entry.key,
        "title": cell.entry.title,
        "model": cell.entry.model,
        "modalities": list(MODELS[cell.entry.model].modalities),
        "paper_accuracy": paper and paper.accuracy,
        "paper_macro_f1": paper and paper.macro_f1,
        "original_accuracy": original and original.accuracy,
        "original_macro_f1": original and original.macro_f1,
        "original_source": original and original.source,
        "seeds": list(cell.trained),
        "seconds": [one.seconds for one in trained],
        "checkpoints": [str(one.checkpoint) for one in trained],
        "missing": cell.missing,
        "notes": list(dict.fromkeys(note for one in trained for note in one.notes)),
        "departures": cell.departures,
    }
    row |= {f"{split}_checksum": checksum for split, checksum in cell.source.checksums.items()}
    for split, scored in (("dev", [one.dev for one in trained]), ("test", [one.test for one in trained])):
        for measure in MEASURES:
            values = [getattr(metrics, measure) for metrics in scored if metrics]
            mean, sd = mean_and_sd(values)
            row |= {
                f"{split}_{measure}_by_seed": values,
                f"{split}_{measure}_mean": mean,
                f"{split}_{measure}_sd": sd,
            }
    return row


def _printed(cell: Cell, printed: PrintedRows) -> Printed | None:
    return printed.get(cell.source.dataset or "", {}).get(cell.entry.key)


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean and the sample standard deviation (n - 1); None where there are too few values for one."""
    mean = statistics.fmean(values) if values else None
    return mean, statistics.stdev(values) if len(values) > 1 else None


def about(source: Source) -> list[str]:
    """Say which rows a source has: counts, checksums and the share of the largest class among the test rows."""
    counts = ", ".join(
        f"{split} {len(source.splits[split]):,} (`{checksum[:12]}`)" for split, checksum in source.checksums.items()
    )
    lines = [f"Rows, with their checksums: {counts}."]
    labels = Counter(source.splits["test"].label)
    if labels:
        label, count = labels.most_common(1)[0]
        share = count / labels.total()
        lines.append(f"Always saying “{source.class_names[label]}” gives an accuracy of {share:.1%}.")
    lines += [f"{note[0].upper()}{note[1:]}." for note in source.notes]
    if source.synthetic:
        lines.append("**These rows are synthetic: the figures say nothing about real ads.**")
    return [" ".join(lines), *_comparable(source)]


def _comparable(source: Source) -> list[str]:
    """Say where printed figures were measured on other rows than these."""
    if source.dataset == "ytb_ads":
        return ["", "The paper's YTB-ADS was never published: its figures were measured on other rows than these."]
    rows = tuple(len(source.splits[split]) for split in SPLITS)
    if source.dataset and rows != ROWS[source.dataset]:
        expected = ", ".join(f"{count:,}" for count in ROWS[source.dataset])
        return ["", f"**These are not the rows of {DATASETS[source.dataset]} ({expected}): nothing printed compares.**"]
    return []


def shown(mean: float | None, sd: float | None, departures: Sequence[str] = ()) -> str:
    """Return a share as percent with its standard deviation, `64.2 ± 0.8`, and a mark where the model departs."""
    if mean is None:
        return "-"
    return f"{100 * mean:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}") + (REDUCED if departures else "")


def interval_of(row: Mapping[str, Any], measure: str) -> str:
    """Return the interval behind a score, ` [60.1, 68.0]`, where it is known."""
    low, high = (row[f"test_{measure}_{end}"] for end in ("low", "high"))
    return "" if low is None else f" {bracket((low, high))}"


def sampled(row: Mapping[str, Any], measure: str) -> str:
    """Return the interval behind a score of one seed; several seeds show their spread instead, which is shorter."""
    return "" if len(row["seeds"]) > 1 else interval_of(row, measure)


def gained(row: Mapping[str, Any], measure: str) -> str:
    """Return what a row has more than the reference, in percent: `-2.1 [-4.0, -0.3] *`."""
    value, low, high, p = (row[f"gain_{measure}{figure}"] for figure in ("", "_low", "_high", "_p"))
    if value is None:
        return "-"
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] {stars(p)}".strip()


def about_gains(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what marks and brackets mean, on how many rows and groups they stand, and which controls are missing."""
    lines = []
    if counted := next((row for row in rows if row["test_groups"]), None):
        backed = f"{counted['test_rows']:,} test rows in {counted['test_groups']:,} groups, which are drawn whole"
        lines.append(f"Brackets are 95 % intervals on {backed}.")
    if any(row["against"] for row in rows):
        lines.append(f"Differences to FGMFN are paired by row and by seed; {MEANING}.")
    lines += unproven_lines({name for row in rows for name in (row["entry"], row["model"])})
    return lines


def unproven_lines(names: Iterable[str]) -> list[str]:
    """Say in a line of Markdown which rows are missing beside FGMFN's, if any are."""
    missing = unproven(names)
    return [f"{missing}."] if missing else []


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
    chosen = CHOSEN_BY[load_settings(recipe.config).training.selection]
    random = (
        " **Encoders that are otherwise pretrained started at random here: nothing printed compares with that.**"
        if recipe.from_scratch
        else ""
    )
    return (
        f"Ours: {seeds}, trained by {settings}. The weights are those of the epoch with the {chosen} on the "
        f"development rows, by which models without epochs choose their settings; the test rows were read once.{random}"
    )


def sources_of(cells: Sequence[Cell]) -> list[Source]:
    """Return the sources of cells in their order, each once."""
    return list({id(cell.source): cell.source for cell in cells}.values())
