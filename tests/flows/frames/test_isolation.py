"""What happens to a process that decodes does not happen to the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.errors import DecoderLostError, FrameError
from flows.frames.isolation import call_isolated, close_idle_workers
from flows.frames.sampling import sample_ad, sample_frames
from flows.settings import FrameSettings
from tests.flows.frames.clips import steady, write_video


@pytest.fixture(autouse=True)
def others() -> Iterator[set[int]]:
    """Children of this process that are no workers; of the workers none is left in the end."""
    close_idle_workers()
    before = children()
    yield before
    close_idle_workers()
    assert children() <= before


def children() -> set[int]:
    """Ids of this process's children, ended ones that nobody asked after included."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def ad_row(path: Path) -> dict[str, Any]:
    ad = {"video_id": "a", "source": "folder", "media_path": path.name, "media_status": "present"}
    return {**ad, "media_sha256": "f1"}


def test_a_worker_gives_what_the_function_gives(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(20))

    assert call_isolated(30, sample_frames, path, "a", seed=3) == sample_frames(path, "a", seed=3)


def test_no_variable_of_the_environment_that_may_hold_a_key_reaches_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YTB_ADS__SERVE__API_KEYS", "AWS_SECRET_ACCESS_KEY", "PREFECT_API_KEY", "PYTHON_KEYRING", "WHATEVER"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    variables = call_isolated(30, subprocess.check_output, ["env", "-0"])

    assert b"s3cret" not in variables
    assert {b"LC_ALL=C.UTF-8", b"PATH=" + os.fsencode(os.environ["PATH"])} <= set(variables.split(b"\0"))


def test_one_worker_answers_one_call_after_another() -> None:
    assert len({call_isolated(30, os.getpid) for _ in range(5)}) == 1
    assert call_isolated(30, os.getpid) != os.getpid()


def test_calls_at_the_same_time_have_workers_of_their_own(others: set[int]) -> None:
    both = threading.Barrier(2)

    def call(_: int) -> int:
        both.wait()
        call_isolated(30, time.sleep, 0.5)
        return len(children() - others)

    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(call, range(2))) == 2


def test_what_the_function_raises_is_raised(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")

    with pytest.raises(FrameError, match=r"bad\.mp4: cannot be opened as a video"):
        call_isolated(30, sample_frames, bad, "a")
    with pytest.raises(ValueError, match="count = 0"):
        call_isolated(30, sample_frames, write_video(tmp_path / "a.mp4", steady(5)), "a", count=0)


def test_a_decoder_that_hangs_is_stopped_and_the_next_call_works(tmp_path: Path, others: set[int]) -> None:
    # to open a pipe that nobody writes to takes for ever
    os.mkfifo(tmp_path / "hangs.mp4")
    start = time.monotonic()

    with pytest.raises(DecoderLostError) as lost:
        call_isolated(0.5, sample_frames, tmp_path / "hangs.mp4", "a")

    assert (lost.value.reason, time.monotonic() - start < 25) == ("decoder_timeout", True)
    assert "0.5 s" in str(lost.value)
    assert children() <= others
    assert call_isolated(30, abs, -1) == 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_decoder_that_crashes_is_told_by_its_signal(number: signal.Signals) -> None:
    with pytest.raises(DecoderLostError, match=number.name) as lost:
        call_isolated(30, signal.raise_signal, number)

    assert lost.value.reason == "decoder_crashed"
    assert call_isolated(30, abs, -1) == 1


def test_a_worker_that_ended_while_it_waited_is_replaced() -> None:
    worker = call_isolated(30, os.getpid)
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.5)  # its threads end one after the other

    assert call_isolated(30, os.getpid) != worker


def test_a_hanging_ad_is_a_failed_drop_that_a_later_run_tries_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(20))
    settings = FrameSettings(timeout_s=0.001)

    made = sample_ad(ad_row(path), {"folder": tmp_path}, settings, "p")

    [drop] = made.drops
    assert made.rows == ()
    assert (drop.kind, drop.reason, drop.fingerprint, drop.upstream_revision) == (
        "failed",
        "decoder_timeout",
        "p",
        "f1",
    )
    assert drop.detail.startswith("a.mp4: ")


def test_an_ad_gives_rows_and_a_bad_one_a_filtered_drop(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(30))
    (tmp_path / "bad.mp4").write_bytes(b"no video")

    good = sample_ad(ad_row(path), {"folder": tmp_path}, FrameSettings(margin_start_s=1), "p")
    bad = sample_ad(ad_row(tmp_path / "bad.mp4"), {"folder": tmp_path}, FrameSettings(), "p")

    assert [row["frame_id"] for row in good.rows] == [f"a:{index}" for index in range(5)]
    assert all(row["requested_s"] >= 1 and row["upstream_revision"] == "f1" for row in good.rows)
    [drop] = bad.drops
    assert (drop.kind, drop.reason) == ("filtered", "unreadable_video")
    assert str(tmp_path) not in drop.detail


def _sample_in_child(path: Path) -> int:
    return len(call_isolated(30, sample_frames, path, "a").frames)


def test_workers_serve_processes_of_a_pool_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(20))
    call_isolated(30, abs, -1)  # a worker that forked processes must not share

    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(_sample_in_child, [path] * 4)) == [5] * 4


def _call_and_send(connection: Any) -> None:
    connection.send(call_isolated(30, abs, -1))


def test_a_daemonic_process_has_workers_as_those_of_a_dask_cluster_are() -> None:
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_call_and_send, args=(far,), daemon=True)
    process.start()

    assert near.poll(60)
    assert near.recv() == 1
    process.join()


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = "; ".join(
        [
            "import os",
            "from flows.frames.isolation import call_isolated",
            "print(call_isolated(30, os.getpid), flush=True)",
            "os._exit(1)",
        ]
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    worker = int(done.stdout)

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{worker}").exists():
        if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{worker}").exists()
