"""Answers of the service are those of the bare predictor, whoever asks beside; and the model follows the promotions."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from data_catalog.catalog import Catalog
from fgmfn.explaining import Explainer
from fgmfn.inference import Predictor
from flows.errors import ModelError, SettingsError
from flows.frames.sampling import sample_frames
from flows.serve.app import create_app
from flows.serve.guard import JsonLines
from flows.settings import Settings
from flows.settings.serve import ServeSettings
from flows.verdict.given import GivenAd, find_ads, know_ad
from tests.flows.frames.clips import write_video
from tests.flows.serve.serving import BROKEN, GOOD, OTHER, TEXTS, WORDS, Running, bare, picture, promote, serving, until

ROWS = [(picture(seed), TEXTS[seed % len(TEXTS)]) for seed in range(30)]
KEY = "k" * 32


def ask(client: httpx.Client, *rows: tuple[bytes, str]) -> httpx.Response:
    files = [("picture", ("x.jpg", data)) for data, _ in rows]
    return client.post("/v1/predict", files=files, data={"text": [text for _, text in rows]})


def as_json(*rows: tuple[bytes, str]) -> dict[str, Any]:
    return {"rows": [{"picture": base64.b64encode(data).decode(), "text": text} for data, text in rows]}


def shares(answer: httpx.Response) -> list[dict[str, float]]:
    assert answer.status_code == 200, answer.text
    return [each["probabilities"] for each in answer.json()["answers"]]


def kind(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["kind"]


@pytest.fixture(scope="module")
def expected(models: Path) -> list[dict[str, float]]:
    """What the bare predictor says of each row, alone."""
    said = bare(models, GOOD, ROWS)
    assert len({round(each["positive"], 3) for each in said}) > 20, "the rows' answers must lie apart"
    return said


def test_many_at_once_get_each_the_answer_of_their_own_rows(running: Running, expected: list[dict[str, float]]) -> None:
    before = running.metric("rows_total")

    def one(start: int) -> None:
        with running.client() as client:
            numbers = [(start + step) % 30 for step in range(1 + start % 3)]
            rows = [ROWS[number] for number in numbers]
            answer = ask(client, *rows) if start % 2 else client.post("/v1/predict", json=as_json(*rows))
            for number, said in zip(numbers, shares(answer), strict=True):
                assert said == pytest.approx(expected[number], abs=1e-4)
            assert answer.json()["model"] == GOOD

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(30)))
    assert running.metric("rows_total") - before == sum(1 + start % 3 for start in range(30))
    assert running.metric("batch_rows_count") < running.metric("rows_total"), "they shared forward passes"
    assert running.batches.admitted == 0


def test_why_is_what_the_explainer_says_of_that_row(running: Running, models: Path) -> None:
    data, text = ROWS[1]
    image = Image.open(io.BytesIO(data)).convert("RGB")
    [expected] = Explainer(Predictor.open(models / "models" / GOOD)).explain([image], [text])
    with running.client() as client:
        asked = {"files": {"picture": data}, "data": {"text": text}}
        [answer] = client.post("/v1/predict?why=true", **asked).json()["answers"]  # type: ignore[arg-type]
        several = client.post("/v1/predict?why=true", json=as_json(*ROWS[:2]))
    assert kind(several) == (422, "malformed")
    why = answer["why"]
    assert [word["text"] for word in why["words"]] == [each.word.text for each in expected.top_words]
    assert why["modalities"] == pytest.approx(vars(expected.modalities), abs=1e-4)
    points = [each.points for each in expected.regions if each.points]
    assert [region["points"] for region in why["regions"]] == pytest.approx(points, abs=1e-4)


@pytest.mark.parametrize("kind_of_file", ["PNG", "WEBP", "GIF"])
def test_every_format_of_the_web_is_read(running: Running, models: Path, kind_of_file: str) -> None:
    row = (picture(3, kind=kind_of_file), "bad")
    with running.client() as client:
        assert shares(ask(client, row))[0] == pytest.approx(bare(models, GOOD, [row])[0], abs=1e-4)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"data": {}}, 415, "media_type"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "media_type"),
        ({"files": {"picture": b""}}, 422, "no_picture"),
        ({"files": {"picture": b"GIF89a"}}, 422, "no_picture"),
        ({"files": {"picture": ROWS[0][0][:900]}, "data": {"text": "x"}}, 422, "no_picture"),
        ({"files": [("picture", ROWS[0][0]), ("picture", ROWS[1][0])], "data": {"text": "one"}}, 422, "malformed"),
        ({"files": {"video": b"x", "picture": b"x"}}, 422, "malformed"),
        ({"files": {"file": b"x"}}, 422, "malformed"),
        ({"files": {"text": b"x"}}, 422, "malformed"),
        ({"files": {"picture": ROWS[0][0]}, "data": {"text": "x" * 501}}, 413, "too_long"),
        ({"files": [("picture", b"x")] * 21}, 413, "too_long"),
        ({"json": {"rows": []}}, 422, "malformed"),
        ({"json": {"rows": [{"text": "without a picture"}]}}, 422, "no_picture"),
        ({"json": {"rows": [{"picture": "/etc/passwd", "text": "a"}]}}, 422, "malformed"),
        ({"json": {"rows": [{"picture": "aGk=", "text": "a"}], "<script>": 1}}, 422, "malformed"),
        ({"json": {"rows": [{"text": "a", "picture": "http://example.org/a.jpg"}]}}, 422, "malformed"),
        ({"json": {"rows": [{"picture": "aGk=", "text": "a"}] * 21}}, 413, "too_many_rows"),
        ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 422, "malformed"),
        ({"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 422, "malformed"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "malformed"),
        ({"content": b"no", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422, "malformed"),
        ({"params": {"pictures": "/etc"}, "files": {"picture": b"x"}}, 422, "malformed"),
        ({"files": {"video": b"no video at all"}}, 422, "unreadable_video"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why_and_nothing_of_this_machine(
    running: Running, sent: dict[str, Any], status: int, said: str
) -> None:
    with running.client() as client:
        answer = client.post("/v1/predict", **sent)
    assert kind(answer) == (status, said)
    text = answer.json()["error"]["text"]
    assert len(text) > 20
    assert not any(word in text for word in ("Traceback", "/tmp", "/etc", "flows", "script", "example", ".py"))
    assert running.batches.admitted == 0


def test_every_answer_has_the_headers_and_head_is_get_without_a_body(running: Running) -> None:
    with running.client() as client:
        for path in (
            "/",
            "/docs",
            "/openapi.json",
            "/healthz",
            "/metrics",
            "/static/page.js",
            "/nothing",
            "/v1/models",
        ):
            got, head = client.get(path), client.head(path)
            assert head.status_code == got.status_code == (404 if path == "/nothing" else 200)
            assert head.content == b""
            assert head.headers["content-length"] == got.headers["content-length"] or path == "/metrics"
            for answer in (got, head):
                assert "default-src 'self'" in answer.headers["content-security-policy"]
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "server" not in answer.headers
                assert len(answer.headers["x-request-id"]) == 32
        assert client.get("/v1/predict").status_code == 405
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/static/..%2f..%2fapp.py").status_code == 404
        described = client.get("/openapi.json").json()
        assert {"Asked", "AskedRow", "Answers", "Verdict", "ErrorBody"} <= set(described["components"]["schemas"])
        page = client.get("/docs").text
        assert "/v1/predict" in page
        assert "<script" not in page
        assert "`" not in page
        assert "<code>why=true</code>" in page
        assert "http://" not in page.replace(running.url, "").replace("http://127.0.0.1:8450", "")


def test_keys_are_asked_for_and_never_shown(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(models, api_keys=(KEY, "o" * 32)) as guarded, guarded.client() as client:
        given: list[tuple[dict[str, str], int]] = [
            ({}, 401),
            ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
            ({"Authorization": f"Bearer {KEY}k"}, 401),
            ({"Authorization": KEY}, 401),
            ({"X-API-Key": ""}, 401),
            ({"Authorization": f"Bearer {KEY}"}, 200),
            ({"authorization": f"bearer {'o' * 32}"}, 200),
            ({"X-API-Key": KEY}, 200),
        ]
        for headers, status in given:
            for path in ("/v1/models", "/metrics"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == status, headers
                assert KEY not in answer.text
        refused = client.get("/v1/models")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["kind"] == "key"
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        assert guarded.metric("refusals_total", kind="key") == 11
        assert KEY not in repr(guarded.app.state.service.limits)
    assert KEY not in caplog.text
    for short in ("", "short", "with a space in between"):
        with pytest.raises(SettingsError, match=r"serve\.api_keys: key 2 is no key") as error:
            create_app(Settings(serve=ServeSettings.model_validate({"api_keys": (KEY, short)})), Catalog(models))
        assert not short or short not in str(error.value)


def test_the_log_has_one_object_a_request_and_nothing_that_was_sent(running: Running) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("ytb_ads.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with running.client() as client:
            client.post(
                "/v1/predict?secret-query=1",
                files={"picture": ("secret-name.jpg", ROWS[0][0])},
                data={"text": "secret words\n{}"},
                headers={"X-Secret": "secret-header", "User-Agent": "secret-agent"},
            )
            client.get("/secret-path%0a{}")
    finally:
        log.removeHandler(handler)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["route"], line["status"]) for line in lines] == [("/v1/predict", 200), ("none", 404)]
    assert lines[0]["rows"] == 1
    assert lines[0]["model"] == GOOD
    assert "secret" not in out.getvalue()


def test_a_video_is_answered_as_its_frames_are(running: Running, models: Path, tmp_path: Path) -> None:
    from tests.flows.serve.videos import worded

    video = worded(tmp_path / "Soldes d'été.mp4")
    with running.client() as client, video.open("rb") as file:
        answer = client.post("/v1/predict?pictures=true", files={"video": (f"../../etc/{video.name}", file)})
    assert answer.status_code == 200, answer.text
    [ad] = answer.json()["answers"]
    judged = [frame for frame in ad["frames"] if frame["verdict"]]
    assert len(judged) == 5
    assert all("SUMMER" in frame["text"] for frame in judged)
    [given] = find_ads([str(video)], "")
    assert isinstance(given, GivenAd)
    sampled = sample_frames(video, know_ad(given, Settings().source).video_id)
    as_predict_samples = [(frame.timestamp_s, frame.jpeg) for frame in sampled.frames]
    rows = [(base64.b64decode(frame["picture"]), frame["text"]) for frame in judged]
    assert [(frame["timestamp_s"], data) for frame, (data, _) in zip(judged, rows, strict=True)] == as_predict_samples
    alone = bare(models, GOOD, rows)
    for frame, said in zip(judged, alone, strict=True):
        assert frame["verdict"]["probabilities"] == pytest.approx(said, abs=1e-4)
    assert sum(ad["probabilities"].values()) == pytest.approx(1)
    silent = write_video(tmp_path / "silent.mp4", [step / 10 for step in range(30)])
    with running.client() as client, silent.open("rb") as file:
        refused = client.post("/v1/predict", files={"video": file})
        assert refused.status_code == 422
        assert refused.json()["error"]["kind"] == "no_frame_with_enough_words"
    # nothing is left of either
    folders = [each for each in running.app.state.service._videos._uploads.folder.iterdir() if each.is_dir()]
    assert folders == []


def test_words_of_a_picture_are_read_where_none_are_given(running: Running, models: Path) -> None:
    from tests.flows.serve.videos import worded_picture

    out = io.BytesIO()
    Image.fromarray(worded_picture()[..., ::-1]).save(out, "PNG")
    with running.client() as client:
        [answer] = client.post("/v1/predict", files={"picture": out.getvalue()}).json()["answers"]
    assert "SUMMER" in answer["text"]
    alone = bare(models, GOOD, [(out.getvalue(), answer["text"])])
    assert answer["probabilities"] == pytest.approx(alone[0], abs=1e-4)


def test_a_promoted_model_takes_over_and_a_broken_one_does_not(own_models: Path) -> None:
    row = ROWS[0]
    first, second = bare(own_models, GOOD, [row])[0], bare(own_models, OTHER, [row])[0]
    assert first != pytest.approx(second, abs=1e-2)
    with serving(own_models) as service, service.client() as client:
        held, running_batch = threading.Event(), service.batches._run
        begun = threading.Event()

        def hold(*asked: Any) -> Any:
            begun.set()
            assert held.wait(20)
            return running_batch(*asked)

        service.batches._run = hold
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(ask, client, row)
            assert begun.wait(20)
            promote(own_models, OTHER)
            until(lambda: service.app.state.service.models.current.name == OTHER)
            held.set()
            answer = under_way.result(20)
        assert answer.json()["model"] == GOOD, "what was accepted keeps its model"
        assert shares(answer)[0] == pytest.approx(first, abs=1e-4)
        answer = ask(client, row)
        assert answer.json()["model"] == OTHER
        assert shares(answer)[0] == pytest.approx(second, abs=1e-4)

        for name, refused in ((BROKEN, BROKEN), ("2026.11.02/gone", "CURRENT")):
            promote(own_models, name)
            until(lambda refused=refused: service.app.state.service.models.refused == refused)
            assert client.get("/healthz").json() | {"queue_rows": 0} == {
                "status": "degraded",
                "model": OTHER,
                "refused_model": refused,
                "queue_rows": 0,
            }
            assert client.get("/v1/models").json()["refused"] == refused
            assert service.metric("promoted_model_refused") == 1
            assert ask(client, row).json()["model"] == OTHER
        promote(own_models, OTHER)
        until(lambda: client.get("/healthz").json()["status"] == "ok")
        assert service.metric("promoted_model_refused") == 0
        promote(own_models, GOOD)
        until(lambda: service.app.state.service.models.current.name == GOOD)
        assert service.metric("model_info", model=GOOD) == 1
        assert service.metric("model_info", model=OTHER) == 0


def test_a_named_run_stays_and_a_model_of_words_needs_no_picture(own_models: Path) -> None:
    with serving(own_models, WORDS) as service, service.client() as client:
        answer = client.post("/v1/predict", json={"rows": [{"text": "so good"}]})
        assert answer.json()["model"] == WORDS
        assert shares(ask(client, (ROWS[0][0], "so good"))) == shares(answer)
        promote(own_models, OTHER)
        assert ask(client, ROWS[0]).json()["model"] == WORDS


@pytest.mark.parametrize(
    ("name", "said"), [(BROKEN, "cannot be served"), ("nobody", "no such run"), (None, "no model")]
)
def test_without_a_model_it_does_not_start(own_models: Path, name: str | None, said: str) -> None:
    if name is None:
        (own_models / "models" / "CURRENT").unlink()
    with pytest.raises(ModelError, match=said):
        create_app(Settings(), Catalog(own_models), name)


def test_accepted_requests_are_answered_before_it_ends(models: Path) -> None:
    with serving(models) as service, ThreadPoolExecutor(3) as pool, ExitStack() as clients:
        held, run = threading.Event(), service.batches._run
        service.batches._run = lambda *asked: held.wait(20) and run(*asked)
        asking = [clients.enter_context(service.client()) for _ in range(3)]
        under_way = [pool.submit(ask, client, ROWS[number]) for number, client in enumerate(asking)]
        until(lambda: service.batches.admitted == 3)
        service.server.should_exit = True
        until(lambda: refuses(service))
        held.set()
        assert [answer.result(20).status_code for answer in under_way] == [200] * 3
        folder = service.app.state.service._videos._uploads.folder
        service.thread.join(20)
        assert not folder.exists()


def test_sigterm_lets_accepted_requests_be_answered_and_leaves_nothing(models: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        at = free.getsockname()
    command = [sys.executable, "-m", "flows", "serve", "--catalog", str(models), "--port", str(at[1])]
    asked = httpx.Request("POST", f"http://127.0.0.1:{at[1]}/v1/predict", json=as_json(ROWS[0])).read()
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    with (
        subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{at[1]}", timeout=60, trust_env=False) as client,
        ExitStack() as connections,
    ):
        try:
            until(lambda: answers(client), 120)
            [folder] = tmp_path.glob("ytb-ads-serve-*/server-*")
            under_way = [connections.enter_context(socket.create_connection(at, 60)) for _ in range(3)]
            for connection in under_way:
                connection.sendall(f"{head}{len(asked)}\r\n\r\n".encode() + asked[:100])
            until(lambda: "requests_under_way 4.0" in client.get("/metrics").text)  # with this one
            server.send_signal(signal.SIGTERM)
            until(lambda: not answers(client))
            for connection in under_way:
                connection.sendall(asked[100:])
            for connection in under_way:
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            _, log = server.communicate(timeout=60)
        finally:
            server.kill()
    assert server.returncode == 0, log.decode()
    assert not folder.exists()
    assert sum(json.loads(line).get("route") == "/v1/predict" for line in log.splitlines() if line[:1] == b"{") == 3


def answers(client: httpx.Client) -> bool:
    """Whether the service has started."""
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def refuses(service: Running) -> bool:
    """Whether no connection can be made any more."""
    try:
        service.socket().close()
    except OSError:
        return True
    return False
