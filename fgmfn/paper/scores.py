"""Accuracy and macro-F1 of a table's entries over seeds: as rows to compute with and as a table to read."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from fgmfn.baselines import MODELS
from fgmfn.data import SPLITS, Source
from fgmfn.evaluation import Metrics
from fgmfn.paper.experiments import Cell
from fgmfn.paper.published import BEST_SEEN, DATASETS, ORIGINAL, ROWS, Printed
from fgmfn.paper.writing import markdown_table, plain

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
        ("seconds", pa.list_(pa.float64())),
        ("checkpoints", pa.list_(pa.string())),
        ("train_checksum", pa.string()),
        ("validation_checksum", pa.string()),
        ("test_checksum", pa.string()),
        ("missing", pa.string()),
        ("notes", pa.list_(pa.string())),
    ]
)
"""Scores are shares, printed figures percent; `missing` says why a row has no figures of ours, or not all of them."""


def score_table(cells: Sequence[Cell], printed: PrintedRows) -> pa.Table:
    """Return a row per entry and source.

    Args:
        cells: what was trained.
        printed: the paper's figures by data set and entry.
    """
    return pa.Table.from_pylist([_row(cell, printed) for cell in cells], schema=SCHEMA)


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


def score_markdown(title: str, introduction: Sequence[str], cells: Sequence[Cell], printed: PrintedRows) -> str:
    """Write the table of each source, with its checksums, and what a reader of the figures must know.

    Args:
        title: the table's.
        introduction: paragraphs before the tables.
        cells: what was trained.
        printed: the paper's figures by data set and entry.
    """
    lines = [f"# {title}", ""]
    for paragraph in introduction:
        lines += [paragraph, ""]
    sources = list({id(cell.source): cell.source for cell in cells}.values())
    for source in sources:
        own = [
            row
            for cell, row in zip(cells, score_table(cells, printed).to_pylist(), strict=True)
            if cell.source is source
        ]
        lines += [*_section(source, own), ""]
    return "\n".join(lines)


def _section(source: Source, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    missing = list(dict.fromkeys(row["missing"] for row in rows if row["missing"]))
    originals = any(row["original_accuracy"] is not None for row in rows)
    groups = ["paper", *(["published"] if originals else []), "ours"]
    columns = ["model", "looks at", *(f"{group} {name}" for group in groups for name in ("accuracy", "macro-F1"))]
    columns += ["dev macro-F1", "seeds"]
    body = []
    for row in rows:
        mark = f" [{missing.index(row['missing']) + 1}]" if row["missing"] else ""
        cells = [f"{row['title']}{mark}", " and ".join(row["modalities"])]
        cells += [_percent(row["paper_accuracy"]), _percent(row["paper_macro_f1"])]
        if originals:
            cells += [_percent(row["original_accuracy"]), _percent(row["original_macro_f1"])]
        for split, measure in (("test", "accuracy"), ("test", "macro_f1"), ("dev", "macro_f1")):
            cells.append(shown(row[f"{split}_{measure}_mean"], row[f"{split}_{measure}_sd"]))
        body.append([*cells, str(len(row["seeds"]) or "-")])
    lines = [f"## {plain(source.name)}", "", *about(source), "", *markdown_table(columns, body, text_columns=2), ""]
    lines += [f"[{number}] Not run here: {reason}  " for number, reason in enumerate(missing, 1)]
    lines += _originals(rows)
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in row["notes"]:
            notes.setdefault(note, []).append(row["title"])
    lines += ["", *(f"- {', '.join(titles)}: {note}" for note, titles in notes.items())] if notes else []
    best = BEST_SEEN.get(source.dataset or "")
    if best:
        figures = f"{best.accuracy:.1f} and {best.macro_f1:.1f}"
        lines += ["", f"The highest figures that we have seen published on these rows are {best.source}'s: {figures}."]
    return lines


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
        lines.append("**These rows are synthetic: the figures say that the way works, and nothing else.**")
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


def _originals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    named = [f"{row['title']}: {row['original_source']}" for row in rows if row["original_source"]]
    return [f"Published: {'; '.join(named)}."] if named else []


def shown(mean: float | None, sd: float | None) -> str:
    """Return a share as percent with its standard deviation, `64.2 ± 0.8`."""
    if mean is None:
        return "-"
    return f"{100 * mean:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def pooled_confusion(scored: Sequence[Metrics]) -> list[list[int]]:
    """Add up the confusion matrices of several seeds: rows are the true classes, columns the predicted ones."""
    matrices = [metrics.confusion for metrics in scored]
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]
