"""How often an address tried invitations that do not exist."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_ADDRESSES = 10_000
"""Addresses remembered at once; the one quiet for longest is forgotten first."""


class Attempts:
    """Counts failures per address over a sliding time; each process counts its own.

    Args:
        limit: failures within `window_s` from which on an address is refused.
        window_s: seconds after which a failure is forgotten.
    """

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._window_s, self._clock = limit, window_s, clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Seconds for which the address is refused; 0.0 if it is not."""
        with self._lock:
            recent = self._recent(address)
            return recent[0] + self._window_s - self._clock() if len(recent) >= self._limit else 0.0

    def failed(self, address: str) -> None:
        """Remember one failure."""
        with self._lock:
            # the newest suffice: they say how long the address stays out
            self._failures[address] = [*self._recent(address), self._clock()][-self._limit :]
            self._failures.move_to_end(address)
            while len(self._failures) > _ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - self._window_s
        return [at for at in self._failures.get(address, []) if at > since]
