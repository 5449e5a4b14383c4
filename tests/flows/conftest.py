"""A rendered sample, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.sample import render_sample
from tests.youtube_sandbox.extractor import FOLDER as SANDBOX_PLUGINS

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT), str(SANDBOX_PLUGINS)])
"""Where a process of its own finds the project, and yt-dlp the extractor of the sandbox."""


@pytest.fixture(scope="session")
def ytb_ads(prefect_server: str) -> Run:
    """Run `ytb-ads` with these arguments; the server is the one of the tests."""

    def run(*arguments: str | Path, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "flows", *map(str, arguments)],
            env={**os.environ, "PREFECT_API_URL": prefect_server, "COLUMNS": "200", "PYTHONPATH": PATHS},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def deployed_server(prefect_server: str, ytb_ads: Run) -> str:
    """The tests' Prefect server, with which `make deploy` has registered the deployments."""
    assert "deployments: registered" in ytb_ads("deploy").stdout
    return prefect_server


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rendered ads, the damaged and the silent one among them."""
    directory = tmp_path_factory.mktemp("sample") / "ads"
    render_sample(directory, ads=12, seed=0)
    return directory
