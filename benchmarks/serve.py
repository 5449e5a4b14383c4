"""Overhead of the service over its model, and a check that every request gets its own answer, over HTTP.

    python -m benchmarks.serve --catalog CATALOG --pictures DIR [--model RUN] [--requests 10000] [--clients 16]

The server is a process of its own. Requests with one picture and its words come from many connections at once; each
answer is compared with what the bare predictor says of that row. Work is measured in CPU seconds of either process, as
wall time says how busy the machine is: the server's per row, beside those of the bare predictor that decodes and
answers the same rows in batches. Then requests come at 70 % of the rate that was reached, each at its own moment
whether others are answered or not, and the answers' times are compared with each other.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil
import torch
from PIL import Image

from data_catalog.catalog import Catalog
from fgmfn.images import as_seen
from fgmfn.inference import Predictor
from flows.models import find_run, run_in_service

ROWS = 64
"""Different rows that are asked about, again and again."""
BATCH = 32
CLOSE = 1e-4
WORDS = (
    "new",
    "now",
    "sale",
    "price",
    "shoes",
    "summer",
    "half",
    "only",
    "today",
    "free",
    "best",
    "drink",
    "love",
    "home",
)


@dataclass
class Asked:
    """Results of the requests."""

    waited_s: list[float] = field(default_factory=list)
    lost: int = 0
    wrong: int = 0
    memory_mb: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", required=True, help="of the model")
    parser.add_argument("--model", help="a run of it; default: the one in service")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    catalog = Catalog(arguments.catalog)
    run = find_run(catalog, arguments.model) if arguments.model else run_in_service(catalog)
    assert run is not None, "no model is in service"
    rows = _rows(arguments.pictures)
    torch.set_num_threads(1)  # as the server's: threads that wait for each other use CPU time on a busy machine
    predictor = Predictor.open(Path(str(run.folder)), batch_size=BATCH)
    expected, bare_s = _bare(predictor, rows)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flows", "serve", "--catalog", arguments.catalog, "--port", str(port)]
    environment = {**os.environ, "YTB_ADS__SERVE__BATCH_ROWS": str(BATCH), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [*command, "--model", run.name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _report(server, port, rows, expected, bare_s, arguments.requests, arguments.clients)
        # again, as the machine may be busier or less by now
        _, again_s = _bare(predictor, rows)
        print(f"bare predictor: {1000 * bare_s:.2f} ms of CPU a row before, {1000 * again_s:.2f} ms after")
    finally:
        server.terminate()
        server.wait(60)


def _report(
    server: subprocess.Popen[bytes],
    port: int,
    rows: list[tuple[bytes, str]],
    expected: list[dict[str, float]],
    bare_s: float,
    requests: int,
    clients: int,
) -> None:
    process = psutil.Process(server.pid)
    _wait_for(port)
    bodies = [httpx.Request("POST", "http://x", files={"picture": data}, data={"text": text}) for data, text in rows]
    # by its own name for the server, which refuses any other
    names = {"host": f"127.0.0.1:{port}"}
    sent = [(body.read(), {"content-type": body.headers["content-type"], **names}) for body in bodies]
    _ask(port, sent, expected, requests=min(200, requests), clients=clients, due=lambda number: 0.0)  # warm
    before, begun = _cpu_s(process), time.perf_counter()
    full = _ask(port, sent, expected, requests=requests, clients=clients, due=lambda number: 0.0, process=process)
    took_s, cpu_s = time.perf_counter() - begun, _cpu_s(process) - before
    rate = requests / took_s
    print(f"{requests:,} requests on {clients} connections: {full.lost} lost, {full.wrong} with another answer")
    print(f"{rate:.0f} requests/s; {1000 * cpu_s / requests:.2f} ms of CPU a request, {bare_s * 1000:.2f} ms bare")
    print(f"CPU of the service by that of the bare predictor: {cpu_s / requests / bare_s:.2f}")
    print("memory of the server in MB: " + ", ".join(f"{each:.0f}" for each in full.memory_mb))
    draw, moment, moments = random.Random(0), 0.0, []
    for _ in range(min(1000, requests)):
        moment += draw.expovariate(0.7 * rate)
        moments.append(moment)
    start = time.perf_counter()
    steady = _ask(
        port, sent, expected, requests=len(moments), clients=4 * clients, due=lambda number: start + moments[number]
    )
    p95 = quantiles(steady.waited_s, n=20)[-1]
    middle = median(steady.waited_s)
    print(
        f"at 70 % of that rate: median {1000 * middle:.0f} ms, p95 {1000 * p95:.0f} ms, p95 by median "
        f"{p95 / middle:.2f}; {steady.lost} lost, {steady.wrong} with another answer"
    )


def _rows(folder: Path) -> list[tuple[bytes, str]]:
    files = sorted(folder.glob("*.jpg"))[:ROWS]
    draw = random.Random(0)
    return [(file.read_bytes(), " ".join(draw.choices(WORDS, k=draw.randint(3, 16)))) for file in files]


def _bare(predictor: Predictor, rows: list[tuple[bytes, str]]) -> tuple[list[dict[str, float]], float]:
    """The predictor's probabilities of each row, asked alone, and its CPU seconds a row in batches."""

    def opened(data: bytes) -> Image.Image:
        return as_seen(Image.open(io.BytesIO(data)))

    alone = [predictor.predict([opened(data)], [text])[0].probabilities for data, text in rows]
    begun, rounds = time.process_time(), 2
    for _ in range(rounds):
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            predictor.predict([opened(data) for data, _ in some], [text for _, text in some])
    return alone, (time.process_time() - begun) / rounds / len(rows)


def _ask(
    port: int,
    sent: list[tuple[bytes, dict[str, str]]],
    expected: list[dict[str, float]],
    *,
    requests: int,
    clients: int,
    due: Callable[[int], float],
    process: psutil.Process | None = None,
) -> Asked:
    """Send requests, each not before it is due, and compare the answers."""
    asked, numbers = Asked(), iter(range(requests))

    def client(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with asked.lock:
                number = next(numbers, None)
                if process is not None and number is not None and number % max(1, requests // 10) == 0:
                    asked.memory_mb.append(process.memory_info().rss / 1e6)
            if number is None:
                return
            if (wait_s := due(number) - time.perf_counter()) > 0:
                time.sleep(wait_s)
                if wait_s > 5:
                    connection.close()  # the server closes one that is idle for long
            row = (number * 37) % len(sent)
            begun = max(due(number), 0.0) or time.perf_counter()
            try:
                connection.request("POST", "/v1/predict", sent[row][0], sent[row][1])
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                answer = None
                connection.close()
            waited_s = time.perf_counter() - begun
            with asked.lock:
                asked.waited_s.append(waited_s)
                if answer is None or answer.status != 200:
                    asked.lost += 1
                else:
                    found = said["answers"][0]["probabilities"]
                    asked.wrong += any(abs(found[name] - share) > CLOSE for name, share in expected[row].items())

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return asked


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise SystemExit("the server does not start")


if __name__ == "__main__":
    main()
