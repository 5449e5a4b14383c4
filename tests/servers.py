"""Servers that tests talk to: Prefect's, PostgreSQL's, and one of S3."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows import SWITCHES

STARTUP_S = 120
PROMPT = {
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT2S",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2",
}
"""Settings of a Prefect server that looks every two seconds what there is to do, and not every five."""
POSTGRES_VARIABLE = "YTB_ADS_TEST_POSTGRES"
"""Names a server to test against: the URL of a database in which schemas may be made. Without it one is started."""


def ask(server: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What a Prefect server's API answers, parsed; with a body the request is a POST."""
    request = urllib.request.Request(
        f"{server}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@contextmanager
def prefect_serving(home: Path, tables: Path | None = None, **environment: str) -> Iterator[str]:
    """Start a Prefect server whose files lie in `home`; yields the address of its API.

    Args:
        home: an empty folder.
        tables: the database of a server that has ended, of which this one begins with a copy: making it takes seconds.
        environment: variables of the server.
    """
    if tables:
        for made in (tables, tables.with_name("memo_store.toml")):  # which says that the types of blocks are known
            shutil.copy(made, home)
        environment = {"PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false", **environment}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **SWITCHES, **PROMPT, "PREFECT_HOME": str(home), **environment},
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_healthy(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of the tests, which can be killed and started again."""

    folder: Path
    as_user: tuple[str, ...]
    """Words before a command, for a user who is not root."""

    @property
    def url(self) -> str:
        """URL of its database `postgres`."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    @property
    def asyncpg_url(self) -> str:
        """The same for Prefect."""
        return self.url.replace("postgresql://", "postgresql+asyncpg://")

    def start(self) -> None:
        """Start it, after a crash too."""
        options = f"-k {self.folder} -c listen_addresses=''"
        self._call("pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """Kill -9 of the server; the processes of its sessions end when they notice."""
        os.kill(int(Path(self._data, "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def stop(self) -> None:
        """Stop it without a word to its clients."""
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def make(self) -> None:
        """Make its files."""
        self._call("initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _call(self, program: str, *words: str) -> None:
        log, found = Path(f"{self.folder}.log"), _program(program)
        assert found
        with log.open("wb") as out:  # the server would hold a pipe open
            command = [*self.as_user, found, *words]
            ended = subprocess.run(command, stdout=out, stderr=out, cwd=self.folder, timeout=120, check=False)
        said = log.read_text()
        log.unlink()
        assert ended.returncode == 0, said


@contextmanager
def s3_serving(log: Path) -> Iterator[str]:
    """Start a server of S3 that keeps all in memory; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + STARTUP_S
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the S3 server did not start:\n{log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextmanager
def postgres_serving() -> Iterator[str]:
    """Start a PostgreSQL server, unless the environment names one; yields the URL of its database `postgres`."""
    if given := os.environ.get(POSTGRES_VARIABLE):
        yield given
        return
    with postgres_running() as postgres:
        yield postgres.url


@contextmanager
def postgres_running() -> Iterator[Postgres]:
    """Start a PostgreSQL server."""
    if _program("initdb") is None or _program("pg_ctl") is None:
        pytest.skip(f"no PostgreSQL server: set {POSTGRES_VARIABLE}, or install Debian's postgresql")
    # the server refuses to run as root, and its user cannot enter pytest's folders
    as_user: tuple[str, ...] = ()
    folder = Path("/tmp") / f"ytb-ads-postgres-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        known = {each.pw_name for each in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in known), None)
        if user is None or shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    postgres = Postgres(folder, as_user)
    try:
        postgres.make()
        postgres.start()
        yield postgres
        postgres.stop()
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str | None:
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name)
