"""Four weeks in fast motion: a real server, a real worker, and the deployments at their schedules.

    python -m tests.drills.soak
    python -m tests.drills.soak --database postgresql

The wall clock of every process is moved to the next thing that is due (`tests/drills/clock.py`), so the schedules are
those of the deployments. YouTube is the sandbox of the tests, over HTTP. Every week something happens to the ads and
something is killed; what must be true afterwards is reckoned from `tests/drills/story.py`. Prints a line for each thing
that was done or seen; `docs/operations.md` has such a log, says what is simulated, and states the limits of growth.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import httpx
import psutil
import pyarrow.parquet as pq
from deltalake import DeltaTable

from data_catalog.releases import verify_release
from flows.service.registration import register
from tests.drills.clock import Clock
from tests.drills.recovery import PATHS, QUICK, ROOT, Service, stage_is_running, wait
from tests.drills.story import Story, begin, categories
from tests.servers import postgres_running
from tests.youtube_sandbox import Sandbox, SandboxSettings, serve

KEY = "AIzaSandboxKeyOfASoak012345678901234567"
PACIFIC = ZoneInfo("America/Los_Angeles")
REBUILD, REFRESH = "weekly-rebuild", "daily-refresh"
REFRESH_DAYS = 21
"""Age at which rows are refreshed: it falls into the four weeks."""
STEP_S = 20
"""While no run is alive, a second of ours is so many of the clock's: pauses and silences pass."""
REVIEWERS = 5
VICTIMS = ("flow", "worker", "server", "both")
"""What is killed, a week each; `both`: server, worker and flow at once."""

GROWTH = {
    # Prefect leaves two of a run that is killed
    "temporary files": 2 * len(VICTIMS),
    "temporary MB": 0.1,
    "locks and notes": 10,
    "log files of tables": 100,
    "log MB of tables": 1.0,
    "server's database MB": 15.0,
    "server's memory MB": 60.0,
    "worker's memory MB": 20.0,
}
"""Most that each may be more at the end of any week than at the end of the first one."""


@dataclass
class Measured:
    """What must not grow, at the end of a week."""

    day: date
    runs: int
    kept: dict[str, float]


