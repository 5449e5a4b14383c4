"""Servers that tests talk to: Prefect's, PostgreSQL's, and one of S3."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flows import SWITCHES

STARTUP_S = 120
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
def prefect_serving(home: Path, **environment: str) -> Iterator[str]:
    """Start a Prefect server whose files lie in `home`; yields the address of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **SWITCHES, "PREFECT_HOME": str(home), **environment},
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
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip(f"no PostgreSQL server: set {POSTGRES_VARIABLE}, or install Debian's postgresql")
    # the server refuses to run as root, and its user cannot enter pytest's folders
    as_user: list[str] = []
    folder = Path("/tmp") / f"ytb-ads-postgres-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        known = {each.pw_name for each in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in known), None)
        if user is None or shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def call(*command: str) -> None:
        log = Path(f"{folder}.log")
        with log.open("wb") as out:  # the server would hold a pipe open
            ended = subprocess.run([*as_user, *command], stdout=out, stderr=out, cwd=folder, timeout=60, check=False)
        said = log.read_text()
        log.unlink()
        assert ended.returncode == 0, said

    data = str(folder / "data")
    try:
        call(initdb, "--auth=trust", "--username=postgres", "--no-sync", "-D", data)
        call(pg_ctl, "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=''", "start")
        yield f"postgresql://postgres@/postgres?host={folder}"
        call(pg_ctl, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str | None:
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name)
