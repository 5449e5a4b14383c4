"""One HTTP request to the Data API: never repeated by itself, no redirect, no endless answer."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import httpx

from flows.crawl.data_api.faults import AnswerTooLargeError
from flows.errors import CrawlError

MAX_ANSWER_BYTES = 64 * 2**20
"""A full page of long comments is below 2 MB."""

SLOWEST = 10
"""Timeouts that a whole answer may take; each one is for a piece, and a server that drips could go on for days."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Reply:
    """An answer as it came; `retry_after_s` is the wait that the server asks for, 0 when it asks for none."""

    status: int
    body: bytes
    retry_after_s: float


class Transport:
    """Connections shared by all threads; the key travels in a header, so that no address and no error has it."""

    def __init__(self, *, connections: int, timeout_s: float) -> None:
        """Get ready; nothing is connected yet.

        Raises:
            CrawlError: the environment names a proxy of a kind that cannot be used.
        """
        self._timeout_s = timeout_s
        try:
            self._client = httpx.Client(
                headers={
                    "Accept": "application/json",
                    # Google's servers compress only for clients that also have the word in their name.
                    "Accept-Encoding": "gzip",
                    "User-Agent": f"ytb-ads/{_version()} (gzip)",
                },
                verify=ssl.create_default_context(),
                timeout=httpx.Timeout(timeout_s, pool=None),
                limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
                # the environment's proxies are used, but not for this machine
                mounts={f"all://{host}": None for host in _LOOPBACK},
            )
        except (ImportError, ValueError) as error:
            raise CrawlError(f"the environment names a proxy that cannot be used; give an http one: {error}") from None

    def get(self, address: str, key: str) -> Reply:
        """Send one request and read its whole answer.

        Raises:
            httpx.HTTPError: there is no whole answer.
        """
        longest_s = SLOWEST * self._timeout_s
        deadline = time.monotonic() + longest_s
        body = bytearray()
        with self._client.stream("GET", address, headers={"X-Goog-Api-Key": key}) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLargeError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the answer took longer than {longest_s:g} s")
        return Reply(response.status_code, bytes(body), _retry_after_s(response.headers.get("Retry-After", "")))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def never_sent(error: Exception) -> bool:
    """Whether an error shows that no connection was made, so no request can have been sent."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)


def _retry_after_s(value: str) -> float:
    """The header's seconds or date as seconds from now; 0 when it is neither."""
    value = value.strip()
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
