"""The key that signs the sessions: made once, kept in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from annotation.errors import StoreError

NAME = "session.key"
_BYTES = 32


def default_secret_file(store: str, catalog: str) -> Path:
    """Beside the store's file; in the catalog's folder where the store is a server.

    Raises:
        StoreError: neither is on this machine.
    """
    if "://" not in store:
        return Path(store).expanduser().absolute().parent / NAME
    if "://" not in catalog:
        return Path(catalog).expanduser().absolute() / "annotation" / NAME
    raise StoreError(
        f"{urlsplit(catalog).scheme} catalog and database server: name a secret_file for the sessions' key"
    )


def read_secret(path: Path) -> bytes:
    """The key in that file; a new one where there is none.

    Raises:
        StoreError: the file cannot be written or read, is readable by others, or holds no key.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise StoreError(f"{path}: others may read this key (mode {mode:o}); remove it, and a new one is made")
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the key of the sessions cannot be kept here ({error.strerror})") from error
    if len(key) < _BYTES:
        raise StoreError(f"{path}: {len(key)} bytes are no key; remove the file, and a new one is made")
    return key


def _make(path: Path) -> None:
    """Write a key where there is none; of several processes one wins, and its key appears whole."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
