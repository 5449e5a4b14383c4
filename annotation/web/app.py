"""The page as a whole: `create_app` makes it, `serve` runs it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI

from annotation.store import default_location, open_store
from annotation.store.logins import Lifetime
from annotation.web import (
    dashboard,
    discussing,
    ending,
    guard,
    health,
    login,
    mine,
    preparing,
    reviewing,
    verifying,
    videos,
)
from annotation.web.background import BESIDE, Source
from annotation.web.content import Contents
from annotation.web.hardening import Guard
from annotation.web.measurements import Measurements
from annotation.web.notifying import Notifier
from annotation.web.pages import ASSETS
from annotation.web.running import protocol, run
from annotation.web.sessions import Attempts, Sessions
from annotation.web.state import Web, WebSettings
from data_catalog.catalog import Catalog
from data_catalog.inspect import require_catalog

ROUTERS = (
    login.router,
    reviewing.router,
    mine.router,
    preparing.router,
    verifying.router,
    discussing.router,
    dashboard.router,
    ending.router,
    videos.router,
    health.router,
)
"""Every router of the page; a new one is imported above and named here."""


def create_app(settings: WebSettings) -> FastAPI:
    """The page over one catalog and one store.

    Raises:
        CatalogError: there is no catalog.
        StoreError: the store cannot be opened.
    """
    catalog = Catalog(settings.catalog, storage_options=settings.storage_options)
    require_catalog(catalog)
    location = settings.store or default_location(catalog.root)
    store = open_store(location)
    source = Source(location, catalog.root, tuple((settings.storage_options or {}).items()))
    web = Web(
        settings=settings,
        store=store,
        contents=Contents(catalog, settings.refresh_s, settings.videos),
        measurements=Measurements(store, source, BESIDE),
        sessions=Sessions(
            store.logins(Lifetime(timedelta(hours=settings.idle_hours), timedelta(days=settings.session_days))),
            store.name,
            keep_s=round(settings.session_days * 86_400),
            https=settings.https,
        ),
        attempts=Attempts(settings.failed_logins, settings.failed_logins_s),
        notifier=Notifier(store, settings.channels, settings.url),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        web.notifier.close()
        BESIDE.close()
        store.close()

    # the interactive documentation would load scripts from elsewhere, and tell everybody what there is
    app = FastAPI(title="YTB-ADS annotation", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.web = web
    guard.install(app)
    app.add_middleware(
        Guard,
        allowed_hosts=settings.allowed_hosts,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.idle_timeout_s,
    )
    app.mount(ASSETS.address, ASSETS, name="static")
    for router in ROUTERS:
        app.include_router(router)
    return app


def server_config(settings: WebSettings) -> uvicorn.Config:
    """Settings of uvicorn; requests under way are answered before it ends."""
    behind_a_proxy = bool(settings.public_url)
    return uvicorn.Config(
        create_app(settings),
        http=protocol(
            idle_timeout_s=settings.idle_timeout_s,
            most=settings.connections,
            most_of_an_address=None if behind_a_proxy else settings.connections_of_an_address,
        ),
        ws="none",
        # what is malformed is not worth a line each, and errors of our own are logged by `guard`
        log_level="critical",
        log_config=None,
        # an invitation's link holds its token, which belongs in no log
        access_log=False,
        server_header=False,
        # without a proxy before it, X-Forwarded-For is what anybody claims
        proxy_headers=behind_a_proxy,
        timeout_graceful_shutdown=5,
    )


def serve(settings: WebSettings, at_address: socket.socket) -> None:
    """Run the page at an address that `listening` gave, until SIGTERM or Ctrl-C."""
    run(server_config(settings), at_address)
