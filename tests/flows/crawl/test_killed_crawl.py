"""A crawl that is killed outright, or meets another one: nothing lost, nothing twice, no call unbooked."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from flows.crawl.data_api.quota import Ledger
from flows.crawl.steps import open_crawl
from flows.settings import Settings
from tests.flows.crawl.clocked_crawl import nothing, put_ads, settings_for
from tests.youtube_sandbox import SandboxSettings, random_world, serve

KEY = "k1"
CONNECTIONS = 3
ROOT = Path(__file__).parents[3]

# writes what it has read after every few comments, so that a kill finds it between any two commits
READ = """
import sys
from functools import partial

from data_catalog.catalog import Catalog
from flows.crawl import steps
from flows.settings import Settings

steps.CommentStore = partial(steps.CommentStore, batch_comments=300)
with steps.open_crawl(Catalog(sys.argv[1]), Settings.model_validate_json(sys.argv[2])) as crawl:
    crawl.read_comments(lambda more: None)
"""


@pytest.mark.slow
def test_a_crawl_that_is_killed_twice_loses_no_comment_and_books_every_call(tmp_path: Path) -> None:
    world = random_world(seed=11, videos=8, comments_per_video=(200, 400))
    with serve(world, SandboxSettings(keys=(KEY,), latency_s=0.02)) as sandbox:
        catalog = Catalog(tmp_path)
        given = {"api_key": KEY, "endpoint": sandbox.url, "connections": CONNECTIONS, "backoff_s": 0}
        settings = json.dumps({"crawl": given})
        put_ads(catalog, world)
        for calls in (40, 90):
            reading = subprocess.Popen([sys.executable, "-c", READ, str(tmp_path), settings], cwd=ROOT)
            while sandbox.counts[KEY]["units"] < calls:
                assert reading.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
            reading.kill()
            reading.wait()
        everything = sorted(id_ for video_id in world.videos for id_ in world.api_comments(video_id))
        assert 0 < catalog.count("comments") < len(everything), "what was read before the kills is kept"
        with open_crawl(catalog, Settings.model_validate_json(settings)) as crawl:
            crawl.read_comments(nothing)
        assert sorted(catalog.values("comments", "comment_id")) == everything

        ledger = Ledger(tmp_path / "quota.sqlite", limits={})
        booked, counted = ledger.spent(KEY, "units"), sandbox.counts[KEY]["units"]
        ledger.close()
        assert counted <= booked <= counted + 2 * 2 * CONNECTIONS, "only what a kill found between booking and sending"


def test_a_second_crawl_waits_says_so_and_asks_for_nothing_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ytb_ads")
    world = random_world(seed=2, videos=6, comments_per_video=150, replies=False)
    with serve(world, SandboxSettings(latency_s=0.05)) as sandbox:
        catalog, settings = Catalog(tmp_path), settings_for(sandbox, {"connections": 1})
        put_ads(catalog, world)

        def crawl() -> None:
            with open_crawl(catalog, settings) as crawling:
                crawling.read_comments(nothing)

        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(crawl) for _ in range(2)]:
                one.result()
        assert sandbox.counts[KEY]["units"] == 12, "six ads of two pages each"
    assert "another crawl is at work" in caplog.text
