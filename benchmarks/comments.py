"""Cost of reading comments: pages per second compared with bare connections, and memory compared with its limit.

A local stand-in for the Data API answers every request after 50 ms, in its own process. The upper limit of a crawl
with C requests in flight is the rate of C bare connections in the same run: they send requests and discard the answers
unread. The crawl, which also reads every comment and writes it to its table, must reach 95 % of that rate. The
theoretical limit C / 50 ms and the rate of Google's own client in a loop are printed for comparison. Then a million
comments are crawled in a process with a memory limit of 500 MB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyarrow as pa
from googleapiclient.discovery import build
from rich.console import Console
from rich.table import Table

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.crawl.data_api.client import FIELDS
from flows.crawl.steps import open_crawl
from flows.settings import Settings
from tests.youtube_sandbox import SandboxSettings, random_world, serve

LATENCY_S = 0.05
WANTED = 0.95
MEMORY_LIMIT_MB = 500
KEY = "benchmark"
NO_END = 10**9
SAME = {
    "part": "snippet,replies",
    "maxResults": 100,
    "textFormat": "plainText",
    "order": "time",
    "fields": FIELDS["commentThreads with replies"],
}
"""Parameters of a request, the same as the crawl's."""


def main() -> None:
    """Measure and print; with `--serve` or `--crawl` be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ads", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=5, help="pages of 100 comments for each ad")
    parser.add_argument("--connections", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--comments", type=int, default=1_000_000, help="comments of the memory run")
    parser.add_argument("--serve", nargs=3, metavar=("ADS", "PAGES", "LATENCY"), help=argparse.SUPPRESS)
    parser.add_argument("--crawl", nargs=2, metavar=("URL", "CONNECTIONS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_until_closed(int(arguments.serve[0]), int(arguments.serve[1]), float(arguments.serve[2]))
    elif arguments.crawl:
        print(json.dumps(crawl(arguments.crawl[0], int(arguments.crawl[1]), sys.stdin.read().split())))
    else:
        console = Console()
        measure_rate(console, arguments.ads, arguments.pages, arguments.connections)
        measure_memory(console, arguments.comments)


def measure_rate(console: Console, ads: int, pages: int, connections: list[int]) -> None:
    """Print pages per second: Google's client in a loop, bare connections, and the crawl."""
    table = Table(title=f"{ads:,} ads x {pages} pages of 100 comments, {LATENCY_S * 1000:.0f} ms an answer")
    for name in ("", "C", "pages/s", "of C / 50 ms", "of bare", "wanted", "CPU s"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    with server(ads, pages, LATENCY_S) as (url, video_ids):
        rate = loop_rate(url, video_ids[:20])
        table.add_row("Google's client", "1", f"{rate:.0f}", f"{rate * LATENCY_S:.1%}")
        for number in connections:
            limit = bare_rate(url, video_ids, number)
            table.add_row("bare", f"{number}", f"{limit:.0f}", f"{limit * LATENCY_S / number:.1%}")
            done = crawl_apart(url, number, video_ids)
            rate = done["pages"] / done["seconds"]
            shares = f"{rate * LATENCY_S / number:.1%}", f"{rate / limit:.1%}"
            row = ("crawl", f"{number}", f"{rate:.0f}", *shares, f"{WANTED:.0%}", f"{done['cpu_s']:.1f}")
            table.add_row(*row)
    console.print(table)


def bare_rate(url: str, video_ids: list[str], connections: int) -> float:
    """Return pages per second of bare connections, each sending its next request as soon as one is answered."""
    todo = iter(video_ids)
    lock = threading.Lock()

    def ask() -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc)
        headers = {"X-Goog-Api-Key": KEY, "Accept-Encoding": "gzip"}
        while True:
            with lock:
                video_id = next(todo, None)
            if video_id is None:
                return
            asked = urlencode({"videoId": video_id, **SAME})
            connection.request("GET", f"/youtube/v3/commentThreads?{asked}", headers=headers)
            connection.getresponse().read()

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(video_ids) / (time.perf_counter() - start)


def measure_memory(console: Console, comments: int) -> None:
    """Print the peak memory of the crawling process, for a tenth of the comments and for all of them."""
    table = Table(title="Memory of the crawling process")
    for name in ("comments", "seconds", "peak", "limit"):
        table.add_column(name, justify="right")
    for number in (comments // 10, comments):
        with server(max(1, number // 1000), 10, 0.0) as (url, video_ids):
            done = crawl_apart(url, 4, video_ids)
        row = (f"{done['comments']:,}", f"{done['seconds']:.0f}", f"{done['peak_mb']:,.0f} MB")
        table.add_row(*row, f"{MEMORY_LIMIT_MB} MB")
    console.print(table)


def crawl_apart(url: str, connections: int, video_ids: list[str]) -> dict[str, Any]:
    """Crawl in a separate process, so that its memory is measured alone."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.comments", "--crawl", url, str(connections)],
        input="\n".join(video_ids),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def crawl(url: str, connections: int, video_ids: list[str]) -> dict[str, Any]:
    """Read the comments of ads that are already in the catalog."""
    settings = Settings().model_copy(
        update={
            "crawl": Settings().crawl.model_validate(
                {"api_key": KEY, "endpoint": url, "connections": connections, "quota": {"units_per_day": NO_END}}
            )
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(folder)
        rows = [{"video_id": id_, "source": "youtube", "media_status": "missing"} for id_ in video_ids]
        catalog.merge("ads", pa.Table.from_pylist(rows, schema=TABLES["ads"].schema))
        with open_crawl(catalog, settings) as crawling:
            start, cpu = time.perf_counter(), time.process_time()
            read = crawling.read_comments(lambda comments: None)
            seconds = time.perf_counter() - start
        units = catalog.values("comment_fetches", "units")
        assert read.ads.rows_out == len(video_ids), read.ads
        assert catalog.count("comments") == read.comments
    return {
        "pages": sum(units),
        "comments": read.comments,
        "seconds": seconds,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def loop_rate(url: str, video_ids: list[str]) -> float:
    """Return pages per second of Google's client, used as in its documentation; answers are discarded."""
    options = {"api_endpoint": f"{url}/"}
    youtube = build("youtube", "v3", developerKey=KEY, client_options=options, static_discovery=True)
    pages, start = 0, time.perf_counter()
    for video_id in video_ids:
        threads = youtube.commentThreads()
        request = threads.list(
            videoId=video_id, part="snippet,replies", maxResults=100, textFormat="plainText", order="time"
        )
        while request is not None:
            request = threads.list_next(request, request.execute())
            pages += 1
    return pages / (time.perf_counter() - start)


@contextmanager
def server(ads: int, pages: int, latency_s: float) -> Iterator[tuple[str, list[str]]]:
    """Start the stand-in in its own process; yield its address and the ids of its videos."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.comments", "--serve", str(ads), str(pages), str(latency_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield told["url"], told["videos"]
        finally:
            assert process.stdin is not None
            process.stdin.close()


def serve_until_closed(ads: int, pages: int, latency_s: float) -> None:
    """Serve until standard input ends."""
    world = random_world(seed=0, videos=ads, comments_per_video=100 * pages, replies=False)
    settings = SandboxSettings(keys=(KEY,), latency_s=latency_s, units_per_day=NO_END)
    with serve(world, settings) as sandbox:
        for fields in ("", FIELDS["commentThreads with replies"]):
            sandbox.prepare(fields=fields)  # requests are measured, not the rendering of answers
        print(json.dumps({"url": sandbox.url, "videos": list(world.videos)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
