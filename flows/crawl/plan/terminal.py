"""The plan as tables for the terminal: work left in each category, its cost, and the day on which it will be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.crawl.plan.estimates import Cost, Done, Estimate, Steps
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
_CATEGORY_COLUMNS = ("wanted", "there", "searches", "listing", "taking", "comments", "videos")
_RESOURCE_COLUMNS = ("needed", "left today", "a day", "done by", "at the latest")


def render_plan(plan: Plan) -> RenderableType:
    """Everything within 80 columns: costs as expected, and in brackets below what they can come to at most."""
    categories = [_row(escape(one.category), one.wanted, one.done, one.left) for one in plan.categories]
    if len(categories) > 1:
        categories += [[], _row("all", sum(one.wanted for one in plan.categories), plan.done, plan.left)]
    total = ["all of it", "", "", "", str(plan.finish), str(plan.finish_at_most)]
    keys = "1 key" if plan.keys == 1 else f"{plan.keys} keys"
    parts = [
        _table("Left, by category (in brackets: at most)", ["category"], _CATEGORY_COLUMNS, categories),
        _table(f"Needed and available, with {keys}", [""], _RESOURCE_COLUMNS, [*_resources(plan), [], total]),
    ]
    if numbers := list(_numbers(plan)):
        parts.append(_table("Worked out with", ["number", "of", "basis"], [], numbers))
    return Group(*parts, *map(Text, _sentences(plan)))


def _row(name: str, wanted: int, done: Done, left: Steps) -> list[str]:
    costs = (left.searches, left.listing + left.describing, left.taking, left.comments, left.videos)
    return [name, f"{wanted:,}", f"{done.ads:,}", *map(_cost, costs)]


def _resources(plan: Plan) -> Iterator[list[str]]:
    for name, one in plan.resources.items():
        amounts = [_cost(one.needed), f"{one.today:,.0f}", f"{one.a_day:,.0f}"]
        if name == "media":
            hours = _cost(one.needed * (1 / 3600), 1, " h")
            amounts = [hours, f"{one.today / 3600:.1f} h", f"{one.a_day / 3600:.0f} h"]
        yield [name, *amounts, str(one.finish), str(one.finish_at_most)]


def _numbers(plan: Plan) -> Iterator[list[str]]:
    """The numbers that the costs were worked out with, each once."""
    used: dict[Estimate, list[str]] = {}
    for category in plan.categories:
        for estimate in category.estimates:
            used.setdefault(estimate, []).append(category.category)
    for estimate, categories in used.items():
        value, digits = estimate.value, ",.3g" if estimate.value < 100 else ",.0f"
        said = f"{value / 1e6:,.1f}" if estimate.name == "bytes_per_video" else f"{value:{digits}}"
        whose = "" if len(categories) == len(plan.categories) else f", {', '.join(categories)}"
        basis = estimate.basis if estimate.basis == "assumed" else f"{estimate.basis}, on {estimate.sample:,}"
        yield [said, escape(f"{_LABELS[estimate.name]}{whose}"), basis]


def _sentences(plan: Plan) -> Iterator[str]:
    if plan.left.media_bytes.at_most:
        yield f"disk for the videos: {plan.left.media_bytes.expected / 1e9:,.2f} GB"
    if plan.bottleneck:
        yield f"bottleneck: {plan.bottleneck}"
    for more in plan.with_more_keys:
        yield f"with {more.keys} more key{'s' if more.keys > 1 else ''}: {more}"
    yield from plan.notes


def _cost(cost: Cost, digits: int = 0, unit: str = "") -> str:
    expected, at_most = (f"{number:,.{digits}f}{unit}" for number in (cost.expected, cost.at_most))
    return expected if expected == at_most else f"{expected}\n({at_most})"


def _table(title: str, texts: Iterable[str], numbers: Iterable[str], rows: Iterable[list[str]]) -> Table:
    """A table with columns of texts and of numbers; an empty row is a line."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row) if row else table.add_section()
    return table
