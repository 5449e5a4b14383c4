"""Waiting times for the page: five reviewers and a verifier judge a round of 5,000 ads at once, over HTTP.

    python -m benchmarks.annotation_web [--entries 5000] [--votes 100] [--pause 0.3] [--store postgresql://...]

The server runs in its own process. Before the clock starts, every reviewer has judged half of the round, and a part of
it waits for the verifier. While they vote, a visitor keeps the dashboard open. At the end, every vote and decision that
an answer reported as saved is looked up in the store.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
import pyarrow as pa
from sqlalchemy import insert

from annotation.events import Vote, dump
from annotation.protocol import Rule
from annotation.rounds import Entry, RoundSettings, draw_round
from annotation.store import Store, open_store, schema
from annotation.store.database import Database
from annotation.store.people import Invitation, Person
from annotation.store.round_store import Round
from annotation.web.pages import guidelines_of
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES

CHOICES = ("positive", "positive", "negative")
REVIEWERS = 5
FRAMES, COMMENTS = 3, 10
PIXEL = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9") + b"\0" * 20_000
"""Placeholder with the size of a small frame; it is never displayed."""

SERVER = """
import sys
from annotation.web.app import serve
from annotation.web.hardening import listening
from annotation.web.state import WebSettings
page = WebSettings(catalog=sys.argv[1], store=sys.argv[2], port=int(sys.argv[3]))
serve(page, listening(page.host, page.port))
"""

Waited = dict[str, list[float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--votes", type=int, default=100, help="by each person, while the others vote too")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds that a person thinks about an ad")
    parser.add_argument("--store", help="default: a new SQLite file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), asked.store, asked.entries, asked.votes, asked.pause)


def measure(folder: Path, location: str | None, n_entries: int, votes: int, pause_s: float) -> None:
    """Make a round, serve it, let all people work at once, and look up what was saved."""
    catalog, where = write_catalog(folder / "catalog", n_entries), location or str(folder / "store.sqlite3")
    store = open_store(where)
    round_ = store.rounds.open(draw_round(catalog, RoundSettings(Rule(n_reviewers=REVIEWERS))))
    shown = list(store.rounds.entries(round_.id).values())
    invited = [store.people.invite(f"Reviewer {secrets.token_hex(4)}", "reviewer") for _ in range(REVIEWERS)]
    for each in invited:
        store.preparation.acknowledge(each.person.id, guidelines_of(round_.options).version)
    judge_half(where, round_, [each.person for each in invited], shown)
    verifier = store.people.invite(f"Verifier {secrets.token_hex(4)}", "verifier")
    with Served(catalog.root, where, folder) as server:
        people = [Visitor(server.port, each) for each in [*invited, verifier]]
        onlooker, looking = Visitor(server.port, verifier), threading.Event()
        onlooking = threading.Thread(target=look, args=(onlooker, looking))
        onlooking.start()
        began = time.perf_counter()
        with ThreadPoolExecutor(len(people)) as threads:
            runs = list(threads.map(lambda person: person.work(round_.id, votes, pause_s), people))
        took = time.perf_counter() - began
        looking.set()
        onlooking.join()
        spent = server.cpu_seconds()
    waited: Waited = defaultdict(list)
    for run in (*runs, onlooker.waited):
        for what, seconds in run.items():
            waited[what] += seconds
    for what, seconds in waited.items():
        say(what, seconds)
    say("any request", [each for seconds in waited.values() for each in seconds])
    report_lost(store, round_.id, people)
    print(f"{sum(map(len, waited.values()))} requests in {took:.0f} s")
    for name, seconds in spent.items():
        print(f"{name}: {seconds:.1f} s of processor time")


def judge_half(location: str, round_: Round, people: list[Person], shown: list[Entry]) -> None:
    """Write all votes on the first half in one transaction; every tenth ad has an `uncertain`."""
    now = datetime.now(UTC)
    rows = [
        {
            "key": secrets.token_urlsafe(16),
            "round_id": round_.id,
            "entry_id": entry.id,
            "person_id": person.id,
            "kind": "vote",
            "payload": dump(Vote("uncertain" if place % 10 == 0 and number == 0 else "positive", "a note")),
            "shown_at": now,
            "submitted_at": now,
            "guideline": "g",
        }
        for number, person in enumerate(people)
        for place, entry in enumerate(shown[: len(shown) // 2])
    ]
    database = Database(location)
    with database.write() as connection:
        connection.execute(insert(schema.events), rows)
    database.close()


def report_lost(store: Store, round_id: int, people: list[Visitor]) -> None:
    """Compare the submissions reported as saved with the store."""
    kept = {event.key for event in store.events(round_id)}
    said = [key for person in people for key in person.saved]
    print(f"{len(kept & set(said))} of {len(said)} that were called saved are in the store")


class Served:
    """The page in its own process, within the `with` block."""

    def __init__(self, catalog: str, store: str, folder: Path) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
        command = [sys.executable, "-c", SERVER, catalog, store, str(self.port)]
        self._process = subprocess.Popen(command)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time of the server and of the measuring process so far."""
        server = psutil.Process(self._process.pid)
        times = {"the server": server.cpu_times(), "the process that measures": None}
        for beside in server.children():
            # multiprocessing's resource tracker is a child, too
            if "spawn_main" in " ".join(beside.cmdline()):
                times["the process that measures"] = beside.cpu_times()
        return {name: each.user + each.system for name, each in times.items() if each is not None}

    def __enter__(self) -> Served:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        raise SystemExit("the page does not start")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)


