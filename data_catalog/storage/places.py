"""Places of a catalog's files: below a local folder, or below a prefix of a bucket; both are used like a path.

A local place is a `pathlib.Path`. A place in a bucket is a `StorePath`, which has those of its methods that a catalog
needs. Tables are read and written by deltalake and everything else by obstore, the same Rust library with
another interface: both take the same credentials from the same environment variables.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from errno import EEXIST, ENOENT
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import obstore
import pyarrow.fs as pafs
from deltalake.fs import DeltaStorageHandler
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

from data_catalog.errors import CatalogError, StorageError
from data_catalog.storage.faults import in_a_line, refused, unknown_refusal

Options: TypeAlias = tuple[tuple[str, str], ...]

# deltalake 1.6 turns paths into urls and fails, or loses its way, on these
_UNUSABLE_IN_PATHS = re.compile(r"[\[\]^|\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_.=+@-]+)*)/*")
_SCHEMES = re.compile(r"(?i)s3[an]?|gc?s|az(ure)?|adl|(abfs|wasb|http)s?|oss|cos|hdfs|s?ftp|memory|file")
_ACCEPTED = "give a local folder, or s3://BUCKET/PREFIX of letters, digits and the signs _ . = + @ -"

_ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/[!-~]*)?")
_KEY = ("aws_access_key_id", "aws_secret_access_key")
_SETTINGS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
)
_WORD = re.compile(r"[!-~]+")

_CONNECT_S = 5
_ANSWER_S = 30
_TRANSFER_S = 1800
"""Longest time of one request that moves a whole file."""
_RETRIES = 10
_RETRY_S = 15
"""Time after which a request is not made again."""


def place_of(given: str | os.PathLike[str], options: Mapping[str, str] | None = None) -> Place:
    """The root of a catalog as a place.

    Args:
        given: a local folder, or `s3://bucket/prefix`.
        options: credentials and settings of the object store, as deltalake takes them; the environment's otherwise.

    Raises:
        CatalogError: it is neither, or one that tables cannot lie in.
    """
    name = os.fspath(given).removeprefix("file://")
    found = _SCHEME.match(name)
    if found and (found.group(2) or _SCHEMES.fullmatch(found.group(1))):
        return _in_bucket(name, options or {})
    folder = Path(name).expanduser().absolute()
    if unusable := _UNUSABLE_IN_PATHS.search(str(folder)):
        raise CatalogError(
            f"{folder}: Delta tables cannot lie in a folder whose path holds {unusable.group()!r}; "
            "choose another folder"
        )
    return folder


def as_place(given: PathLike) -> Place:
    """A place, or a local path, as a place."""
    return given if isinstance(given, StorePath) else Path(given)


def _in_bucket(url: str, options: Mapping[str, str]) -> StorePath:
    found = _BUCKET.fullmatch(url)
    if found is None or {".", ".."} & set(found.group(2).split("/")):
        raise CatalogError(f"{url}: is no place for a catalog; {_ACCEPTED}")
    given = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    named = {f"aws_{name}": value for name, value in given.items()}
    return StorePath(f"s3://{found.group(1)}{found.group(2)}", options=tuple(sorted(named.items())))


@dataclass(frozen=True, order=True)
class StorePath:
    """A file or a folder of an object store; a folder is what names begin with, and is there if any does.

    Beyond what `pathlib.Path` raises, every method that asks the store may raise `StorageError`.
    """

    root: str
    """Address of the catalog: `s3://bucket/prefix`."""
    key: PurePosixPath = field(default=PurePosixPath())
    """Path below the root."""
    options: Options = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key.parts else self.root

    def __truediv__(self, name: str | os.PathLike[str]) -> StorePath:
        return StorePath(self.root, self.key / name, self.options)

    @property
    def name(self) -> str:
        return self.key.name or self.root.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return self.key.suffix

    @property
    def parent(self) -> StorePath:
        return StorePath(self.root, self.key.parent, self.options)

    def absolute(self) -> StorePath:
        return self

    def as_uri(self) -> str:
        return str(self)

    def relative_to(self, other: StorePath) -> PurePosixPath:
        return self.key.relative_to(other.key)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        return self.head() is not None

    def is_dir(self) -> bool:
        with self._asked():
            listed = obstore.list(self._store(), self._prefix, chunk_size=1)
            return any(True for chunk in listed if chunk)

    def is_symlink(self) -> bool:
        return False

    def iterdir(self) -> Iterator[StorePath]:
        with self._asked():
            found = obstore.list_with_delimiter(self._store(), self._prefix)
        names = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        yield from (StorePath(self.root, PurePosixPath(name), self.options) for name in sorted(names))

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """Files and folders by a pattern of names, each of which may hold `*` and `?`."""
        first, *rest = PurePosixPath(pattern).parts
        for path in self.iterdir():
            if fnmatchcase(path.name, first):
                yield from path.glob("/".join(rest)) if rest else (path,)

    def rglob(self, pattern: str) -> Iterator[StorePath]:
        """Files at any depth by a pattern of their names."""
        with self._asked():
            names = [entry["path"] for chunk in obstore.list(self._store(), self._prefix) for entry in chunk]
        found = (StorePath(self.root, PurePosixPath(name), self.options) for name in sorted(names))
        yield from (path for path in found if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        with self._asked():
            return bytes(obstore.get(self._store(), self._key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        with self._asked():
            obstore.put(self._store(), self._key, data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def unlink(self, *, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(ENOENT, "no such file", str(self))
        with self._asked():
            obstore.delete(self._store(), self._key)

    def head(self) -> Mapping[str, Any] | None:
        """Metadata of a file in the store: `size`, `e_tag` and `last_modified`; None if there is no such file."""
        try:
            with self._asked():
                return dict(obstore.head(self._store(), self._key))
        except FileNotFoundError:
            return None

    def chunks(self) -> Iterator[bytes]:
        """The bytes of a file of any size, in parts."""
        with self._asked():
            for chunk in obstore.get(self._store(_TRANSFER_S), self._key):
                yield bytes(chunk)

    def part(self, start: int, end: int) -> bytes:
        """The bytes of a file from `start` up to `end`."""
        with self._asked():
            return bytes(obstore.get_range(self._store(), self._key, start=start, end=end))

    def put(self, data: bytes | memoryview, *, only: str | None = None) -> str | None:
        """Write a file if there is none, or if it is still the one of an `e_tag`; its new tag, or None if it is not.

        Args:
            data: the bytes, sent in one request; those of a mapped file are not copied.
            only: tag of the file that is replaced; None where there is to be none yet.
        """
        mode: Any = "create" if only is None else {"e_tag": only}
        try:
            with self._asked():
                store = self._store(_TRANSFER_S if len(data) > 1_000_000 else _ANSWER_S)
                return obstore.put(store, self._key, data, mode=mode, use_multipart=False)["e_tag"]
        except (FileExistsError, FileNotFoundError):
            return None

    def upload(self, file: Path) -> None:
        """Write a file of any size, in place of what is there."""
        with self._asked():
            obstore.put(self._store(_TRANSFER_S), self._key, file)

    def arrow(self) -> pafs.FileSystem:
        """The folder as Arrow reaches it."""
        root = _arrow_root(self.root, tuple(_delta_options(self.root, self.options).items()))
        return pafs.SubTreeFileSystem(self._key, root) if self._key else root

    @property
    def _key(self) -> str:
        return self.key.as_posix() if self.key.parts else ""

    @property
    def _prefix(self) -> str | None:
        return self._key or None

    def _store(self, timeout_s: int = _ANSWER_S) -> S3Store:
        return _open_store(self.root, tuple(_settings(self.root, self.options).items()), timeout_s)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Raise what `pathlib` raises, or say in a sentence why the store refuses."""
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            # a bucket that is gone has no files either, but a build must not take it for an empty one
            raise refused(self.root, error) or FileNotFoundError(ENOENT, "no such file", str(self)) from None
        except (AlreadyExistsError, FileExistsError, PreconditionError):
            raise FileExistsError(EEXIST, "is there already", str(self)) from None
        except (BaseError, OSError, ValueError) as error:
            raise refused(self.root, error) or unknown_refusal(self.root, error) from None


