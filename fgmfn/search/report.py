"""Files of a search: its trials as Markdown, Parquet and a picture, and the best one as a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fgmfn.baselines import MODELS
from fgmfn.errors import InputError
from fgmfn.evaluation import REDUCED, reduced_lines
from fgmfn.planning import Run
from fgmfn.search.running import Outcome
from fgmfn.search.study import ENOUGH_TRIALS, Trial
from fgmfn.settings import load_settings
from fgmfn.sheets import markdown_table, write_sheet

BEST = "best.toml"
UNTESTED = (
    "Trials are chosen and pruned by the development rows alone. No test score stands here: the best of many test "
    "scores says nothing about rows that nobody has seen. Train the best configuration with several seeds and read "
    "their test scores once."
)
COLOURS = {"complete": "#1f4e9c", "pruned": "#b9b9b9"}
BEST_COLOUR, FAINT = "#b5431d", "#d9d9d9"


def write_report(outcome: Outcome) -> tuple[Path, ...]:
    """Write trials.md, trials.parquet and trials.png, and best.toml where a trial has finished.

    Raises:
        InputError: They cannot be written there.
    """
    sheet = write_sheet(
        outcome.folder, "trials", markdown=as_markdown(outcome), table=as_table(outcome), figure=as_figure(outcome)
    )
    if outcome.best is None or outcome.best_run is None:
        return sheet
    best, beside = outcome.folder / BEST, outcome.folder / f".{BEST}"
    try:
        beside.write_text(as_toml(outcome, outcome.best, outcome.best_run), encoding="utf-8")
        beside.replace(best)
    except OSError as error:
        raise InputError(f"{best}: cannot be written there: {error.strerror}") from error
    return (best, *sheet)


def as_table(outcome: Outcome) -> pa.Table:
    """Return one row per trial."""
    fields: dict[str, pa.DataType] = {"trial": pa.int64(), "state": pa.string()}
    fields |= dict.fromkeys(outcome.space, pa.float64())
    fields |= {"epochs": pa.int64(), "best_dev_macro_f1": pa.float64(), "seconds": pa.float64(), "reason": pa.string()}
    fields["departures"] = pa.list_(pa.string())
    rows: list[dict[str, Any]] = [
        {name: one.values.get(name) for name in outcome.space}
        | {"trial": one.number, "state": one.state, "epochs": one.epochs, "best_dev_macro_f1": one.score}
        | {"seconds": one.seconds, "reason": one.reason, "departures": list(outcome.departures)}
        for one in outcome.trials
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def as_markdown(outcome: Outcome) -> str:
    """Return the trials with all that their scores depend on."""
    search = outcome.search
    checksums = ", ".join(f"{split} `{checksum[:12]}`" for split, checksum in search.source.checksums.items())
    columns = ["trial", "state", *outcome.space, "epochs", "best dev macro-F1 (%)", "seconds"]
    departing = reduced_lines({MODELS[search.model].title: outcome.departures})
    rows = [[str(one.number), one.state, *cells(outcome, one)] for one in outcome.trials]
    ranges = [
        f"`{name}` in [{one.low:g}, {one.high:g}]{', log-uniform' if one.log else ''}"
        for name, one in outcome.space.items()
    ]
    study = f"Study: {outcome.study}. Rows: {checksums}. Sampler: {search.sampler}, seed {outcome.seed}."
    lines = [
        f"# Search for {search.model} on {search.source.name}",
        "",
        f"{study} Ranges: {'; '.join(ranges)}.",
        "",
        UNTESTED,
        "",
        *_best_lines(outcome),
        "",
        *markdown_table(columns, rows, text_columns=2),
        *(f"\n{line}" for line in departing),
    ]
    lines += [f"\nTrial {one.number} failed: {one.reason}" for one in outcome.trials if one.reason]
    if search.source.synthetic:
        lines.append("\nThe data are synthetic: the scores say nothing about real ads.")
    return "\n".join(lines) + "\n"


def cells(outcome: Outcome, one: Trial) -> list[str]:
    """Return a trial's values, epochs, best score and seconds as tables show them."""
    values = [f"{one.values[name]:.3g}" if name in one.values else "-" for name in outcome.space]
    mark = REDUCED if outcome.departures else ""
    score = "-" if one.score is None else f"{100 * one.score:.1f}{mark}"
    return [*values, str(one.epochs), score, f"{one.seconds:.0f}"]