@dataclass
class Soak:
    """The service under a moved clock, what its sandbox shows, and what was seen of it."""

    service: Service
    clock: Clock
    sandbox: Sandbox
    story: Story
    catalog: Path
    units_per_day: int
    first_monday: datetime
    deployments: dict[str, str] = field(default_factory=dict)
    """Id by name."""
    sums: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digest of every file of a release, as it was when it was first seen."""
    splits: dict[str, str] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    refreshed: bool = False

    # -- time

    def say(self, line: str) -> None:
        """Print a line with the service's time."""
        print(f"{self.now():%a %m-%d %H:%M} {line}", flush=True)  # noqa: T201 - what a script says

    def now(self) -> datetime:
        """The service's time."""
        return self.clock.now()

    def move_to(self, moment: datetime) -> None:
        """Let it be later, and let the quota's new day begin where that is past midnight at Google's."""
        before = self.now().astimezone(PACIFIC).date()
        self.clock.move_to(moment)
        if self.now().astimezone(PACIFIC).date() > before:
            spent = self.sandbox.today.get(KEY, {}).get("units", 0)
            assert spent <= self.units_per_day, f"{spent} units on {before}, of {self.units_per_day}"
            self.sandbox.new_day()

    def live_until(self, moment: datetime) -> None:
        """Let everything happen that is due before a moment, each at its time, and let it be that moment."""
        self.settle()
        while (due := self._next_due()) and due < moment:
            self.move_to(due)
            self.settle()
        self.move_to(moment)

    def settle(self) -> None:
        """Wait until no run is due, runs, or waits for its next attempt."""
        idle_since = time.monotonic()

        def is_settled() -> bool:
            nonlocal idle_since
            open_runs = self._unsettled()
            if open_runs == []:
                return True
            time.sleep(0.8)  # asking costs the server its time
            if self._alive() or open_runs is None:
                idle_since = time.monotonic()
                return False
            is_for_worker = any(run["state_type"] in ("SCHEDULED", "PENDING") for run in open_runs)
            if time.monotonic() - idle_since > (8 if is_for_worker else 2):
                self.move_to(self.now() + timedelta(seconds=STEP_S))
            return False

        wait(is_settled, "nothing is due")

    def _unsettled(self) -> list[dict[str, Any]] | None:
        """Runs that are due, that run, or that will be tried again; None while the server is away."""
        soon = (self.now() + timedelta(seconds=5)).isoformat()
        found = self._runs(["SCHEDULED", "PENDING", "RUNNING", "CRASHED", "FAILED"], {"before_": soon})
        if found is None:
            return None
        given_up = [run["name"] for run in found if run["state_name"] == "GivenUp"]
        assert not given_up, f"given up: {given_up}"
        return found

    def _next_due(self) -> datetime | None:
        found = wait(lambda: self._runs(["SCHEDULED"], {"after_": self.now().isoformat()}), "scheduled runs")
        return min((datetime.fromisoformat(run["expected_start_time"]) for run in found), default=None)

    def _runs(self, states: list[str], due: dict[str, str], of: str | None = None) -> list[dict[str, Any]] | None:
        """Runs of the deployments that a worker is there for, or of one of them."""
        mine = [id_ for name, id_ in self.deployments.items() if name == (of or name) and name != "train-on-gpu"]
        wanted = {
            "state": {"type": {"any_": states}},
            "expected_start_time": due,
            "deployment_id": {"any_": mine},
        }
        found: list[dict[str, Any]] | None = self.service.ask("flow_runs/filter", {"flow_runs": wanted})
        return found

    def _alive(self) -> list[psutil.Process]:
        """Processes of runs."""
        worker = self.service.processes["worker"]
        return psutil.Process(worker.pid).children() if worker.poll() is None else []

    # -- what is done

    def command(self, *words: str, code: int | None = 0) -> str:
        """Run `ytb-ads` with these words; returns what it prints."""
        environment = {**QUICK, **os.environ, "PYTHONPATH": PATHS, "PREFECT_API_URL": self.service.url}
        command = [sys.executable, "-m", "flows", *words]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert code is None or done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def deploy(self) -> None:
        """Register the deployments, as `ytb-ads deploy` does."""
        for line in register(self.service.url, "youtube"):
            self.say(line)
        found = self.service.ask("deployments/filter", {})
        self.deployments = {each["name"]: each["id"] for each in found}

    def pause(self, deployment: str) -> None:
        """Let nothing of a deployment start by itself."""
        url = f"{self.service.url}/deployments/{self.deployments[deployment]}/pause_deployment"
        httpx.post(url).raise_for_status()
        self.paused.add(deployment)

    def resume(self, deployment: str) -> None:
        """Let it start by itself again."""
        url = f"{self.service.url}/deployments/{self.deployments[deployment]}/resume_deployment"
        httpx.post(url).raise_for_status()
        self.paused.remove(deployment)
        wait(lambda: self._runs(["SCHEDULED"], {"after_": self.now().isoformat()}, deployment), "it is scheduled")

    def change_settings(self, **settings: str) -> None:
        """Give the worker another environment, as its owner would, and start it again."""
        os.environ.update(settings)
        self.say(
            f"settings: {', '.join(f'{name}={value}' for name, value in settings.items())}; the worker is restarted"
        )
        self.service.processes["worker"].terminate()
        self.service.processes["worker"].wait(timeout=60)
        self.service.start_worker()

    def crash(self, victim: str, stage: str) -> None:
        """Wait for a stage of a rebuild that is due, kill, look what `health` says, and start what a host would."""
        run = wait(self._rebuild_that_runs, "a rebuild runs")
        wait(lambda: stage_is_running(self.service, run, stage) or not self._rebuild_that_runs(), f"{stage} runs")
        processes = self._alive()
        if victim in ("worker", "both"):
            self.service.kill("worker")
        if victim in ("server", "both"):
            self.service.kill("server")
        for process in processes if victim != "server" else ():
            process.kill()
        self.say(f"kill -9 of {'server, worker and flow' if victim == 'both' else victim} while {stage} runs")
        if victim in ("server", "both"):
            self.expect_health({"server"}, service=False)
            self.service.start_server()
        if victim in ("worker", "both"):
            self.move_to(self.now() + timedelta(seconds=120))
            self.expect_health({"workers of cpu"}, at_least=True)
            self.service.start_worker()
        self.settle()
        ended = self.service.ask(f"flow_runs/{run}")
        attempts = ended["run_count"]
        assert ended["state_type"] == "COMPLETED", ended["state"]
        self.say(f"run {ended['name']}: {ended['state_name']} at attempt {attempts}, with no hand on it")

    def _rebuild_that_runs(self) -> str | None:
        running = self._runs(["RUNNING"], {"before_": self.now().isoformat()}) or []
        mine = self.deployments[REBUILD]
        return next((str(run["id"]) for run in running if run["deployment_id"] == mine), None)

    # -- people

    def annotate(self) -> None:
        """Five reviewers and a verifier judge the open round on the page, and its end starts the release."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        page, catalog = f"http://127.0.0.1:{port}", ("--catalog", str(self.catalog))
        environment = {**QUICK, **os.environ, "PYTHONPATH": PATHS, "PREFECT_API_URL": self.service.url}
        words = [sys.executable, "-m", "flows", "annotate", "serve", "--port", str(port), *catalog]
        names = [*(f"Reviewer {number}" for number in range(REVIEWERS)), "Verifier"]
        links = [
            json.loads(
                self.command(
                    *("annotate", "invite", name, "--role", "verifier" if name == "Verifier" else "reviewer"),
                    *("--url", page, "--json", *catalog),
                )
            )["link"]
            for name in names
        ]
        with (self.service.home / "page.log").open("wb") as log:
            serving = subprocess.Popen(words, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            wait(lambda: _answers(page), "the page answers")
            *votes, decided = [
                self._judge(page, link, number) if number < REVIEWERS else self._decide(page, link)
                for number, link in enumerate(links)
            ]
            self.say(f"reviewers judged {votes[0]} ads each, the verifier decided {decided}")
            wait(self._release_is_asked_for, "the end of the round starts a release")
        finally:
            serving.terminate()
            serving.wait(timeout=30)
        self.settle()

    def _judge(self, page: str, link: str, number: int) -> int:
        """One reviewer judges everything as the ad was made to be; the first one is not sure of one ad."""
        done = 0
        with _Visitor(page, link, self.clock) as visitor:
            visitor.read_guidelines()
            while entry := visitor.entry("/review"):
                entry_id, video_id = entry
                choice = "uncertain" if not number and not done else self.story.moods.get(video_id, "positive")
                visitor.submit("/review/vote", entry_id, choice=choice)
                done += 1
        return done

    def _decide(self, page: str, link: str) -> int:
        done = 0
        with _Visitor(page, link, self.clock) as visitor:
            while entry := visitor.entry("/verify"):
                entry_id, video_id = entry
                label = self.story.moods.get(video_id, "positive")
                visitor.submit("/verify/decide", entry_id, label=label, seen=visitor.revision)
                done += 1
        return done

    def _release_is_asked_for(self) -> bool:
        mine = {"deployment_id": {"any_": [self.deployments["after-review"]]}}
        return bool(self.service.ask("flow_runs/filter", {"flow_runs": mine}))

    # -- what must be true

    def expect_health(self, expected: Iterable[str], *, service: bool = True, at_least: bool = False) -> None:
        """Ask `ytb-ads health` for what is not well: exactly this, besides what holds of the whole soak.

        Args:
            expected: names of checks.
            service: whether the server can be asked.
            at_least: whether it may say more.
        """
        wanted = {*expected, *self._standing(service)}
        deadline = time.monotonic() + 90  # a worker's sign of life takes a moment
        while True:
            said = json.loads(self.command("health", "--json", "--catalog", str(self.catalog), code=None))
            bad = {check["name"]: check["said"] for check in said["checks"] if check["state"] != "ok"}
            names = {re.sub("^quota of .*", "quota", name) for name in bad}
            if names == wanted or (at_least and names >= wanted):
                break
            assert time.monotonic() < deadline, f"health: expected {sorted(wanted)}, found {bad}"
            time.sleep(3)
        standing = self._standing(service)
        shown = "; ".join(f"{name}: {said}" for name, said in bad.items() if name not in standing)
        self.say(f"health: {shown or 'nothing new'}{f'; as before: {sorted(standing)}' if standing else ''}")

    def _standing(self, service: bool) -> set[str]:
        """What is not well here for longer: no GPU host trains, one video cannot be decoded, rows wait for a night."""
        releases = self._releases()
        found = {"workers of gpu", *self.paused, *(["train-on-gpu"] if releases else [])} if service else set()
        if not self.refreshed and self.now() > self.first_monday + timedelta(days=REFRESH_DAYS):
            found.add("refresh")  # until the next night
        if releases:
            found.add("failures")
            written = datetime.strptime(releases[-1].name[:10], "%Y.%m.%d").replace(tzinfo=UTC)
            if self.now() - written > timedelta(days=3):
                found.add("training")
        return found

    def check(self) -> None:
        """Hold tables and releases against the story, and look for what is said to run."""
        self._check_nothing_runs()
        self._check_tables()
        self._check_releases()

    def _check_nothing_runs(self) -> None:
        for kind in ("flow_runs", "task_runs"):
            left = {kind: {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
            wait(lambda kind=kind, left=left: self.service.ask(f"{kind}/filter", left) == [], f"no {kind} run on")  # type: ignore[misc]

    def _check_tables(self) -> None:
        keys = {"ads": "video_id", "comments": "comment_id", "frames": "frame_id", "texts": "frame_id"}
        for table, key in keys.items():
            twice = [name for name, number in Counter(self._column(table, key)).items() if number > 1]
            assert not twice, f"{table} has twice: {twice}"
        held, dropped = set(self._column("ads", "video_id")), set(self._column("drops", "video_id"))
        must = set(self.story.good) - self.story.forgotten - self.story.deleted  # the last until they are refreshed
        assert held >= must, f"lost: {[self._about(id_) for id_ in must - held]}"
        assert held - must <= self.story.deleted, f"not to be held: {sorted(held - must - self.story.deleted)}"
        # of what is gone no drop may stay either: the refresh says how many it removed, until a list names them again
        unexplained = self.story.bad - dropped - (self.story.unavailable if self.refreshed else set())
        assert not unexplained, f"left out without a reason: {[self._about(id_) for id_ in unexplained]}"
        self.story.note_readings(held)
        comments: dict[str, set[str]] = {}
        of, ids = (self._column("comments", name) for name in ("video_id", "comment_id"))
        for ad, comment in zip(of, ids, strict=True):
            comments.setdefault(ad, set()).add(comment)
        for ad in held:
            assert comments.get(ad) == self.story.read_as[ad], f"comments of {self._about(ad)}"

    def _check_releases(self) -> None:
        for release in self._releases():
            files = sorted(path for path in release.rglob("*") if path.is_file())
            sums = {str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
            assert self.sums.setdefault(release.name, sums) == sums, f"{release.name} is not what it was"
            assert verify_release(release) == []
            for path in sorted((release / "data").glob("*.parquet")):
                split = path.name.split("-")[0]
                for ad in _ads_in(path):
                    original = self.story.copies.get(ad, ad)
                    assert self.splits.setdefault(original, split) == split, f"{ad} has changed its split"
            assert _ads_in(release / "data") <= self.story.shown

    def check_newest_release(self) -> None:
        """The newest release holds every ad that was made to have a mood, and none that is gone."""
        newest = self._releases()[-1]
        found = _ads_in(newest / "data")
        held = set(self._column("ads", "video_id"))
        must = held.intersection(self.story.moods)
        assert must <= found, f"{newest.name} lacks {[self._about(id_) for id_ in must - found]}"
        gone = found - held - self.story.deleted  # a refresh since then may have removed those
        assert not gone, f"{newest.name} holds {sorted(gone)}"
        self.say(f"release {newest.name}: {len(found)} ads of {len(held)}")

    def check_monday(self, monday: datetime) -> None:
        """That Monday's rebuild ended with a release, or with a reason after which another run wrote it."""
        week = {
            "after_": (monday - timedelta(minutes=1)).isoformat(),
            "before_": (monday + timedelta(days=6)).isoformat(),
        }
        runs = self._runs(["COMPLETED"], week) or []
        mine = [
            run for run in runs if run["deployment_id"] in (self.deployments[REBUILD], self.deployments["after-review"])
        ]
        mine.sort(key=lambda run: run["expected_start_time"])
        assert mine, f"no rebuild on {monday:%Y-%m-%d}"
        assert mine[0]["expected_start_time"].startswith(f"{monday:%Y-%m-%dT%H:%M}"), mine[0]["expected_start_time"]
        assert mine[-1]["state_name"] == "Completed", mine[-1]["state"]
        for run in mine:
            reason = (run["state"]["message"] or "").partition(";")[0]
            self.say(
                f"{run['name']}: {run['state_name']} {reason if run['state_name'] != 'Completed' else ''}".rstrip()
            )

    def check_refreshed(self, ads: set[str]) -> None:
        """These ads were fetched again: with their titles and comments of now, and those that are gone were removed.

        The runs say how many were removed: nothing else does, as no row of them may stay.
        """
        titles = dict(zip(self._column("ads", "video_id"), self._column("ads", "title"), strict=True))
        deleted = ads & self.story.deleted
        assert not titles.keys() & deleted, "the refresh has removed what is gone"
        assert {ad: titles[ad] for ad in self.story.retitled} == self.story.retitled
        for ad in ads:
            del self.story.read_as[ad]
        runs = self._runs(["COMPLETED"], {"before_": self.now().isoformat()}, REFRESH) or []
        of_runs = [{"logs": {"flow_run_id": {"any_": [run["id"]]}, "level": {"ge_": 20}}} for run in runs]
        lines = [line["message"] for asked in of_runs for line in self.service.ask("logs/filter", asked)]
        self.refreshed = True
        found = [re.search(r"removed: (\d+) ads, (\d+) candidates", line) for line in lines]
        gone = [sum(int(each.group(number)) for each in found if each) for number in (1, 2)]
        assert gone == [len(deleted), len(deleted | (self.story.bad & self.story.unavailable))], lines
        self.say(
            f"{len(ads)} ads of the first week were fetched again; gone: {gone[0]}, and of the candidates {gone[1]}"
        )

    def _releases(self) -> list[Path]:
        return [path for path in sorted((self.catalog / "releases").glob("[!.]*")) if path.is_dir()]

    def _column(self, table: str, name: str) -> list[Any]:
        folder = self.catalog / "tables" / table
        return DeltaTable(folder).to_pyarrow_table(columns=[name])[name].to_pylist() if folder.exists() else []

    def _about(self, video_id: str) -> str:
        video = self.story.world.videos.get(video_id)
        return f"{video_id} ({video.title if video else 'unknown'})"

    # -- growth

    def measure(self) -> None:
        """Note how large everything is that must not grow."""
        wait(lambda: not self._alive(), "the processes of the last run end")
        home, logs = self.service.home, list((self.catalog / "tables").glob("*/_delta_log/*"))
        temporary = _files(home / "tmp")
        of_catalog = [path for path in self.catalog.iterdir() if path.name not in ("tables", "releases", "media")]
        notes = [file for path in of_catalog for file in (_files(path) if path.is_dir() else [path])]
        self.measured.append(
            Measured(
                self.now().date(),
                self.service.ask("flow_runs/count", {}),
                {
                    "temporary files": len(temporary),
                    "temporary MB": _megabytes(temporary),
                    "locks and notes": len(notes),
                    "log files of tables": len(logs),
                    "log MB of tables": _megabytes(logs),
                    "server's database MB": self._database_mb(),
                    "server's memory MB": _memory_mb(self.service.processes["server"].pid),
                    "worker's memory MB": _memory_mb(self.service.processes["worker"].pid),
                },
            )
        )
        self.say(f"measured: {_in_words(self.measured[-1])}")

    def check_growth(self) -> None:
        """Every measurement against the first."""
        first = self.measured[0].kept
        for each, (name, most) in product(self.measured, GROWTH.items()):
            grown = each.kept[name] - first[name]
            assert grown <= most, f"{name} on {each.day}: {grown:g} more than at first, at most {most:g} is right"

    def _database_mb(self) -> float:
        if self.service.database:
            import psycopg

            with psycopg.connect(self.service.database.url) as connection:
                row = connection.execute("SELECT pg_database_size('postgres')").fetchone()
            return row[0] / 1e6 if row else 0.0
        return _megabytes(list((self.service.home / "server").glob("prefect.db*")))


