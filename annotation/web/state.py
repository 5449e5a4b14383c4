"""The server's settings, and the parts of it that all routes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from annotation.errors import AnnotationError
from annotation.store import Store
from annotation.web.content import Contents
from annotation.web.hardening import allowed_hosts, reachable
from annotation.web.measurements import Measurements
from annotation.web.notifying import Channels, Notifier
from annotation.web.sessions import Attempts, Sessions

NO_CHANNELS = Channels()


@dataclass(frozen=True)
class WebSettings:
    """Settings of one server; the defaults listen on the loopback address alone."""

    catalog: str
    """Folder or url of the catalog."""
    store: str = ""
    """Path of a SQLite file or a `postgresql://` url; empty: the catalog's own."""
    host: str = "127.0.0.1"
    port: int = 8440
    public_url: str = ""
    """Address under which people reach the server where a proxy stands before it, as `https://ads.example.org`."""
    videos: str = ""
    """Folder of the ads' videos, of a catalog that was built from a folder; crawled ones are in the catalog."""
    storage_options: dict[str, str] | None = field(default=None, repr=False)
    """Credentials of an object store that holds the catalog."""
    idle_hours: float = 12.0
    """A session that long without a request ends."""
    session_days: float = 14.0
    """A session ends after so many days in any case."""
    connections: int = 256
    """Connections that are kept at a time; more are refused."""
    connections_of_an_address: int = 64
    """Of these, of one address; behind a proxy all are the proxy's."""
    idle_timeout_s: float = 10.0
    """In which the head of a request has to arrive, then its body, and a part of the answer to be taken."""
    max_body_bytes: int = 64 * 1024
    failed_logins: int = 10
    """After so many wrong invitations from one address within `failed_logins_s`, it is told to wait."""
    failed_logins_s: float = 300.0
    refresh_s: float = 5.0
    """Seconds for which data read from the catalog is shown without checking for changes."""
    quiet_s: float = 60.0
    """Seconds between the announcement of a round's end and the end."""
    channels: Channels = field(default=NO_CHANNELS, repr=False)
    """Channels that tell people that a discussion waits."""

    def __post_init__(self) -> None:
        if self.public_url and not (self.https or self.public_url.startswith("http://")):
            raise AnnotationError(f"public_url {self.public_url!r}; expected http://... or https://...")
        for name in ("idle_hours", "session_days", "connections", "connections_of_an_address", "idle_timeout_s"):
            if getattr(self, name) <= 0:
                raise AnnotationError(f"{name} {getattr(self, name)}; expected more than 0")

    @property
    def https(self) -> bool:
        """People reach the server by https, so that its cookies must never go over http."""
        return self.public_url.startswith("https://")

    @property
    def url(self) -> str:
        """Address at which people reach the page."""
        host = reachable(self.host)
        host = f"[{host}]" if ":" in host else host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Names that a request may ask for; None: any."""
        return allowed_hosts(self.host, self.public_url)


@dataclass(frozen=True)
class Web:
    """One server's parts; a route takes it as `web: Server`."""

    settings: WebSettings
    store: Store
    contents: Contents
    measurements: Measurements
    sessions: Sessions
    attempts: Attempts
    notifier: Notifier


def web_of(request: Request) -> Web:
    """The server that a request came to."""
    web: Web = request.app.state.web
    return web


Server = Annotated[Web, Depends(web_of)]