def _best_lines(outcome: Outcome) -> list[str]:
    if outcome.best is None:
        return ["No trial has finished."]
    lines = [f"Best: trial {outcome.best.number}; its settings are in `{BEST}`, for `fgmfn train --config`."]
    if outcome.importances:
        shares = ", ".join(f"`{name}` {share:.0%}" for name, share in outcome.importances.items())
        return [*lines, "", f"How much each parameter mattered (fANOVA, shares of 1): {shares}."]
    return [*lines, "", f"What each parameter mattered is said from {ENOUGH_TRIALS} finished trials on."]


def as_figure(outcome: Outcome) -> Figure:
    """Draw the best development score over the trials and against each parameter."""
    search, names = outcome.search, [name for name, one in outcome.space.items() if one.low < one.high]
    figure = Figure(figsize=(3.4 * (len(names) + 1), 3.6), layout="constrained")
    reduced = f"; {REDUCED} not its paper's model" if outcome.departures else ""
    figure.suptitle(f"Search for {search.model} on {search.source.name}{reduced}")
    panels = figure.subplots(1, len(names) + 1, sharey=True, squeeze=False)[0]
    _history(panels[0], outcome)
    for axes, name in zip(panels[1:], names, strict=True):
        _points(axes, outcome, _value_of(name))
        axes.set_xscale("log" if outcome.space[name].log else "linear")
        axes.set_xlim(outcome.space[name].low, outcome.space[name].high)
        axes.set_xlabel(name)
    panels[0].set_ylabel("best dev macro-F1 (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), frameon=False)
    return figure


def _history(axes: Axes, outcome: Outcome) -> None:
    _points(axes, outcome, lambda one: float(one.number))
    finished = [one for one in outcome.trials if one.state == "complete" and one.score is not None]
    best = [max(100 * (other.score or 0) for other in finished[: place + 1]) for place in range(len(finished))]
    axes.step(
        [one.number for one in finished], best, where="post", color=BEST_COLOUR, linewidth=1.2, label="best so far"
    )
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _value_of(name: str) -> Callable[[Trial], float]:
    return lambda one: one.values[name]


def _points(axes: Axes, outcome: Outcome, place: Callable[[Trial], float]) -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for state, colour in COLOURS.items():
        own = [one for one in outcome.trials if one.state == state and one.score is not None]
        if own:
            scores = [100 * (one.score or 0) for one in own]
            axes.scatter([place(one) for one in own], scores, color=colour, s=26, label=state)
    best = outcome.best
    if best is not None and best.score is not None:
        axes.scatter([place(best)], [100 * best.score], facecolors="none", edgecolors=BEST_COLOUR, s=90, label="best")


def as_toml(outcome: Outcome, best: Trial, run: Run) -> str:
    """Return a configuration that trains exactly the best trial's run again."""
    settings = run.settings
    own = settings.model | {"training": settings.training.model_dump(mode="json")}
    source = load_settings(outcome.search.config).source.model_dump(mode="json", exclude_unset=True)
    tables = {"source": source, "data": settings.data.model_dump(mode="json"), "models": {run.name: own}}
    about = f"# Trial {best.number} of a search: macro-F1 {100 * (best.score or 0):.1f} % on the development rows.\n"
    about += "".join(f"# {line}\n" for line in reduced_lines({MODELS[run.name].title: outcome.departures}))
    return f"{about}# {outcome.study}\n\n{tomli_w.dumps(_set(tables))}"


def _set(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without settings that are None, which TOML writes by leaving them out."""
    return {
        name: _set(value) if isinstance(value, Mapping) else value for name, value in table.items() if value is not None
    }
