"""One request to the Data API and nothing hidden behind it: no silent repetition, no redirect, no endless answer."""

from __future__ import annotations

import http.client
import logging
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    SSLError,
)

from flows.crawl.data_api.faults import AnswerTooLargeError
from flows.errors import CrawlError

MAX_ANSWER_BYTES = 64 * 2**20
"""A full page of long comments is below 2 MB."""

FAILED = (HTTPError, OSError, http.client.HTTPException, AnswerTooLargeError)
"""What may be raised instead of an answer."""

SLOWEST = 10
"""Timeouts that a whole answer may take; each one is for a piece, and a server that drips could go on for days."""

# urllib3 writes headers that it cannot read into the log; a server may have put the key there.
logging.getLogger("urllib3.connection").addFilter(lambda record: "parse headers" not in str(record.msg))

_UNCONNECTED = (NewConnectionError, ConnectTimeoutError, ProxyError, LocationParseError)
_PIECE_BYTES = 2**16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LEAST_KEY_LENGTH = 20


@dataclass(frozen=True)
class Reply:
    """An answer as it came; `retry_after_s` is the wait that the server asks for, 0 when it asks for none."""

    status: int
    body: bytes
    retry_after_s: float


class Transport:
    """Connections to one host, shared by all threads.

    The key travels in a header, so that no address, log line or error has it. An answer that repeats the key loses it
    here, before anyone else sees it.
    """

    def __init__(self, endpoint: str, *, connections: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pool = _pool(
            endpoint,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
        )

    def get(self, address: str, key: str) -> Reply:
        """Send one request and read its whole answer.

        Raises:
            Exception: one of `FAILED`; their texts know nothing of the key.
        """
        response = self._pool.request(
            "GET",
            address,
            headers={
                "Accept": "application/json",
                # Google's servers compress only for clients that also have the word in their name.
                "Accept-Encoding": "gzip",
                "User-Agent": f"ytb-ads/{_version()} (gzip)",
                "X-Goog-Api-Key": key,
            },
            preload_content=False,
        )
        try:
            body = self._read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Reply(response.status, _without(key, body), _retry_after_s(response.headers.get("Retry-After")))

    def close(self) -> None:
        """Close the connections that nobody uses at the moment."""
        self._pool.clear()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        longest_s = SLOWEST * self._timeout_s
        deadline = time.monotonic() + longest_s
        pieces = bytearray()
        while piece := response.read1(_PIECE_BYTES):
            pieces += piece
            if len(pieces) > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer took longer than {longest_s:g} s")
        return bytes(pieces)


def never_sent(error: Exception) -> bool:
    """Whether an error shows that no connection was made, so that no request can have left."""
    if isinstance(error, SSLError):
        return bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError)
    return isinstance(error, _UNCONNECTED)


def _without(key: str, body: bytes) -> bytes:
    # Only what is as long as a real key: a short one, made up for a test, occurs in honest words and ids too.
    return body.replace(key.encode(), b"(key)") if len(key) >= _LEAST_KEY_LENGTH else body


def _retry_after_s(value: str | None) -> float:
    """The header's seconds or date as seconds from now; 0 when it is neither."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@cache
def _version() -> str:
    try:
        return version("ytb-ads")
    except PackageNotFoundError:
        return "0"


def _pool(endpoint: str, **options: object) -> urllib3.PoolManager:
    """Connections to the endpoint, by way of the proxy that the environment names for it."""
    parts = urlsplit(endpoint)
    proxy = getproxies().get(parts.scheme)
    if not proxy or parts.hostname in _LOOPBACK or proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager(**options)  # type: ignore[arg-type]
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    login = urlsplit(proxy)
    account = f"{unquote(login.username or '')}:{unquote(login.password or '')}" if login.username else None
    try:
        return urllib3.ProxyManager(
            f"{login.scheme}://{login.netloc.rpartition('@')[2]}",
            proxy_headers=urllib3.make_headers(proxy_basic_auth=account) if account else None,
            **options,  # type: ignore[arg-type]
        )
    except ProxySchemeUnknown:
        raise CrawlError(
            f"the environment names a {login.scheme} proxy for {parts.scheme}; only http and https proxies will do"
        ) from None
