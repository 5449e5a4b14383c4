"""Report of a reproduction, usable as a paper's appendix: Markdown and HTML.

It is written from the runs that have finished, at any time.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fgmfn.baselines import CONTROLS, MODELS
from fgmfn.callbacks import LOSS_PARTS
from fgmfn.data import Source
from fgmfn.environment import environment
from fgmfn.evaluation import REDUCED
from fgmfn.pages import render_page
from fgmfn.paper import table5
from fgmfn.paper.experiments import Cell, Entry, Recipe, plan_experiments
from fgmfn.paper.measuring import Measured
from fgmfn.paper.needs import Need
from fgmfn.paper.published import DATASETS, ROWS
from fgmfn.paper.score_tables import TABLE_4
from fgmfn.paper.scores import how_trained, interval_of, shown, unproven_lines
from fgmfn.planning import Run
from fgmfn.predictions import MEASURES, METRICS
from fgmfn.sheets import markdown_table, plain, write_file

NAME = "reproduction"
PARTS = ("table4", "table6", "figure3", "figure4", "table5")
"""Parts in the order in which they are trained and reported."""
TITLES = {
    "table4": "Table 4: every model",
    "table6": "Table 6: FGMFN without each of its parts",
    "figure3": "Figure 3: which class is taken for which",
    "figure4": "Figure 4: sensitivity to the weights of the losses",
    "table5": "Table 5: efficiency",
}
GRID = "FGMFN, other weights of its losses"


@dataclass(frozen=True)
class Part:
    """One table or figure whose runs are trained."""

    key: str
    entries: tuple[Entry, ...]
    sheet: Any
    """Module or object with `as_markdown`, `as_table` and `as_figure` for cells."""

    def row_of(self, cell: Cell) -> str:
        """Return a cell's row title in lists of runs; all points of Figure 4 share one row."""
        return GRID if self.key == "figure4" else cell.entry.title


@dataclass
class Reproduction:
    """A reproduction and its progress."""

    parts: Sequence[Part]
    sources: Sequence[Source]
    recipe: Recipe
    needs: Sequence[Need] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    """Command of each part; under `reproduce`, the command that was called."""
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    """Cells of each part that has started."""
    measured: Sequence[Measured] | None = None
    """Measurements of Table 5; None if it is left out or has not started."""

    def planned(self) -> list[tuple[str, Run]]:
        """Return all runs with the titles of their rows.

        Raises:
            ConfigError: A setting is wrong.
        """
        plans = [(part, plan_experiments(part.entries, self.sources, self.recipe)[1]) for part in self.parts]
        return [(part.row_of(cell), run) for part, plan in plans for cell, _, run in plan]

    def counted(self) -> dict[str, tuple[int, int]]:
        """Return the number of results of each part, and the number wanted."""
        each = len(self.sources) * len(self.recipe.seeds)
        return {
            part.key: (sum(len(cell.trained) for cell in self.cells.get(part.key, ())), len(part.entries) * each)
            for part in self.parts
        }

    def training_rows(self) -> tuple[int | None, str | None]:
        """Return the number of training rows for Table 5's hours, and the name of their data: the first source."""
        first = next(iter(self.sources), None)
        return (len(first.splits["train"]), first.name) if first else (None, None)

    def as_json(self) -> dict[str, Any]:
        """Return the rows of each part's table."""
        tables = {part.key: part.sheet.as_table(self.cells.get(part.key, [])) for part in self.parts}
        return {name: table.to_pylist() for name, table in tables.items()}


def write_report(work: Reproduction, output: Path) -> list[Path]:
    """Write `reproduction.md`, `reproduction.html` and `curves.png` from the finished runs.

    Raises:
        InputError: They cannot be written there.
    """
    runs = finished_runs(work)
    curves = draw_curves(work, runs)
    paths = [] if curves is None else [write_file(output, "curves.png", curves)]
    markdown = as_markdown(work, runs, with_curves=curves is not None)
    paths.append(write_file(output, f"{NAME}.md", markdown))
    return [*paths, write_file(output, f"{NAME}.html", render_page(markdown, output))]


# --- what has finished ---


@dataclass(frozen=True)
class FinishedRun:
    """One run of the report; several parts may share it."""

    title: str
    source: str
    seed: int
    record: Mapping[str, Any]
    """Its metrics.json."""

    @property
    def seconds(self) -> float:
        """Duration of the run's training."""
        return float(self.record["seconds"])

    @property
    def machine(self) -> Mapping[str, Any]:
        """The environment that finished it; empty for a run of an older version."""
        return self.record.get("environment") or {}


