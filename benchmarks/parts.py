"""Gain of each of FGMFN's parts on rows of pictures and words, over the same encoders without its fusion.

All labelled rows of a table are cut into folds, rows that share a picture or words into one. Each fold is tested once,
by a model that was trained on the others and chosen by the fold after it, so that every row is predicted without having
been seen. Each variant is one step away from FGMFN. Gains are those over the two controls on the same rows, with their
95 % interval over groups and seeds (`fgmfn/statistics.py`). What is trained is found again:

    python -m benchmarks.parts --data image_text/rows.csv --images image_text/pictures --output parts
    python -m benchmarks.parts ... --only fgmfn,fine_grid --seeds 5 --config light
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.model_selection import StratifiedGroupKFold

from fgmfn.data import Source, open_source
from fgmfn.data.overlap import linked
from fgmfn.data.rows import combined_hash
from fgmfn.paper.experiments import Cell, Entry, Recipe, entries_of, run_experiments
from fgmfn.predictions import PREDICTIONS, read_predictions
from fgmfn.settings import SourceSettings
from fgmfn.statistics import PairedDifference, paired_difference, score_intervals

CONTROLS = ("text_only", "own_late_fusion")
OTHERS = ("shuffled_pictures", "image_only", "picture_branch")
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "first": ("first token, the paper's letter", {"pooling": "first"}),
    "attention": ("attention pooling of the words", {"pooling": "attention"}),
    "mean_both": ("mean over the regions, too", {"image_pooling": "mean"}),
    "without_msvf": ("w/o multiscale features", {"msvf_enabled": False}),
    "without_ca": ("w/o cross-attention", {"cross_attention_enabled": False}),
    "without_itc": ("w/o contrast", {"itc_alpha": 0.0}),
    "without_mi": ("w/o mutual information", {"mi_beta": 0.0}),
    "no_gate": ("global token without its gate", {"msvf_global_gate": False}),
    "fine_grid": ("196 regions", {"msvf_fine_grid": True}),
    "one_layer": ("one layer of cross-attention", {"cross_attention_layers": 1}),
    "four_layers": ("four layers", {"cross_attention_layers": 4}),
    "tied": ("both directions share weights", {"cross_attention_tie_directions": True}),
    "feed_forward": ("feed-forward blocks", {"cross_attention_feed_forward": True}),
    "closed": ("starts closed", {"cross_attention_starts_closed": True}),
    "unfused": ("head sees both unfused vectors", {"head_unfused": True}),
    "hide_text": ("words hidden of 20 % of the rows", {"hide_text": 0.2}),
    "drop": ("5 epochs, dropout 0.3 in the fusion", {"cross_attention_dropout": 0.3, "training": {"epochs": 5}}),
    "itc_low": ("contrast at 0.1", {"itc_alpha": 0.1}),
    "itc_high": ("contrast at 1", {"itc_alpha": 1.0}),
    "itc_falling": ("contrast falls to 0", {"itc_schedule": "falling"}),
    "itc_class": ("contrast knows classes, half", {"itc_same_class": 0.5}),
    "mi_reverse": ("picture as teacher", {"mi_direction": "reverse"}),
    "mi_symmetric": ("both directions", {"mi_direction": "symmetric"}),
    "smoothing": ("5 epochs, label smoothing 0.1", {"label_smoothing": 0.1, "training": {"epochs": 5}}),
    "low_rate": ("learning rate 2e-4", {"training": {"learning_rate": 2e-4}}),
    "short": ("5 epochs", {"training": {"epochs": 5}}),
    "averaged": ("8 epochs, moving average of the weights", {"training": {"epochs": 8, "ema_decay": 0.99}}),
}
"""Description of each variant and its changes of FGMFN's settings, by name."""