class _Visitor:
    """Somebody with a link to the page."""

    def __init__(self, page: str, link: str, clock: Clock) -> None:
        self._client, self._clock, self.revision = httpx.Client(base_url=page), clock, 0
        joined = self._client.post(link)
        assert joined.status_code == 303, joined.text
        self._round = 0

    def __enter__(self) -> _Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def read_guidelines(self) -> None:
        """What a reviewer does before the first ad."""
        text = self._client.get("/guidelines").text
        version, token = (re.search(rf'{name}="([^"]+)"', text) for name in ("data-version", 'csrf-token" content'))
        assert version, text
        assert token, text
        self._client.headers["X-CSRF-Token"] = token.group(1)
        assert self._client.post("/guidelines", json={"version": version.group(1)}).status_code == 200

    def entry(self, path: str) -> tuple[str, str] | None:
        """The entry that the page shows first, and the ad whose frames it shows; None when nothing is left."""
        text = self._client.get(path).text
        found = re.search(r'data-entry="(\w+)"', text)
        if not found:
            return None
        behind = text[found.start() :]
        frame = re.search(r"/frames/([\w-]+)(?::|%3A)", behind)
        revision = re.search(r'data-revision="(\d+)"', behind)
        token = re.search(r'name="csrf-token" content="(\w+)"', text)
        assert frame, text
        assert token, text
        self._client.headers["X-CSRF-Token"] = token.group(1)
        self.revision = int(revision.group(1)) if revision else 0
        number = re.search(r'data-round="(\d+)"', text)
        self._round = int(number.group(1)) if number else 1
        return found.group(1), frame.group(1)

    def submit(self, path: str, entry_id: str, **more: Any) -> None:
        """What the page sends when somebody has decided."""
        body = {"round": self._round, "entry_id": entry_id, "key": secrets.token_urlsafe(16)}
        answer = self._client.post(path, json={**body, "shown_at": self._clock.now().isoformat(), **more})
        assert answer.status_code == 200, answer.text


