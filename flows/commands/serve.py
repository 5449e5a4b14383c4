"""`ytb-ads serve`: a trained model as a service, with a page for people and an API for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.console import CatalogDir, ConfigFile, say, warn

app = typer.Typer()


@app.command(epilog="Example: ytb-ads serve --catalog catalog --port 8450")
def serve(
    catalog: CatalogDir = "./catalog",
    model: Annotated[
        str, typer.Option(metavar="RUN|CURRENT", help="CURRENT: the model in service, and every one promoted later.")
    ] = "CURRENT",
    host: Annotated[
        str | None, typer.Option(metavar="H", help="Address to listen on; default: this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, metavar="P", help="Default: 8450.")] = None,
    config: ConfigFile = None,
) -> None:
    """Serve a trained model until Ctrl-C or SIGTERM: a page to drop an ad on, and an API for programs.

    Requests under way at that time are still answered. The log goes to standard error, one JSON object per line.
    """
    from annotation.web.hardening import is_loopback, listening
    from data_catalog.catalog import Catalog
    from flows.models import CURRENT
    from flows.serve.app import create_app, log_in_lines
    from flows.serve.app import serve as run
    from flows.settings import load_settings

    settings = load_settings(config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"serve": settings.serve.model_copy(update=given)})
    with listening(settings.serve.host, settings.serve.port) as at_address:
        service = create_app(settings, Catalog(catalog), None if model == CURRENT else model)
        if not settings.serve.api_keys and not is_loopback(settings.serve.host):
            warn("no serve.api_keys are set: everybody who reaches this address can send requests")
        say(f"the page: {settings.serve.url}   (Ctrl-C ends it)")
        log_in_lines()
        run(service, settings, at_address)