def finished_runs(work: Reproduction) -> list[FinishedRun]:
    """Return each finished run once, under the title of its first row."""
    found: dict[Path, FinishedRun] = {}
    for part in work.parts:
        for cell in work.cells.get(part.key, ()):
            for seed, trained in cell.trained.items():
                if trained.checkpoint not in found:
                    record = json.loads((trained.checkpoint / METRICS).read_text("utf-8"))
                    found[trained.checkpoint] = FinishedRun(part.row_of(cell), cell.source.name, seed, record)
    return list(found.values())


# --- the report ---


def as_markdown(work: Reproduction, runs: Sequence[FinishedRun], *, with_curves: bool) -> str:
    """Write the report."""
    sections = {
        "In short": _in_short(work),
        **{TITLES[part.key]: _part(work, part) for part in work.parts},
        **({TITLES["table5"]: _table5(work)} if "table5" in work.commands else {}),
        "Training curves": _curves(with_curves),
        "Data": _data(work),
        "What was needed": _needs(work.needs),
        "What has not run": _not_run(work),
        "First weights": _weights(runs),
        "Cost": _cost(runs),
        "Environment": _environment(runs),
        "Commands": _commands(work),
    }
    lines = ["# Reproduction of FGMFN", "", *_preface(work), ""]
    for title, section in sections.items():
        if section:
            lines += [f"## {title}", "", *section, ""]
    return "\n".join(lines)


def _preface(work: Reproduction) -> list[str]:
    names = ", ".join(plain(source.name) for source in work.sources) or "no data that could be opened"
    counted = work.counted()
    done, wanted = sum(done for done, _ in counted.values()), sum(wanted for _, wanted in counted.values())
    state = "All" if done == wanted and wanted else f"**Incomplete:** {done:,} of"
    return [
        (
            "Tables and figures of “FGMFN: Fine-Grained Multiscale Cross-Modal Sentiment Analysis in Advertisements” "
            f"(IEEE Access, 2025), trained and scored again on {names}. {state} {wanted:,} results are there; a run "
            "that several parts share counts in each of them."
        ),
        "",
        how_trained(work.recipe),
        "",
        (
            f"Brackets are 95 % intervals. {REDUCED} stands beside every figure of a model that is not as its paper "
            "has it; the lines below each table say why."
        ),
    ]


def _in_short(work: Reproduction) -> list[str]:
    """Compare FGMFN's scores with the paper's figures and with its controls."""
    tables = [work.cells.get(key, []) for key in ("table4", "table6")]
    cells = next((table for table in tables if any(cell.entry.key == "fgmfn" for cell in table)), [])
    rows = TABLE_4.as_table(cells).to_pylist() if cells else []
    lines = []
    for source in work.sources:
        own = {row["entry"]: row for cell, row in zip(cells, rows, strict=True) if cell.source is source}
        fgmfn = own.get("fgmfn")
        if fgmfn is None or not fgmfn["seeds"]:
            lines.append(f"- {plain(source.name)}: no result of FGMFN.")
            continue
        scores = " and ".join(
            f"{word} {shown(fgmfn[f'test_{name}_mean'], fgmfn[f'test_{name}_sd'], fgmfn['departures'])}"
            f"{interval_of(fgmfn, name)}"
            for name, word in MEASURES.items()
        )
        lines.append(f"- {plain(source.name)}: FGMFN reaches {scores}. {_beside_the_paper(work, source, fgmfn)}")
        lines += [
            f"  - Against {MODELS[name].title}: {_ahead(own[name])}."
            for name in CONTROLS
            if name in own and own[name]["gain_accuracy"] is not None
        ]
    counts = work.counted()
    body = [[TITLES[key], f"{done:,}", f"{wanted:,}"] for key, (done, wanted) in counts.items()]
    return [*lines, "", *markdown_table(["part", "results", "wanted"], body)]


def _beside_the_paper(work: Reproduction, source: Source, row: Mapping[str, Any]) -> str:
    """Compare with the printed figures, if they are for the same model and rows."""
    counts = tuple(len(rows) for rows in source.splits.values())
    if work.recipe.from_scratch:
        return "Its encoders started at random: nothing printed compares."
    if row["departures"]:
        return f"It is not the paper's model ({REDUCED}): nothing printed compares."
    if ROWS.get(source.dataset or "") != counts or source.splits["test"].words != "text":
        return "The paper has no figures of these rows."
    if any(need.state == "differs" and need.what.startswith(DATASETS[source.dataset or ""]) for need in work.needs):
        return "These are not the published files: nothing printed compares."
    said = []
    for name, word in MEASURES.items():
        printed, low, high = row[f"paper_{name}"], row[f"test_{name}_low"], row[f"test_{name}_high"]
        if printed is None or low is None:
            continue
        where = "below" if printed < 100 * low else "above" if printed > 100 * high else "within"
        said.append(f"{word} of {printed:.2f} lies {where} our interval")
    return f"The paper's {' and its '.join(said)}." if said else ""