Place: TypeAlias = Path | StorePath
"""A file or folder of a catalog."""
PathLike: TypeAlias = str | os.PathLike[str] | StorePath
"""Anything that names a place."""


def create(file: Place, data: bytes) -> None:
    """Write a small file, readable by its owner alone, whole or not at all; one that is there already stays.

    Raises:
        OSError: it cannot be written.
    """
    if isinstance(file, StorePath):
        file.put(data)
        return
    draft = _draft(file, data, 0o600)
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()


def replace(file: Place, data: bytes) -> None:
    """Write a small file whole or not at all, in place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    if isinstance(file, StorePath):
        file.write_bytes(data)
    else:
        _draft(file, data, 0o666).replace(file)


def _draft(file: Path, data: bytes, mode: int) -> Path:
    """A file beside another one, on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-{os.getpid()}-{threading.get_ident()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return draft


def try_writing(folder: Place) -> None:
    """Write and remove a file in a folder, or in the one that it will be made in.

    Raises:
        OSError: it cannot be written; names the folder.
        StorageError: the store refuses.
    """
    if isinstance(folder, StorePath):
        probe = folder / f".probe-{uuid.uuid4().hex}"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
        return
    place = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from error


def nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def arrow_filesystem(folder: Place) -> pafs.FileSystem:
    """A folder as Arrow reaches it; names are relative to it."""
    if isinstance(folder, StorePath):
        return folder.arrow()
    return pafs.SubTreeFileSystem(str(folder.absolute()), pafs.LocalFileSystem())


def delta_options(place: Place) -> dict[str, str] | None:
    """Storage options with which deltalake reaches tables there; None on a local disk."""
    return _delta_options(place.root, place.options) if isinstance(place, StorePath) else None


def refusal(place: Place | str, error: BaseException) -> StorageError | None:
    """The error of a store that refuses, whichever library met it; None if this is another kind of error."""
    if isinstance(place, Path) or "://" not in str(place):
        return None
    where = place.root if isinstance(place, StorePath) else place
    return refused(where, error) if _OF_A_STORE.search(str(error)) else None


_OF_A_STORE = re.compile(r"Generic \S+ error|Error performing|error sending request|ObjectStore")


def _settings(root: str, options: Options) -> dict[str, str]:
    """Credentials and settings of the store, given or from the environment, so that both libraries see the same.

    Raises:
        StorageError: one is malformed; the libraries would end in a panic.
    """
    settings = {name.lower(): value for name in _SETTINGS if (value := os.environ.get(name))} | dict(options)
    endpoints = (settings.pop(name, None) for name in ("aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"))
    if endpoint := next(filter(None, [*endpoints]), None):
        if not _ENDPOINT.fullmatch(endpoint):
            raise StorageError(f"{root}: the endpoint is no address; set AWS_ENDPOINT_URL as https://HOST[:PORT]")
        settings["aws_endpoint_url"] = endpoint
        settings.setdefault("aws_allow_http", str(endpoint.startswith("http://")).lower())
    for name, other in (_KEY, _KEY[::-1]):
        if settings.get(name) and not settings.get(other):
            raise StorageError(f"{root}: {name.upper()} is set and {other.upper()} is not; set both, or neither")
    region = settings.pop("aws_default_region", None)
    settings.setdefault("aws_region", region or "us-east-1")
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region"):
        if not _WORD.fullmatch(settings.get(name, "none")):
            raise StorageError(f"{root}: {name.upper()} holds a blank or a sign that none has; copy it again")
    return settings


def _delta_options(root: str, options: Options) -> dict[str, str]:
    return {
        **_settings(root, options),
        # without it two writers would lose each other's commits
        "aws_conditional_put": "etag",
        "timeout": f"{_ANSWER_S}s",
        "connect_timeout": f"{_CONNECT_S}s",
        "max_retries": str(_RETRIES),
        "retry_timeout": f"{_RETRY_S}s",
    }


@cache
def _open_store(root: str, given: Options, timeout_s: int) -> S3Store:
    settings = dict(given)
    allow_http = settings.pop("aws_allow_http", "false").lower() in ("true", "1")
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": allow_http,
                "timeout": timedelta(seconds=timeout_s),
                "connect_timeout": timedelta(seconds=_CONNECT_S),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)},
            **settings,  # type: ignore[arg-type]  # names and values as the library documents them
        )
    except (BaseError, TypeError, ValueError) as error:
        raise StorageError(f"{root}: {in_a_line(error)}; check the AWS_ settings") from None


@cache
def _arrow_root(root: str, settings: Options) -> pafs.FileSystem:
    return pafs.PyFileSystem(DeltaStorageHandler(root, dict(settings)))
