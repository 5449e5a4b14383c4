"""Two crawls of one catalog at once: the second waits, and pays for nothing that the first has fetched."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from flows.crawl.steps import open_crawl
from flows.settings import Settings
from tests.flows.crawl.listing_builders import take_ads
from tests.youtube_sandbox import SandboxSettings, random_world, serve


def test_a_second_crawl_waits_says_so_and_asks_for_nothing_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ytb_ads")
    world = random_world(seed=2, videos=6, comments_per_video=150, replies=False)
    with serve(world, SandboxSettings(keys=("k1",), latency_s=0.05)) as sandbox:
        settings = Settings.model_validate({"crawl": {"api_key": "k1", "endpoint": sandbox.url, "connections": 1}})
        catalog = Catalog(tmp_path)
        take_ads(catalog, world)

        def crawl() -> None:
            with open_crawl(catalog, settings) as crawling:
                crawling.read_comments(lambda more: None)

        crawls = [threading.Thread(target=crawl) for _ in range(2)]
        for one in crawls:
            one.start()
        for one in crawls:
            one.join()
        assert sandbox.counts["k1"]["units"] == 12, "six ads of two pages each"
    assert "another crawl is at work" in caplog.text