def _answers(page: str) -> bool:
    try:
        return httpx.get(page).status_code < 500
    except httpx.HTTPError:
        return False


def _ads_in(path: Path) -> set[str]:
    """The ads of a Parquet file, or of a folder of them."""
    ads: list[Any] = pq.read_table(path, columns=["video_id"])["video_id"].to_pylist()
    return set(ads)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _megabytes(files: Iterable[Path]) -> float:
    size = 0
    for path in files:
        with suppress(FileNotFoundError):  # of a process that ends just now
            size += path.stat().st_size
    return size / 1e6


def _memory_mb(pid: int) -> float:
    """Memory that a process would free if it ended: its own pages."""
    return psutil.Process(pid).memory_full_info().uss / 1e6


def _in_words(measured: Measured) -> str:
    return f"{measured.runs} runs, " + ", ".join(f"{name} {value:.4g}" for name, value in measured.kept.items())


def first_monday(year: int) -> datetime:
    """03:00 of the Monday before the clocks change at Google's, where a day of the quota has 23 hours."""
    march = date(year, 3, 1)
    second_sunday = march + timedelta(days=(6 - march.weekday()) % 7 + 7)
    return datetime.combine(second_sunday - timedelta(days=6), time_of_day(3), UTC)


@contextmanager
def soaking(home: Path, database: str, ads: int, held_back: int, units_per_day: int, source: Path) -> Iterator[Soak]:
    """A sandbox, a server and a worker on a clock that shows the Saturday before the first Monday."""
    home.chmod(0o711)  # PostgreSQL's user reads the clock
    for name in ("tmp", "user"):
        (home / name).mkdir()
    story, catalog = begin(source, ads, held_back), home / "catalog"
    first = first_monday(datetime.now(UTC).year + 1)
    clock = Clock(home, first - timedelta(days=1))
    with ExitStack() as stack:
        settings = SandboxSettings(keys=(KEY,), units_per_day=units_per_day)
        sandbox = stack.enter_context(serve(story.world, settings))
        environment = {
            **clock.environment,
            "TMPDIR": str(home / "tmp"),
            "HOME": str(home / "user"),
            "XDG_CACHE_HOME": str(home / "user" / "cache"),
            "OMP_NUM_THREADS": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
            "YTB_ADS_CATALOG": str(catalog),
            "YTB_ADS__CRAWL__API_KEY": KEY,
            "YTB_ADS__CRAWL__ENDPOINT": sandbox.url,
            "YTB_ADS__CRAWL__SITE": sandbox.url,
            "YTB_ADS__CRAWL__CATEGORIES": categories(),
            "YTB_ADS__CRAWL__SLICE_DAYS": "3650",
            "YTB_ADS__CRAWL__FILTERS__PUBLISHED_AFTER": "2024-01-01",
            "YTB_ADS__CRAWL__QUOTA__UNITS_PER_DAY": str(units_per_day),
            "YTB_ADS__CRAWL__REFRESH_DAYS": str(REFRESH_DAYS),
            "YTB_ADS__MEDIA__PAUSE_S": "[0, 0]",
            "YTB_ADS__MEDIA__REQUEST_PAUSE_S": "0",
        }
        stack.enter_context(patch.dict(os.environ, environment))
        postgres = stack.enter_context(postgres_running()) if database == "postgresql" else None
        service = Service(home, postgres)
        stack.callback(service.stop)
        service.start_server()
        soak = Soak(service, clock, sandbox, story, catalog, units_per_day, first)
        soak.deploy()
        service.start_worker()
        yield soak


