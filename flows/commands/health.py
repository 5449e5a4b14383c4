"""`ytb-ads health`: checks of the catalog and the service, for a person or a monitor, with an exit code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.console import AsJson, CatalogDir, ConfigFile, print_json, print_tables, say_error

app = typer.Typer()

_UNKNOWN = 3


@app.command(epilog="Example: ytb-ads health --catalog catalog || mail -s 'YTB-ADS' me@example.org < /dev/null")
def health(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    service: Annotated[
        bool, typer.Option(help="Check the Prefect server that PREFECT_API_URL names: schedules, workers, runs.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Check the catalog and the service around it: releases, failures, quota, refresh, annotation, disk, runs.

    Failures are reported to the server, which sends one notification of them a day if notify.block is set.
    Exits with 0 if all is well, 1 for warnings, 2 for failures, 3 if the settings cannot be read, as Nagios plugins
    do.
    """
    from prefect.settings import PREFECT_API_URL

    from data_catalog.catalog import Catalog
    from data_catalog.errors import YtbAdsError
    from flows.checks import exit_code, render_checks
    from flows.health.catalog import check_catalog
    from flows.health.packages import check_packages
    from flows.health.service import check_service, tell_of_failures
    from flows.settings import load_settings

    now = datetime.now(UTC)
    try:
        settings, tables = load_settings(config), Catalog(catalog)
    except YtbAdsError as error:
        say_error(str(error))
        raise typer.Exit(_UNKNOWN) from None
    checks = [*check_catalog(tables, settings, now), check_packages()]
    if service:
        server = PREFECT_API_URL.value()
        of_service = check_service(server, settings.health, now, settings.notify.block)
        checks += of_service
        if server and of_service[0].ok:
            tell_of_failures(server, tables.root, checks)
    if as_json:
        print_json(
            {
                "catalog": tables.root,
                "at": now.isoformat(timespec="seconds"),
                "exit_code": exit_code(checks),
                "checks": [
                    {"name": each.name, "state": each.state, "said": each.said, "todo": each.todo} for each in checks
                ],
            }
        )
    else:
        print_tables(render_checks(checks, f"Health of {tables.root}"))
    raise typer.Exit(exit_code(checks))
