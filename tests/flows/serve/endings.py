"""Functions in place of seeing a video, which end the process that is made for it in their own ways."""

from __future__ import annotations

import os
import signal
import time
from typing import Any


def hang(*_: Any) -> None:
    """Take a minute."""
    time.sleep(60)


def crash(*_: Any) -> None:
    """End as a decoder does that writes where it must not."""
    os.kill(os.getpid(), signal.SIGSEGV)


def grow(memory_bytes: int, *_: Any) -> None:
    """Ask for more memory than there is."""
    from flows.serve.seeing import limit_memory

    limit_memory(memory_bytes)
    bytearray(memory_bytes + 1)
