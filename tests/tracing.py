"""See which addresses a command and its children connect to, in native code too: strace watches the system calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_ADDRESS = re.compile(r"sa_family=AF_INET6?,.*?port=htons\((\d+)\).*?\"([0-9a-f.:]+)\"")
_NAME_SERVICE = "53"


def can_trace() -> bool:
    """Whether strace is installed and may trace."""
    strace = shutil.which("strace")
    return (
        strace is not None and subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0
    )


def traced(log: Path) -> list[str]:
    """The beginning of a command line whose connections are written to a log."""
    calls = "connect,sendto,sendmsg,sendmmsg"
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={calls}", "-o", str(log)]


def left_the_machine(log: Path) -> list[str]:
    """Traced calls that look up a name or reach another machine."""
    strange = []
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            for port, host in _ADDRESS.findall(line):
                if port == _NAME_SERVICE or not (host.startswith("127.") or host.endswith(("::1", "::ffff:127.0.0.1"))):
                    strange.append(line.strip())
    return strange
