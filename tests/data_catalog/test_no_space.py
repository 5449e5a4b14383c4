"""Where a disk is full, a write is refused in a line: no report of a panic, and what was there is whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from data_catalog import Catalog
from data_catalog.tables.panics import panics_unheard
from tests.data_catalog.builders import rows

REPORT = (
    "\nthread 'tokio-rt-worker' (31120) panicked at object_store/src/buffered.rs:369:41:\nAlready shut down\n"
    "stack backtrace:\n   0: rust_begin_unwind\n             at /rustc/library/std/src/panicking.rs:697:5\n"
    "   1: core::panicking::panic_fmt\nnote: Some details are omitted, run with `RUST_BACKTRACE=full`.\n"
)
SHORT_REPORT = "\nthread '<unnamed>' panicked at src/lib.rs:1:2:\nAlready shut down\n"

# a limit on the size of files is what a full disk is: the write fails in the middle
WRITE = """
import resource, signal, sys
import pyarrow as pa
from data_catalog import Catalog, CatalogError, TABLES
catalog = Catalog(sys.argv[1])
new = [{"frame_id": f"v{i}:0", "video_id": f"v{i}", "text": f"{i * 7919:x}" * 50, "n_words": 1} for i in range(3000)]
new = pa.Table.from_pylist(new, schema=TABLES["texts"].schema)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
for write in (
    lambda: catalog.merge("texts", new),
    lambda: catalog.replace("texts", new),
    lambda: catalog.delete_groups("texts", column="video_id", values=["v1"]),
):
    try:
        write()
    except CatalogError as error:
        print(f"error: {error}", file=sys.stderr)
"""


def test_a_full_disk_is_a_line_for_each_write_and_changes_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    made = [{"frame_id": f"v{i}:0", "video_id": f"v{i}", "text": os.urandom(99).hex(), "n_words": 1} for i in range(99)]
    catalog.merge("texts", rows("texts", *made))
    before = catalog.read("texts")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path)],
        env={**os.environ, "RUST_BACKTRACE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    line = f"error: {tmp_path}/tables/texts: cannot be written (File too large); it is as it was. "
    assert [said[: len(line)] for said in done.stderr.splitlines()] == [line] * 3
    assert catalog.read("texts").equals(before)


@pytest.mark.parametrize("report", [REPORT, SHORT_REPORT])
def test_all_but_the_reports_of_panics_is_passed_on(report: str, capfd: pytest.CaptureFixture[str]) -> None:
    def write(text: str) -> None:
        os.write(2, text.encode())

    with panics_unheard():
        write("before\n\nbetween ")
        with panics_unheard():  # another writer comes and goes
            write("words\n" + report[:50])
        write(report[50:])
        subprocess.run([sys.executable, "-c", "import sys; print('a child', file=sys.stderr)"], check=True)
        write(f"{report}behind it\n\nwithout an end")
    write("; heard again\n")
    told = capfd.readouterr().err
    assert told == "before\n\nbetween words\na child\nbehind it\n\nwithout an end; heard again\n"


def test_threads_that_come_and_go_leave_descriptor_two_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before, opened = os.fstat(2), len(list(Path("/proc/self/fd").iterdir()))

    def commit(number: int) -> None:
        for _ in range(20):
            with panics_unheard():
                os.write(2, f"{number}\n".encode())

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (os.fstat(2).st_ino, len(list(Path("/proc/self/fd").iterdir()))) == (before.st_ino, opened)
    assert sorted(capfd.readouterr().err.split()) == sorted("0123" * 20)
