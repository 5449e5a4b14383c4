"""Table 5: parameters, operations, latency, training time and memory as measured here, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fgmfn.baselines import MODELS
from fgmfn.evaluation import REDUCED, reduced_lines
from fgmfn.paper.measuring import Measured
from fgmfn.paper.meters import Timing
from fgmfn.paper.specimens import TARGET_TOKENS
from fgmfn.sheets import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PrintedEfficiency:
    """One row of the paper's Table 5."""

    parameters_m: float
    flops_g: float
    latency_ms: float
    training_h: float


_PRINTED = {
    "mimn": ((50, 1.80, 60, 1.2), (48, 1.70, 58, 1.1)),
    "esafn": ((55, 2.00, 65, 1.5), (53, 1.90, 62, 1.4)),
    "tombert": ((160, 3.50, 75, 2.1), (155, 3.40, 72, 1.9)),
    "arfn": ((120, 2.80, 70, 1.7), (115, 2.70, 68, 1.7)),
    "fgmfn": ((130, 3.00, 68, 1.9), (125, 2.90, 66, 1.8)),
}
PRINTED = {
    data: {name: PrintedEfficiency(*rows[column]) for name, rows in _PRINTED.items()}
    for column, data in enumerate(("ytb_ads", "twitter2015"))
}
"""The paper's Table 5 by data set and model, measured on an RTX 3090."""

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("title", pa.string()),
        ("modalities", pa.list_(pa.string())),
        ("parameters", pa.int64()),
        ("trainable_parameters", pa.int64()),
        ("flops", pa.int64()),
        *((f"latency_{figure}", pa.float64()) for figure in ("median_s", "lower_quartile_s", "upper_quartile_s")),
        ("latency_runs", pa.int64()),
        ("inference_bytes", pa.int64()),
        ("batch_size", pa.int64()),
        ("epochs", pa.int64()),
        *((f"step_{figure}", pa.float64()) for figure in ("median_s", "lower_quartile_s", "upper_quartile_s")),
        ("step_runs", pa.int64()),
        ("s_per_1000_rows", pa.float64()),
        ("train_rows", pa.int64()),
        ("training_h", pa.float64()),
        ("training_bytes", pa.int64()),
        ("text_length", pa.int64()),
        ("device", pa.string()),
        ("device_name", pa.string()),
        ("threads", pa.int64()),
        ("torch", pa.string()),
        ("missing", pa.string()),
        ("departures", pa.list_(pa.string())),
        *(
            (f"paper_{data}_{figure}", pa.float64())
            for data in PRINTED
            for figure in PrintedEfficiency.__dataclass_fields__
        ),
    ]
)
"""`s_per_1000_rows` is for one epoch, `training_h` for the recipe's epochs over `train_rows`; null if that is null.
`departures` are the differences from the model's paper, apart from the random weights."""


def as_table(measured: Sequence[Measured], train_rows: int | None = None) -> pa.Table:
    """Return a row per model.

    Args:
        measured: from `measure_models`.
        train_rows: rows of the training split that hours are reckoned for.
    """
    return pa.Table.from_pylist([_row(one, train_rows) for one in measured], schema=SCHEMA)


def _row(one: Measured, train_rows: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(one, name) for name in SCHEMA.names if hasattr(one, name)}
    row["departures"] = list(one.departures)
    row |= {"title": MODELS[one.model].title, "modalities": list(MODELS[one.model].modalities)}
    place = one.place
    row |= {"device": place.device, "device_name": place.name, "threads": place.threads, "torch": place.torch}
    for name, timing in (("latency", one.latency), ("step", one.step)):
        row |= {f"{name}_{figure}": value for figure, value in (vars(timing) if timing else {}).items()}
    row["train_rows"] = train_rows
    if one.step and one.batch_size and one.epochs:
        row["s_per_1000_rows"] = one.step.median_s * 1000 / one.batch_size
        row["training_h"] = train_rows and training_hours(one.step, one.batch_size, one.epochs, train_rows)
    for data, printed in PRINTED.items():
        figures = vars(printed[one.model]) if one.model in printed else {}
        row |= {f"paper_{data}_{figure}": value for figure, value in figures.items()}
    return row


