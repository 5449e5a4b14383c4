"""A Prefect server for the duration of one command. It ends with the command, even if the command is killed.

The server that Prefect starts by itself outlives a command that was killed or terminated. This one has a database of
its own, which goes with it, and touches neither that of a server on this machine nor that of another command.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from flows.errors import StageError

log = logging.getLogger("ytb_ads")

STARTUP_S = 120.0
SILENT_S = 10.0
"""After so long a wait for the server is reported, with what the server has said last."""
_WATCH_EVERY_S = 0.5
_APP = "prefect.server.api.server:create_app"


@contextmanager
def embedded_server() -> Iterator[str]:
    """Start a server on a free port of this machine; yields its API's address.

    Raises:
        StageError: the server does not answer in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _own_folder() as folder, (folder / "log").open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded_server", str(port), str(os.getpid())],
            env=_environment(folder / "server.db"),
            stdout=said,
            stderr=said,
        )
        try:
            url = f"http://127.0.0.1:{port}/api"
            _wait_until_healthy(url, server, folder / "log")
            _keep_schema(folder)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _environment(database: Path) -> dict[str, str]:
    """That of this process, but for the database, which may be that of a server which runs."""
    others = ("PREFECT_API_DATABASE_", "PREFECT_SERVER_DATABASE_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(others)},
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        # without pages to look at, and telling Prefect that it serves one process
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
    }


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for one server, with the tables of an earlier one if there are any; gone afterwards.

    What killed commands left is removed. Making the tables takes Prefect seconds, copying them none.
    """
    root = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "ytb-ads"
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        for left in root.glob("run-*"):
            try:
                with FileLock(left / ".lock", timeout=0):
                    pass
            except (Timeout, OSError):
                continue
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=root))
        lock = FileLock(folder / ".lock")
        lock.acquire()
    try:
        if _schema(root).is_file():
            shutil.copyfile(_schema(root), folder / "server.db")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _schema(root: Path) -> Path:
    return root / f"schema-{version('prefect')}.db"


def _keep_schema(folder: Path) -> None:
    """Keep the tables, in which nothing stands yet, for the next command; several may do so at once."""
    kept = _schema(folder.parent)
    if kept.is_file():
        return
    copy = folder / "schema.db"
    with closing(sqlite3.connect(folder / "server.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for outdated in folder.parent.glob("schema-*.db"):
        outdated.unlink(missing_ok=True)
    copy.replace(kept)


def answers(url: str) -> bool:
    """Whether a Prefect server is up at the address of an API."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - the owner's own server
            return True
    except urllib.error.HTTPError:
        return True  # it asks who we are, say; Prefect's client knows what to answer
    except (OSError, ValueError):
        return False


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], said: Path) -> None:
    started, reported = time.monotonic(), 0
    while server.poll() is None and (waited := time.monotonic() - started) < STARTUP_S:
        if answers(url):
            return
        if waited > SILENT_S * (reported + 1):
            reported += 1
            words = _last_words(said) or "nothing yet"
            log.info("waiting for the Prefect server of this command, %.0f s so far; it says: %s", waited, words)
        time.sleep(0.1)
    state = f"does not answer after {STARTUP_S:.0f} s" if server.poll() is None else f"ended with {server.returncode}"
    raise StageError(f"the Prefect server of this command {state}; it says: {_last_words(said) or 'nothing'}")


def _last_words(said: Path) -> str:
    lines = [line.strip() for line in said.read_text("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(port: int, parent: int) -> None:
    sys.stderr.write("loading Prefect's server\n")
    import uvicorn

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # a Ctrl-C is for the command, which then ends this server
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvicorn.run(_APP, factory=True, host="127.0.0.1", port=port, log_level="info", access_log=False, lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