def long(soak: Soak, nights: bool) -> None:
    """Five Mondays, the last one after the refresh of what the first one fetched.

    Args:
        soak: the service.
        nights: whether the refresh runs in the nights, too, in which nothing is due for it yet.
    """
    if not nights:
        soak.pause(REFRESH)
    story, first = soak.story, soak.first_monday
    of_first_week: set[str] = set()
    for week, victim in enumerate((*VICTIMS, None)):
        monday = first + timedelta(weeks=week)
        soak.live_until(monday - timedelta(hours=12))
        if week:
            if week == 4:
                soak.check_refreshed(of_first_week)
            end_week(soak, monday - timedelta(weeks=1))
            soak.say(f"-- week {week + 1}")
        if week == 1:
            of_first_week = set(story.read_as)
            appeared, deleted, edited = story.appear(2, soak.now()), story.delete(), story.edit(soak.now())
            soak.say(f"appeared: {appeared}; deleted: {deleted}; edited and commented: {edited}")
        elif week == 2:
            soak.say(f"uploaded once more: {story.reupload(soak.now())}; private: {story.hide()}")
            soak.change_settings(YTB_ADS__REVIEW__POLICY="human")
        elif week == 3:
            gone = story.forget()
            soak.command("catalog", "forget", gone, "--yes", "--catalog", str(soak.catalog))
            soak.say(f"forgotten: {gone}; appeared: {story.appear(1, soak.now())}")
            soak.change_settings(YTB_ADS__REVIEW__POLICY="auto")
            if not nights:
                soak.resume(REFRESH)
        elif week == 4:
            soak.say(f"appeared: {story.appear(1, soak.now())}")
        soak.live_until(monday)
        if victim:
            soak.crash(victim, "frames" if not week else "crawl-youtube")
        soak.settle()
        if not week:
            soak.expect_health({"quota", "release"})
        elif week == 2:
            soak.expect_health({"annotation"})
            soak.annotate()
    soak.live_until(first + timedelta(weeks=4, hours=12))
    end_week(soak, first + timedelta(weeks=4))
    soak.check_growth()