def training_hours(step: Timing, batch_size: int, epochs: int, rows: int) -> float:
    """Return the hours of all steps, without scoring the development rows, saving, and reading pictures."""
    return step.median_s * -(-rows // batch_size) * epochs / 3600


def as_markdown(measured: Sequence[Measured], train_rows: int | None = None, train_name: str | None = None) -> str:
    """Return the table as Markdown, with the method of measuring, and the paper's figures beside ours.

    Args:
        measured: from `measure_models`; one or more.
        train_rows: rows that hours are reckoned for.
        train_name: whose rows these are.
    """
    rows = as_table(measured, train_rows).to_pylist()
    lines = ["# Table 5: efficiency", "", *_how(measured[0], train_rows, train_name), "", *_ours(rows), ""]
    beside = [row for row in rows if row["model"] in PRINTED["ytb_ads"]]
    return "\n".join([*lines, *(_beside_the_paper(beside) if beside else [])]).rstrip() + "\n"


def _how(one: Measured, train_rows: int | None, train_name: str | None) -> list[str]:
    on_gpu, half = one.place.device == "cuda", " in bfloat16" if one.place.bfloat16 else ""
    held = "by tensors on the GPU" if on_gpu else "by the whole process, Python and its libraries included"
    threads = f"{one.place.threads} thread" + ("" if one.place.threads == 1 else "s")
    whose = f"; hours are its epochs over the {train_rows or 0:,} training rows of {train_name or 'the data'}"
    hours = whose if train_rows else ""
    place = f"{one.place.name} ({one.place.device}, {threads}), PyTorch {one.place.torch}"
    points = [
        (
            f"A row is a sentence of {one.text_length} tokens without padding, `[CLS]`, `[SEP]` and a target behind "
            f"it included where a model reads them, a target of {TARGET_TOKENS} tokens, and a picture of the model's "
            "size. The probes' encoders read their full length. MTVAF gets no captions, which would lengthen its "
            "sentence."
        ),
        "Parameters: models that read words know 10,000 of them.",
        (
            "FLOPs: two per multiply-accumulate, of one forward pass of one row. Matrix products, convolutions, "
            "attention and recurrent layers are counted; element-wise work, softmax and norms are not."
        ),
        (
            "Latency: one row in float32 and in evaluation, the median (and quartiles) after warm-up. Inputs lie on "
            "the device already: reading and preparing them is not in it."
        ),
        (
            f"Training: the median of whole steps{half}: forward, backward and the optimizer's. A batch is as large "
            f"as the model's recipe says, unless it was set{hours}. Reading pictures, scoring and saving are not in it."
        ),
        f"Memory: the most held at once {held}.",
        "Probes are fitted and not trained in steps; TF-IDF has no layers, and the data decide its size.",
    ]
    measured = f"Measured on {place}, at full size with random weights and three classes."
    return [measured, "", *(f"- {point}" for point in points)]


def _ours(rows: Sequence[dict[str, Any]]) -> list[str]:
    has_hours = any(row["training_h"] is not None for row in rows)
    columns = ["model", "parameters (M)", "trainable (M)", "GFLOPs", "latency (ms)", "memory (GB)", "batch"]
    columns += ["step (ms)", "s per 1,000 rows", *(["epochs", "hours"] if has_hours else []), "training memory (GB)"]
    missing = list(dict.fromkeys(row["missing"] for row in rows if row["missing"]))
    body = []
    for row in rows:
        mark = f" [{missing.index(row['missing']) + 1}]" if row["missing"] else ""
        body.append(
            [
                marked(row) + mark,
                _in(row["parameters"], 1e6),
                _in(row["trainable_parameters"], 1e6),
                _in(row["flops"], 1e9),
                _spread(row, "latency"),
                _in(row["inference_bytes"], 1e9),
                _whole(row["batch_size"]),
                _spread(row, "step"),
                _in(row["s_per_1000_rows"], 1),
                *([_whole(row["epochs"]), _in(row["training_h"], 1)] if has_hours else []),
                _in(row["training_bytes"], 1e9),
            ]
        )
    notes = [f"[{number}] Not measured here: {reason}  " for number, reason in enumerate(missing, 1)]
    departing = reduced_lines({row["title"]: row["departures"] for row in rows})
    notes += ["", f"{REDUCED} Not its paper's model:", "", *(f"- {line}" for line in departing)] if departing else []
    return [*markdown_table(columns, body), *([""] if notes else []), *notes]


def marked(row: Mapping[str, Any]) -> str:
    """Return a row's title, with a mark if the model differs from its paper."""
    return f"{row['title']} {REDUCED}" if row["departures"] else row["title"]


def _beside_the_paper(rows: Sequence[dict[str, Any]]) -> list[str]:
    kinds = {
        "parameters (M)": ("parameters", 1e6, "parameters_m", ".0f"),
        "GFLOPs": ("flops", 1e9, "flops_g", ".2f"),
        "latency (ms)": ("latency_median_s", 1e-3, "latency_ms", ".0f"),
        "training (h)": ("training_h", 1, "training_h", ".1f"),
    }
    columns = ["model", *(f"{kind}: {whose}" for kind in kinds for whose in ("ours", "paper"))]
    body = []
    for row in rows:
        cells = [marked(row)]
        for ours, unit, printed, digits in kinds.values():
            paper = (format(row[f"paper_{data}_{printed}"], digits) for data in PRINTED)
            cells += [_in(row[ours], unit), " / ".join(paper)]
        body.append(cells)
    worth = (
        "The paper's figures are for YTB-ADS / Twitter-2015, on an RTX 3090, at a text length that it does not name. "
        "They do not fit the architectures that it names: TomBERT's two BERTs alone have 219 million parameters and "
        "not 160, and 3.0 GFLOPs for FGMFN hold only as multiply-accumulates at some ten word pieces."
    )
    return ["## Beside the paper's", "", worth, "", *markdown_table(columns, body)]


def _in(value: float | None, unit: float) -> str:
    return "-" if value is None else _rounded(value / unit)


def _rounded(value: float) -> str:
    """Format with three significant digits, and all digits before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    places = next((places for places in (1, 2, 3) if abs(value) >= 10 ** (2 - places)), 4)
    return f"{value:.{places}f}"


def _spread(row: dict[str, Any], name: str) -> str:
    median, lower, upper = (row[f"{name}_{figure}_s"] for figure in ("median", "lower_quartile", "upper_quartile"))
    if median is None:
        return "-"
    return f"{_in(median, 1e-3)} ({_in(lower, 1e-3)}–{_in(upper, 1e-3)})"


def _whole(value: int | None) -> str:
    return "-" if value is None else str(value)


OURS, TRAINABLE, PAPER = "#c3d3e6", "#6a98c8", "black"


def as_figure(measured: Sequence[Measured], train_rows: int | None = None) -> Figure:
    """Draw a bar per model for each figure; a cross marks the paper's figure for YTB-ADS.

    Args:
        measured: from `measure_models`.
        train_rows: number of training rows for the hours; without them the panel shows seconds per 1,000 rows.
    """
    from matplotlib.figure import Figure

    rows = as_table(measured, train_rows).to_pylist()[::-1]  # the first one on top
    figure = Figure(figsize=(14, 1.6 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 5, sharey=True)
    training = ("training_h", 1, "training_h") if train_rows else ("s_per_1000_rows", 1, None)
    title = f"training on {train_rows:,} rows, h" if train_rows else "training, s per 1,000 rows"
    _draw(panels[0], rows, "parameters (dark: trainable), M", "parameters", 1e6, "parameters_m")
    _draw(panels[1], rows, "FLOPs of one row, G", "flops", 1e9, "flops_g")
    _draw(panels[2], rows, "latency of one row, ms", "latency_median_s", 1e-3, "latency_ms")
    _draw(panels[3], rows, title, *training)
    _draw(panels[4], rows, "peak memory of training, GB", "training_bytes", 1e9, None)
    panels[0].barh(range(len(rows)), [(row["trainable_parameters"] or 0) / 1e6 for row in rows], color=TRAINABLE)
    panels[0].set_yticks(range(len(rows)), [marked(row) for row in rows])
    place, length = measured[0].place, measured[0].text_length
    reduced = f"; {REDUCED} not its paper's model" if any(row["departures"] for row in rows) else ""
    figure.suptitle(
        f"{place.name}, {length} tokens, random weights; ×: printed in the paper for YTB-ADS, RTX 3090{reduced}"
    )
    return figure


def _draw(panel: Axes, rows: Sequence[dict[str, Any]], title: str, name: str, unit: float, printed: str | None) -> None:
    values = [None if row[name] is None else row[name] / unit for row in rows]
    bars = panel.barh(range(len(rows)), [value or 0 for value in values], color=OURS)
    panel.bar_label(bars, [_in(value, 1) for value in values], padding=3, fontsize=8)
    crosses = [(row[f"paper_ytb_ads_{printed}"], at) for at, row in enumerate(rows) if printed]
    shown = [(value, at) for value, at in crosses if value is not None]
    if shown:
        panel.scatter(*zip(*shown, strict=True), marker="x", color=PAPER, zorder=3)
    panel.set_title(title, fontsize=10)
    panel.margins(x=0.22)
    panel.set_xlim(left=0)
    panel.spines[["top", "right"]].set_visible(False)
