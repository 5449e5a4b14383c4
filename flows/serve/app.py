"""The service as a whole: `create_app` makes it, `serve` runs it."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from annotation.web.hardening import Guard, allowed_hosts
from annotation.web.running import protocol, run
from data_catalog.catalog import Catalog
from flows.serve import routes
from flows.serve.guard import PAGE_HEADERS, Gate, JsonLines, Keys
from flows.serve.metrics import Metrics
from flows.serve.refusals import Refusal, of_status
from flows.serve.schemas import Asked
from flows.serve.service import Service, open_models
from flows.serve.uploads import Uploads
from flows.settings import Settings

_HERE = Path(__file__).parent


def create_app(settings: Settings, catalog: Catalog, model: str | None = None) -> FastAPI:
    """The service over one catalog's models.

    Args:
        settings: all settings.
        catalog: its models.
        model: name of a run; None: the one in service, whichever that is at a time.

    Raises:
        ModelError: there is no such model, or it cannot be served.
        ServeError: uploads cannot be kept.
        SettingsError: a key is none, or the server that keeps it does not answer.
    """
    limits, metrics = settings.serve, Metrics()
    keys = Keys([key.get_secret_value() for key in limits.api_keys])
    models = open_models(settings, catalog, model, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        uploads = Uploads()
        try:
            app.state.service = Service(settings, models, uploads, metrics)
            async with app.state.service.running():
                yield
        finally:
            uploads.close()

    # the usual pages of the description load scripts from elsewhere: routes has one of its own
    app = FastAPI(title="YTB-ADS verdicts", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _describe(app)

    async def refused(_request: Request, error: Exception) -> Response:
        # as `Gate` answers it, among its figures
        if isinstance(error, HTTPException):
            raise of_status(error.status_code, str(error.detail))
        raise Refusal(422, "malformed", "A parameter of the address is not as /docs describes it.")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, refused)

    def refuse(status: int, text: str) -> Response:
        refusal = of_status(status, text)
        metrics.refusals.labels(refusal.kind).inc()
        return refusal.answer()

    app.add_middleware(Gate, settings=limits, keys=keys, metrics=metrics)
    app.add_middleware(
        Guard,
        allowed_hosts=allowed_hosts(limits.host, limits.public_url),
        max_body_bytes=limits.max_upload_mb * 1_000_000,
        headers=PAGE_HEADERS,
        refuse=refuse,
    )
    return app


def _describe(app: FastAPI) -> None:
    """Add the JSON body to the description: the route reads it itself, so that FastAPI does not know it."""
    described = app.openapi()
    asked = Asked.model_json_schema(ref_template="#/components/schemas/{model}")
    described["components"]["schemas"] |= {**asked.pop("$defs"), "Asked": asked}
    described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    described["paths"]["/v1/predict"]["post"]["security"] = [{"key": []}]


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Settings of uvicorn; requests under way are answered before it ends."""
    limits = settings.serve
    return uvicorn.Config(
        app,
        http=protocol(idle_timeout_s=limits.idle_timeout_s, most=limits.connections),
        ws="none",
        log_level="critical",  # it would quote what was sent
        log_config=None,
        access_log=False,
        server_header=False,
        # without a proxy before it, X-Forwarded-For is what anybody claims
        proxy_headers=bool(limits.public_url),
        timeout_keep_alive=max(1, round(limits.idle_timeout_s)),
        timeout_graceful_shutdown=round(limits.upload_timeout_s + limits.timeout_s + limits.video_timeout_s),
    )


def log_in_lines() -> None:
    """Write the service's log to standard error, a JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    log = logging.getLogger("ytb_ads.serve")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False


def serve(app: FastAPI, settings: Settings, at_address: socket.socket) -> None:
    """Run the service at an address that `listening` gave, until SIGTERM or Ctrl-C; what is under way is answered."""
    run(server_config(app, settings), at_address)
