"""Ctrl-C: a crawl ends at once, says that nothing is lost, and with the exit code of an interrupted command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.flows.conftest import PATHS
from tests.youtube_sandbox import SandboxSettings, random_world, serve

pytestmark = pytest.mark.slow

KEY = "k1"


def test_a_crawl_that_is_interrupted_says_that_the_same_command_goes_on(prefect_server: str, tmp_path: Path) -> None:
    world = random_world(seed=3, videos=30, comments_per_video=300, replies=False)
    with serve(world, SandboxSettings(keys=(KEY,), latency_s=0.3)) as sandbox:
        (tmp_path / "ids.txt").write_text("\n".join(world.videos))
        (tmp_path / "ytb_ads.toml").write_text(
            f'[crawl]\nendpoint = "{sandbox.url}"\nsite = "{sandbox.url}"\n'
            '[crawl.categories.all]\ncount = 30\nids = "ids.txt"\n'
        )
        crawl = subprocess.Popen(
            [sys.executable, "-m", "flows", "crawl"],
            env={
                **os.environ,
                "PREFECT_API_URL": prefect_server,
                "PYTHONPATH": PATHS,
                "YTB_ADS__CRAWL__API_KEY": KEY,
            },
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while sandbox.counts[KEY]["units"] < 6:
            assert crawl.poll() is None, crawl.communicate()
            time.sleep(0.02)
        crawl.send_signal(signal.SIGINT)
        said, told = crawl.communicate(timeout=60)
    assert crawl.returncode == 130, told
    assert "run the same command again to continue" in told
    assert "Traceback" not in told + said
