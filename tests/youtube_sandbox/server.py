"""Serves a world over HTTP: the Data API with its quota, watch pages, and media that can be resumed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tests.youtube_sandbox.faults import Faults
from tests.youtube_sandbox.handler import SandboxServer
from tests.youtube_sandbox.ledger import Ledger
from tests.youtube_sandbox.pages import PageCache
from tests.youtube_sandbox.world import World

_SHUTDOWN_POLL_S = 0.01


@dataclass(frozen=True)
class SandboxSettings:
    """How the sandbox behaves; the quota is that of a new key."""

    keys: tuple[str, ...] = ("k1",)
    searches_per_day: int = 100
    units_per_day: int = 10_000
    daily_search_answer: Literal[403, 429] = 429
    """Status of the answer to a search when the day's searches are spent; both have been seen."""
    latency_s: float = 0.0
    """Wait before every answer; requests wait beside each other."""
    search_limit: int = 500
    """Results after which a search ends, however many there are."""
    country: str = "US"
    """Where the requests come from."""
    port: int = 0
    """0: any free one."""
    cache_mb: int = 1024
    """Memory for pages of comments that were rendered before."""


class Sandbox(Ledger):
    """A running sandbox: what it has received, and the switches for what it shall do next."""

    def __init__(self, world: World, settings: SandboxSettings) -> None:
        super().__init__(settings.keys, settings.searches_per_day, settings.units_per_day)
        self.world = world
        self.settings = settings
        self.faults = Faults()
        self.pages = PageCache(world, settings.cache_mb * 1_000_000)
        self.failures: list[BaseException] = []
        """Faults of the sandbox itself, which no test asked for."""
        self._server = SandboxServer(self, settings.port)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def prepare(self, *, size: int = 100, parts: str = "snippet,replies", fields: str = "", zipped: bool = True) -> int:
        """Render every page of every video's threads now, and tell how many; a benchmark calls it before its clock.

        Only pages that are asked for with the same size, parts and fields will be found ready.
        """
        return self.pages.prepare(size=size, parts=parts, fields=fields, zipped=zipped)

    def serve_forever(self) -> None:
        """Serve in this thread until `close`."""
        self._server.serve_forever(_SHUTDOWN_POLL_S)

    def close(self) -> None:
        """Stop serving and break every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._server.break_connections()


@contextmanager
def serve(world: World, settings: SandboxSettings | None = None) -> Iterator[Sandbox]:
    """Serve a world in a thread of its own for as long as the block runs."""
    sandbox = Sandbox(world, settings or SandboxSettings())
    thread = threading.Thread(target=sandbox.serve_forever, name="youtube-sandbox", daemon=True)
    thread.start()
    try:
        yield sandbox
    finally:
        sandbox.close()
        thread.join()
    if sandbox.failures:
        raise RuntimeError("the sandbox could not answer a request") from sandbox.failures[0]
