"""The report for the terminal, as one HTML file without scripts or network, and as Markdown for the Prefect server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_catalog.printing import counted, printable, readable, shown
from flows.errors import MonitorError
from flows.monitor.audience import Mean
from flows.monitor.drift import Drift
from flows.monitor.period import Period
from flows.monitor.report import MonitoredAd, MonitorReport
from flows.monitor.turning import Stretch
from flows.templates import render_page

_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = (Path(__file__).parents[1] / "release" / "templates" / "report.css", _TEMPLATES / "monitor.css")
ON_PAGE, ON_TERMINAL = 40, 10
"""Ads that are shown; --json names all."""
_WIDTH, _HEIGHT = 600, 150
_MARGIN = 10
_HIGHEST = 5
_LONGEST_TITLE = 160


@dataclass(frozen=True)
class Mark:
    """A week on an ad's chart, in the units of the drawing."""

    x: float
    y: float
    low: float | None
    high: float | None
    radius: float


@dataclass(frozen=True)
class Chart:
    """An ad's weeks over the period; the change, where there is one in it."""

    marks: tuple[Mark, ...]
    zero: float
    change: float | None
    width: int = _WIDTH
    height: int = _HEIGHT


def render_report(report: MonitorReport) -> RenderableType:
    """Tables for the terminal: audiences that turned, ads on which the model and the audience differ, drift."""
    parts: list[RenderableType] = []
    if report.turned:
        parts.append(_turned_table(report.turned))
    if report.ads:
        parts.append(_ads_table(report))
    if report.drift:
        parts.append(_drift_table(report.drift))
    return Group(*parts)


def write_page(report: MonitorReport, file: Path) -> None:
    """Write the report as one HTML file.

    Raises:
        MonitorError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(report_html(report), "utf-8")
    except OSError as error:
        raise MonitorError(f"{file}: cannot be written: {error.strerror or error}") from error


def report_html(report: MonitorReport) -> str:
    """The report as one page, in which every value is escaped."""
    shown_ads = report.ads[:ON_PAGE]
    return render_page(
        _TEMPLATES / "monitor.html",
        _STYLES,
        {
            "readable": lambda text: readable(str(text), _LONGEST_TITLE),
            "counted": counted,
            "thousands": lambda number: f"{number:,}",
            "mean": mean_in_words,
            "answer": answer_in_words,
            "percent": lambda share: f"{share:.0%}",
            "p": p_in_words,
        },
        report=report,
        ads=[(ad, chart(ad, report.period)) for ad in shown_ads],
        n_more=len(report.ads) - len(shown_ads),
    )


def monitor_markdown(report: MonitorReport) -> str:
    """The report in Markdown; untrusted text is set as code, without characters that could end it."""
    lines = ["# Monitor", "", *(f"- {line}" for line in map(_code_free, report.summary()))]
    if report.turned:
        lines += ["", "| audience turned | ad | before | after | p |", "|---|---|---|---|---:|"]
        for ad in report.turned[:ON_PAGE]:
            change = ad.audience.change
            assert change is not None  # noqa: S101 - it turned
            lines.append(
                f"| {change.at:%Y-%m-%d} | {_code(ad.audience.video_id)} {_code(ad.audience.title)} | "
                f"{mean_in_words(change.before)} | {mean_in_words(change.after)} | {p_in_words(change.p)} |"
            )
    if report.drift:
        lines += ["", "| drift | ads trained on | ads of the period | PSI | p | |", "|---|---:|---:|---:|---:|---|"]
        lines += [f"| {' | '.join(_drift_cells(drift))} |" for drift in report.drift]
    lines += ["", *(f"- note: {_code_free(note)}" for note in report.notes)]
    return "\n".join([*lines, "", "`ytb-ads monitor --html monitor.html` draws it.", ""])


def chart(ad: MonitoredAd, period: Period) -> Chart:
    """The ad's weeks, each in its middle, over the period."""
    span = (period.until - period.since).total_seconds()

    def across(seconds: float) -> float:
        return _MARGIN + (_WIDTH - 2 * _MARGIN) * min(1.0, max(0.0, seconds / span))

    def up(mean: float) -> float:
        return _HEIGHT / 2 - mean / _HIGHEST * (_HEIGHT / 2 - _MARGIN)

    marks = []
    for week in ad.audience.weeks:
        begin, end = max(week.monday, period.since), min(week.monday + timedelta(days=7), period.until)
        middle = (begin - period.since + (end - begin) / 2).total_seconds()
        comments = week.comments
        assert comments.mean is not None  # noqa: S101 - a week of the report has a comment that counts
        low, high = (None if side is None else up(side) for side in (comments.low, comments.high))
        marks.append(Mark(across(middle), up(comments.mean), low, high, 3 + min(4.0, comments.n_comments**0.5 / 3)))
    change = ad.audience.change
    at = change and change.at >= period.since and across((change.at - period.since).total_seconds())
    return Chart(tuple(marks), up(0), at or None)


