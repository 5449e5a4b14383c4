"""Decoding in a separate process: a decoder that hangs or crashes costs one call.

A worker is started when one is needed and kept for the next call. Before each call it has the kernel set an alarm,
which ends it even inside a decoder that never returns and after its parent was killed. A pool of `multiprocessing`
ends it only while the parent lives, and cannot be used by daemonic processes, such as a Dask cluster's workers.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Any, ParamSpec, TypeVar

import cv2

from flows.errors import DecoderLostError, StageError

P = ParamSpec("P")
T = TypeVar("T")

_READY = b"\n"
# there are as many workers as cores
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# all that a worker gets of this process's environment: what is decoded comes from strangers, and any other variable may
# hold a key
_PASSED_ON = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LANGUAGE|LC_[A-Z]+|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|TESSDATA_PREFIX"
    "|PYTHON(HOME|HASHSEED|WARNINGS|DONTWRITEBYTECODE|PYCACHEPREFIX)|CUDA_VISIBLE_DEVICES"
    "|(OMP|OPENBLAS|OPENCV|JSIMD)_[A-Z0-9_]+"
)


def call_isolated(timeout_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a module's function in a worker; within a worker, which is ended as a whole, at once.

    Args:
        timeout_s: after so many seconds the worker is ended.
        function: of a module; it, the arguments and what it returns or raises are pickled.
        *args: its arguments.
        **kwargs: its arguments by name.

    Raises:
        DecoderLostError: the time was over (`decoder_timeout`) or the worker ended (`decoder_crashed`).
        StageError: no worker can be started.
        Exception: what the function raises.
    """
    if _is_worker:
        return function(*args, **kwargs)
    with borrowed_worker() as worker:
        done, outcome = worker.call(timeout_s, function, args, kwargs)
    if not done:
        raise outcome
    return outcome


@contextlib.contextmanager
def borrowed_worker() -> Iterator[Worker]:
    """A worker, for a caller who may have to end it amid a call.

    Raises:
        StageError: no worker can be started.
    """
    worker = _take()
    try:
        yield worker
    except BaseException:
        worker.end()
        raise
    with _lock:
        _idle.append(worker)


def close_idle_workers() -> None:
    """End the workers that nobody uses at the moment."""
    with _lock:
        ending, _idle[:] = list(_idle), []
    for worker in ending:
        worker.end()


class Worker:
    """The near end of a worker: a process and a pipe each way."""

    def __init__(self) -> None:
        # it finds our modules wherever this process does; a group of its own, so that Ctrl-C is this process's matter
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.frames.isolation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **{name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)},
                **_ONE_THREAD,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            process_group=0,
        )
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - both are pipes
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        if self._answers.read(len(_READY)) != _READY:
            self.end()
            raise StageError(
                f"frames: a process to decode in could not be started; it ended with {self._process.returncode}, "
                "and what it said stands above"
            )

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    def call(self, timeout_s: float, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[bool, Any]:
        """Call the function; True and its result, or False and its exception."""
        try:
            self._requests.write(pickle.dumps((timeout_s, function, args, kwargs)))
            self._requests.flush()
            answer: tuple[bool, Any] = pickle.load(self._answers)  # noqa: S301 - from our own process
            return answer
        except (OSError, EOFError, pickle.UnpicklingError):
            self._process.wait()
        ended_by = -self._process.returncode
        if ended_by == signal.SIGALRM:
            raise DecoderLostError("decoder_timeout", f"decoding was stopped after {timeout_s:g} s")
        name = signal.Signals(ended_by).name if ended_by > 0 else f"exit code {self._process.returncode}"
        raise DecoderLostError("decoder_crashed", f"the process that decoded it ended by {name}")

    def kill(self) -> None:
        """End it from another thread than the one that waits for its answer, which meets a DecoderLostError."""
        self._process.kill()

    def end(self) -> None:
        """End the process, whatever it is doing, and clean up."""
        with contextlib.suppress(OSError):  # its end may be closed already
            self._requests.close()
        self._process.kill()
        self._process.wait()
        self._answers.close()


_lock = threading.Lock()
_idle: list[Worker] = []
_is_worker = False
"""Whether this process is a worker."""


def _take() -> Worker:
    while True:
        with _lock:
            worker = _idle.pop() if _idle else None
        if worker is None:
            return Worker()
        if worker.alive:
            return worker
        worker.end()


def _forget() -> None:
    """After a fork: the workers belong to the parent."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(close_idle_workers)


def _serve() -> None:
    """Be a worker: answer calls until nobody is left who makes them."""
    # not in `__main__`, as which this file runs here
    vars(importlib.import_module("flows.frames.isolation"))["_is_worker"] = True
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    cv2.setNumThreads(1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers.write(_READY)
    answers.flush()
    gc.freeze()  # what was imported stays
    while True:
        try:
            timeout_s, function, args, kwargs = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own process
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            outcome: tuple[bool, Any] = True, function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is raised where the call was made
            error.add_note(traceback.format_exc())
            outcome = False, error
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(pickle.dumps(outcome))
        answers.flush()
        # a file and its decoder name each other, and hold pictures of which Python does not know the size
        del outcome
        gc.collect()


if __name__ == "__main__":
    _serve()
