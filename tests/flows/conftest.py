"""A rendered sample, a catalog built from it, and the command line in this process."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from flows.commands.main import main
from flows.sample import render_sample
from flows.service.registration import register
from tests.conftest import Once
from tests.tracing import can_trace, traced
from tests.youtube_sandbox.extractor import FOLDER as SANDBOX_PLUGINS
from tests.youtube_sandbox.extractor import use_sandbox_extractor

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT), str(SANDBOX_PLUGINS)])
"""Where a process of its own finds the project, and yt-dlp the extractor of the sandbox."""

QUICK = {"frames": {"count": "3", "max_side": "640"}, "ocr": {"sides": "[640]"}}
"""Settings under which the sample is built in seconds, as TOML."""
QUICK_ENVIRONMENT = {
    f"YTB_ADS__{section}__{key}".upper(): value for section, keys in QUICK.items() for key, value in keys.items()
}
"""The same for a process that is given no file of settings."""


def call(
    *arguments: str | Path, server: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ytb-ads` with these arguments in this process, against a Prefect server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    words, log, environment = [str(word) for word in arguments], logging.getLogger("ytb_ads"), dict(os.environ)
    handlers, told, code = list(log.handlers), (StringIO(), StringIO()), 0
    os.environ["COLUMNS"] = "200"
    use_sandbox_extractor()
    try:
        with (
            redirect_stdout(told[0]),
            redirect_stderr(told[1]),
            chdir(cwd or Path.cwd()),
            temporary_settings({PREFECT_API_URL: server}),
        ):
            main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        log.handlers = handlers
        os.environ.clear()
        os.environ.update(environment)
    return subprocess.CompletedProcess(words, code, told[0].getvalue(), told[1].getvalue())


@pytest.fixture(scope="session")
def ytb_ads(prefect_server: str) -> Run:
    """Run `ytb-ads` with these arguments; the server is the one of the tests."""

    def run(*arguments: str | Path, check: bool = True, cwd: Path | None = None) -> Done:
        done = call(*arguments, server=prefect_server, cwd=cwd)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def deployed_server(prefect_server: str) -> str:
    """The tests' Prefect server, with which the deployments are registered as for YouTube."""
    assert "deployments: registered" in "".join(register(prefect_server, "youtube"))
    return prefect_server


@pytest.fixture(scope="session")
def sample(once: Once) -> Path:
    """Twelve rendered ads, the damaged and the silent one among them."""
    return once("sample", lambda folder: render_sample(folder / "ads", ads=12, seed=0)) / "ads"


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of settings under which the sample is built in seconds."""
    file = tmp_path_factory.mktemp("settings") / "quick.toml"
    lines = (
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for section, keys in QUICK.items()
    )
    file.write_text("".join(lines))
    return file


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
def built(once: Once, sample: Path, quick: Path) -> Built:
    """The sample built by the command, on a server of its own."""

    def build(folder: Path) -> None:
        (folder / "home").mkdir()
        done = subprocess.run(
            [
                *(traced(folder / "calls") if can_trace() else []),
                *(sys.executable, "-m", "flows", "build"),
                *("--source", f"folder:{sample}", "--catalog", str(folder / "catalog"), "--config", str(quick)),
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


@pytest.fixture(scope="session")
def seeded(built: Built) -> Path:
    """The built catalog, with its release; to be copied, not changed."""
    return built.catalog


@pytest.fixture
def copied(seeded: Path, tmp_path: Path) -> Path:
    """A copy of the built catalog."""
    return Path(shutil.copytree(seeded, tmp_path / "catalog"))