def mean_in_words(mean: Mean | Stretch | None) -> str:
    """A mean with its interval and the number of its comments."""
    if mean is None or mean.mean is None:
        return "no comments that count"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:+.2f} (too few comments: {mean.n_comments})"
    return f"{mean.mean:+.2f} ({mean.low:+.2f} to {mean.high:+.2f}, n = {mean.n_comments:,})"


def p_in_words(p: float | None) -> str:
    """A p value in a readable precision."""
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _turned_table(ads: Sequence[MonitoredAd]) -> Table:
    table = Table(title="Audience turned", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("since", "ad", "title", "mean before", "mean after", "p, corrected"):
        table.add_column(name)
    for ad in ads:
        change = ad.audience.change
        assert change is not None  # noqa: S101 - it turned
        table.add_row(
            f"{change.at:%Y-%m-%d}",
            Text(shown(ad.audience.video_id)),
            Text(shown(ad.audience.title, 40)),
            mean_in_words(change.before),
            mean_in_words(change.after),
            p_in_words(change.p),
        )
    return table


def _ads_table(report: MonitorReport) -> Table:
    listed = report.ads[:ON_TERMINAL]
    title = f"Ads with most comments, {len(listed)} of {len(report.ads):,}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("ad", "title", "comments", "mean of the period", "answer", ""):
        table.add_column(name, justify="right" if name == "comments" else "left")
    for ad in listed:
        audience = ad.audience
        table.add_row(
            Text(shown(audience.video_id)),
            Text(shown(audience.title, 40)),
            f"{audience.n_comments:,}",
            mean_in_words(audience.period),
            Text(answer_in_words(ad)),
            "the audience differs" if ad.disagrees else "",
        )
    return table


def answer_in_words(ad: MonitoredAd) -> str:
    """The model's answer for an ad with its probability."""
    answer = ad.answer
    if answer is None:
        return "no frame with enough words" if ad.n_frames == 0 else "not asked"
    between = f" ({answer.interval[0]:.0%} to {answer.interval[1]:.0%})" if answer.interval else ""
    sure = ", not sure" if answer.sure is False else ""
    return printable(
        f"{answer.label} {answer.probability:.0%}{between}{sure}{', learned from' if answer.learned else ''}"
    )


def _drift_table(drifts: Sequence[Drift]) -> Table:
    table = Table(title="Drift", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "ads trained on", "ads of the period", "PSI (by chance up to)", "p, corrected", ""):
        table.add_column(name, justify="left" if not name else "right")
    for drift in drifts:
        table.add_row(*map(Text, _drift_cells(drift)))
    return table


def _drift_cells(drift: Drift) -> tuple[str, ...]:
    def cell(n: int, mean: float | None) -> str:
        return f"{n:,}" if mean is None else f"{n:,} (mean {mean:.3g})"

    index = "-" if drift.psi is None else f"{drift.psi:.2f} ({drift.psi_by_chance:.2f})"
    return (
        drift.name,
        cell(drift.n_reference, drift.reference),
        cell(drift.n_period, drift.period),
        index,
        p_in_words(drift.p),
        drift.verdict,
    )


def _code(text: str) -> str:
    return f"`{readable(text, 60).replace('`', ' ').replace('|', ' ') or ' '}`"


def _code_free(text: str) -> str:
    return readable(text, 1000).replace("|", " ").replace("<", "&lt;")