def _ahead(row: Mapping[str, Any]) -> str:
    """Describe FGMFN's lead over a row, from the row's gain over FGMFN."""
    said = []
    for name, word in MEASURES.items():
        value, low, high = (0.0 - 100 * row[f"gain_{name}{end}"] for end in ("", "_high", "_low"))  # none is -0.0
        p = row[f"gain_{name}_p"]
        verdict = "not distinguishable" if p >= 0.05 else "ahead" if value > 0 else "behind"
        said.append(f"{value:+.1f} [{low:+.1f}, {high:+.1f}] points of {word} ({verdict})")
    return ", ".join(said)


def _part(work: Reproduction, part: Part) -> list[str]:
    """Return a part's own page with its picture, headings one level lower, without text that the report has once."""
    if part.key not in work.cells:
        return ["Not begun yet: the same command goes on, `--only-finished` reports what there is."]
    cells = work.cells[part.key]
    shown_once = [how_trained(work.recipe), *_seen_elsewhere(work, part)]
    page = part.sheet.as_markdown(cells, work.recipe).splitlines()
    return [*_lowered(page, shown_once), "", f"![{TITLES[part.key]}]({part.key}.png)"]


def _seen_elsewhere(work: Reproduction, part: Part) -> list[str]:
    """Return a part's warnings about missing controls of FGMFN, if another part has these controls."""
    shown_rows = {entry.key for other in work.parts for entry in other.entries}
    return [] if not shown_rows.issuperset(CONTROLS) else unproven_lines(entry.model for entry in part.entries)


def _lowered(page: Sequence[str], left_out: Sequence[str] = ()) -> list[str]:
    """Return a page's lines without its title and some others, with headings one level lower."""
    lines = [f"#{line}" if line.startswith("#") else line for line in page if line not in left_out]
    kept = [line for line in lines if not line.startswith("## ")]
    return "\n".join(kept).strip("\n").split("\n")


def _table5(work: Reproduction) -> list[str]:
    if work.measured is None:
        return ["Not measured yet: the same command goes on."]
    rows, name = work.training_rows()
    page = table5.as_markdown(work.measured, rows, name).splitlines()
    return [*_lowered(page), "", f"![{TITLES['table5']}](table5.png)"]


def _curves(drawn: bool) -> list[str]:
    if not drawn:
        return []
    return [
        (
            "Means over the seeds that have finished, and bands from the lowest to the highest of them. On the left "
            "the parts of FGMFN's loss, on training rows (solid) and development rows (dashed); on the right the "
            "macro-F1 on the development rows."
        ),
        "",
        "![Training curves](curves.png)",
    ]


def _data(work: Reproduction) -> list[str]:
    lines = []
    for source in work.sources:
        lines += [f"### {plain(source.name)}", ""]
        body = [
            [split, f"`{rows.checksum}`", f"{len(rows):,}", f"{len(set(rows.group)):,}"]
            for split, rows in source.splits.items()
            if len(rows)
        ]
        lines += [*markdown_table(["split", "SHA-256 of its rows", "rows", "groups"], body, text_columns=2), ""]
        classes = ", ".join(plain(name) for name in source.class_names)
        lines += [
            f"Classes: {classes}. Printed figures: {DATASETS.get(source.dataset or '', 'none of these data')}.",
            "",
        ]
        lines += [f"- {plain(note)}" for note in source.notes]
        lines += [""] if source.notes else []
    return lines


def _needs(needs: Sequence[Need]) -> list[str]:
    order = {"missing": 0, "differs": 1, "found": 2}
    body = [
        [
            f"**{need.state}**" if need.state != "found" else need.state,
            plain(need.what),
            _with_digests(plain(need.found)),
            plain(rows_said(need)),
            plain(need.todo),
        ]
        for need in sorted(needs, key=lambda need: order[need.state])
    ]
    columns = ["state", "what", "found", "needed by", "to do"]
    return markdown_table(columns, body, text_columns=len(columns)) if needs else []


def _with_digests(text: str) -> str:
    """Format checksums as code, in which a page may break lines anywhere."""
    return re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{40})\b", r"`\1`", text)


MOST_ROWS = 4
"""Maximum number of rows that a need names."""


