"""The journal of studies: one file that several processes append to and that survives their being killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from fgmfn.errors import ConfigError

FIRST_BYTES = b'{"op_code"'


def open_journal(storage: Path, lock: FileLock) -> optuna.storages.JournalStorage:
    """Open a journal, made where there is none; the lock is held by the caller.

    A last line that a killed process did not finish is taken away, or the next one would join it.

    Raises:
        ConfigError: The file is something else, or damaged.
    """
    content = storage.read_bytes() if storage.exists() else b""
    if content and not content.startswith(FIRST_BYTES):
        raise ConfigError(f"{storage}: is no journal of a search; name another file (--storage)")
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with storage.open("r+b") as file:
            file.truncate(whole)
    try:
        return optuna.storages.JournalStorage(JournalFileBackend(str(storage), lock_obj=_KernelLock(lock)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ConfigError(f"{storage}: the journal is damaged ({error!r}); name another file (--storage)") from error


class _KernelLock(JournalFileOpenLock):
    """The journal's lock as one that ends with its process, where Optuna's own outlives it by half a minute."""

    def __init__(self, lock: FileLock) -> None:
        self._kernel = lock

    def acquire(self) -> bool:
        self._kernel.acquire()
        return True

    def release(self) -> None:
        self._kernel.release()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's reports off the terminal; warnings and errors stay."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
