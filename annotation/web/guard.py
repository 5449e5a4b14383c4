"""What every request must pass before anything else looks at it, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # nothing from elsewhere, no script or style inside a page
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # an invitation's link holds its token: no other server may see where a request came from
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOT_KEPT = "no-store"
"""Pages hold names and votes, unless their route says otherwise."""


class Guard:
    """Refuses foreign hosts and long bodies; sets the headers.

    Args:
        app: what comes after.
        allowed_hosts: names that a request may ask for, without a port; None: any.
        max_body_bytes: longest body of a request.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str] | None, max_body_bytes: int) -> None:
        self._app, self._hosts, self._max_body_bytes = app, allowed_hosts, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        state = scope.setdefault("state", {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", _NOT_KEPT)
                # a session that goes on, unless the answer itself begins or ends one
                if "cookie" in state and "set-cookie" not in headers:
                    headers.append("Set-Cookie", state["cookie"])
            await send(message)

        headers = Headers(scope=scope)
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            refusal = PlainTextResponse("This server does not go by that name.\n", status_code=421)
            await refusal(scope, receive, send_with_headers)
        elif _length(headers) > self._max_body_bytes:
            refusal = PlainTextResponse(_too_long(self._max_body_bytes), status_code=413)
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, self._counted(receive), send_with_headers)

    def _counted(self, receive: Receive) -> Receive:
        """Bodies that do not say how long they are must not be longer either."""
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, _too_long(self._max_body_bytes))
            return message

        return receive_counted


def host_name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_long(limit: int) -> str:
    return f"More than {limit:,} bytes: shorten it.\n"
