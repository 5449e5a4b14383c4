"""Guard of every request: its key, log line and metrics, the limits of its body, and the handling of errors."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotation.web.hardening import HEADERS
from flows.errors import SettingsError
from flows.serve.metrics import Metrics
from flows.serve.refusals import Refusal, unexpected
from flows.settings.serve import ServeSettings

log = logging.getLogger("ytb_ads.serve")

# the page shows frames that came within an answer
PAGE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": HEADERS["Content-Security-Policy"] + "; img-src 'self' data: blob:",
}
_OPEN = ("/", "/healthz", "/docs", "/openapi.json", "/favicon.ico")
"""Addresses that ask for no key, besides those of `/static/`: they tell nothing of any ad."""
_LEAST_KEY = 16
_NO_ROUTE = "none"


class Keys:
    """The keys of which a request has to name one; of them only digests are held.

    Args:
        keys: none lets everybody ask.

    Raises:
        SettingsError: a key is too short to be one.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        for number, key in enumerate(keys, 1):
            if len(key) < _LEAST_KEY or not key.isascii() or any(map(str.isspace, key)):
                raise SettingsError(
                    f"setting serve.api_keys: key {number} is no key; expected at least {_LEAST_KEY} ASCII characters "
                    "without spaces, such as `openssl rand -hex 32` prints"
                )
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def admit(self, headers: Headers) -> bool:
        """Whether a request has a valid key, or needs none; keys are compared in constant time."""
        if not self._digests:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = headers.get("x-api-key", "")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        return any(matches)


class Bodies:
    """Bytes of the bodies of all requests under way."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    def add(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            Refusal: they are too many.
        """
        self.held += size
        if self.held > self.most:
            raise Refusal(503, "busy", "Too much is being sent to the server. Try again later.", retry_after_s=5)


class Gate:
    """Lets a request through to its route, watches over it, and notes what became of it.

    Args:
        app: what comes after.
        settings: the limits.
        keys: of which `/v1/` and `/metrics` ask for one.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, settings: ServeSettings, keys: Keys, metrics: Metrics) -> None:
        self._app, self._settings, self._keys, self._metrics = app, settings, keys, metrics
        self._bodies = Bodies(settings.max_bodies_mb * 1_000_000)
        metrics.body_bytes.set_function(lambda: self._bodies.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        intake = _Intake(receive, self._bodies, self._settings)
        begun_s, request_id, status = time.perf_counter(), uuid.uuid4().hex, 0
        note: dict[str, object] = {}
        # HEAD is GET whose answer's body the server leaves out
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        inner = {**scope, "method": method, "state": {**scope.get("state", {}), "id": request_id, "note": note}}

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        self._metrics.under_way.inc()
        try:
            refusal = await self._within(inner, intake, send_noted)
            if refusal is not None and not status and not intake.is_gone:
                note["refused"] = refusal.kind
                self._metrics.refusals.labels(refusal.kind).inc()
                await refusal.answer()(scope, receive, send_noted)
        finally:
            self._bodies.held -= intake.received
            self._metrics.under_way.dec()
            self._note(inner, intake, status, time.perf_counter() - begun_s)

    async def _within(self, scope: Scope, intake: _Intake, send: Send) -> Refusal | None:
        """Let the routes answer; the refusal that it comes to, if it does."""
        path = scope["path"]
        if not (path in _OPEN or path.startswith("/static/") or self._keys.admit(Headers(scope=scope))):
            return Refusal(401, "key", "Name a key of this server: `Authorization: Bearer KEY`, or `X-API-Key: KEY`.")
        try:
            await self._app(scope, intake.receive, send)
        except Refusal as refusal:
            return refusal
        except ClientDisconnect:
            return None
        except Exception:
            log.exception("unexpected", extra={"request": scope["state"]["id"], "route": _route(scope)})
            return unexpected()
        return None

    def _note(self, scope: Scope, intake: _Intake, status: int, seconds: float) -> None:
        route, note = _route(scope), scope["state"]["note"]
        if intake.is_gone and not status:
            self._metrics.gone.inc()
        self._metrics.requests.labels(route, scope["method"], str(status or 499)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        line = {"request": scope["state"]["id"], "method": scope["method"], "route": route, "status": status or 499}
        log.info("request", extra={**line, "seconds": round(seconds, 4), "bytes": intake.received, **note})


class _Intake:
    """A request's body, which has to arrive in time, and the news of a client who left."""

    def __init__(self, receive: Receive, bodies: Bodies, settings: ServeSettings) -> None:
        self._receive, self._bodies, self._settings = receive, bodies, settings
        self._ends_s = time.monotonic() + settings.upload_timeout_s
        self._is_whole = False
        self.received = 0
        self.is_gone = False

    async def receive(self) -> Message:
        """The next part of the body; after the last one, that the client has left.

        Raises:
            Refusal: it does not come in time, or too much comes from everybody.
        """
        if self._is_whole:
            message = await self._receive()
        else:
            left_s = min(self._settings.idle_timeout_s, self._ends_s - time.monotonic())
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    message = await self._receive()
            except TimeoutError:
                raise Refusal(408, "too_slow", "The body did not arrive in time. Send it again, or less.") from None
        if message["type"] == "http.disconnect":
            self.is_gone = True
        else:
            self._is_whole = not message.get("more_body", False)
            size = len(message.get("body", b""))
            self.received += size
            self._bodies.add(size)
        return message


def _route(scope: Scope) -> str:
    """The route that answered; an address may hold anything, which belongs in no log."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else _NO_ROUTE


class JsonLines(logging.Formatter):
    """A log line as one JSON object: when, what, and the facts that were given by name."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = {
            name: value for name, value in vars(record).items() if name not in self._STANDARD and name != "message"
        }
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
