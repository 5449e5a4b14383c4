"""Notifications of a real server through a real webhook and by mail: one for each occasion, and none for what mends."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled
from pydantic import SecretStr

from data_catalog.catalog import Catalog
from flows import train
from flows.crawl.flow import paused
from flows.crawl.status import CrawlStatus
from flows.errors import SettingsError
from flows.health.service import check_service
from flows.models import Decision
from flows.runner import _last_fault, attempt_of
from flows.service import notifications, registration
from flows.service.notifications import PREFIX, find_block, register_notifications, try_notification
from flows.service.recovery import STARTS
from flows.settings import HealthSettings, NotifySettings, Settings
from tests.flows.conftest import call
from tests.servers import STARTUP_S

NAMES = ("given up", "never begun", "left alone", "recovers", "paused")
WAIT_S = 10.0
"""The shortest time that an automation can wait for an event."""


class Receiver(ThreadingHTTPServer):
    """A webhook that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.got: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def about(self, word: str) -> list[dict[str, str]]:
        return [message for message in self.got if word in message["subject"] + message["body"]]


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def client(deployed_server: str, receiver: Receiver) -> Iterator[SyncPrefectClient]:
    """The tests' server, which sends messages of all deployments to the receiver, and waits as short as it can."""
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_API_URL: deployed_server}),
        get_client(sync_client=True) as client,
    ):
        patch.setattr(notifications, "LEFT_S", WAIT_S)
        sent = {"subject": "{{subject}}", "body": "{{body}}"}
        block = CustomWebhookNotificationBlock.model_validate({"name": "hook", "url": receiver.url, "json_data": sent})
        block.save("hook")
        deployments = [str(each.id) for each in client.read_deployments()]
        sender = find_block(client, "custom-webhook/hook")
        assert list(register_notifications(client, sender, deployments, late_minutes=WAIT_S / 60))
        yield client
        assert "removed" in "".join(register_notifications(client, None, deployments, late_minutes=1))
        assert not [each for each in client.read_automations() if each.name.startswith(PREFIX)]


def run_of(client: SyncPrefectClient, catalog: str, due: datetime) -> UUID:
    """A run of the weekly rebuild; no worker is there to take it."""
    found = client.read_deployment_by_name("build-dataset/weekly-rebuild")
    state: State[Any] = Scheduled(scheduled_time=due)
    if "given up" in catalog:  # a catalog that its host names is a tag of a run that has begun
        return client.create_flow_run_from_deployment(found.id, state=state, tags=[f"catalog:{catalog}"]).id
    return client.create_flow_run_from_deployment(found.id, state=state, parameters={"catalog": catalog}).id


