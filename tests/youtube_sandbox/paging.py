"""Pages and their tokens: a token remembers the last item, so that nothing is lost when the list changes meanwhile."""

from __future__ import annotations

import base64
import binascii
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.youtube_sandbox.errors import REFUSALS, RefusedError

Item = TypeVar("Item")
Key = Callable[[Item], tuple[float, str]]


@dataclass(frozen=True)
class Page(Generic[Item]):
    """What one answer holds of a list, and the tokens of its neighbours."""

    items: Sequence[Item]
    position: int
    next_token: str | None
    prev_token: str | None


@dataclass(frozen=True)
class Ask:
    """Which page is wanted: of which list, how large, and which fault it is to have."""

    scope: str
    """Names the list; a token of one list is refused by another."""
    size: int
    token: str | None = None
    fault: str | None = None


def cut(items: Sequence[Item], ask: Ask, key: Key[Item] | None = None) -> Page[Item]:
    """The page that is asked for.

    Args:
        items: the whole list, sorted by `key` where there is one.
        ask: which page.
        key: where an item stands; without it pages are counted, and an item that goes shifts the rest.

    Raises:
        RefusedError: the token is none of this list's.
    """
    position = 0 if ask.fault == "ignore_token" else _position(items, ask, key)
    start, end = position, min(position + ask.size, len(items))
    if ask.fault == "repeat_page":
        start, end = max(0, position - ask.size), position
    if ask.fault == "empty_page":
        start = end = position
    next_token = _token(items, end, ask, key) if end < len(items) else None
    if ask.fault == "loop_tokens":
        next_token = ask.token or _token(items, start, ask, key)
    prev_token = _token(items, max(0, start - ask.size), ask, None) if start else None
    return Page(items[start:end], start, next_token, prev_token)


def _token(items: Sequence[Item], position: int, ask: Ask, key: Key[Item] | None) -> str:
    after = ""
    if key is not None and position:
        moment, name = key(items[position - 1])
        after = f"{moment!r} {name}"
    # a page that comes again has a token that was not seen before, as in the incidents that were reported
    salt = ask.fault if ask.fault in ("repeat_page", "empty_page") else ""
    text = f"{zlib.crc32(ask.scope.encode()):08x}:{position}:{after}:{salt}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(items: Sequence[Item], ask: Ask, key: Key[Item] | None) -> int:
    """The place in the list at which the page begins."""
    if ask.token is None:
        return 0
    try:
        scope, number, after, _ = base64.urlsafe_b64decode(ask.token).decode().split(":")
        position = int(number)
    except (binascii.Error, ValueError):
        raise RefusedError(REFUSALS["invalid_token"]) from None
    if scope != f"{zlib.crc32(ask.scope.encode()):08x}":
        raise RefusedError(REFUSALS["invalid_token"])
    if key is not None and after:
        moment, _, name = after.partition(" ")
        return bisect_right(items, (float(moment), name), key=key)
    return min(position, len(items))
