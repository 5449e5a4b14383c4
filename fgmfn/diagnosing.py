"""Diagnosis of a trained model's parts: the course of its training and the cost of probes, in one report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fgmfn.baselines import MODELS
from fgmfn.callbacks import LOSS_PARTS, best_epoch
from fgmfn.comparing import MEANING, few_groups, p_value, stars
from fgmfn.evaluation import REDUCED, reduced_lines
from fgmfn.predictions import MEASURES
from fgmfn.probing import BLANK, MASKED, PROBES, SHUFFLED, Probed, Probing
from fgmfn.sheets import markdown_table, plain
from fgmfn.statistics import LEVEL, Interval, PairedDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVEN = 0.95
"""An attention of this entropy, or a larger one, hardly chooses among its keys."""
STEADY = 0.1
"""A gate whose values differ by less, as their standard deviation, hardly chooses among pictures and features.

Before any training the deviation is 0.02 to 0.03.
"""


def lacking(record: Mapping[str, Any]) -> list[str]:
    """Return what a run's record lacks about its training, and why."""
    epochs = record.get("epochs") or []
    if not epochs:
        return ["no curves: the model is fitted in one go, or no epoch has ended"]
    recorded = [one["parts"] for one in epochs if one.get("parts")]
    if not recorded:
        return ["no gradients, gate and attention: the run was trained before they were recorded"]
    said = (
        []
        if len(recorded) == len(epochs)
        else [f"gradients, gate and attention of {len(recorded)} of {len(epochs)} epochs"]
    )
    missing = {"gate": "gate", "attention": "fusion with attention"}
    said += [f"no {name}: the model has no {what}" for name, what in missing.items() if not recorded[-1][name]]
    return said


