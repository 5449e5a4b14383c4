"""A rendered sample, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.sample import render_sample
from tests.conftest import Once
from tests.tracing import can_trace, traced
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
def sample(once: Once) -> Path:
    """Twelve rendered ads, the damaged and the silent one among them."""
    return once("sample", lambda folder: render_sample(folder / "ads", ads=12, seed=0)) / "ads"


@dataclass(frozen=True)
class Built:
    """What one `ytb-ads build` of the sample left, made once; copy the catalog before you change it."""

    catalog: Path
    stderr: str
    home: Path
    """The user's folder during the build, empty before."""
    calls: Path | None
    """The connections of the command and its children, where strace can be had."""


@pytest.fixture(scope="session")
def built(once: Once, sample: Path) -> Built:
    """The sample built by the command, on a server of its own."""

    def build(folder: Path) -> None:
        (folder / "home").mkdir()
        done = subprocess.run(
            [
                *(traced(folder / "calls") if can_trace() else []),
                *(sys.executable, "-m", "flows", "build"),
                *("--source", f"folder:{sample}", "--catalog", str(folder / "catalog")),
            ],
            env={**os.environ, "HOME": str(folder / "home"), "COLUMNS": "200", "PYTHONPATH": PATHS},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "stderr").write_text(done.stderr, "utf-8")

    folder = once("built", build)
    calls = folder / "calls"
    return Built(
        folder / "catalog", (folder / "stderr").read_text("utf-8"), folder / "home", calls if calls.exists() else None
    )
