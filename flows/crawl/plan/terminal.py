"""A plan as tables for the terminal: what is left of each category, what it costs, and when it will be done."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.crawl.plan.plan import Cost, Estimate, Plan, Resource

_SAID = {
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
    parts += [Text(line) for line in _sentences(plan)]
    return Group(*parts)


def _categories(plan: Plan) -> Table:
    table = _table("What is left, category by category (in brackets: at most)")
    table.add_column("category", overflow="fold")
    for name in ("wanted", "there", "searches", "listing", "taking", "comments", "videos"):
        table.add_column(name, justify="right", no_wrap=True)
    for category in plan.categories:
        left = category.left
        costs = (left.searches, left.listing + left.describing, left.taking, left.comments, left.videos)
        wanted = (f"{category.wanted:,}", f"{category.done.ads:,}")
        table.add_row(escape(category.category), *wanted, *map(_cost, costs))
    if len(plan.categories) > 1:
        left = plan.left
        costs = (left.searches, left.listing + left.describing, left.taking, left.comments, left.videos)
        all_wanted = sum(category.wanted for category in plan.categories)
        table.add_section()
        table.add_row("all", f"{all_wanted:,}", f"{plan.done.ads:,}", *map(_cost, costs))
    return table


def _resources(plan: Plan) -> Table:
    keys = f"{plan.keys} keys" if plan.keys > 1 else "1 key"
    table = _table(f"What it takes of what there is, with {keys}")
    for name in ("", "needed", "left today", "a day", "done by", "at the latest"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for one in plan.resources:
        needed, today, a_day = _amounts(one)
        table.add_row(one.name, needed, today, a_day, str(one.finish), str(one.finish_at_most))
    table.add_section()
    table.add_row("all of it", "", "", "", str(plan.finish), str(plan.finish_at_most))
    return table


def _amounts(one: Resource) -> tuple[str, str, str]:
    if one.name != "media":
        return _cost(one.needed), f"{one.today:,.0f}", f"{one.a_day:,.0f}"
    hours = Cost(one.needed.expected / 3600, one.needed.at_most / 3600)
    return _cost(hours, 1, " h"), f"{one.today / 3600:.1f} h", f"{one.a_day / 3600:.0f} h"


def _numbers(plan: Plan) -> Table:
    """The numbers that the costs were worked out with, each once."""
    table = _table("Worked out with")
    for name, justify in (("number", "right"), ("of", "left"), ("which is", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # mypy widens the words of a tuple
    rows: dict[tuple[str, str, str], list[str]] = {}
    for category in plan.categories:
        for estimate in category.estimates:
            row = (_value(estimate), _SAID.get(estimate.name, estimate.name), _basis(estimate))
            rows.setdefault(row, []).append(category.category)
    for (value, said, basis), categories in rows.items():
        whose = "" if len(categories) == len(plan.categories) else f", {', '.join(categories)}"
        table.add_row(value, escape(f"{said}{whose}"), basis)
    return table


def _sentences(plan: Plan) -> Iterable[str]:
    size = plan.left.media_bytes
    if size.at_most:
        yield f"disk for the videos: {size.expected / 1e9:,.2f} GB"
    if plan.bottleneck:
        yield f"what it waits for longest: {plan.bottleneck.name}"
    for keys, finish in plan.with_more_keys:
        yield f"with {keys} more key{'s' if keys > 1 else ''}: {finish}"
    yield from plan.notes


def _basis(estimate: Estimate) -> str:
    if estimate.basis == "assumed":
        return "assumed"
    return f"{estimate.basis}, on {estimate.sample:,}"


def _value(estimate: Estimate) -> str:
    if estimate.name == "bytes_per_video":
        return f"{estimate.value / 1e6:,.1f}"
    return f"{estimate.value:,.3g}" if estimate.value < 100 else f"{estimate.value:,.0f}"


def _cost(cost: Cost, digits: int = 0, unit: str = "") -> str:
    expected = f"{cost.expected:,.{digits}f}{unit}"
    at_most = f"{cost.at_most:,.{digits}f}{unit}"
    return expected if expected == at_most else f"{expected}\n({at_most})"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
