"""`ytb-ads deploy`: register `prefect.yaml` with a running server, its work pools first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from flows.console import say
from flows.errors import SettingsError

PREFECT_YAML = Path(__file__).resolve().parents[2] / "prefect.yaml"
POOLS = ("cpu", "gpu")

app = typer.Typer()


@app.command(epilog="Example: PREFECT_API_URL=http://127.0.0.1:4200/api ytb-ads deploy")
def deploy() -> None:
    """Register rebuild, refresh, release and training with a running Prefect server, and make their work pools."""
    from prefect.settings import PREFECT_API_URL

    for line in register(PREFECT_API_URL.value()):
        say(line)


def register(server: str | None) -> Iterator[str]:
    """Make the work pools that are missing and register every deployment; yields what was done.

    Args:
        server: address of the server's API.

    Raises:
        SettingsError: no server is named or it does not answer, or a deployment is refused.
    """
    if not PREFECT_YAML.is_file():
        raise SettingsError(
            f"{PREFECT_YAML.name} lies in a checkout of the project, not in an installed package: deploy from one"
        )
    if not server:
        raise SettingsError(
            "no Prefect server is named: start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    yield from (f"work pool {pool}: made" for pool in _make_pools(server))
    _deploy_all(server)
    yield (
        "deployments: registered (build-dataset/weekly-rebuild, refresh/daily-refresh, release-reviewed/after-review, "
        "train/train-on-gpu)"
    )
    yield "start a worker with: prefect worker start --pool cpu   (on the GPU host: --pool gpu)"


def _make_pools(server: str) -> list[str]:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            known = {pool.name for pool in client.read_work_pools()}
            missing = [pool for pool in POOLS if pool not in known]
            for pool in missing:
                client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
    except httpx.HTTPError as error:
        raise SettingsError(f"the Prefect server at {server} cannot be used: {error}") from error
    return missing


def _deploy_all(server: str) -> None:
    """Let Prefect's own command line read the file, without prompts."""
    environment = {
        "YTB_ADS_HOME": str(PREFECT_YAML.parent),
        "YTB_ADS_SOURCE": "folder:ads",
        "YTB_ADS_CATALOG": "catalog",
        **os.environ,
        "PREFECT_API_URL": server,
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_YAML)],
        env=environment,
        cwd=PREFECT_YAML.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SettingsError(f"prefect deploy failed: {said[-1] if said else done.returncode}")