def rows_said(need: Need) -> str:
    """Name the rows that need something, or some of them."""
    more = f" and {len(need.rows) - MOST_ROWS} more" if len(need.rows) > MOST_ROWS else ""
    return ", ".join(need.rows[:MOST_ROWS]) + more if need.rows else "all"


def _not_run(work: Reproduction) -> list[str]:
    """Name every row that lacks seeds, by its reason."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for part in work.parts:
        short = part.key.replace("table", "Table ").replace("figure", "Figure ")
        if part.key not in work.cells:
            reasons["not begun yet"].append(f"all of {short}")
        for cell in work.cells.get(part.key, ()):
            if len(cell.trained) < len(work.recipe.seeds):
                lacking_seeds = f", {len(cell.trained)} of {len(work.recipe.seeds)} seeds" if cell.trained else ""
                named = f"{cell.entry.title} on {cell.source.name} ({short}{lacking_seeds})"
                reasons[cell.missing or "not every seed has been trained yet"].append(named)
    for one in work.measured or ():
        if one.missing:
            reasons[one.missing].append(f"{MODELS[one.model].title} (Table 5)")
    if not reasons:
        return ["Every row ran with every seed."]
    return [f"- {plain(reason)}: {'; '.join(map(plain, rows))}." for reason, rows in reasons.items()]


def _weights(runs: Sequence[FinishedRun]) -> list[str]:
    """List the initial weights of the runs, with a warning if runs of one row started from different weights."""
    rows: defaultdict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    digests: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for run in runs:
        for part in run.record.get("loaded") or ():
            words = part.get("unit") == "words"  # of each data's vocabulary
            digest = f"{part['tensors']:,} of {part['of']:,} words of {run.source}" if words else f"`{part['sha256']}`"
            rows[part["part"], part["source"], digest][run.title] = None
            digests[f"{run.title} on {run.source}", part["part"], part["source"]].add(part["sha256"])
    if not rows:
        return ["All runs started at random." if runs else "No run has finished."]
    body = [[part, f"`{source}`", digest, "; ".join(titles)] for (part, source, digest), titles in rows.items()]
    columns = ["part", "source", "SHA-256 of its tensors", "rows"]
    mixed = "; ".join(f"{title}, {part}" for (title, part, _), found in digests.items() if len(found) > 1)
    warning = [f"**Runs of one row started from different weights: {mixed}.**", ""] if mixed else []
    return [*warning, *markdown_table(columns, body, text_columns=len(columns))]


# --- cost and environment ---


def _cost(runs: Sequence[FinishedRun]) -> list[str]:
    if not runs:
        return ["No run has finished."]
    groups: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    hours: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        groups[run.title, run.source, _device(run)].append(run.seconds)
        hours[run.machine.get("device", "unknown")] += run.seconds / 3600 * _device_count(run)
    body = [
        [title, plain(source), device, str(len(seconds)), _mean(seconds), f"{sum(seconds) / 3600:,.2f}"]
        for (title, source, device), seconds in groups.items()
    ]
    columns = ["row", "data", "device", "runs", "seconds per run", "hours"]
    said = ", ".join(f"{total:,.2f} {HOURS.get(device, device)}" for device, total in hours.items())
    about = (
        f"Together {said}, in {len(runs):,} runs; a run that several parts share counts once. Seconds are those of the "
        "training with the scoring of its development rows; preparing rows, scoring test rows and writing come on top."
    )
    return [about, "", *markdown_table(columns, body, text_columns=3)]


HOURS = {"cuda": "GPU hours", "cpu": "hours on processors", "unknown": "hours on devices that older runs do not name"}


def _mean(seconds: Sequence[float]) -> str:
    return f"{fmean(seconds):,.1f}" + (f" ± {stdev(seconds):,.1f}" if len(seconds) > 1 else "")


def _device(run: FinishedRun) -> str:
    name = run.machine.get("device_name", "unknown")
    return f"{_device_count(run)} x {name}" if _device_count(run) > 1 else name


def _device_count(run: FinishedRun) -> int:
    return int(run.record.get("devices", {}).get("count", 1))


def _environment(runs: Sequence[FinishedRun]) -> list[str]:
    """Describe the machine of this report, and the differences of the machines on which runs were trained."""
    here = environment()
    lines = _table_of(_facts(here))
    others: dict[str, list[FinishedRun]] = {}
    for run in runs:
        facts = _facts(run.machine) if run.machine else {}
        differing = {name: value for name, value in facts.items() if value != _facts(here).get(name)}
        others.setdefault(json.dumps(differing) if facts else "unknown", []).append(run)
    lines += ["", "The table describes where this report was written."]
    for found, own in others.items():
        if found == "unknown":
            lines.append(f"{len(own):,} runs of an older version do not say where they were trained.")
        elif differing := json.loads(found):
            said = "; ".join(f"{name} {value}" for name, value in differing.items())
            lines.append(f"{len(own):,} runs were trained elsewhere: {plain(said)}.")
        else:
            lines.append(f"{len(own):,} runs were trained there, too.")
    return lines


def _facts(machine: Mapping[str, Any]) -> dict[str, str]:
    """Describe an environment in words."""
    versions = machine.get("versions", {})
    gpus = ", ".join(f"{count} x {name}" for name, count in Counter(machine.get("devices") or ()).items())
    return {
        "this project": f"{versions.get('ytb-ads')}, commit {machine.get('commit') or 'unknown'}",
        "GPU": gpus or "none",
        "driver, CUDA, cuDNN": ", ".join(str(machine.get(name)) for name in ("driver", "cuda", "cudnn"))
        if gpus
        else "none",
        "processor": f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('threads')} threads used",
        "memory": f"{(machine.get('memory_bytes') or 0) / 1e9:.0f} GB",
        "system": str(machine.get("system")),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items() if name != "ytb-ads"),
        "flags": ", ".join(
            f"{name}: {'unset' if value is None else value}" for name, value in machine.get("flags", {}).items()
        ),
    }


def _table_of(facts: Mapping[str, str]) -> list[str]:
    return markdown_table(
        ["", ""], [[name, value.replace("|", "\\|")] for name, value in facts.items()], text_columns=2
    )


def _commands(work: Reproduction) -> list[str]:
    lines = [
        "What was called, and what makes each part again; a run that is there is read and not trained again:",
        "",
        "```sh",
    ]
    return [*lines, *work.commands.values(), "```"]


# --- curves ---

SHOWN_FIRST = ("fgmfn", *CONTROLS)
COLOURS = ("#1f4e9c", "#b5431d", "#14866d", "#8a5aa8", "#6b6b6b")


def draw_curves(work: Reproduction, runs: Sequence[FinishedRun]) -> Figure | None:
    """Draw FGMFN's losses over the epochs, and the development macro-F1 of it and its controls; None without epochs."""
    titles = {MODELS[name].title: colour for name, colour in zip(SHOWN_FIRST, COLOURS, strict=False)}
    kept = [run for run in runs if run.title in titles and run.record.get("epochs")]
    sources = [source.name for source in work.sources if any(run.source == source.name for run in kept)]
    if not sources:
        return None
    figure = Figure(figsize=(11, 0.6 + 3.4 * len(sources)), layout="constrained")
    for (left, right), source in zip(figure.subplots(len(sources), 2, squeeze=False), sources, strict=True):
        own = [run for run in kept if run.source == source]
        fgmfn = [run for run in own if run.title == MODELS["fgmfn"].title]
        for number, name in enumerate(("loss", *LOSS_PARTS)):
            label, colour = name.replace("_", " "), f"C{number}"
            _band(left, [[epoch["losses"].get(name) for epoch in run.record["epochs"]] for run in fgmfn], colour, label)
            _band(
                left, [[epoch["dev"].get(name) for epoch in run.record["epochs"]] for run in fgmfn], colour, None, "--"
            )
        for title, colour in titles.items():
            scores = [
                [epoch["dev"].get("macro_f1") for epoch in run.record["epochs"]] for run in own if run.title == title
            ]
            _band(right, scores, colour, title)
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(color="#d9d9d9", linewidth=0.6)
        left.set(xlabel="epoch", title=f"{source}: FGMFN's loss and its parts")
        right.set(xlabel="epoch", title=f"{source}: macro-F1 on development rows", ylim=(0, 1))
        for axes in (left, right):
            axes.legend(fontsize=8)
    return figure


def _band(axes: Any, values: Iterable[Sequence[float | None]], colour: str, label: str | None, line: str = "-") -> None:
    """Draw the mean over runs and their range; a run that ended early counts up to its last epoch."""
    kept = [[value for value in one if value is not None] for one in values]
    columns = [[one[at] for one in kept if at < len(one)] for at in range(max(map(len, kept), default=0))]
    if not columns:
        return
    epochs = range(1, len(columns) + 1)
    axes.plot(epochs, [fmean(column) for column in columns], line, color=colour, label=label, linewidth=1.4)
    axes.fill_between(epochs, list(map(min, columns)), list(map(max, columns)), color=colour, alpha=0.12, linewidth=0)