def test_each_occasion_sends_one_message_and_a_run_that_recovers_none(
    client: SyncPrefectClient, receiver: Receiver, deployed_server: str, tmp_path: Path
) -> None:
    """All at once: the server takes its time to notice that something does not happen."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    runs = {name: run_of(client, f"/data/{name}", soon) for name in NAMES}
    due = soon - timedelta(hours=2)
    runs["late"] = run_of(client, "/data/late", due)

    def become(name: str, *states: Any) -> None:
        for state in states:
            client.set_flow_run_state(runs[name], state, force=True)
            time.sleep(0.5)  # Prefect loses the order of events that come at once

    said = "Failed or crashed 3 times, at last: StageError: stage ocr: lost 3 rows"
    become("given up", Running(), *[Failed(name="GivenUp", message=f"Traceback:\n{said}")] * 2)
    again: State[Any] = Scheduled(name="AwaitingRetry", scheduled_time=soon)
    become("never begun", *[Crashed(message="its code cannot be loaded"), again] * STARTS)
    become("left alone", Running(), Crashed(message="The process was killed."))
    become("recovers", Running(), Crashed(message="gone"), again, Running(), Completed())
    status = CrawlStatus((), 0, ("today's units of the key are spent; the next day begins at 08:00 UTC",))
    become("paused", Running(), paused(status))

    refused = Decision("now", "refused", "2026.11.24/fgmfn-3f2a", "2026.11.17/fgmfn-77aa", "may be worse: -0.1", "gate")
    train._tell(Catalog(tmp_path / "refused"), tmp_path, [], refused)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(EventsWorker.drain_all).result()
    for _ in range(2):
        assert call("health", "--catalog", tmp_path / "unwell", server=deployed_server).returncode == 2

    expected = {
        **{f"/data/{name}": [str(run)] for name, run in runs.items() if name != "recovers"},
        str(tmp_path / "refused"): [],
        str(tmp_path / "unwell"): [],
    }
    expected["/data/given up"] += ["YTB-ADS: weekly-rebuild failed for good", said, "prefect flow-run retry"]
    expected["/data/never begun"] += [
        "YTB-ADS: weekly-rebuild failed for good",
        "never begun",
        "prefect flow-run retry",
    ]
    expected["/data/left alone"] += ["not started it again", "The process was killed.", "prefect flow-run retry"]
    expected["/data/paused"] += ["weekly-rebuild is paused", "the next day begins at 08:00 UTC", "Nothing to do"]
    expected["/data/late"] += ["weekly-rebuild is late", f"{due:%Y-%m-%d %H:%M} UTC", "prefect worker start --pool cpu"]
    expected[str(tmp_path / "refused")] += ["2026.11.24/fgmfn-3f2a", "2026.11.17/fgmfn-77aa", "may be worse: -0.1"]
    expected[str(tmp_path / "unwell")] += ["health of", "catalog: ", "To do: restore it"]

    deadline = time.monotonic() + STARTUP_S
    while missing := [about for about in expected if not receiver.about(about)]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)
    time.sleep(2 * WAIT_S)  # whatever else was to come would have
    assert _last_fault(client, runs["given up"]) == said
    become("left alone", Cancelled())  # nor will another test's worker take them
    become("late", Cancelled())
    for about, words in expected.items():
        [message] = receiver.about(about)
        told = f"{message['subject']}\n{message['body']}"
        assert [word for word in words if word not in told] == [], told
        assert message["subject"].startswith("YTB-ADS: ")
        assert "Traceback" not in told
        assert "\n\n" not in told
        assert "{" not in told
    assert receiver.about("/data/recovers") == []
    # a busy server may give it up before the last state that is set here
    assert [state.name for state in client.read_flow_run_states(runs["never begun"])].count("GivenUp") == 1
    url = f"{deployed_server.removesuffix('/api')}/runs/flow-run/{runs['given up']}"
    assert url in receiver.about("/data/given up")[0]["body"]


def test_a_message_on_trial_goes_the_same_way_and_one_that_cannot_be_sent_is_known(
    client: SyncPrefectClient, receiver: Receiver, deployed_server: str
) -> None:
    def health(block: str) -> Any:
        found = check_service(deployed_server, HealthSettings(), datetime.now(UTC), block)
        return next(check for check in found if check.name == "notifications")

    assert "was sent" in try_notification(deployed_server, "custom-webhook/hook")
    [message] = receiver.about("notifications arrive")
    assert "custom-webhook/hook" in message["body"]
    assert health("custom-webhook/hook").ok is True

    SlackWebhook(url=SecretStr("mailto://127.0.0.1:9?from=a@example.org&to=b@example.org")).save("nowhere")
    deployments = [str(each.id) for each in client.read_deployments()]
    list(register_notifications(client, find_block(client, "slack-webhook/nowhere"), deployments, late_minutes=1))
    with pytest.raises(SettingsError, match=r"slack-webhook/nowhere.*cannot send through it: .*[Cc]onnection"):
        try_notification(deployed_server, "slack-webhook/nowhere")
    assert health("slack-webhook/nowhere").ok is False
    assert "no such block" in health("slack-webhook/gone").said


def test_mail_is_sent_by_an_address_of_apprise_in_a_block_of_slack(client: SyncPrefectClient) -> None:
    """The way that docs/service.md shows."""
    with MailServer() as mail:
        threading.Thread(target=mail.serve_forever, daemon=True).start()
        port = mail.server_address[1]
        address = f"mailto://127.0.0.1:{port}?from=ytb-ads@example.org&to=me@example.org"
        block = SlackWebhook(url=SecretStr(address))
        block.notify("what is to be done", "YTB-ADS: weekly-rebuild is late")
        mail.shutdown()
    [letter] = mail.letters
    assert "Subject: YTB-ADS: weekly-rebuild is late" in letter
    assert "what is to be done" in letter


class MailServer(socketserver.ThreadingTCPServer):
    """Takes letters by SMTP."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.letters: list[str] = []


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.letters.append(letter.decode())
            self.wfile.write(b"250 fine\r\n")
            if line.upper().startswith(b"QUIT"):
                return


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("slack-webhook/none", r"no such block; .*SlackWebhook\(url='\.\.\.'\)\.save\('none'\)"),
        ("slack/none", r"types that send messages: custom-webhook, .*slack-webhook"),
        ("secret/a-secret", r"blocks of that type send no messages"),
    ],
)
def test_a_block_that_cannot_send_is_refused_before_anything_is_registered(
    prefect_api: str, block: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Secret(value=SecretStr("x")).save("a-secret", overwrite=True)
    monkeypatch.setattr(registration, "_deploy", lambda *_: pytest.fail("it is deployed"))
    with pytest.raises(SettingsError, match=said):
        list(registration.register(prefect_api, settings=Settings(notify=NotifySettings(block=block))))


def test_what_is_no_address_of_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="expected TYPE/NAME"):
        NotifySettings(block="slack")


def test_a_run_makes_three_attempts_then_gives_up_and_begins_anew_when_somebody_starts_it_again() -> None:
    assert [attempt_of(count) for count in range(1, 10)] == [1, 2, 3, 4, 1, 2, 3, 4, 1]
