"""The plan as tables for the terminal: work left in each category, its cost, and the day on which it will be done."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.crawl.plan.estimates import Cost, Estimate, Steps
from flows.crawl.plan.schedule import Plan

_LABELS = {
    "pass_share": "share of candidates that pass the filters",
    "pass_share_of_ids": "share of listed ids that pass the filters",
    "pages_per_search": "pages of a search",
    "pages_per_list": "pages of a playlist or channel",
    "new_per_search_page": "new candidates on a page of a search",
    "new_per_list_page": "new candidates on a page of a list",
    "comments_per_ad": "comments of an ad",
    "units_per_comment": "units for a comment",
    "bytes_per_video": "MB of a video",
}


def render_plan(plan: Plan) -> RenderableType:
    """Everything within 80 columns: costs as expected, and in brackets below what they can come to at most."""
    parts: list[RenderableType] = [_categories(plan), _resources(plan)]
    if any(category.estimates for category in plan.categories):
        parts.append(_numbers(plan))
    return Group(*parts, *map(Text, _sentences(plan)))


def _categories(plan: Plan) -> Table:
    table = _table("Left, by category (in brackets: at most)", ["category"])
    for name in ("wanted", "there", "searches", "listing", "taking", "comments", "videos"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in plan.categories:
        table.add_row(escape(one.category), f"{one.wanted:,}", f"{one.done.ads:,}", *_costs(one.left))
    if len(plan.categories) > 1:
        wanted = sum(category.wanted for category in plan.categories)
        table.add_section()
        table.add_row("all", f"{wanted:,}", f"{plan.done.ads:,}", *_costs(plan.left))
    return table


def _costs(left: Steps) -> list[str]:
    return [_cost(c) for c in (left.searches, left.listing + left.describing, left.taking, left.comments, left.videos)]


def _resources(plan: Plan) -> Table:
    table = _table(f"Needed and available, with {plan.keys} key{'s' if plan.keys > 1 else ''}", [""])
    for name in ("needed", "left today", "a day", "done by", "at the latest"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in plan.resources.items():
        amounts = (_cost(one.needed), f"{one.today:,.0f}", f"{one.a_day:,.0f}")
        if name == "media":
            hours = _cost(one.needed * (1 / 3600), 1, " h")
            amounts = (hours, f"{one.today / 3600:.1f} h", f"{one.a_day / 3600:.0f} h")
        table.add_row(name, *amounts, str(one.finish), str(one.finish_at_most))
    table.add_section()
    table.add_row("all of it", "", "", "", str(plan.finish), str(plan.finish_at_most))
    return table


def _numbers(plan: Plan) -> Table:
    """The numbers that the costs were worked out with, each once."""
    table = Table(title="Worked out with", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("number", justify="right")
    for name in ("of", "basis"):
        table.add_column(name)
    rows: dict[Estimate, list[str]] = {}
    for category in plan.categories:
        for estimate in category.estimates:
            rows.setdefault(estimate, []).append(category.category)
    for estimate, categories in rows.items():
        whose = "" if len(categories) == len(plan.categories) else f", {', '.join(categories)}"
        basis = estimate.basis if estimate.basis == "assumed" else f"{estimate.basis}, on {estimate.sample:,}"
        table.add_row(_value(estimate), escape(f"{_LABELS[estimate.name]}{whose}"), basis)
    return table


def _sentences(plan: Plan) -> Iterator[str]:
    if plan.left.media_bytes.at_most:
        yield f"disk for the videos: {plan.left.media_bytes.expected / 1e9:,.2f} GB"
    if plan.bottleneck:
        yield f"bottleneck: {plan.bottleneck}"
    for more in plan.with_more_keys:
        yield f"with {more.keys} more key{'s' if more.keys > 1 else ''}: {more}"
    yield from plan.notes


def _value(estimate: Estimate) -> str:
    if estimate.name == "bytes_per_video":
        return f"{estimate.value / 1e6:,.1f}"
    return f"{estimate.value:,.3g}" if estimate.value < 100 else f"{estimate.value:,.0f}"


def _cost(cost: Cost, digits: int = 0, unit: str = "") -> str:
    expected = f"{cost.expected:,.{digits}f}{unit}"
    at_most = f"{cost.at_most:,.{digits}f}{unit}"
    return expected if expected == at_most else f"{expected}\n({at_most})"


def _table(title: str, first: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in first:
        table.add_column(name, overflow="fold")
    return table
