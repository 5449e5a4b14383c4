"""The page in a real browser: an ad is chosen or dropped, judged, stopped; by keys alone, and as axe-core finds it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.annotation.web.axe_steps import flawless
from tests.annotation.web.browser_steps import fits, is_named
from tests.annotation.web.conftest import browser, chromium  # noqa: F401  fixtures
from tests.flows.serve.serving import Running, picture, serving, until
from tests.flows.serve.videos import worded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>\u202e half price"


@pytest.fixture(scope="module")
def service(models: Path) -> Iterator[Running]:
    with serving(models, video_timeout_s=120.0, timeout_s=120.0) as started:
        yield started


@pytest.fixture
def page(browser: Browser, service: Running) -> Iterator[Page]:  # noqa: F811
    """The page; what it asks of other servers, and every error in its script, fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(90_000)
    strange: list[str] = []
    context.on(
        "request",
        lambda asked: None if asked.url.startswith((service.url, "data:", "blob:")) else strange.append(asked.url),
    )
    context.on("weberror", lambda error: strange.append(str(error.error)))
    context.on("console", lambda said: strange.append(said.text) if "Content Security" in said.text else None)
    opened = context.new_page()
    opened.goto(service.url)
    yield opened
    context.close()
    assert not strange


def file(name: str, data: bytes, kind: str = "image/jpeg") -> Any:
    return {"name": name, "mimeType": kind, "buffer": data}


def test_a_picture_is_judged_by_keys_alone_and_its_words_are_text(page: Page, tmp_path: Path) -> None:
    flawless(page)
    page.locator("#file").set_input_files(file("<b>ad</b>.jpg", picture(1)))
    assert "<b>ad</b>.jpg" in page.locator("#chosen").inner_text()
    page.locator("#file").focus()
    page.keyboard.press("Tab")
    page.keyboard.type(HOSTILE)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#why").is_checked()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "send"
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert page.evaluate("document.activeElement.id") == "verdict", "a screen reader is led to the answer"
    assert page.locator("#verdict").inner_text().startswith(("negative, ", "positive, "))
    assert "half price" in page.locator("figcaption bdi").first.inner_text()
    assert page.locator("figcaption img").count() == 0
    assert page.locator(".shaded rect").count() > 4
    assert "by the words alone" in page.locator(".why").inner_text()
    assert page.locator("figure img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
    assert "fgmfn-a" in page.locator("#model").inner_text()
    assert is_named(page)
    flawless(page)
    for width in (1200, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert fits(page, width, "button, textarea, nav a, .button, .check, input:not([type=checkbox])")
    page.locator("nav a", has_text="API").click()
    page.get_by_role("heading", name="POST /v1/predict").wait_for()
    page.wait_for_load_state()  # with its style sheet
    flawless(page)
    page.set_viewport_size({"width": 320, "height": 256})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_dropped_video_shows_its_frames_with_their_words(page: Page, tmp_path: Path) -> None:
    data = base64.b64encode(worded(tmp_path / "ad.mp4").read_bytes()).decode()
    dropped = page.evaluate_handle(
        "data => { const held = new DataTransfer(), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));"
        " held.items.add(new File([bytes], 'ad.mkv')); return held; }",
        data,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.get_by_role("button", name="Judge").click()
    page.locator("#result").wait_for()
    assert page.locator("figure").count() == 5
    assert all("SUMMER" in text for text in page.locator("figcaption").all_inner_texts())
    widths = page.evaluate(
        "Promise.all([...document.images].map(image => image.decode().then(() => image.naturalWidth)))"
    )
    assert widths == [640] * 5
    assert is_named(page)
    flawless(page)


def test_what_goes_wrong_is_said_and_nothing_is_stuck(page: Page, service: Running) -> None:
    page.get_by_role("button", name="Judge").click()
    page.locator("#status", has_text="Choose a video or a picture first.").wait_for()
    page.locator("#file").set_input_files(file("ad.jpg", b"no picture"))
    page.locator("#text").fill("words")
    page.get_by_role("button", name="Judge").click()
    page.locator("#status.wrong", has_text="A picture cannot be read").wait_for()
    flawless(page)
    held, run = threading.Event(), service.batches._run
    service.batches._run = lambda *asked: held.wait(60) and run(*asked)
    try:
        page.locator("#file").set_input_files(file("ad.jpg", picture(2)))
        page.get_by_role("button", name="Judge").click()
        page.get_by_role("button", name="Stop").click()
        page.locator("#status", has_text="Stopped.").wait_for()
        until(lambda: service.batches.admitted == 0)
    finally:
        held.set()
        service.batches._run = run
    page.route("**/v1/predict*", lambda route: route.abort())
    page.get_by_role("button", name="Judge").click()
    page.locator("#status.wrong", has_text="does not answer").wait_for()
    page.unroute("**/v1/predict*")
    refusal = {"error": {"kind": "key", "text": "Name a key of this server."}}
    page.route("**/v1/predict*", lambda route: route.fulfill(status=401, json=refusal))
    page.get_by_role("button", name="Judge").click()
    page.get_by_label("Key of this server").wait_for()
    flawless(page)
    page.unroute("**/v1/predict*")
    page.get_by_role("button", name="Judge").click()
    page.locator("#result").wait_for()
