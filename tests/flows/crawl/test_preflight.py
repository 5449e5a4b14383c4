"""Before a crawl everything that it needs is looked at, whatever else is broken, and nothing secret is shown."""

from __future__ import annotations

import io
import json
import shutil
import socket
import time
from collections import namedtuple
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from data_catalog import Catalog
from flows.checks import Check, render_checks
from flows.commands.main import app
from flows.crawl import preflight
from flows.crawl.data_api.quota import key_name
from flows.crawl.media.lane import LANE
from flows.crawl.media.store import USUAL_BYTES
from flows.crawl.preflight import (
    OLD,
    check,
    check_connection,
    check_cookies,
    check_js_runtime,
    check_yt_dlp,
    videos_to_come,
)
from flows.crawl.steps import open_ledger
from flows.settings import Settings
from tests.flows.crawl.scripted_server import error, scripted
from tests.youtube_sandbox import Fault, Sandbox, SandboxSettings, World, serve

KEY, OTHER, UNKNOWN = (f"AIza{name}KeyThatMustNotShow00000000000" for name in ("First", "Other", "Unknown"))
COOKIE = ".youtube.com\tTRUE\t/\tTRUE\t0\tSID\tsecret"
Usage = namedtuple("Usage", "total used free")


@dataclass
class Place:
    """A catalog's folder, and the settings of a crawl of a sandbox into it."""

    root: Path
    sandbox: Sandbox
    crawl: dict[str, object] = field(default_factory=dict)
    media: dict[str, object] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.root)

    @property
    def settings(self) -> Settings:
        address = {"endpoint": self.sandbox.url, "site": self.sandbox.url}
        crawl = {"api_key": KEY, "timeout_s": 5, **address, **self.crawl}
        return Settings.model_validate({"crawl": crawl, "media": self.media})

    def check(self) -> dict[str, Check]:
        found = check(self.settings, self.catalog)
        assert len({row.name for row in found}) == len(found)
        return {row.name: row for row in found}

    def check_key(self, key: str = KEY) -> Check:
        return self.check()[f"key {key_name(key)}"]


