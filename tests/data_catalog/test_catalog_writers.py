"""Several writers at once, and writers that die in the middle: nothing lost, nothing doubled, always readable."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from data_catalog import TABLES, Catalog, CatalogError
from data_catalog.tables.delta import Change
from tests.data_catalog.builders import rows

ROOT = Path(__file__).resolve().parents[2]
MERGES = 6

VARIANTS = {
    "rewriting, waiting for each other": (0, True),
    "rewriting, finding each other's commits": (0, False),
    "by predicate, waiting for each other": (2_000, True),
    "by predicate, finding each other's commits": (2_000, False),
}
"""How many values a predicate may hold, and whether writers lock."""

WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from data_catalog import TABLES, Catalog
from data_catalog.tables import delta

name, merges = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
for root, values, file_locks in zip(sys.argv[3::3], sys.argv[4::3], sys.argv[5::3]):
    delta._VALUES_IN_A_PREDICATE = int(values)
    catalog = Catalog(root, file_locks=file_locks == "True")
    for i in range(merges):
        # every writer has keys of its own and keys that all of them write
        rows = [{"video_id": f"{name}-{i}", "label": name}, {"video_id": f"shared-{i}", "label": name}]
        catalog.merge("labels", pa.Table.from_pylist(rows, schema=TABLES["labels"].schema))
        print(i, flush=True)
"""


def start_writer(name: str, *catalogs: tuple[Path, int, bool], merges: int = MERGES) -> subprocess.Popen[str]:
    """A process that writes to the catalogs one after the other; each with its number of values and its locks."""
    options = [str(option) for catalog in catalogs for option in catalog]
    command = [sys.executable, "-c", WRITER, name, str(merges), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def keys(catalog: Catalog) -> list[str]:
    return sorted(catalog.values("labels", "video_id"))


@pytest.fixture(scope="module")
def written_at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Catalog]:
    """A catalog for every variant, written by three processes side by side."""
    roots = {variant: tmp_path_factory.mktemp("catalog") for variant in VARIANTS}
    catalogs = [(roots[variant], *options) for variant, options in VARIANTS.items()]
    writers = [start_writer(name, *catalogs) for name in "abc"]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    return {variant: Catalog(root) for variant, root in roots.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_processes_that_merge_at_once_lose_and_double_nothing(
    written_at_once: dict[str, Catalog], variant: str
) -> None:
    expected = sorted(f"{name}-{i}" for name in ("a", "b", "c", "shared") for i in range(MERGES))
    assert keys(written_at_once[variant]) == expected


def test_threads_may_share_a_catalog(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    def write(name: str) -> None:
        for i in range(MERGES):
            catalog.merge("labels", rows("labels", {"video_id": f"{name}-{i}"}, {"video_id": f"shared-{i}"}))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert keys(catalog) == sorted(f"{name}-{i}" for name in ("a", "b", "c", "shared") for i in range(MERGES))


def test_a_writer_killed_at_any_moment_leaves_whole_commits_and_no_lock(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    for round_number, delay_s in enumerate((0.0, 0.007, 0.013)):
        name = f"w{round_number}"
        writer = start_writer(name, (tmp_path, 2_000, True), merges=10_000)
        assert writer.stdout is not None
        # begin killing once it writes, so that the signal lands inside a write
        said = [writer.stdout.readline() for _ in range(3)]
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        # not communicate(): it would pass over what readline() has read ahead
        said += writer.stdout.readlines()
        writer.communicate(timeout=30)

        reported = [line for line in said[1:] if line.endswith("\n")]
        found = keys(catalog)
        own = [key for key in found if key.startswith(f"{name}-")]
        assert len(found) == len(set(found))
        assert len(reported) <= len(own) <= len(reported) + 1, "what was reported is there, at most one more"
        assert all(f"shared-{key.split('-')[1]}" in found for key in own), "a commit is whole or not at all"

    before = catalog.count("labels")
    started = time.monotonic()
    catalog.merge("labels", rows("labels", {"video_id": "after"}))
    assert catalog.count("labels") == before + 1
    assert time.monotonic() - started < 10, "the dead writer's lock went with it"


def test_a_writer_killed_while_it_made_the_table_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "tables" / "labels" / "_delta_log").mkdir(parents=True)
    catalog = Catalog(tmp_path)
    assert catalog.count("labels") == 0
    catalog.merge("labels", rows("labels", {"video_id": "a"}))
    assert keys(catalog) == ["a"]


def test_a_lock_held_for_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_catalog.tables.delta._LOCK_TIMEOUT_S", 0.1)
    (tmp_path / ".locks").mkdir()
    with (
        FileLock(tmp_path / ".locks" / "labels.lock"),
        pytest.raises(CatalogError, match=r"another process.*labels\.lock"),
    ):
        Catalog(tmp_path).merge("labels", rows("labels", {"video_id": "a"}))


def test_a_writer_that_always_comes_second_gives_up_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_catalog.tables.delta._COMMIT_ATTEMPTS", 3)
    monkeypatch.setattr("data_catalog.tables.delta.time.sleep", lambda _: None)
    catalog = Catalog(tmp_path, file_locks=False)
    row = rows("labels", {"video_id": "a", "label": "mine"})
    catalog.merge("labels", row)
    decided = []

    def overtaken(snapshot: object) -> Change:
        decided.append(snapshot)
        catalog.merge("labels", row)
        return Change(row, row.select(["video_id"]))

    with pytest.raises(CatalogError, match=r"tables/labels: 3 commits in a row met another writer's"):
        catalog._store(TABLES["labels"]).change(overtaken)
    assert len(decided) == 3
    assert keys(catalog) == ["a"]
