"""End a worker of a process pool together with the process that runs the flow, even if that is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from functools import cache


@cache
def end_with_parent() -> None:
    """End this process when its parent ends; nothing happens in a process of its own.

    A process that is killed cannot tell its pool, and the pool would finish its batches and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="end-with-parent", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
