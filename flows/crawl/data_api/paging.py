"""Pages of comments one after the other, and when to stop believing that there are more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flows.crawl.data_api.parsing import CommentPage

EndedBy = Literal["last_page", "page_cap", "repeating_pages", "looping_token"]

_REPEATS = 2
"""How often a page that brings nothing new is asked for again before that is believed."""
_BARREN_PAGES = 3
"""Pages in a row that bring nothing new, after which the rest is not asked for."""


@dataclass(frozen=True)
class Step:
    """One page, and what it took to get it."""

    page: CommentPage
    token: str | None
    """Token that it was asked for with."""
    fetched_at: datetime
    units: int
    ended_by: EndedBy | None


def pages_of(
    fetch: Callable[[str | None], tuple[CommentPage, datetime]], token: str | None, *, limit: int
) -> Iterator[Step]:
    """Page after page. One that brings nothing new, or leads back, is asked for again before it is believed.

    Pages have been seen to repeat, and tokens to be passed over or to lead in a circle.

    Args:
        fetch: asks for the page with a token; returns it and when it was asked for.
        token: where to begin; None for the first page.
        limit: pages at most.
    """
    seen: set[str] = set()
    tokens = {token}
    n_pages = barren = 0
    while True:
        units, believed = 0, False
        while not believed:
            units += 1
            page, fetched_at = fetch(token)
            leads_back = page.next_page_token in tokens and page.next_page_token is not None
            is_new = any(comment.comment_id not in seen for comment in page.comments)
            is_plain_end = page.n_items == 0 and page.next_page_token is None
            believed = is_plain_end or (is_new and not leads_back) or units > _REPEATS
        n_pages += 1
        barren = 0 if is_new else barren + 1
        ended_by: EndedBy | None = None
        if page.next_page_token is None:
            ended_by = "last_page"
        elif leads_back:
            ended_by = "looping_token"
        elif barren >= _BARREN_PAGES:
            ended_by = "repeating_pages"
        elif n_pages >= limit:
            ended_by = "page_cap"
        yield Step(page, token, fetched_at, units, ended_by)
        if ended_by:
            return
        seen.update(comment.comment_id for comment in page.comments)
        token = page.next_page_token
        tokens.add(token)
