"""Fixtures that more than one package's tests need."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.servers import postgres_serving, prefect_serving, s3_serving

# every worker has its share of the cores: threads that wait for each other, spinning, cost more than they bring
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

# a shell starts what it runs in the background with Ctrl-C ignored, and the children of the tests would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long an example takes says how busy the machine is
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED_DATA = os.environ.get("YTB_ADS_TEST_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
"""Where the real ads lie; empty: nowhere."""


LONGEST = (
    "test_soak.py",
    "test_build_dataset.py",
    "test_build_human.py",
    "test_real_ads.py",
    "test_clusters.py",
    "test_recovery.py",
    "test_notifications.py",
    "test_cli.py",
    "test_paused_deployment.py",
    "test_deployment.py",
    "test_crawl_youtube.py",
    "test_object_store.py",
    "test_browser.py",
    "test_search.py",
    "test_verifying_browser.py",
    "test_contract.py",
    "test_distributed.py",
    "test_training.py",
    "test_measuring.py",
    "test_xor.py",
)
"""Files that take longest, in this order: begun first, none of them is waited for at the end."""

S3_KEY = "a-secret-key-that-must-not-be-shown"
"""Of the S3 server's only user."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first: xdist hands files out in this order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, comments and pictures that lie beside the checkout; required in CI, unless it says it has none."""
    if not SHARED_DATA:
        pytest.skip("YTB_ADS_TEST_DATA is empty: no real test data here")
    if not Path(SHARED_DATA).is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{SHARED_DATA} is missing, and CI must not skip the tests on real data")
        pytest.skip("real test data is not beside this checkout (../shared/data)")
    return Path(SHARED_DATA)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_prepared_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trainings keep their prepared rows beside the tests' files, not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FGMFN_CACHE", str(tmp_path_factory.mktemp("prepared")))
        yield


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all workers of this run: `once("sample", lambda folder: ...)` gives its path."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, begun = shared / name, shared / f"{name}.begun"
        with FileLock(shared / f"{name}.lock"):
            if not folder.exists():
                shutil.rmtree(begun, ignore_errors=True)  # of a worker that failed
                begun.mkdir()
                make(begun)
                begun.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def prefect_tables(once: Once) -> Path:
    """The database of a Prefect server that was started and stopped."""

    def make(folder: Path) -> None:
        with prefect_serving(folder):
            pass
        with closing(sqlite3.connect(folder / "prefect.db")) as database:  # whole, without the log beside it
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    return once("prefect", make) / "prefect.db"


@pytest.fixture(scope="session")
def prefect_server(prefect_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of a Prefect server started for the tests of this worker, on a database of its own."""
    with prefect_serving(tmp_path_factory.mktemp("prefect"), prefect_tables) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server's database `postgres`."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with postgres_serving() as url:
        yield url


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of S3, for the tests of one file."""
    with s3_serving(tmp_path_factory.mktemp("s3") / "server.log") as url:
        yield url


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://` and the name of an empty bucket that the environment has the credentials of, and an empty cache."""
    return new_bucket(s3_server, tmp_path / "cache", monkeypatch)


def new_bucket(s3_server: str, cache: Path, patch: pytest.MonkeyPatch) -> str:
    """Make a bucket, and let the environment name its server, its credentials and the user's cache."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    patch.setenv("AWS_SECRET_ACCESS_KEY", S3_KEY)
    patch.setenv("AWS_ENDPOINT_URL", s3_server)
    patch.setenv("XDG_CACHE_HOME", str(cache))
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT"), timeout=30):
        return f"s3://{name}"


@pytest.fixture
def prefect_api(prefect_server: str) -> Iterator[str]:
    """Flows called in this process report to the server."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield prefect_server
        # while the server is there: at the process's end they would wait for it in vain. In a thread, as the browser's
        # driver leaves a loop running in this one, and they would only promise to drain
        with ThreadPoolExecutor(1) as thread:
            thread.submit(APILogWorker.drain_all).result()
            thread.submit(EventsWorker.drain_all).result()


@pytest.fixture(autouse=True)
def _ordinary_priority() -> Iterator[None]:
    """The encoder SVT-AV1 gives its process real-time priority where it may, and nothing else would run any more."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