@dataclass(frozen=True)
class Diagnosis:
    """Findings about a run's parts."""

    run: Path
    record: Mapping[str, Any]
    probing: Probing | None
    lacking: tuple[str, ...] = ()
    """Missing findings, each with its reason."""

    @property
    def title(self) -> str:
        """The model's title."""
        name: str = self.record["model"]
        return MODELS[name].title if name in MODELS else name

    @property
    def departures(self) -> tuple[str, ...]:
        """Differences from the model's paper."""
        return tuple(self.record.get("departures", ()))

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Epochs of the training, from its record."""
        return self.record.get("epochs") or []

    @property
    def measure(self) -> str:
        """Measure of the findings: the score that chose the epoch, or macro-F1."""
        selection = self.record["settings"]["training"].get("selection")
        return "accuracy" if selection == "accuracy" else "macro_f1"

    @property
    def chosen(self) -> int | None:
        """Number of the epoch whose weights were kept, or would be; None for a model without epochs."""
        scored = [one for one in self.epochs if "macro_f1" in one["dev"]]
        if not scored:
            return self.epochs[-1]["number"] if self.epochs else None
        as_logged = [{f"eval_{name}": value for name, value in one["dev"].items()} for one in scored]
        return int(
            scored[best_epoch(as_logged, self.record["settings"]["training"].get("selection", "macro_f1"))]["number"]
        )

    def findings(self) -> list[str]:
        """Return the findings as sentences."""
        said = [] if self.probing is None else probe_findings(self.probing, self.measure)
        return [*said, *self._loss_findings(), *self._part_findings()]

    def _loss_findings(self) -> list[str]:
        said = []
        for name in LOSS_PARTS if self.epochs else ():
            train = _course(self.epochs, "losses", name)
            dev = _course(self.epochs, "dev", name)
            if len(train) > 1:
                line = f"{_words(name)}: from {train[0][1]:.3f} to {train[-1][1]:.3f} on training rows"
                if dev:
                    number, least = min(dev, key=lambda one: one[1])
                    line += f", on development rows lowest in epoch {number} ({least:.3f}), {dev[-1][1]:.3f} in the end"
                said.append(line + self._chance(name))
        return said

    def _chance(self, name: str) -> str:
        rows = min(self.record["settings"]["training"]["batch_size"], self.record["rows"]["validation"])
        return (
            f"; pairs at random have {math.log(rows):.3f} among {rows} rows" if name == "itc_loss" and rows > 1 else ""
        )

    def _part_findings(self) -> list[str]:
        """Return the findings about the epoch that was kept."""
        parts = next((one.get("parts") for one in self.epochs if one["number"] == self.chosen), None)
        if not parts:
            return []
        gradients: dict[str, dict[str, float | None]] = parts["gradients"]
        silent = [part for part, norms in gradients.items() if norms["loss"] == 0]
        said = [f"no gradient reaches {', '.join(silent)}"] if silent else []
        strongest: dict[str, list[str]] = {}
        for part, norms in gradients.items():
            sent = {name: norm for name, norm in norms.items() if name != "loss" and norm}
            if len(sent) > 1:
                strongest.setdefault(max(sent, key=lambda name: sent[name]), []).append(part)
        said += [
            f"the {_words(name)} has the strongest gradient in {', '.join(those)}" for name, those in strongest.items()
        ]
        if gate := parts["gate"]:
            figures = f"mean {gate['mean']:.2f}, deviation {gate['deviation']:.2f}, entropy {gate['entropy']:.2f}"
            steady = "is nearly the same for all pictures and features, and chooses nothing"
            said.append(f"the gate {steady if gate['deviation'] < STEADY else 'chooses'}: {figures}")
        known = {name: entropy for name, entropy in parts["attention"].items() if entropy is not None}
        if known:
            even = [_layer(name) for name, entropy in known.items() if entropy >= EVEN]
            figures = ", ".join(f"{_layer(name)} {entropy:.2f}" for name, entropy in known.items())
            does = f"hardly chooses in {', '.join(even)}" if even else "chooses in every layer"
            said.append(f"attention {does}; its entropy: {figures}")
        return said

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        found = None
        if self.probing is not None:
            probing = self.probing
            found = vars(probing) | {
                "probed": {
                    name: vars(one) | {"difference": _as_json(one.difference)} for name, one in probing.probed.items()
                },
                "alone": {name: _as_json(one) for name, one in probing.alone.items()},
                "left_out": dict(probing.left_out),
            }
        return {
            "run": str(self.run),
            "model": self.record["model"],
            "departures": list(self.departures),
            "chosen_epoch": self.chosen,
            "epochs": self.epochs,
            "probing": found,
            "findings": self.findings(),
            "lacking": list(self.lacking),
        }


def _as_json(difference: PairedDifference) -> dict[str, Any]:
    return {
        name: dict(zip(("difference", "low", "high"), map(float, interval), strict=True))
        | {"p": p, "distinguishable": p < LEVEL}
        for name, interval, p in _measured(difference)
    }


def _measured(difference: PairedDifference) -> list[tuple[str, Interval, float]]:
    """Name, interval and p of accuracy and macro-F1."""
    return list(zip(MEASURES, (difference.accuracy, difference.macro_f1), difference.p, strict=False))


def probe_findings(probing: Probing, measure: str) -> list[str]:
    """Return the probes' findings about pictures and words as sentences, by `accuracy` or `macro_f1`."""
    taken = {SHUFFLED: "the picture is", BLANK: "the picture is", MASKED: "the words are"}
    said = [_cost(one, taken[name], measure) for name, one in probing.probed.items() if name in taken]
    left = {BLANK: "the words alone are", MASKED: "the picture alone is"}
    return [*said, *(_worth(left[name], one, measure, probing.majority) for name, one in probing.alone.items())]


def _cost(one: Probed, subject: str, measure: str) -> str:
    if one.moved == 0:
        return f"{subject} not used: {one.name} change no probability of any row"
    (value, low, high), p = _judged(one.difference, measure)
    backed = f"{p_value(p)}{few_groups(low, high, p)}; they change {one.changed:.1%} of the answers"
    if p < LEVEL and value > 0:
        return f"{subject} used, and does harm: {one.name} gain {_points(value, low, high, measure)}, {backed}"
    cost = f"{one.name} cost {_points(-value, -high, -low, measure)}, {backed}"
    return f"{subject} used: {cost}" if p < LEVEL else f"not distinguishable whether {subject} of use: {cost}"


def _worth(subject: str, difference: PairedDifference, measure: str, majority: str) -> str:
    (value, low, high), p = _judged(difference, measure)
    over = f"more than always naming {majority}, {p_value(p)}{few_groups(low, high, p)}"
    more = f"{_points(value, low, high, measure)} {over}"
    return f"{subject} worth {more}" if p < LEVEL else f"not distinguishable whether {subject} worth anything: {more}"


def _judged(difference: PairedDifference, measure: str) -> tuple[Interval, float]:
    return next((interval, p) for name, interval, p in _measured(difference) if name == measure)


def _points(value: float, low: float, high: float, measure: str) -> str:
    shown, least, most = (f"{100 * figure + 0.0:.1f}" for figure in (value, low, high))
    return f"{shown} points of {MEASURES[measure]} [{least}, {most}]"


NAMES = {"loss": "whole loss", "task_loss": "task loss", "itc_loss": "ITC loss", "mi_loss": "MI loss"}


