"""Register `prefect.yaml` with a running server: work pools first, then the deployments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from flows.errors import SettingsError

PREFECT_YAML = Path(__file__).resolve().parent.parent / "prefect.yaml"
POOLS = ("cpu", "gpu")


def register() -> Iterator[str]:
    """Make the work pools that are missing and register every deployment; yields what was done.

    Raises:
        SettingsError: no server is named or it does not answer, or a deployment is refused.
    """
    if not PREFECT_YAML.is_file():
        raise SettingsError(
            f"{PREFECT_YAML.name} lies in a checkout of the project, not in an installed package: deploy from one"
        )
    url = _prefect("config", "view", "--hide-sources").split("PREFECT_API_URL='")
    if len(url) < 2:
        raise SettingsError(
            "no Prefect server is named: start one with `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    known = {pool["name"] for pool in json.loads(_prefect("work-pool", "ls", "--output", "json"))}
    for pool in POOLS:
        if pool not in known:
            _prefect("work-pool", "create", pool, "--type", "process")
            yield f"work pool {pool}: made"
    _prefect("deploy", "--all", "--prefect-file", str(PREFECT_YAML))
    yield (
        "deployments: registered (build-dataset/weekly-rebuild, refresh/daily-refresh, release-reviewed/after-review, "
        "train/train-on-gpu)"
    )
    yield "start a worker with: prefect worker start --pool cpu   (on the GPU host: --pool gpu)"


def _prefect(*arguments: str) -> str:
    """Run Prefect's own command line, without prompts."""
    environment = {
        "YTB_ADS_HOME": str(PREFECT_YAML.parent),
        "YTB_ADS_SOURCE": "folder:ads",
        "YTB_ADS_CATALOG": "catalog",
        **os.environ,
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment,
        cwd=PREFECT_YAML.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SettingsError(f"prefect {' '.join(arguments[:2])} failed: {said[-1] if said else done.returncode}")
    return done.stdout
