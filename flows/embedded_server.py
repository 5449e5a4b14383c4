"""A Prefect server for the duration of one command. It ends with the command, also when that is killed.

The server that Prefect starts by itself outlives a command that was killed or terminated.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flows.errors import StageError

STARTUP_S = 120.0
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
    server = subprocess.Popen(
        [sys.executable, "-m", "flows.embedded_server", str(port), str(os.getpid())],
        # without pages to look at, and telling Prefect that it serves one process
        env={**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
    )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_healthy(url, server)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(url: str) -> bool:
    """Whether a Prefect server is up at the address of an API."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - the owner's own server
            return True
    except urllib.error.HTTPError:
        return True  # it asks who we are, say; Prefect's client knows what to answer
    except (OSError, ValueError):
        return False


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_S
    while server.poll() is None and time.monotonic() < deadline:
        if answers(url):
            return
        time.sleep(0.1)
    state = "does not answer" if server.poll() is None else f"ended with {server.returncode}"
    raise StageError(
        f"the Prefect server of this command {state}; start one with `prefect server start` and name it in "
        "PREFECT_API_URL to see why"
    )


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(port: int, parent: int) -> None:
    import uvicorn

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # a Ctrl-C is for the command, which then ends this server
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvicorn.run(_APP, factory=True, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
