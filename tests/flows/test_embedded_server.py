"""The server of one command ends with the command, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.embedded_server import answers, embedded_server

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
from flows.embedded_server import answers, embedded_server
import time
with embedded_server() as url:
    print(url, flush=True)
    time.sleep(120)
"""


def test_a_server_starts_with_the_pinned_versions_and_stops_at_the_end() -> None:
    with embedded_server() as url:
        assert answers(url)
    assert not answers(url)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_a_command_that_was_killed(how: signal.Signals) -> None:
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
