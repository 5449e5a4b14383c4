"""Clients that mean harm, or are broken: on real sockets, beside one that is served all the while."""

from __future__ import annotations

import io
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from flows.serve import worker
from flows.serve.pictures import check_picture
from flows.serve.refusals import Refusal
from flows.serve.uploads import Uploads
from flows.settings import Settings
from tests.flows.serve import endings
from tests.flows.serve.serving import Running, picture, until

ROW = {"files": {"picture": picture(1)}, "data": {"text": "bad"}}
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _served_all_the_while(running: Running) -> Iterator[None]:
    """Whatever a test does, the next request is answered and nothing is held."""
    yield
    with running.client() as client:
        assert client.post("/v1/predict", **ROW).status_code == 200  # type: ignore[arg-type]
    until(lambda: running.metric("requests_under_way") == 0)
    assert running.metric("body_bytes") == running.batches.admitted == running.metric("videos") == 0
    folder = running.app.state.service._videos._uploads.folder
    assert [each for each in folder.iterdir() if each.is_dir()] == []


def everything(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    said = b""
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize("head", [b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_head_that_trickles_has_its_time_once(running: Running, head: bytes) -> None:
    begun = time.monotonic()
    with running.socket() as connection:
        connection.sendall(head)
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.1):
                try:
                    connection.send(b"a" if head else b"")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert b"200 OK" not in everything(connection)
        stop.set()
        thread.join()
    assert 0.5 < time.monotonic() - begun < 10


def test_an_idle_connection_is_closed_and_one_in_use_is_not(running: Running) -> None:
    with running.socket() as connection:
        for _ in range(4):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = b""
            while not said.endswith(b"}"):
                said += connection.recv(65536)
            assert said.startswith(b"HTTP/1.1 200")
            time.sleep(0.3)
        assert everything(connection) == b""


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4\r\n[[[[\r\n"]
)
def test_a_body_that_stops_is_refused(running: Running, framing: bytes) -> None:
    with running.socket() as connection:
        connection.sendall(HEAD + framing)
        assert b"408" in everything(connection)[:30]


def test_a_body_that_never_ends_in_time_is_refused(running: Running) -> None:
    with running.socket() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        begun = time.monotonic()
        said = b""
        connection.settimeout(0.2)
        while not said and time.monotonic() - begun < 20:
            connection.send(b"[")
            try:
                said = connection.recv(100)
            except TimeoutError:
                continue
        assert b"408" in said[:30]
        assert time.monotonic() - begun > 1.5


def test_a_body_that_states_too_much_is_refused_unread(running: Running) -> None:
    with running.socket() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n")
        said = connection.recv(65536)
        assert said.startswith(b"HTTP/1.1 413"), "and not 100 Continue"
        begun = time.monotonic()
        assert b'"kind":"too_long"' in said + everything(connection)
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("content_type", [b"application/json", b"multipart/form-data; boundary=b"])
def test_a_chunked_body_is_counted_as_it_comes(running: Running, content_type: bytes) -> None:
    start = (
        b'--b\r\nContent-Disposition: form-data; name="video"; filename="v"\r\n\r\n'
        if b"form" in content_type
        else b"["
    )
    with running.socket() as connection:
        connection.sendall(HEAD.replace(b"application/json", content_type) + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n%s\r\n" % (len(start), start))
        sent = 0
        try:
            while sent < 50_000_000:
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
        except OSError:
            pass
        # beyond the limit of 2 MB (1 MB of JSON) what comes is thrown away, and not for long
        assert b"413" in everything(connection)[:30]


@pytest.mark.parametrize(
    "part",
    [
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n',
        b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n\r\n',
        b"--b\r\n" + b"X-A: b\r\n" * 50 + b"\r\n\r\n",
        b"--b\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n\r\n",
        b"--b\r\n\r\n\r\n",
        b"\r\n\r\n--b-" * 10,
    ],
)
def test_a_form_of_countless_parts_costs_little(running: Running, part: bytes) -> None:
    body = (part * (1_900_000 // len(part)))[:1_900_000]
    with running.client() as client:
        before = time.process_time()
        answer = client.post("/v1/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert answer.status_code in (413, 422)
        assert time.process_time() - before < 1.5


def test_a_client_who_leaves_takes_its_rows_out_of_the_queue(running: Running) -> None:
    held, run = threading.Event(), running.batches._run
    asked: list[str] = []

    def hold(model: Any, rows: Any) -> Any:
        asked.extend(text for _, text in rows)
        assert held.wait(20)
        return run(model, rows)

    running.batches._run = hold
    gone = running.metric("disconnected_total")
    try:
        with running.client() as staying:
            results: list[httpx.Response] = []
            first = threading.Thread(target=lambda: results.append(staying.post("/v1/predict", **ROW)))  # type: ignore[arg-type]
            first.start()
            until(lambda: asked == ["bad"])
            leaving = httpx.Request("POST", running.url + "/v1/predict", **{**ROW, "data": {"text": "leaves"}})  # type: ignore[arg-type]
            content = leaving.read()
            head = "".join(f"{name}: {value}\r\n" for name, value in leaving.headers.items())
            with running.socket() as connection:
                connection.sendall(f"POST /v1/predict HTTP/1.1\r\n{head}\r\n".encode() + content)
                until(lambda: running.batches.admitted == 2)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            until(lambda: running.batches.admitted == 1)
            assert running.metric("disconnected_total") == gone + 1
            held.set()
            first.join(20)
            assert results[0].status_code == 200
    finally:
        held.set()
        running.batches._run = run
    assert "leaves" not in asked


def test_beyond_the_queue_is_refused_with_when_to_come_again(running: Running) -> None:
    held, run = threading.Event(), running.batches._run
    running.batches._run = lambda *asked: held.wait(20) and run(*asked)
    rows = {"rows": [{"picture": _base64(picture(2)), "text": "a"}] * 20}
    try:
        threads = [
            threading.Thread(
                target=httpx.post, args=(running.url + "/v1/predict",), kwargs={"json": rows, "timeout": 30}
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        until(lambda: running.batches.admitted == 40)
        with running.socket() as connection:  # before its body is sent
            connection.sendall(HEAD + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
            said = connection.recv(65536)
        assert said.startswith(b"HTTP/1.1 503")
        assert re.search(rb"retry-after: [1-9]", said, re.I)
    finally:
        held.set()
        running.batches._run = run
    for thread in threads:
        thread.join(30)


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def test_too_many_connections_are_told_so(running: Running) -> None:
    connections = [running.socket() for _ in range(61)]
    try:
        assert connections[-1].recv(1000).startswith(b"HTTP/1.1 503")
    finally:
        for connection in connections:
            connection.close()
    until(lambda: len(running.server.server_state.connections) < 30)


def png_of(width: int, height: int) -> bytes:
    """A small PNG that states any size, and holds no more than zeros by the thousand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(2_000_000)))
        + chunk(b"IEND", b"")
    )


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    out = io.BytesIO()
    Image.new("L", (1000, 1000), 128).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 5000 + data[-2:]


@pytest.mark.parametrize(
    ("bomb", "kind"),
    [
        (png_of(60_000, 60_000), "too_many_pixels"),
        (png_of(2**31 - 1, 2**31 - 1), "too_many_pixels"),
        (png_of(1200, 1200), "too_many_pixels"),
        (png_of(1000, 999), "no_picture"),  # cut short
        (many_scans(), "no_picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no_picture"),
        (b"II*\0" + bytes(100), "no_picture"),
    ],
)
def test_a_picture_that_unpacks_to_more_is_refused_at_once(running: Running, bomb: bytes, kind: str) -> None:
    before = time.process_time()
    with running.client() as client:
        answer = client.post("/v1/predict", files={"picture": bomb}, data={"text": "x"})
    assert answer.json()["error"]["kind"] == kind
    assert time.process_time() - before < 1.0


def test_pictures_as_large_as_allowed_are_taken() -> None:
    assert check_picture(picture(1, size=(1000, 1000)), 1_000_000) == 1_000_000
    with pytest.raises(Refusal):
        check_picture(picture(1, size=(1000, 1001)), 1_000_000)


def test_a_video_of_ten_hours_is_refused_before_it_is_decoded(running: Running, tmp_path: Path) -> None:
    from tests.flows.frames.clips import write_video

    long = write_video(tmp_path / "long.mp4", [float(step * 1800) for step in range(21)])
    begun = time.monotonic()
    with running.client() as client, long.open("rb") as file:
        answer = client.post("/v1/predict", files={"video": file})
    assert answer.json()["error"]["kind"] == "too_long"
    assert answer.status_code == 422
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("function", "limit_s", "kind"),
    [
        (endings.hang, 0.5, "decoder_timeout"),
        (endings.crash, 20.0, "decoder_crashed"),
        (endings.grow, 20.0, "decoder_memory"),
    ],
)
def test_a_video_that_hangs_crashes_or_grows_costs_its_own_process(
    running: Running, monkeypatch: pytest.MonkeyPatch, function: Any, limit_s: float, kind: str
) -> None:
    monkeypatch.setattr(worker, "see_within", function)
    videos = running.app.state.service._videos
    monkeypatch.setattr(videos, "_limits", videos._limits.model_copy(update={"video_timeout_s": limit_s}))
    with running.client() as client:
        answer = client.post("/v1/predict", files={"video": b"x"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (422, kind)


def test_a_client_who_leaves_amid_a_video_ends_its_process(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "see_within", endings.hang)
    begun = time.monotonic()
    with running.socket() as connection:
        body = b'--b\r\nContent-Disposition: form-data; name="video"; filename="v"\r\n\r\nx\r\n--b--\r\n'
        head = HEAD.replace(b"application/json", b"multipart/form-data; boundary=b")
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: running.metric("videos") == 1)
    until(lambda: running.metric("videos") == 0)
    assert time.monotonic() - begun < 15, "it was ended, long before its time was over"


def test_no_secret_goes_to_the_process_that_decodes() -> None:
    settings = Settings.model_validate(
        {"serve": {"api_keys": ["s3cret" * 4]}, "crawl": {"api_key": "s3cret"}, "review": {"store": "s3cret"}}
    )
    import pickle

    assert b"s3cret" not in pickle.dumps(worker._without_secrets(settings))


def test_uploads_of_a_server_that_was_killed_are_emptied_by_the_next_and_those_of_another_stay(tmp_path: Path) -> None:
    program = (
        "import sys, io, time; from pathlib import Path; from flows.serve.uploads import Uploads\n"
        "held = Uploads(Path(sys.argv[1])).holding(io.BytesIO(b'an ad')); print(held.__enter__(), flush=True)\n"
        "time.sleep(60)"
    )
    base = tmp_path / "uploads"
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(base)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    files = [Path(str(each.stdout and each.stdout.readline()).strip()) for each in running]
    assert [file.read_bytes() for file in files] == [b"an ad"] * 2
    running[0].kill()
    running[0].wait()
    next_one = Uploads(base)
    assert [file.exists() for file in files] == [False, True]
    assert base.stat().st_mode & 0o077 == 0
    with next_one.holding(io.BytesIO(b"x")) as path:
        assert path.read_bytes() == b"x"
    assert not path.parent.exists()
    next_one.close()
    running[1].kill()
    running[1].wait()
    for each in running:
        assert each.stdout
        each.stdout.close()
    Uploads(base).close()
    assert [each for each in base.iterdir() if each.is_dir()] == []


def test_a_folder_that_somebody_else_laid_in_the_way_is_not_used(tmp_path: Path) -> None:
    from flows.errors import ServeError

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "uploads").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServeError, match="not a folder of this user"):
        Uploads(tmp_path / "uploads")
