"""Run our servers: shut down in order, and close connections that make no progress.

These are slow heads, answers that nobody takes, and too many at a time: by itself uvicorn keeps each for as long as it
takes, until the process has no file left to open.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_S = 3.0
"""Time for which the rest of a refused body is read and discarded: closing at once could lose the answer."""
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\nConnection: close\r\n"
    b'Content-Length: 83\r\n\r\n{"error":{"kind":"busy","text":"Too many connections are open. Try again later."}}\n'
)


def run(config: uvicorn.Config, at_address: socket.socket) -> None:
    """Serve at an address that `listening` gave, until SIGTERM or Ctrl-C; what is under way is answered."""
    # having ended in order, uvicorn raises the signal once more, to whoever handled it before: that would be a failure
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        uvicorn.Server(config).run(sockets=[at_address])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def protocol(*, idle_timeout_s: float, most: int, most_of_an_address: int | None = None) -> type[H11Protocol]:
    """uvicorn's protocol with limits.

    Args:
        idle_timeout_s: in which the head of a request has to arrive, and a part of the answer to be taken.
        most: connections at a time.
        most_of_an_address: connections of one address at a time; None: as many, as behind a proxy, whose all are.
    """

    class Limited(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most or self._are_many(most_of_an_address):
                transport.write(_TOO_MANY)
                transport.close()
                return
            self._arm(idle_timeout_s)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._deadline, self._stalled):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(idle_timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
            super().resume_writing()

        def _are_many(self, limit: int | None) -> bool:
            """Whether the client has more connections than allowed."""
            if limit is None or self.client is None:
                return False
            at_its_end = (getattr(other, "client", None) for other in self.connections)
            return sum(client is not None and client[0] == self.client[0] for client in at_its_end) > limit

        def _watch(self) -> None:
            """Give a head that has begun, or a body that nobody reads any more, its time once, however it trickles."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._disarm()
            elif self.conn.their_state is h11.SEND_BODY:
                self._arm(_LINGER_S)
            elif self.conn.trailing_data[0] or self.cycle is None:
                self._arm(idle_timeout_s)
            else:
                self._disarm()  # between two requests; uvicorn's own time runs

        def _arm(self, seconds: float) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(seconds, self._close)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _close(self, *_: Any) -> None:
            if not self.transport.is_closing():
                self.transport.abort()

    return Limited
