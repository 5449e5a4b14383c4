"""Checks of every request, headers of every answer, and the listening address of our servers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotation.errors import AnnotationError

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

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
"""Pages hold names and votes, and answers what was asked, unless their route says otherwise."""


def _refuse_in_a_line(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)


class Guard:
    """Refuses foreign hosts, long bodies and slow ones; sets the headers; answers HEAD as GET, without the body.

    Args:
        app: what comes after.
        allowed_hosts: names that a request may ask for, without a port; None: any.
        max_body_bytes: longest body of a request.
        body_timeout_s: in which the whole body has to arrive, however it trickles; None: as long as it takes.
        headers: of every answer.
        refuse: makes the answer of a refusal from its status and a sentence.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Collection[str] | None,
        max_body_bytes: int,
        body_timeout_s: float | None = None,
        headers: Mapping[str, str] = HEADERS,
        refuse: Callable[[int, str], Response] = _refuse_in_a_line,
    ) -> None:
        self._app, self._hosts, self._max_body_bytes = app, allowed_hosts, max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._headers, self._refuse = headers, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        head_only = scope["method"] == "HEAD"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", _NOT_KEPT)
            elif head_only and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if head_only:
            scope = {**scope, "method": "GET"}

        headers = Headers(scope=scope)
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            refusal = self._refuse(421, "This server does not go by that name.")
            await refusal(scope, receive, send_with_headers)
        elif _length(headers) > self._max_body_bytes:
            refusal = self._refuse(413, _too_long(self._max_body_bytes))
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, self._counted(receive), send_with_headers)

    def _counted(self, receive: Receive) -> Receive:
        """Bodies that do not say how long they are must not be longer either, and all have to arrive in time."""
        received, is_whole = 0, False
        ends_s = None if self._body_timeout_s is None else time.monotonic() + self._body_timeout_s

        async def receive_counted() -> Message:
            nonlocal received, is_whole
            if is_whole:  # what comes now is the news that the client has left
                return await receive()
            try:
                async with asyncio.timeout(ends_s and ends_s - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The request did not arrive in time.") from None
            is_whole = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, _too_long(self._max_body_bytes))
            return message

        return receive_counted


def host_name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def allowed_hosts(host: str, public_url: str = "") -> frozenset[str] | None:
    """Names that a request may ask for; None: any.

    On the loopback address nobody but this machine calls. A page of somebody else that gives its own name our
    address (DNS rebinding) would ask under that name, and is refused.

    Args:
        host: address that the server listens on.
        public_url: address of a proxy before it.
    """
    public = urlsplit(public_url).hostname
    if not is_loopback(host):
        return frozenset([public]) if public else None
    return frozenset([*_LOOPBACK_NAMES, host.lower(), *([public] if public else [])])


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can call an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def reachable(host: str) -> str:
    """An address that browsers elsewhere can open: instead of `0.0.0.0`, which means every one, this machine's own."""
    try:
        every = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if not every.is_unspecified:
        return host
    family, outside = (socket.AF_INET, "192.0.2.1") if every.version == 4 else (socket.AF_INET6, "2001:db8::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((outside, 9))  # of a datagram socket this sends nothing: it chooses the address to send from
        return str(probe.getsockname()[0])
    return socket.gethostname()


def listening(host: str, port: int) -> socket.socket:
    """A server's address, taken before anybody is told of it.

    Raises:
        AnnotationError: it cannot be listened on: another program does, or this machine does not have it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
        # an answer's head and body go out as two pieces; without this the second one waits 40 ms to be asked for
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except OSError as error:
        raise AnnotationError(
            f"{host}, port {port}: cannot be listened on ({error.strerror or error}); choose another by --port, or "
            "--host"
        ) from error


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_long(limit: int) -> str:
    return f"More than {limit:,} bytes: shorten it."