@pytest.fixture(scope="module", autouse=True)
def versions_asked_once() -> Iterator[None]:
    """Ask each program for its version once, not in every test."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(preflight, "_version_of", cache(preflight._version_of))
        yield


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serve(World(), SandboxSettings(keys=(KEY, OTHER))) as sandbox:
        yield Place(tmp_path / "catalog", sandbox)


def failed(found: dict[str, Check]) -> list[str]:
    return [name for name, row in found.items() if row.ok is False]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# The whole of it


def test_a_machine_that_is_ready_fails_nothing_and_everything_is_looked_at(place: Place) -> None:
    found = place.check()
    assert failed(found) == []
    looked_at = {"catalog", "media store", "disk", "ledger", "media lanes", "Data API", "site"}
    looked_at |= {"JavaScript runtime", "yt-dlp", f"key {key_name(KEY)}", f"quota of {key_name(KEY)}"}
    assert set(found) == looked_at


def test_what_fails_says_what_to_do(place: Place) -> None:
    place.crawl = {"api_key": UNKNOWN, "site": f"http://127.0.0.1:{free_port()}"}
    place.media = {"cookies": place.root / "none.txt"}
    found = place.check()
    assert failed(found) == [f"key {key_name(UNKNOWN)}", "site", "cookies"]
    assert all(row.todo for row in found.values() if row.ok is not True)


def test_a_check_costs_one_unit_for_each_key_given_once_or_twice_and_no_search(place: Place) -> None:
    place.crawl = {"api_keys": [KEY, OTHER, KEY]}
    place.check()
    assert place.sandbox.counts == {key: {"searches": 0, "units": 1} for key in (KEY, OTHER)}
    with open_ledger(place.catalog, place.settings) as ledger:
        assert [ledger.spent(key, "units") for key in (KEY, OTHER)] == [1, 1]


# Keys


def test_no_key_is_a_failure_that_says_where_to_get_one(place: Place) -> None:
    place.crawl = {"api_key": None}
    found = place.check()
    assert failed(found) == ["key"]
    assert "YTB_ADS__CRAWL__API_KEY" in found["key"].todo
    assert place.sandbox.requests == []


def test_of_two_keys_the_one_that_is_refused_fails_and_the_other_does_not(place: Place) -> None:
    place.crawl = {"api_keys": [UNKNOWN]}
    found = place.check()
    assert failed(found) == [f"key {key_name(UNKNOWN)}"]
    assert "accepts no key" in found[f"key {key_name(UNKNOWN)}"].said


def test_a_key_that_the_server_calls_spent_is_a_warning_with_the_time_at_which_it_is_not(place: Place) -> None:
    place.sandbox.faults.add(Fault("quota_403", times=None))
    found = place.check()
    assert found[f"key {key_name(KEY)}"].ok is None
    assert "next day begins at" in found[f"key {key_name(KEY)}"].said
    assert found[f"quota of {key_name(KEY)}"].ok is None
    assert "units: 1 spent today, 0 left of 10,000" in found[f"quota of {key_name(KEY)}"].said


def test_a_key_that_the_ledger_knows_to_be_spent_is_not_asked_about(place: Place) -> None:
    place.crawl = {"quota": {"units_per_day": 0}}
    assert place.check_key().ok is None
    assert place.sandbox.requests == []


def test_a_server_fault_is_no_fault_of_the_key_and_costs_one_unit(place: Place) -> None:
    place.sandbox.faults.add(Fault("http_500", times=None))
    key = place.check_key()
    assert key.ok is False
    assert "console" not in key.todo
    assert place.sandbox.counts[KEY]["units"] == 1


def test_a_server_that_is_not_there_fails_and_books_nothing(place: Place) -> None:
    place.crawl = {"endpoint": f"http://127.0.0.1:{free_port()}"}
    found = place.check()
    assert failed(found) == [f"key {key_name(KEY)}", "Data API"]
    with open_ledger(place.catalog, place.settings) as ledger:
        assert ledger.spent(KEY, "units") == 0


def test_a_server_that_never_answers_is_not_waited_for_longer_than_the_settings_say(place: Place) -> None:
    place.sandbox.faults.add(Fault("slow", times=None, delay_s=10))
    place.crawl = {"timeout_s": 0.3}
    begun = time.monotonic()
    assert place.check_key().ok is False
    assert time.monotonic() - begun < 9


def test_a_key_that_has_a_blank_in_it_is_told_without_being_shown(place: Place) -> None:
    place.crawl = {"api_key": f"{KEY} "}
    found = place.check()
    [name] = failed(found)
    assert "has a blank" in found[name].said
    assert KEY not in repr(found)


def test_no_key_is_ever_shown_even_by_a_server_that_repeats_it(place: Place) -> None:
    with scripted(*[error(400, "keyInvalid", f"API key {key} not valid") for key in (KEY, OTHER)]) as server:
        place.crawl = {"endpoint": server.url, "api_keys": [OTHER]}
        found = place.check()
    assert len([name for name in failed(found) if name.startswith("key")]) == 2
    told = json.dumps([vars(row) for row in found.values()]) + rendered(list(found.values()), width=1000)
    assert KEY not in told
    assert OTHER not in told


# Folders, disk and ledger


@pytest.mark.parametrize(
    ("path", "content", "fails"),
    [
        ("", "not a folder", ["catalog", "media store", "ledger"]),
        ("media", "not a folder", ["media store"]),
        (f"tables/ads/_delta_log/{0:020d}.json", "no JSON", ["tables"]),
        ("file", "where the ledger's folder should be", ["ledger"]),
    ],
    ids=["catalog", "media", "table", "ledger"],
)
def test_a_file_that_is_in_the_way_or_damaged_fails_and_the_rest_is_looked_at_all_the_same(
    place: Place, path: str, content: str, fails: list[str]
) -> None:
    (place.root / path).parent.mkdir(parents=True, exist_ok=True)
    (place.root / path).write_text(content)
    if path == "file":
        place.crawl = {"quota": {"ledger": place.root / "file" / "quota.sqlite"}}
    found = place.check()
    assert failed(found) == fails
    assert found["Data API"].ok
    assert found["yt-dlp"]


def test_an_object_store_that_does_not_answer_fails(place: Place) -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    tables = Catalog("s3://bucket/catalog", storage_options=nowhere)
    found = {row.name: row for row in check(place.settings, tables)}
    assert failed(found) == ["catalog", "tables", "ledger"]
    assert "the server cannot be reached" in found["catalog"].said
    assert found["Data API"].ok


def test_a_broken_ledger_fails_and_says_how_to_name_another(place: Place) -> None:
    place.root.mkdir()
    (place.root / "quota.sqlite").write_bytes(b"this is no database, only some bytes of something else" * 50)
    found = place.check()
    assert failed(found) == ["ledger"]
    assert "crawl.quota.ledger" in found["ledger"].todo
    assert place.sandbox.requests == [], "what cannot be booked is not sent"


@pytest.mark.parametrize(("free_gb", "ok"), [(0.4, False), (50, None), (100, True)])
def test_a_disk_that_holds_not_one_video_fails_and_one_that_holds_not_all_is_a_warning(
    place: Place, monkeypatch: pytest.MonkeyPatch, free_gb: float, ok: bool | None
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 0, int(free_gb * 1e9)))
    disk = place.check()["disk"]
    assert disk.ok is ok
    assert "60.0 GB for 5,000 videos of 12.0 MB" in disk.said
    assert bool(disk.todo) == (ok is not True)


@pytest.mark.parametrize(
    ("media", "sizes", "expected"),
    [
        ({"keep": False}, [], (8, USUAL_BYTES)),
        ({}, [1_000_000, 3_000_000, 900_000_000], (5000 - 3, 3_000_000)),
        ({"height": 720}, [], (5000, 4 * USUAL_BYTES)),
    ],
    ids=["a batch, where frames alone are kept", "the median of those there", "a higher picture is larger"],
)
def test_the_room_for_videos_to_come(
    place: Place, media: dict[str, object], sizes: list[int], expected: tuple[int, float]
) -> None:
    place.media = media
    ads = [{"media_status": "present", "media_size_bytes": size} for size in sizes]
    ads += [{"media_status": "missing", "media_size_bytes": None}]
    assert videos_to_come(ads, place.settings) == expected


# The media


def test_lanes_that_rest_after_the_wall_are_a_warning_that_says_until_when_and_what_ends_it(place: Place) -> None:
    until = datetime.now(UTC) + timedelta(hours=24)
    with open_ledger(place.catalog, place.settings) as ledger:
        ledger.pause(LANE, until, "YouTube asked whether we are a robot")
    lanes = place.check()["media lanes"]
    assert (lanes.ok, lanes.said) == (None, "YouTube asked whether we are a robot")
    assert f"{until:%Y-%m-%d %H:%M} UTC" in lanes.todo
    assert "--resume-media" in lanes.todo


@pytest.mark.parametrize(
    ("programs", "ok", "said"),
    [
        ({"deno": (b"deno 2.3.0 (stable)", 0)}, True, "deno 2.3.0; yt-dlp-ejs"),
        ({"deno": (b"deno 2.10.1", 0)}, True, "deno 2.10.1; yt-dlp-ejs"),
        ({"deno": (b"deno 2.2.9", 0)}, False, "deno 2.2.9"),
        ({"deno": (b"no number", 0)}, False, "no deno"),
        ({"deno": (b"deno 2.9.9", 1)}, False, "no deno"),
        ({"deno": (b"\xff\xfe\x00 2", 0)}, False, "no deno"),
        ({"deno": None, "node": (b"v22.1.0", 0)}, True, "no deno, node 22.1.0; yt-dlp-ejs"),
        ({"deno": None, "node": None}, False, "no deno, no node"),
    ],
)
def test_one_javascript_runtime_that_is_new_enough_will_do(
    tmp_path: Path, programs: dict[str, tuple[bytes, int] | None], ok: bool, said: str
) -> None:
    for name, answer in programs.items():
        if answer:
            (tmp_path / f"{name}.said").write_bytes(answer[0])
            (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path / name}.said\nexit {answer[1]}\n")
            (tmp_path / name).chmod(0o755)
    found = check_js_runtime({name: {"path": str(tmp_path / name)} for name in programs})
    assert (found.ok, found.said[: len(said)]) == (ok, said)
    assert ok or (found.said == said and "deno 2.3.0 or node 22.0.0" in found.todo)


@pytest.mark.parametrize(
    ("number", "days", "ok", "said"),
    [
        ("2026.08.19", 0, True, "2026.08.19, 0 days old"),
        ("2026.08.19", OLD, True, f"2026.08.19, {OLD} days old"),
        ("2026.08.19", OLD + 1, None, f"2026.08.19, {OLD + 1} days old"),
        ("2026.08.19.dev0", 1, True, "2026.08.19.dev0, 1 days old"),
        *((number, 1, None, f"{number}, which names no day") for number in ("2026.8", "unknown", "2026.13.41")),
    ],
)
def test_an_old_yt_dlp_or_one_without_a_day_is_a_warning(number: str, days: int, ok: bool | None, said: str) -> None:
    found = check_yt_dlp(number, date(2026, 8, 19) + timedelta(days=days))
    assert (found.ok, found.said) == (ok, said)


@pytest.mark.parametrize(
    ("text", "ok", "said"),
    [
        (None, False, "{path}"),
        ("", False, "{path}"),
        ("SID=secret; HSID=x", False, "{path}"),
        ("# Netscape HTTP Cookie File\n", False, "{path}"),
        (COOKIE.replace("youtube", "example") + "\n", None, "{path}: none of them is YouTube's"),
        (f"{COOKIE}\n#HttpOnly_{COOKIE}\n", True, "{path}: 2 of YouTube"),
    ],
    ids=["missing", "empty", "header", "none", "other sites", "youtube"],
)
def test_the_cookies_of_youtube_are_counted_and_not_shown(
    tmp_path: Path, text: str | None, ok: bool | None, said: str
) -> None:
    path = tmp_path / "cookies.txt"
    if text is not None:
        path.write_text(text)
    found = check_cookies(path)
    assert found.ok is ok
    assert said.format(path=path) in found.said
    assert "secret" not in found.said


def test_a_certificate_that_nobody_vouches_for_or_none_at_all_fails(place: Place) -> None:
    found = check_connection("site", place.sandbox.url.replace("http:", "https:"), 5)
    assert found.ok is False


# What is printed


def rendered(checks: Sequence[Check], width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_checks(checks, "Before the crawl"))
    return capture.get()


def test_the_table_fits_a_hundred_columns_and_leaves_nothing_out(place: Place) -> None:
    place.root = place.root / ("a-long-name-" * 15)
    place.crawl = {"api_key": UNKNOWN, "api_keys": [KEY]}
    checks = list(place.check().values())
    text = rendered(checks)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    shown = "".join(text.split())
    assert len(shown) >= sum(len("".join(f"{row.name}{row.said}{row.todo}".split())) for row in checks)


def test_a_folder_named_like_markup_is_shown_as_it_is_named() -> None:
    assert "/data/[red]ads" in rendered([Check("catalog", True, "/data/[red]ads")])


@pytest.mark.parametrize(("key", "code"), [(UNKNOWN, 1), (KEY, 0)])
def test_the_command_ends_with_1_when_something_failed_and_with_0_for_warnings(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, code: int
) -> None:
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", key)
    if key == KEY:
        place.sandbox.faults.add(Fault("quota_403", times=None))
    config = tmp_path / "ytb_ads.toml"
    config.write_text(f'[crawl]\nendpoint = "{place.sandbox.url}"\nsite = "{place.sandbox.url}"\n')
    asked = ["crawl", "--check", "--catalog", str(place.root), "--config", str(config)]
    done = CliRunner().invoke(app, asked if code else [*asked, "--json"])
    assert done.exit_code == code
    assert key not in done.output
    if code:
        assert f"not ready to crawl: key {key_name(UNKNOWN)}" in done.output
    else:
        assert {row["ok"] for row in json.loads(done.stdout)} == {True, None}