@dataclass
class Visitor:
    """One person's browser, without a display."""

    port: int
    invitation: Invitation
    saved: list[str] = field(default_factory=list)
    """Keys of the submissions that an answer reported as saved."""

    def __post_init__(self) -> None:
        self.waited: Waited = defaultdict(list)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._headers = {"Accept": "application/json"}
        asked = json.dumps({"token": self.invitation.token})
        self._connection.request("POST", "/join", asked, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        self._headers["Cookie"] = (answer.getheader("set-cookie") or "").split(";")[0]
        home = self.get("the whole page", "/review" if self.invitation.person.role == "reviewer" else "/verify")
        self._headers["X-CSRF-Token"] = re.findall(r'csrf-token" content="(\w+)"', home)[0]

    def work(self, round_id: int, acts: int, pause_s: float) -> Waited:
        """Judge or verify repeatedly; return the seconds waited, by request."""
        self.waited.clear()
        step = self._review if self.invitation.person.role == "reviewer" else self._verify
        for number in range(acts):
            step(round_id, number)
            time.sleep(pause_s)
        return self.waited

    def _review(self, round_id: int, number: int) -> None:
        page = self.get("a reviewer's next ad", f"/review/next?round={round_id}")
        said = {"choice": CHOICES[number % len(CHOICES)], "note": "a note"}
        self._submit("a vote, until it is saved", "/review/vote", round_id, page, said)
        for url in re.findall(r'<img src="([^"]+)"', page)[:FRAMES]:
            self.get("a frame's picture", url)

    def _verify(self, round_id: int, number: int) -> None:
        page = self.get("a verifier's queue and next ad", f"/verify/desk?round={round_id}")
        seen = re.search(r'data-revision="(\d+)"', page)
        if seen is None:
            return
        ruling = {"label": "negative" if number % 2 else "positive", "seen": int(seen.group(1))}
        self._submit("a decision, until it is saved", "/verify/decide", round_id, page, ruling)

    def _submit(self, what: str, address: str, round_id: int, page: str, said: dict[str, Any]) -> None:
        entry_id, key = re.findall(r'data-entry="(\w+)"', page)[0], secrets.token_urlsafe(16)
        shown_at = datetime.now(UTC).isoformat()
        body = {"round": round_id, "entry_id": entry_id, "key": key, "shown_at": shown_at, **said}
        self._ask(what, "POST", address, json.dumps(body), {"Content-Type": "application/json"})
        self.saved.append(key)

    def get(self, what: str, address: str) -> str:
        """Fetch a page, or a part of one."""
        return self._ask(what, "GET", address, None, {}).decode(errors="replace")

    def rest(self) -> None:
        """Close the connection, which the server would close; the next request opens another."""
        self._connection.close()

    def _ask(self, what: str, method: str, address: str, body: str | None, more: dict[str, str]) -> bytes:
        began = time.perf_counter()
        self._connection.request(method, address, body, {**self._headers, **more})
        answer = self._connection.getresponse()
        data = answer.read()
        self.waited[what].append(time.perf_counter() - began)
        if answer.status >= 300:
            raise SystemExit(f"{method} {address}: {answer.status} {data[:300]!r}")
        return data


def look(visitor: Visitor, enough: threading.Event) -> None:
    """Keep the dashboard open: reload it with its plots every five seconds."""
    visitor.waited.clear()
    while not enough.is_set():
        page = visitor.get("the dashboard", "/dashboard")
        for url in re.findall(r'<img class="plot" src="([^"]+)"', page):
            visitor.get("a plot of it", url)
        if "data-behind" in page:
            enough.wait(1)
            visitor.get("the dashboard's newer numbers", "/dashboard/numbers?round=1")
        visitor.rest()
        enough.wait(5)


def write_catalog(folder: Path, n_ads: int) -> Catalog:
    """Write a catalog of ads with frames, words and comments, as many as the round has."""
    catalog, now = Catalog(folder), datetime.now(UTC)
    ads = [f"v{number}" for number in range(n_ads)]
    frames = [(ad, index) for ad in ads for index in range(FRAMES)]
    rows: dict[str, list[dict[str, Any]]] = {
        "ads": [{"video_id": ad, "category": "apparel", "fetched_at": now} for ad in ads],
        "ad_sentiment": [{"video_id": ad, "label": "positive", "mean_score": 3.0} for ad in ads],
        "frames": [
            {
                "frame_id": f"{ad}:{index}",
                "video_id": ad,
                "frame_index": index,
                "timestamp_s": 1.5 + index,
                "width": 640,
                "height": 360,
                "image": {"bytes": PIXEL, "path": f"{ad}-{index}.jpg"},
                "image_sha256": secrets.token_hex(32),
            }
            for ad, index in frames
        ],
        "texts": [
            {"frame_id": f"{ad}:{index}", "video_id": ad, "text": "six words are on this frame", "n_words": 6}
            for ad, index in frames
        ],
        "comments": [
            {"comment_id": f"{ad}-{index}", "video_id": ad, "text": "love this one " * 5, "text_sha256": str(index)}
            for ad in ads
            for index in range(COMMENTS)
        ],
    }
    for table, of_table in rows.items():
        catalog.merge(table, pa.Table.from_pylist(of_table, schema=TABLES[table].schema))
    return catalog


def say(what: str, seconds: list[float]) -> None:
    """Print one line of figures."""
    most = f", 95 % below {quantiles(seconds, n=20)[-1] * 1000:.0f} ms" if len(seconds) > 1 else ""
    print(f"{what}: median {median(seconds) * 1000:.1f} ms{most} ({len(seconds)})")


if __name__ == "__main__":
    main()