def _words(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _layer(name: str) -> str:
    return f"layer {_words(name)}"


def _course(epochs: Sequence[Mapping[str, Any]], table: str, name: str) -> list[tuple[int, float]]:
    """Return a figure by epoch, for epochs that have it."""
    return [(one["number"], one[table][name]) for one in epochs if one[table].get(name) is not None]


# --- the report ---

COLUMNS: list[tuple[str, pa.DataType]] = [
    ("kind", pa.string()),
    ("name", pa.string()),
    ("figure", pa.string()),
    ("epoch", pa.int64()),
    ("value", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("p", pa.float64()),
]
"""A row per figure: `training` and `development` losses and scores, `gradient` norms by part and loss, `gate`,
`attention` by layer and direction, and each `probe`'s scores with their difference to the untouched ones, as shares."""


def as_table(found: Diagnosis) -> pa.Table:
    """Return all figures, one per row."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, name: str, figures: Mapping[str, float | None], **more: Any) -> None:
        rows.extend(
            {"kind": kind, "name": name, "figure": one, "value": value} | more for one, value in figures.items()
        )

    for epoch in found.epochs:
        number, parts = epoch["number"], epoch.get("parts") or {}
        add("training", "", epoch["losses"], epoch=number)
        add("development", "", epoch["dev"], epoch=number)
        for part, norms in parts.get("gradients", {}).items():
            add("gradient", part, norms, epoch=number)
        add("gate", "", parts.get("gate") or {}, epoch=number)
        for name, entropy in parts.get("attention", {}).items():
            add("attention", name, {"entropy": entropy}, epoch=number)
    for probed in found.probing.probed.values() if found.probing else ():
        add("probe", probed.name, {name: getattr(probed, name) for name in (*MEASURES, "changed", "moved")})
        for name, (value, low, high), p in _measured(probed.difference):
            add("probe", probed.name, {f"difference in {name}": value}, low=low, high=high, p=p)
    return pa.Table.from_pylist(rows, schema=pa.schema(COLUMNS))


PROBE_COLUMNS = ("", "accuracy", "change", "macro-F1", "change", "answers changed", "probability moved")


def probe_rows(probing: Probing) -> list[list[str]]:
    """Return the lines of a table of the probes, in percent, the untouched model first."""
    lines = [["untouched", f"{100 * probing.accuracy:.1f}", "", f"{100 * probing.macro_f1:.1f}", "", "", ""]]
    for one in probing.probed.values():
        line = [one.name]
        for name, (value, low, high), p in _measured(one.difference):
            gain = f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] {stars(p)}".rstrip()
            line += [f"{100 * getattr(one, name):.1f}", gain]
        lines.append([*line, f"{100 * one.changed:.1f}", f"{100 * one.moved:.1f}"])
    return lines


def as_markdown(found: Diagnosis, picture: str) -> str:
    """Write the report; `picture` names the figure's file."""
    record, probing = found.record, found.probing
    lines = [f"# {found.title}{REDUCED if found.departures else ''}: do its parts work?", ""]
    lines += [f"Run `{found.run.name}` on {plain(str(record['release']))}, seed {record['seed']}.", ""]
    lines += [line for one in reduced_lines({found.title: found.departures}) for line in (one, "")]
    if found.findings():
        lines += ["## What follows", "", *(f"- {one[0].upper()}{one[1:]}." for one in found.findings()), ""]
    if found.lacking:
        lines += ["## What is lacking", "", *(f"- {plain(one[0].upper() + one[1:])}." for one in found.lacking), ""]
    if probing is not None:
        backed = f"{probing.rows:,} {probing.split} rows in {probing.groups:,} groups (`{probing.checksum[:12]}`)"
        lines += ["## Probes", "", f"{backed}, in percent. {MEANING[0].upper()}{MEANING[1:]}.", ""]
        lines += [*markdown_table(PROBE_COLUMNS, probe_rows(probing)), ""]
        lines += [f"- {name}: {what}" for name, what in PROBES.items() if name in probing.probed]
        lines += [""]
    if found.epochs:
        lines += [
            "## Training",
            "",
            f"![Losses, gradients, gate, attention and probes]({picture})",
            "",
            *_course_lines(found),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _course_lines(found: Diagnosis) -> list[str]:
    """Tables of the training's course."""
    epochs = found.epochs
    lines = [f"The weights are those of epoch {found.chosen} of {epochs[-1]['of']}.", ""]
    losses = [name for name in ("loss", *LOSS_PARTS) if name in epochs[-1]["losses"]]
    columns = {
        f"{_words(name)}, {rows}": (table, name)
        for name in losses
        for table, rows in (("losses", "training"), ("dev", "development"))
    }
    lines += _by_epoch(epochs, columns)
    recorded = [one | one["parts"] for one in epochs if one.get("parts")]
    if not recorded:
        return lines
    kept = next((one for one in recorded if one["number"] == found.chosen), recorded[-1])
    if kept["gradients"]:
        named = list(next(iter(kept["gradients"].values())))
        body = [[part, *(_shown(norms[name]) for name in named)] for part, norms in kept["gradients"].items()]
        lines += [f"Norms of the gradients in epoch {kept['number']}, on {kept['rows']} training rows:", ""]
        lines += [*markdown_table(["part", *map(_words, named)], body), ""]
    columns = {f"gate, {name}": ("gate", name) for name in kept["gate"] or ()}
    columns |= {f"attention, {_layer(name)}": ("attention", name) for name in kept["attention"]}
    if columns:
        lines += ["The gate, and the entropy of the attention by layer and direction:", ""]
        lines += _by_epoch(recorded, columns)
    return lines


def _by_epoch(epochs: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Lines of a table of figures, each by its table and name within an epoch."""
    body = [
        [str(one["number"]), *(_shown((one[table] or {}).get(name)) for table, name in columns.values())]
        for one in epochs
    ]
    return [*markdown_table(["epoch", *columns], body, text_columns=0), ""]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.3f}"


def as_figure(found: Diagnosis) -> Figure:
    """Draw the losses, the gradients that each of them gives to each part, gate, attention and probes."""
    from matplotlib.figure import Figure

    panels = _panels(found)
    columns = min(3, len(panels)) or 1
    lines = math.ceil(len(panels) / columns) or 1
    figure = Figure(figsize=(5 * columns, 3.4 * lines), layout="constrained")
    places = figure.subplots(lines, columns, squeeze=False).flatten()
    for place, draw in zip(places, panels, strict=False):
        draw(place)
    for place in places[len(panels) :]:
        place.set_axis_off()
    return figure


def _panels(found: Diagnosis) -> list[Callable[[Axes], None]]:
    epochs = found.epochs
    recorded = [one | one["parts"] for one in epochs if one.get("parts")]
    losses = [name for name in LOSS_PARTS if epochs and name in epochs[-1]["losses"]]
    drawn: dict[str, dict[str, list[tuple[int, float]]]] = {
        _words(name): {"training": _course(epochs, "losses", name), "development": _course(epochs, "dev", name)}
        for name in losses
    }
    for loss in losses if recorded else ():
        drawn[f"{GRADIENTS} from the {_words(loss)}"] = {
            part: [
                (one["number"], one["gradients"][part][loss]) for one in recorded if one["gradients"][part].get(loss)
            ]
            for part in recorded[-1]["gradients"]
        }
    gates = [one for one in recorded if one["gate"]]
    drawn["gate"] = {name: _course(gates, "gate", name) for name in (gates[-1]["gate"] if gates else ())}
    names = recorded[-1]["attention"] if recorded else ()
    drawn["entropy of the attention"] = {_layer(name): _course(recorded, "attention", name) for name in names}
    panels: list[Callable[[Axes], None]] = [
        partial(_draw_curves, title, curves, found.chosen) for title, curves in drawn.items() if any(curves.values())
    ]
    if found.probing is not None and found.probing.probed:
        panels.append(partial(_draw_probes, found.probing, found.measure))
    return panels


GRADIENTS = "norms of gradients"


def _draw_curves(title: str, curves: Mapping[str, Sequence[tuple[int, float]]], chosen: int | None, axes: Axes) -> None:
    """Draw figures by epoch; the one that was kept is marked."""
    from matplotlib.ticker import MaxNLocator

    for name, points in curves.items():
        if points:
            axes.plot(*zip(*points, strict=True), ".--" if name == "development" else ".-", label=name)
    if chosen is not None:
        axes.axvline(chosen, color="0.8", zorder=0)
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if title.startswith(GRADIENTS):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.legend(fontsize=8)


def _draw_probes(probing: Probing, measure: str, axes: Axes) -> None:
    """Draw each probe's difference to the untouched answers with its interval."""
    for place, one in enumerate(probing.probed.values()):
        value, low, high = (100 * figure for figure in _judged(one.difference, measure)[0])
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=4, color="C0")
    axes.axvline(0, color="0.6", linewidth=1)
    axes.set_yticks(range(len(probing.probed)), list(probing.probed))
    axes.set_ylim(len(probing.probed) - 0.5, -0.5)
    axes.set(title=f"probes on {probing.split} rows", xlabel=f"points of {MEASURES[measure]}, 95 % interval")
