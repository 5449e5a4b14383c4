"""`ytb-ads deploy`: register the deployments with a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.console import ConfigFile, say

app = typer.Typer()


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy")
def deploy(
    config: ConfigFile = None,
    trial: Annotated[
        bool, typer.Option("--try-notification", help="Let the server send a message through notify.block as well.")
    ] = False,
) -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and what starts them again.

    Work pools and queues are made where they are missing. The refresh is registered for the source `youtube` alone.
    Where the setting notify.block names a notification block of the server, it sends messages of what somebody should
    look at.
    """
    from prefect.settings import PREFECT_API_URL

    from flows.service.notifications import try_notification
    from flows.service.registration import register
    from flows.settings import load_settings

    settings, server = load_settings(config), PREFECT_API_URL.value()
    for line in register(server, settings=settings):
        say(line)
    if trial and server:
        say(try_notification(server, settings.notify.block))
