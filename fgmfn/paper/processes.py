"""Work in a process of its own, which may be killed without taking this one along."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import torch

from fgmfn.errors import FgmfnError

Job = TypeVar("Job")
Found = TypeVar("Found")
KILLED = -9
"""Exit code of a process that the system kills, nearly always because memory has run out."""


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """The last value that a process sent, and whether it was killed after that."""

    last: Found | None
    killed: bool


def start_method(device: torch.device, preload: list[str]) -> Any:
    """Return the multiprocessing context whose processes start fastest.

    Args:
        device: that they will use.
        preload: modules that all of them need.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(preload)
        # A library that asks for a GPU while it is imported keeps forked processes from using it.
        if device.type == "cpu" or run_apart(context, _can_use_cuda, None).last:
            return context
    return multiprocessing.get_context("spawn")


def _can_use_cuda(_: None) -> Iterator[bool]:
    try:
        torch.cuda.init()
    except RuntimeError:
        yield False
    else:
        yield True


def run_apart(context: Any, work: Callable[[Job], Iterator[Found]], job: Job) -> Outcome[Found]:
    """Run a generator in a process of its own and return what it told last.

    Args:
        context: from `start_method`.
        work: a function of a module, which the process imports.
        job: its argument, which is pickled.

    Raises:
        FgmfnError: It ended by an error of its own, whose traceback stands on standard error.
    """
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(sender, work, job), daemon=True)
    process.start()
    sender.close()
    last = failure = None
    try:
        while True:
            last, failure = receiver.recv()
    except EOFError:
        process.join()
    finally:
        process.kill()
        receiver.close()
    if process.exitcode not in (0, KILLED):
        raise FgmfnError(f"{job}: its process ended with code {process.exitcode}: {failure or 'it did not say why'}")
    return Outcome(last, process.exitcode == KILLED)


def _tell(sender: Connection, work: Callable[[Job], Iterator[Found]], job: Job) -> None:
    last = None
    try:
        for last in work(job):
            sender.send((last, None))
    except Exception as error:
        sender.send((last, repr(error)))
        raise