def folds(table: Path, images: Path, output: Path, number: int) -> list[Source]:
    """Cut the labelled rows of a CSV file into folds; return a source for each, in which that one is tested."""
    with table.open(newline="", encoding="utf-8") as content:
        rows = [row | {"split": "train"} for row in csv.DictReader(content) if row["label"]]
    output.mkdir(parents=True, exist_ok=True)
    with (output / "rows.csv").open("w", newline="", encoding="utf-8") as content:
        writer = csv.DictWriter(content, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    whole = open_source(output / "rows.csv", SourceSettings(images=images, split="split"))
    joined = replace(whole.splits["train"], group=linked(whole.splits["train"], grouped=False))
    cut = StratifiedGroupKFold(number, shuffle=True, random_state=0).split(joined.label, joined.label, joined.group)
    parts = [held.tolist() for _, held in cut]
    sources = []
    for tested in range(number):
        chosen_by = (tested + 1) % number
        homes = {
            "train": [row for at, part in enumerate(parts) if at not in (tested, chosen_by) for row in part],
            "validation": parts[chosen_by],
            "test": parts[tested],
        }
        splits = {split: joined.take(own) for split, own in homes.items()}
        named = combined_hash(whole.class_names, splits)
        sources.append(replace(whole, name=f"fold {tested}", splits=splits, row_set_hash=named))
    return sources


def predicted(cells: Sequence[Cell], sources: Sequence[Source], seeds: Sequence[int]) -> np.ndarray | None:
    """Return an entry's predictions for the tested rows of all folds, [S, N]; None if a run is missing."""
    by_source = {id(cell.source): cell for cell in cells}
    found = []
    for seed in seeds:
        runs = [by_source[id(source)].trained.get(seed) for source in sources]
        if None in runs:
            return None
        files = [run.checkpoint / PREDICTIONS / "test.parquet" for run in runs if run]
        found.append(np.concatenate([read_predictions(pq.read_table(file)).predicted for file in files]))
    return np.stack(found)


def report(cells: Sequence[Cell], sources: Sequence[Source], seeds: Sequence[int]) -> str:
    """The entries that are finished, as a table in Markdown."""
    tested = [source.splits["test"] for source in sources]
    true, groups = ([value for rows in tested for value in getattr(rows, name)] for name in ("label", "group"))
    n_classes = len(sources[0].class_names)
    found = {
        entry: own
        for entry in dict.fromkeys(cell.entry.key for cell in cells)
        if (own := predicted([cell for cell in cells if cell.entry.key == entry], sources, seeds)) is not None
    }
    titles = {cell.entry.key: cell.entry.title for cell in cells}
    lines = [
        f"{len(true):,} rows in {len(set(groups)):,} groups, {len(sources)} folds, seeds {list(seeds)}.",
        "Accuracy / macro-F1 in percent, gains in points of macro-F1 with their 95 % intervals.",
        "",
        f"| | accuracy / macro-F1 | {' | '.join(f'over {titles[key]}' for key in CONTROLS)} |",
        f"|---|---:|{'---:|' * len(CONTROLS)}",
    ]
    for key, own in found.items():
        said = score_intervals(true, own, groups, n_classes)
        gains = [
            _gain(paired_difference(true, found[control], own, groups, n_classes))
            if control in found and control != key
            else "-"
            for control in CONTROLS
        ]
        figures = f"{100 * said.accuracy.value:.1f} / {100 * said.macro_f1.value:.1f}"
        lines.append(f"| {titles[key]} | {figures} | {' | '.join(gains)} |")
    return "\n".join([*lines, ""])


def _gain(difference: PairedDifference) -> str:
    value, low, high = (100 * figure for figure in difference.macro_f1)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> None:
    """Train what is missing and write the table after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CSV file with the columns image, text and label")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--config", default="benchmarks/frozen.toml", help="configuration of all models")
    parser.add_argument("--output", type=Path, default=Path("parts"), help="folder of the runs and of parts.md")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 1 on")
    parser.add_argument("--only", help="names of entries beside the controls, separated by commas")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    entries = [
        *entries_of([*CONTROLS, "fgmfn"]),
        *(Entry(key, title, "fgmfn", changes) for key, (title, changes) in VARIANTS.items()),
        *entries_of(OTHERS),
        Entry("text_first", "text only, first token", "text_only", {"pooling": "first"}),
        Entry("late_first", "late fusion, first token", "own_late_fusion", {"pooling": "first"}),
    ]
    if given.only:
        wanted = {*CONTROLS, *given.only.split(",")}
        if unknown := wanted - {entry.key for entry in entries}:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(entry.key for entry in entries)}")
        entries = [entry for entry in entries if entry.key in wanted]
    sources = folds(given.data, given.images, given.output, given.folds)
    seeds = range(1, given.seeds + 1)

    def write(cells: list[Cell]) -> None:
        (given.output / "parts.md").write_text(report(cells, sources, seeds), encoding="utf-8")

    recipe = Recipe(tuple(seeds), given.output / "runs", given.config)
    print(report(run_experiments(entries, sources, recipe, told=write), sources, seeds))


if __name__ == "__main__":
    main()
