"""Uploaded videos: files in a folder of the server's own, gone with their request, or else with the next start."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from flows.errors import ServeError

_LOCK = ".lock"
_NAME = "video"
"""Name of an upload in messages, whatever its original name."""


class Uploads:
    """A folder for the uploads of one server; those of servers that were killed are emptied as it is made.

    Args:
        base: folder of all servers of this user; None: one below the folder for temporary files.

    Raises:
        ServeError: somebody else owns the folder, or it cannot be made.
    """

    def __init__(self, base: Path | None = None) -> None:
        base = base or Path(tempfile.gettempdir()) / f"ytb-ads-serve-{os.getuid()}"
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = base.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise ServeError(f"{base}: not a folder of this user; remove it, or set TMPDIR to another folder")
            with _locked(base / _LOCK):  # no other server makes its folder meanwhile
                for left in base.iterdir():
                    if left.is_dir() and not _is_in_use(left):
                        shutil.rmtree(left, ignore_errors=True)
                self.folder = Path(tempfile.mkdtemp(dir=base, prefix="server-"))
                # held until this process ends, however it does
                self._held = _lock(self.folder / _LOCK)
        except OSError as error:
            raise ServeError(f"{base}: uploads cannot be kept there ({error.strerror or error}); set TMPDIR") from error

    @contextmanager
    def holding(self, content: IO[bytes]) -> Iterator[Path]:
        """An upload as a file, until the request is answered."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            with (folder / _NAME).open("xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            yield folder / _NAME
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._held.close()


def _lock(file: Path, *, wait: bool = True) -> IO[bytes]:
    opened = file.open("ab")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        opened.close()
        raise
    return opened


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with _lock(file):
        yield


def _is_in_use(folder: Path) -> bool:
    """Tell whether the server that made a folder is alive."""
    with suppress(OSError):
        _lock(folder / _LOCK, wait=False).close()
        return False
    return True
