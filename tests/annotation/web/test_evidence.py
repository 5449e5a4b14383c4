"""What an ad is judged by: its name, its video in ranges, all its words, and how its comments were chosen."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from annotation.rounds import RoundOptions, RoundSettings, draw_round
from annotation.web.app import create_app
from annotation.web.films import web_address
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.storage import StorePath, place_of
from tests.annotation.web.browser_steps import Enter, gone, judge, shown
from tests.annotation.web.round_builders import SPLIT, discuss, entry_ids, vote
from tests.annotation.web.site_builder import BASE, Site, log_in, make_site
from tests.annotation.web.test_preparing import newcomer, open_second, version_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

BYTES = bytes(range(256)) * 8
"""Stands for a video where nobody plays it."""
SHA256 = "ab" * 32
PAGE = "https://www.youtube.com/watch?v=ad"
HIDDEN = RoundOptions(least_look_ms=0, show_video=False)


def film(path: Path, seconds: int = 3) -> bytes:
    """A video that browsers play."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(10 * seconds):
            picture = np.full((180, 320, 3), number * 8 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def change_ads(catalog: Catalog, values: Mapping[str, Any]) -> None:
    """Give every ad these values; `{}` in one is its id."""

    def of(ad: str) -> dict[str, Any]:
        return {name: value.format(ad) if isinstance(value, str) else value for name, value in values.items()}

    rows = [row | of(row["video_id"]) for row in catalog.read("ads").to_pylist()]
    catalog.merge("ads", pa.Table.from_pylist(rows, schema=TABLES["ads"].schema))


def keep_videos(site: Site, folder: Path, content: bytes = BYTES, source: str = "youtube", **more: Any) -> Site:
    """Every ad has its video in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (folder / f"ad{number}.mp4").write_bytes(content)
    media = {"media_path": "{}.mp4", "media_status": "present", "media_sha256": SHA256}
    change_ads(site.catalog, {**media, "source": source, "url": PAGE, "duration_s": 3.0, **more})
    return site


@pytest.fixture
def filmed(site: Site, tmp_path: Path) -> Site:
    """A catalog that keeps the videos that it fetched."""
    return keep_videos(site, tmp_path / "catalog" / "media")


def until(page: Page, holds: str) -> None:
    """Wait until this holds on the page; the page's policy refuses playwright's own way."""
    latest = time.monotonic() + 30
    while not page.evaluate(holds):
        assert time.monotonic() < latest, holds
        page.wait_for_timeout(50)


def video_urls(text: str) -> list[str]:
    return [url.replace("&amp;", "&") for url in re.findall(r'src="(/videos/[^"]+)"', text)]


def test_the_video_is_sent_in_ranges_and_kept_by_the_browser(filmed: Site) -> None:
    client = filmed.client("Reviewer 0")
    url = video_urls(client.get("/review").text)[0]
    part = client.get(url, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 100-299/{len(BYTES)}")
    assert part.content == BYTES[100:300]
    assert client.get(url, headers={"Range": f"bytes={len(BYTES)}-"}).status_code == 416
    whole = client.get(url)
    assert (whole.content, whole.headers["content-type"]) == (BYTES, "video/mp4")
    assert (whole.headers["accept-ranges"], whole.headers["x-content-type-options"]) == ("bytes", "nosniff")
    assert "immutable" in whole.headers["cache-control"]
    assert client.get(url.partition("&v=")[0]).headers["cache-control"] == "private, no-cache"


RANGES = ("0-0", "100-299", "2000-9999", "-5", "-9999", "2047-", "0-", "2048-", "9-3", "-0", "-", "x", "1-2,4-5")


def test_a_catalog_in_a_bucket_sends_its_videos_as_one_on_a_disk_does(
    filmed: Site, tmp_path: Path, bucket: str
) -> None:
    place = place_of(f"{bucket}/ads")
    assert isinstance(place, StorePath)
    for path in (tmp_path / "catalog").rglob("*"):
        if path.is_file():
            (place / path.relative_to(tmp_path / "catalog")).upload(path)
    app = create_app(replace(filmed.settings, catalog=f"{bucket}/ads"))
    there = TestClient(app, base_url=BASE, follow_redirects=False)
    log_in(there, filmed.store.people.reissue(filmed.invitations["Reviewer 1"].person.id).token)
    here = filmed.client("Reviewer 0")
    (url, *_) = video_urls(there.get("/review").text)
    whole = there.get(url)
    assert (whole.content, whole.headers["content-type"]) == (BYTES, "video/mp4")
    assert "immutable" in whole.headers["cache-control"]
    for asked in RANGES:
        own, other = (client.get(url, headers={"Range": f"bytes={asked}"}) for client in (there, here))
        if other.status_code == 400 or "," in asked:  # what is malformed, or asks for several, may have the whole
            assert (own.status_code, own.content) == (200, BYTES), asked
        else:
            names = ("content-range", "content-length", "accept-ranges")
            parts = [(each.status_code, each.content, *map(each.headers.get, names)) for each in (own, other)]
            if own.status_code == 206:
                assert parts[0] == parts[1], asked
            else:
                assert (own.status_code, own.headers["content-range"]) == (416, f"bytes */{len(BYTES)}"), asked
    assert TestClient(app, base_url=BASE).get(url).status_code == 401
    for kept in (place / "media").iterdir():
        kept.unlink()
    assert there.get(url).status_code == 404


def test_nobody_who_is_not_logged_in_sees_a_video(filmed: Site) -> None:
    url = video_urls(filmed.client("Reviewer 0").get("/review").text)[0]
    answer = filmed.client().get(url, headers={"Range": "bytes=0-9"})
    assert answer.status_code == 401
    assert BYTES[:10] not in answer.content


def test_verifiers_and_discussions_have_the_video_too(filmed: Site) -> None:
    first, second, _ = entry_ids(filmed)
    for entry_id in (first, second):
        vote(filmed, entry_id, SPLIT)
    discuss(filmed, second)
    for name, path in (("Verifier", "/verify"), ("Reviewer 1", f"/discussion/{second}")):
        client = filmed.client(name)
        (url,) = video_urls(client.get(path).text)
        assert client.get(url).content == BYTES


@pytest.mark.parametrize(
    "path",
    ["nothing", "ad0", "..%2fads", "%2e%2e/secret.mp4", "ad0.mp4", "../../store.sqlite3", "a" * 5_000, "%00"],
)
def test_only_an_entry_of_the_round_names_a_video(filmed: Site, path: str) -> None:
    assert filmed.client("Reviewer 0").get(f"/videos/{path}?round=1").status_code in (401, 404, 405)


def test_an_example_of_the_training_has_its_video_where_the_round_has_one(filmed: Site) -> None:
    open_second(filmed, RoundOptions(), {"ad0": "positive"})
    client = newcomer(filmed)
    client.post("/guidelines", json={"version": version_of(client)})
    (url,) = video_urls(client.get("/training").text)
    assert client.get(url).content == BYTES
    assert filmed.client().get(url).status_code == 401
    filmed.store.rounds.close(2)
    blind = draw_round(filmed.catalog, RoundSettings(options=HIDDEN), training={"ad0": "positive"})
    filmed.store.rounds.open(blind)
    assert video_urls(client.get("/training").text) == []
    assert client.get(url.replace("round=2", "round=3")).status_code == 404


def test_a_round_that_is_not_there_has_no_video(filmed: Site) -> None:
    answer = filmed.client("Reviewer 0").get(f"/videos/{entry_ids(filmed)[0]}?round=7")
    assert answer.status_code in (404, 409)


@pytest.mark.parametrize(
    "name", ["../store.sqlite3", "../../x.mp4", "OUTSIDE/x.mp4", "{}.mp4/../../../x.mp4", "{}.exe", "", "\0.mp4"]
)
def test_a_catalog_cannot_name_a_file_that_is_no_video_of_its_own(site: Site, tmp_path: Path, name: str) -> None:
    keep_videos(site, tmp_path / "catalog" / "media", media_path=name.replace("OUTSIDE", str(tmp_path)))
    (tmp_path / "x.mp4").write_bytes(BYTES)
    client = site.client("Reviewer 0")
    assert video_urls(client.get("/review").text) == []
    assert client.get(f"/videos/{entry_ids(site)[0]}?round=1").status_code == 404


def test_a_video_that_was_deleted_is_not_offered_and_its_page_is(filmed: Site) -> None:
    change_ads(filmed.catalog, {"media_status": "deleted", "media_path": None})
    text = filmed.client("Reviewer 0").get("/review").text
    assert video_urls(text) == []
    (link,) = set(re.findall(rf'<a [^>]*href="{re.escape(PAGE)}"[^>]*>', text))
    assert 'rel="noreferrer noopener"' in link
    assert "<iframe" not in text
    assert "<embed" not in text


def test_a_blind_study_shows_neither_the_video_nor_its_page(tmp_path: Path) -> None:
    site = keep_videos(make_site(tmp_path, options=HIDDEN), tmp_path / "catalog" / "media")
    client = site.client("Reviewer 0")
    text = client.get("/review").text
    assert video_urls(text) == []
    assert PAGE not in text
    assert client.get(f"/videos/{entry_ids(site)[0]}?round=1").status_code == 404


def test_videos_of_a_folder_are_found_where_the_setting_says(tmp_path: Path) -> None:
    folder = tmp_path / "ads"
    site = keep_videos(
        make_site(tmp_path, videos=str(folder)), folder / "apparel", source="folder", media_path="apparel/{}.mp4"
    )
    client = site.client("Reviewer 0")
    assert client.get(video_urls(client.get("/review").text)[0]).content == BYTES


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://", "http://[", None]
)
def test_what_is_no_address_of_the_web_is_no_link(url: str | None) -> None:
    assert web_address(url) == ""


def test_the_title_and_the_category_stand_above_and_do_nothing(site: Site) -> None:
    change_ads(site.catalog, {"title": "<b>50% off</b> \u202eno\U0001fae9", "category": "<i>food</i>"})
    text = site.client("Reviewer 0").get("/review").text
    assert "<bdi>&lt;b&gt;50% off&lt;/b&gt; \ufffdno\U0001fae9</bdi>" in text
    assert "&lt;i&gt;food&lt;/i&gt;" in text


def test_the_page_says_how_many_comments_there_are_and_why_these(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert "All that were collected of this ad" in client.get("/review").text
    rows = [
        {"comment_id": f"{ad}-more{n}", "video_id": ad, "text": "x", "text_sha256": "x"}
        for ad in ("ad0", "ad1", "ad2")
        for n in range(1_200)
    ]
    site.catalog.merge("comments", pa.Table.from_pylist(rows, schema=TABLES["comments"].schema))
    text = client.get("/review").text
    assert "3 of 1,203 comments" in text
    assert "Drawn by chance" in text


def test_the_words_of_all_frames_are_there_at_once_and_the_same_ones_once(site: Site) -> None:
    texts = {"0": "Only  today", "1": "ONLY today 50 %", "2": "only today"}
    rows = [row | {"text": texts[row["frame_id"][-1]]} for row in site.catalog.read("texts").to_pylist()]
    site.catalog.merge("texts", pa.Table.from_pylist(rows, schema=TABLES["texts"].schema))
    text = site.client("Reviewer 0").get("/review").text
    first = text.partition('class="all"')[2].partition("</section>")[0]
    assert re.findall(r'data-words="([\d ]+)"', first) == ["1 3", "2"]
    assert "Frames 1, 3" in first


@pytest.mark.slow
class TestInABrowser:
    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        made = make_site(tmp_path)
        return keep_videos(made, tmp_path / "catalog" / "media", film(tmp_path / "film.mp4"))

    def test_v_plays_the_video_and_the_next_ad_stops_it(self, site: Site, enter: Enter) -> None:
        page = enter("Reviewer 0").pages[0]
        first = shown(page)
        page.keyboard.press("v")
        entry = page.locator(f"article[data-entry='{first}']")
        assert entry.locator("video").is_visible()
        assert not entry.locator(".frame").first.is_visible()
        until(page, f"document.querySelector('article[data-entry=\"{first}\"] video').currentTime > 0.3")
        page.keyboard.press("ArrowRight")
        assert not entry.locator("video").is_visible()
        assert entry.locator("video").evaluate("video => video.paused")
        assert entry.locator("[data-words].current").get_attribute("data-words") == "2"
        page.keyboard.press("v")
        until(page, "!document.querySelector('article:not([hidden]) video').paused")
        judge(page, "1")
        gone(page, first)
        assert entry.locator("video").evaluate("video => video.paused"), "nobody hears an ad that is not there"

    def test_a_video_that_is_gone_says_so(self, site: Site, enter: Enter, tmp_path: Path) -> None:
        page: Page = enter("Reviewer 0").pages[0]
        for file in (tmp_path / "catalog" / "media").iterdir():
            file.unlink()
        page.get_by_role("button", name="Video").click()
        page.locator("article.entry:visible").get_by_text("no longer kept here").wait_for()
        judge(page, "1")
        page.locator("#progress-text", has_text="1 of 3").wait_for()
