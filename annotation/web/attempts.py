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
        limit: failures within `window_s` that are put up with; what comes from there then is refused.
        window_s: seconds after which a failure is forgotten.
    """

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._window_s, self._clock = limit, window_s, clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def failed(self, address: str) -> float:
        """One more failure: seconds for which the address is refused, 0.0 while it is not.

        What is refused is not counted: an address that goes on trying is not kept out for longer.
        """
        with self._lock:
            recent = self._recent(address)
            if len(recent) >= self._limit:
                return recent[0] + self._window_s - self._clock()
            self._failures[address] = [*recent, self._clock()]
            self._failures.move_to_end(address)
            while len(self._failures) > _ADDRESSES:
                self._failures.popitem(last=False)
            return 0.0

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - self._window_s
        return [at for at in self._failures.get(address, []) if at > since]
