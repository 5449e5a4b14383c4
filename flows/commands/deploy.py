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
            "--source", envvar="YTB_ADS_SOURCE", metavar="youtube|folder:DIR", help="Ads that the rebuild reads."
        ),
    ] = "folder:ads",
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="DIR",
            help="Folder of the catalog, or s3://BUCKET/PREFIX, where every host finds it at the same place; default: "
            "what YTB_ADS_CATALOG names in the environment, or the file .env, of each worker.",
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and what starts them again.

    Nothing that is registered is a path of this host but the catalog, if you name one: a run uses the package, the
    settings and the catalog of the host whose worker takes it. Work pools and queues are made where they are missing,
    of the types that [deploy] of the settings names. The refresh is registered for the source `youtube` alone.
    """
    from prefect.settings import PREFECT_API_URL

    from flows.service.registration import register
    from flows.settings import load_settings

    for line in register(PREFECT_API_URL.value(), source, catalog, load_settings(config).deploy):
        say(line)
