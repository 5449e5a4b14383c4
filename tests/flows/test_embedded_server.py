"""The server of one command has a database of its own, says what it waits for, and ends however the command ends."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from flows import embedded_server as module
from flows.embedded_server import answers, embedded_server
from flows.errors import StageError
from tests.servers import ask

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
from flows.embedded_server import answers, embedded_server
import time
with embedded_server() as url:
    print(url, flush=True)
    time.sleep(120)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_two_first_commands_at_once_have_a_server_each_and_leave_nothing_but_the_tables(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # of a server that runs on this machine, and of a command that was killed
    others = home / "prefect.db"
    (home / "ytb-ads" / "run-killed").mkdir(parents=True)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{others}")
    monkeypatch.setattr(module, "SILENT_S", 0.2)
    caplog.set_level(logging.INFO, "ytb_ads")
    with ThreadPoolExecutor(2) as threads:
        urls = list(threads.map(lambda _: flows_of_one_command(), range(2)))
    assert len({url for url, _ in urls}) == 2
    assert [flows for _, flows in urls] == [["mine"], ["mine"]], "each sees its own alone"
    assert not any(answers(url) for url, _ in urls)
    assert not others.exists()
    [schema] = (home / "ytb-ads").glob("[!.]*")
    with closing(sqlite3.connect(schema)) as kept:
        assert kept.execute("SELECT count(*) FROM flow").fetchall() == [(0,)]
    assert "waiting for the Prefect server of this command" in caplog.text


def flows_of_one_command() -> tuple[str, list[str]]:
    with embedded_server() as url:
        ask(url, "flows/", {"name": "mine"})
        return url, [flow["name"] for flow in ask(url, "flows/filter", {})]


def test_a_server_that_cannot_start_is_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_DEFAULT_LIMIT", "many")
    with pytest.raises(StageError, match=r"ended with \d+; it says: .+"), embedded_server():
        pytest.fail("it has started")
    assert list((home / "ytb-ads").glob("run-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_a_command_that_was_killed_and_the_next_one_clears_up(
    how: signal.Signals, home: Path
) -> None:
    command = subprocess.Popen([sys.executable, "-c", COMMAND], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    url = command.stdout.readline().strip()
    assert answers(url)
    command.send_signal(how)
    command.wait(timeout=30)
    deadline = time.monotonic() + 20
    while answers(url):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.2)
    # the tables are made, and what the killed command left is gone with the next one
    assert flows_of_one_command()[1] == ["mine"]
    assert [path.name[:7] for path in (home / "ytb-ads").glob("[!.]*")] == ["schema-"]
