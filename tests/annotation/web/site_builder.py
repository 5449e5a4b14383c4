"""A small catalog with ads to judge, a round over it, people invited to it, and the page that they see."""

from __future__ import annotations

import atexit
import hashlib
import io
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from annotation.protocol import Rule
from annotation.rounds import RoundOptions, RoundSettings, draw_round
from annotation.store import Store, open_store
from annotation.store.people import Invitation
from annotation.store.round_store import Round
from annotation.web.app import create_app
from annotation.web.pages import guidelines_of
from annotation.web.state import WebSettings
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES

BASE = "http://127.0.0.1:8440"
AT_ONCE = RoundOptions(least_look_ms=0)
"""An ad can be judged as soon as it is painted: tests read faster than people."""
WORDS = "Feel the morning new every single day"
COMMENTS = ("love this one, made me smile", "not sure what they are selling 😅", "went and bought two of them")


@dataclass(frozen=True)
class Site:
    """Everything that a test of the page needs."""

    app: FastAPI
    settings: WebSettings
    catalog: Catalog
    store: Store
    round: Round
    invitations: dict[str, Invitation]

    def client(self, name: str | None = None, **options: Any) -> TestClient:
        """A browser without a face; of somebody who is logged in, if a name is given."""
        client = TestClient(self.app, base_url=BASE, follow_redirects=False, **options)
        if name is not None:
            acknowledge(self.store, self.invitations[name])
            log_in(client, self.invitations[name].token)
        return client


def acknowledge(store: Store, *invitations: Invitation) -> None:
    """Let people have read the guidelines of every round, so that they find its ads at once."""
    for version in {guidelines_of(each.options).version for each in store.rounds.all()}:
        for invitation in invitations:
            store.preparation.acknowledge(invitation.person.id, version)


def log_in(client: TestClient, token: str) -> None:
    """Follow an invitation; from then on every POST of this client carries the session's token."""
    answer = client.post("/join", json={"token": token})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = csrf_of(client.get(answer.json()["to"], follow_redirects=True).text)


def csrf_of(page: str) -> str:
    """The token in a page's head; the page of a role whose pages are not there has none."""
    found = re.search(r'<meta name="csrf-token" content="(\w+)"', page)
    return found.group(1) if found else ""


def picture(text: str, seed: int) -> bytes:
    """A frame of 960 x 540 with its words on it."""
    image = Image.linear_gradient("L").resize((960, 540))
    hue = Image.merge("HSV", (image.point(lambda v: (seed * 47 + v // 6) % 256), image.point(lambda v: 150), image))
    rgb = hue.convert("RGB")
    ImageDraw.Draw(rgb).text((60, 220), text, fill="white", font_size=54, stroke_width=2, stroke_fill="black")
    out = io.BytesIO()
    rgb.save(out, "JPEG", quality=85)
    return out.getvalue()


def write_catalog(
    folder: Path, ads: int = 3, *, frames: int = 3, words: str = WORDS, comments: Sequence[str] = COMMENTS
) -> Catalog:
    """Ads that the comments label, each with frames, words and comments."""
    now = datetime.now(UTC)
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("ads", "frames", "texts", "comments", "ad_sentiment")
    }
    for ad in (f"ad{number}" for number in range(ads)):
        rows["ads"].append({"video_id": ad, "title": f"T {ad}", "category": "apparel", "fetched_at": now})
        rows["ad_sentiment"].append({"video_id": ad, "label": "positive", "mean_score": 3.0})
        for index in range(frames):
            data = picture(f"{ad} / {index}", int(ad[2:]) + index)
            rows["frames"].append(
                {
                    "frame_id": f"{ad}:{index}",
                    "video_id": ad,
                    "frame_index": index,
                    "timestamp_s": 1.5 + index,
                    "width": 960,
                    "height": 540,
                    "image": {"bytes": data, "path": f"{ad}-{index}.jpg"},
                    "image_sha256": hashlib.sha256(data).hexdigest(),
                }
            )
            said = f"{words} ({ad}, {index})"
            rows["texts"].append({"frame_id": f"{ad}:{index}", "video_id": ad, "text": said, "n_words": 9})
        for index, text in enumerate(comments):
            rows["comments"].append(
                {"comment_id": f"{ad}-c{index}", "video_id": ad, "text": text, "text_sha256": str(index)}
            )
    catalog = Catalog(folder)
    for table, of_table in rows.items():
        catalog.merge(table, pa.Table.from_pylist(of_table, schema=TABLES[table].schema))
    return catalog


def make_site(
    folder: Path,
    *,
    ads: int = 3,
    reviewers: int = 5,
    words: str = WORDS,
    comments: tuple[str, ...] = COMMENTS,
    frames: int = 3,
    repeat_share: float = 0.0,
    options: RoundOptions = AT_ONCE,
    **settings: Any,
) -> Site:
    """A catalog, an open round, `Reviewer 0`, `Reviewer 1`, ..., a `Verifier` and an `Admin`."""
    ready, invitations = _prepared(ads, reviewers, words, comments, frames, repeat_share, options)
    shutil.copytree(ready, folder, dirs_exist_ok=True)
    catalog = Catalog(folder / "catalog")
    made = WebSettings(catalog=catalog.root, store=str(folder / "store.sqlite3"), refresh_s=0.0, **settings)
    app = create_app(made)
    store = open_store(made.store)
    return Site(app, made, catalog, store, store.rounds.get(1), dict(invitations))


@cache
def _prepared(
    ads: int,
    reviewers: int,
    words: str,
    comments: tuple[str, ...],
    frames: int,
    repeat_share: float,
    options: RoundOptions,
) -> tuple[Path, dict[str, Invitation]]:
    """Tables and store made once for all tests of a process: writing them takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="ytb-ads-site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    catalog = write_catalog(folder / "catalog", ads, frames=frames, words=words, comments=comments)
    store = open_store(folder / "store.sqlite3")
    store.rounds.open(
        draw_round(catalog, RoundSettings(rule=Rule(n_reviewers=reviewers), repeat_share=repeat_share, options=options))
    )
    invitations = {
        **{f"Reviewer {n}": store.people.invite(f"Reviewer {n}", "reviewer") for n in range(reviewers)},
        "Verifier": store.people.invite("Verifier", "verifier"),
        "Admin": store.people.invite("Admin", "admin"),
    }
    acknowledge(store, *invitations.values())
    store.close()
    return folder, invitations


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """The page on a free port of this machine, as its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(site.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until, "the page does not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def with_store_path(site: Site, **changes: Any) -> Site:
    """The same site with other settings, as after a restart."""
    settings = replace(site.settings, **changes)
    return replace(site, settings=settings, app=create_app(settings))
