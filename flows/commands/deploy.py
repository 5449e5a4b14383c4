"""`ytb-ads deploy`: register the deployments with a running server."""

from __future__ import annotations

import typer

from flows.console import say

app = typer.Typer()


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy")
def deploy() -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and what starts them again.

    Work pools and queues are made where they are missing. The refresh is registered for the source `youtube` alone.
    """
    from prefect.settings import PREFECT_API_URL

    from flows.service.registration import register

    for line in register(PREFECT_API_URL.value()):
        say(line)