def short(soak: Soak) -> None:
    """Two Mondays: a kill, a spent quota, a new ad; without the refreshes of the nights in between."""
    soak.pause(REFRESH)
    monday = soak.first_monday
    soak.live_until(monday)
    soak.crash("flow", "frames")
    soak.expect_health({"quota", "release"})
    soak.live_until(monday + timedelta(days=6))
    soak.say(f"appeared: {soak.story.appear(1, soak.now())}")
    soak.live_until(monday + timedelta(weeks=1, hours=12))
    for week in range(2):
        soak.check_monday(monday + timedelta(weeks=week))
    soak.check()
    soak.check_newest_release()


def end_week(soak: Soak, monday: datetime) -> None:
    """Everything that must be true on a Sunday."""
    soak.check_monday(monday)
    soak.check()
    soak.check_newest_release()
    soak.measure()
    soak.expect_health(())


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    words.add_argument("--ads", type=int, default=16)
    words.add_argument("--units", type=int, default=40, help="quota of a day")
    words.add_argument("--quiet-nights", action="store_true", help="no refresh in the nights of the first three weeks")
    words.add_argument("--home", type=Path, help="folder for everything, which stays; by default a temporary one")
    given = words.parse_args()
    # a shell starts what it runs in the background with Ctrl-C ignored, by which a worker ends its own process
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # what was started is ended, too
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        home = given.home or Path(folder)
        home.mkdir(exist_ok=True)
        with soaking(home, given.database, given.ads, 4, given.units, home / "ads") as soak:
            long(soak, not given.quiet_nights)
            for row in soak.measured:
                soak.say(json.dumps(asdict(row), default=str))
            soak.say("the soak is passed: nothing is lost, doubled, left running, or grown beyond its limit")


if __name__ == "__main__":
    main()
