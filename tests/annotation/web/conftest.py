"""The page without a browser, and in Debian's Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from annotation.web.background import BESIDE
from tests.annotation.web.site_builder import Site, make_site, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three ads, five reviewers, nobody has judged."""
    made = make_site(tmp_path)
    yield made
    made.store.close()
    made.app.state.web.store.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's browser; required in CI."""
    found = shutil.which("chromium")
    if found is None:
        reason = "no chromium: `make setup-browser` installs it (Debian, as root)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for the tests of a file: its driver leaves a loop running, in which others' loops cannot run."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """The site, served on this machine."""
    with serving(site) as url:
        yield url


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_beside() -> Iterator[None]:
    """The process that measures beside a server ends with it; a server of tests does not always end."""
    yield
    BESIDE.close()


@pytest.fixture
def enter(browser: Browser, site: Site, address: str) -> Iterator[Callable[..., BrowserContext]]:
    """Log somebody in by their invitation: gives a browser context whose first page shows their work.

    What the pages ask of other servers, and every error in their scripts, fails the test.
    """
    contexts: list[BrowserContext] = []
    strange: list[str] = []

    def log_in(name: str, **options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(30_000)  # never waited for but where something is wrong, or the machine is busy
        contexts.append(context)
        context.on("request", lambda asked: None if asked.url.startswith(address) else strange.append(asked.url))
        context.on("weberror", lambda error: strange.append(str(error.error)))
        context.on("console", lambda said: strange.append(said.text) if "Content Security" in said.text else None)
        joined = context.request.post(f"{address}/join", data={"token": site.invitations[name].token})
        context.new_page().goto(f"{address}{joined.json()['to']}")
        return context

    yield log_in
    for context in contexts:
        context.close()
    assert not strange
