"""`ytb-ads deploy`: register the deployments with a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.console import ConfigFile, say

app = typer.Typer()


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy --source youtube")
def deploy(
    source: Annotated[
        str,
        typer.Option(
            "--source", envvar="YTB_ADS_SOURCE", metavar="youtube|folder:DIR", help="Source of the ads of the rebuild."
        ),
    ] = "folder:ads",
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="DIR",
            help="Folder of the catalog, or s3://BUCKET/PREFIX, if it is the same on every host; default: "
            "YTB_ADS_CATALOG in the environment, or the file .env, of each worker.",
        ),
    ] = None,
    config: ConfigFile = None,
    trial: Annotated[
        bool, typer.Option("--try-notification", help="Also let the server send a test message through notify.block.")
    ] = False,
) -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, with their automations.

    No path of this host is registered except the catalog, if you name one: a run uses the package, the settings and
    the catalog of the host of its worker. Missing work pools and queues are created with the types in the table
    `deploy` of the settings. The refresh is registered for the source `youtube` only. If the setting notify.block
    names a notification block of the server, the server sends a message when something needs attention.
    """
    from prefect.settings import PREFECT_API_URL

    from flows.service.notifications import try_notification
    from flows.service.registration import register
    from flows.settings import load_settings

    settings, server = load_settings(config), PREFECT_API_URL.value()
    for line in register(server, source, catalog, settings):
        say(line)
    if trial and server:
        say(try_notification(server, settings.notify.block))
