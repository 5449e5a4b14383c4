"""A catalog's files in a bucket: the same as in a folder, whole or not at all, one writer at a time, plain refusals."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, LockHeldError, ReleaseError, StorageError
from data_catalog.releases import fetch_release, list_releases, read_manifest, verify_release, write_release
from data_catalog.storage import Place, StorePath, create, drafts, file_names, local_copy, lock, locks, place_of
from tests.conftest import S3_KEY
from tests.data_catalog.test_catalog import labels
from tests.data_catalog.test_releases import FACTS, VERSION, three_splits

KILLED = -signal.SIGKILL


def in_another_process(code: str) -> tuple[int, str]:
    """Its exit code, and what it said on standard error."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


# Places


@pytest.mark.parametrize(
    "given",
    [
        *(
            "s3:/bucket/x",
            "s3:bucket",
            "S3://bucket/x",
            "s3://",
            "s3:///x",
            "s3://b/x",
            "s3://bucket/../x",
            "s3a://b/x",
        ),
        *("s3://bucket/a b", "s3://bucket//x", "s3://key:word@bucket/x", "s3://bucket/x?y=1", "gs://bucket/x", "gs:/x"),
        *("az://box/x", "abfss://a@b/x", "https://host/x", "memory://x", "file:/x", "hdfs://x/y", "foo://x"),
    ],
)
def test_what_is_no_place_for_a_catalog_is_refused_and_makes_no_folder(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match=r"is no place for a catalog; give a local folder, or s3://BUCKET/PREFIX"):
        Catalog(given).merge("labels", labels(a="x"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_in_a_bucket_is_used_like_a_folder(bucket: str, tmp_path: Path) -> None:
    def told(root: Place) -> list[object]:
        """What a place answers, in words that are the same wherever it lies."""
        if isinstance(root, Path):
            (root / "a" / "data").mkdir(parents=True)
        (root / "b.txt").write_text("b")
        (root / "a" / "data" / "one-0.parquet").write_bytes(b"1")
        (root / "a" / "data" / "one-1.parquet").write_bytes(b"22")
        (root / "a" / "data" / "two-0.parquet").write_bytes(b"")
        create(root / "key", b"first")
        create(root / "key", b"second")
        (root / "a" / "gone").write_bytes(b"x")
        (root / "a" / "gone").unlink()
        (root / "a" / "gone").unlink(missing_ok=True)
        raised = []
        for ask in (
            lambda: (root / "no").read_bytes(),
            lambda: (root / "no").unlink(),
        ):
            with pytest.raises(FileNotFoundError) as error:
                ask()
            raised.append(error.type)
        named: Callable[[Iterator[Place]], list[str]] = lambda found: sorted(  # noqa: E731
            path.relative_to(root).as_posix()  # type: ignore[arg-type]
            for path in found
        )
        with local_copy(root / "b.txt") as copy:
            copied = (copy.read_text(), copy.name)
        return [
            *(
                named(root.iterdir()),
                named((root / "a" / "data").glob("one-*.parquet")),
                named(root.glob("*/data/two*")),
            ),
            *(file_names(root), file_names(root / "a"), named((root / "nothing").glob("*")), copied, raised),
            *((root / name).exists() for name in ("a", "a/data", "b.txt", "b", "a/dat", "no")),
            *((root / name).is_dir() for name in ("a", "b.txt", "no")),
            *((root / name).is_file() for name in ("a", "b.txt", "no")),
            *((root / "key").read_bytes(), (root / "b.txt").stem, (root / "b.txt").suffix, (root / "a/x").parent.name),
        ]

    assert told(place_of(f"{bucket}/pre/fix")) == told(tmp_path / "folder")


def test_a_catalog_travels_to_other_processes_without_showing_its_keys(bucket: str, s3_server: str) -> None:
    given = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": S3_KEY, "AWS_ENDPOINT_URL": s3_server}
    there = pickle.loads(pickle.dumps(Catalog(f"{bucket}/x", storage_options=given)))  # noqa: S301
    there.merge("labels", labels(a="positive"))
    assert Catalog(f"{bucket}/x").count("labels") == 1
    assert S3_KEY not in repr([there, there.place, there.snapshot("labels")])


# Locks


def test_a_lease_is_held_by_one_and_renewed_while_it_is(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(f"{bucket}/x") / "lock"
    monkeypatch.setattr(locks, "LEASE_S", 3.0)
    with lock(place) as held:
        time.sleep(5)
        with pytest.raises(LockHeldError, match=r"process \d+ holds the lock"), lock(place):
            pass
        held.check()
    with lock(place):
        pass


def test_the_lease_of_a_killed_process_runs_out(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
from data_catalog.storage import lock, place_of
import os, signal
with lock(place_of({bucket!r} + "/x") / "lock"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert in_another_process(code)[0] == KILLED
    place = place_of(f"{bucket}/x") / "lock"
    monkeypatch.setattr(locks, "LEASE_S", 3.0)
    with lock(place):  # that nobody renews the lease says that its holder is gone
        pass
    assert in_another_process(code)[0] == KILLED
    waited: list[str] = []
    with lock(place, wait=True, waiting=waited.append):
        assert len(waited) <= 1


def test_a_holder_that_stood_still_finds_out_before_it_goes_on(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(f"{bucket}/x") / "lock"
    monkeypatch.setattr(locks._Lease, "renew", lambda self: None)
    monkeypatch.setattr(locks, "LEASE_S", 1.0)
    with lock(place) as stale, lock(place, wait=True) as other:
        other.check()
        with pytest.raises(StorageError, match="lost its lease"):
            stale.check()
    with lock(place):
        pass


# Tables


def test_processes_that_write_one_table_lose_nothing(bucket: str) -> None:
    code = f"""
import sys
from data_catalog.catalog import Catalog
from tests.data_catalog.test_catalog import labels
for number in range(5):
    Catalog({bucket!r} + "/x").merge("labels", labels(**{{f"{{sys.argv[1]}}-{{number}}": "positive"}}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, f"w{n}"], stderr=subprocess.PIPE) for n in range(2)]
    assert [(writer.wait(), writer.communicate()[1]) for writer in writers] == [(0, b"")] * 2
    written = Catalog(f"{bucket}/x").values("labels", "video_id")
    assert sorted(written) == [f"w{writer}-{number}" for writer in range(2) for number in range(5)]


# Releases


class Killed(BaseException):
    """Stands for a signal that ends the process at once: nobody catches it."""


def test_a_release_is_the_same_as_a_local_one_wherever_its_writer_is_killed(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {**FACTS, "created_at": "2026-11-23T08:30:00+00:00"}
    local = write_release(tmp_path / "local", VERSION, three_splits(), facts, {"README.md": "# A card\n"})
    puts: list[str] = []
    whole = StorePath.put
    killed_at = 0

    def put(self: StorePath, data: bytes | memoryview, *, only: str | None = None) -> str | None:
        if self.parent.name != "releases":
            puts.append(self.name)
            if len(puts) == killed_at:
                raise Killed
        return whole(self, data, only=only)

    monkeypatch.setattr(StorePath, "put", put)
    n_files = len(file_names(local))
    for killed_at in range(1, n_files + 1):
        root = place_of(f"{bucket}/at{killed_at}") / "releases"
        puts.clear()
        with pytest.raises(Killed):
            write_release(root, VERSION, three_splits(), facts, {"README.md": "# A card\n"})
        assert list_releases(root) == []
        assert bool(drafts(root)) == (killed_at > 1)
    assert puts[-1] == "manifest.json", "it comes last"
    killed_at = 0
    again = write_release(root, VERSION, three_splits(), facts, {"README.md": "# A card\n"})
    assert {name: (again / name).read_bytes() for name in file_names(again)} == {
        name: (local / name).read_bytes() for name in file_names(local)
    }
    assert verify_release(again) == []
    assert [path.name for path in again.parent.iterdir()] == [".lock", VERSION]
    with pytest.raises(ReleaseError, match="never overwritten"):
        write_release(root, VERSION, three_splits(), facts)


def test_a_writer_that_was_killed_leaves_no_release_and_the_next_one_writes_it(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import os, signal
from data_catalog.releases import write_release
from data_catalog.storage import StorePath, place_of
from tests.data_catalog.test_releases import FACTS, VERSION, three_splits
whole = StorePath.put
def put(self, data, **options):
    if self.name == "manifest.json":
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, data, **options)
StorePath.put = put
write_release(place_of({bucket!r} + "/x") / "releases", VERSION, three_splits(), FACTS)
"""
    returned, said = in_another_process(code)
    assert returned == KILLED, said
    root = place_of(f"{bucket}/x") / "releases"
    assert (list_releases(root), [path.name for path in drafts(root)]) == ([], [VERSION])
    monkeypatch.setattr(locks, "LEASE_S", 1.0)
    assert verify_release(write_release(root, VERSION, three_splits(), FACTS)) == []
    assert drafts(root) == []


def test_a_release_is_fetched_once_and_its_hashes_are_checked(bucket: str) -> None:
    root = place_of(f"{bucket}/x") / "releases"
    release = write_release(root, VERSION, three_splits(), FACTS, {"README.md": "# A card\n"})
    assert isinstance(release, StorePath)
    data = next(iter((release / "data").glob("train-*")))
    good = data.read_bytes()
    data.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ReleaseError, match=r"data/train-.* is not what was written: sha256"):
        fetch_release(release)
    assert any("train" in problem and "changed" in problem for problem in verify_release(release))
    data.write_bytes(good)
    there = fetch_release(release)
    assert (verify_release(there), there.name, read_manifest(there)) == ([], VERSION, read_manifest(release))
    data.unlink()
    assert fetch_release(release) == there, "what is here is not asked for again"


# Refusals


def error_of(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>said by the server</Message></Error>"


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """Start a server that answers every request alike: `answering(403, "AccessDenied")` gives its address."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int, code: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = error_of(code).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def refusals(root: str) -> set[str]:
    """What a catalog's tables, its other files and its locks say, which is to be one sentence."""
    tables = Catalog(root)

    def held() -> None:
        with lock(tables.place / "lock"):
            pass

    said = set()
    for ask in (
        lambda: tables.tables(),
        lambda: tables.merge("labels", labels(a="x")),
        lambda: list_releases(tables.releases_dir),
        lambda: create(tables.place / "key", b"x"),
        lambda: (tables.place / "key").read_bytes(),
        lambda: write_release(tables.releases_dir, VERSION, three_splits(), FACTS),
        held,
    ):
        began = time.monotonic()
        with pytest.raises(StorageError) as error:
            ask()
        assert time.monotonic() - began < 20
        said.add(str(error.value))
    assert not any(mark in line for line in said for mark in ("\n", "\x1b", S3_KEY, "Generic"))
    return said


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (301, "PermanentRedirect", "the bucket is in another region; set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region; set AWS_REGION"),
        (403, "InvalidAccessKeyId", "the access key is not known there; check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "the secret key is not that of the access key; check AWS_ACCESS_KEY_ID"),
        (403, "ExpiredToken", "the session has expired; check AWS_ACCESS_KEY_ID"),
        (403, "AccessDenied", "access is denied; check AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_store_that_refuses_is_one_sentence(
    bucket: str,
    answering: Callable[[int, str], str],
    status: int,
    code: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(status, code))
    # where only the head of a file is asked for the server gives a number and no reason
    bare = {
        301: says,
        400: "the request is not understood there; check AWS_REGION",
        403: "access is denied; check AWS_",
    }
    for said in refusals(f"{bucket}/x"):
        assert said.startswith(f"{bucket}/x")
        assert says in said or bare[status] in said
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "the server cannot be reached; check AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "http://no.such.host.invalid", "the server cannot be reached; check AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "nonsense", "the endpoint is no address; set AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "http://host:port/ x", "the endpoint is no address; set AWS_ENDPOINT_URL"),
        ("AWS_ACCESS_KEY_ID", "key\n", "AWS_ACCESS_KEY_ID holds a blank or a sign that none has"),
        ("AWS_SECRET_ACCESS_KEY", "schlüssel", "AWS_SECRET_ACCESS_KEY holds a blank or a sign that none has"),
        ("AWS_SECRET_ACCESS_KEY", "", "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both"),
        ("AWS_REGION", "eu west", "AWS_REGION holds a blank or a sign that none has"),
    ],
)
def test_a_setting_that_leads_nowhere_is_one_sentence_and_no_panic(
    bucket: str, name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StorageError) as tables:
        Catalog(f"{bucket}/x").tables()
    with pytest.raises(StorageError) as files:
        list_releases(place_of(f"{bucket}/x") / "releases")
    assert {says in str(error.value) for error in (tables, files)} == {True}
    assert {str(error.value).count("\n") for error in (tables, files)} == {0}
    assert capfd.readouterr().err == "", "no panic, and none of a library's own words"


def test_a_bucket_that_is_not_there_or_no_longer_is_one_sentence(bucket: str) -> None:
    missing = f"s3://{bucket.removeprefix('s3://')}-not"
    tables = Catalog(f"{missing}/x")
    for ask in (
        tables.tables,
        lambda: tables.merge("labels", labels(a="x")),
        lambda: list_releases(tables.releases_dir),
    ):
        with pytest.raises(StorageError, match=f"^{missing}/x[^:]*: there is no such bucket; make the bucket"):
            ask()


def test_a_bucket_that_goes_in_the_middle_of_a_write_is_one_sentence_and_no_panic(
    bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = Catalog(f"{bucket}/x")
    tables.merge("labels", labels(a="positive"))

    def gone_by_now(*arguments: Any, **options: Any) -> None:
        for path in place_of(bucket).rglob("*"):
            path.unlink()
        name = bucket.removeprefix("s3://")
        with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="DELETE"), timeout=30):
            pass
        write_deltalake(*arguments, **options)

    monkeypatch.setattr("data_catalog.tables.delta.write_deltalake", gone_by_now)
    with pytest.raises(StorageError, match=f"^{bucket}/x/tables/labels: there is no such bucket; make the bucket"):
        tables.merge("labels", labels(b="positive"))
    time.sleep(0.3)
    assert capfd.readouterr().err == ""
