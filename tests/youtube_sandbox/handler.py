"""Request handler of the sandbox: counts, delays, applies a fault if one is due, else answers by API, page or file."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.youtube_sandbox import api
from tests.youtube_sandbox.errors import BAD_GATEWAY, REFUSALS, RefusedError
from tests.youtube_sandbox.faults import API, MEDIA, PAGE_FAULTS, WATCH, WATCH_FAULTS, Fault
from tests.youtube_sandbox.media import media_of
from tests.youtube_sandbox.watch import trouble_of, watch_page

if TYPE_CHECKING:
    from tests.youtube_sandbox.server import Sandbox

_NOT_JSON = b"<html><body>Welcome to the wireless network of this hotel.</body></html>"
_MEDIA_BLOCK = 64 * 1024


class SandboxServer(ThreadingHTTPServer):
    """A thread for every connection; they can all be broken at once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # a client that went away is no failure of the sandbox
        if error is not None and not isinstance(error, ConnectionError):
            self.sandbox.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SandboxServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        parameters = _parameters(address.query)
        sandbox = self.server.sandbox
        if address.path.startswith(API):
            key = self.headers.get("X-Goog-Api-Key") or parameters.get("key", "")
            with sandbox.receive(address.path, parameters, key) as within_quota:
                time.sleep(sandbox.settings.latency_s)
                self._api(address.path, parameters, key, within_quota)
            return
        sandbox.receive_media(address.path, parameters, self.headers.get("Range", ""))
        time.sleep(sandbox.settings.latency_s)
        if address.path == WATCH:
            self._watch(parameters)
        elif address.path.startswith(MEDIA):
            self._media(address.path, parameters)
        else:
            self._send(404, b"Not Found", "text/plain")

    def _api(self, path: str, parameters: Mapping[str, str], key: str, within_quota: bool) -> None:
        sandbox = self.server.sandbox
        fault = sandbox.faults.take(path, parameters)
        if fault and fault.kind in (*REFUSALS, "http_502", "empty_body", "not_json"):
            self._refuse(fault)
            return
        if fault and fault.kind == "drop_before_headers":
            self._hang_up()
            return
        if fault and fault.kind == "slow":
            time.sleep(fault.delay_s)
        zipped = "gzip" in self.headers.get("Accept-Encoding", "")
        try:
            _admit(sandbox, path, key, within_quota)
            method = path.removeprefix(API)
            page_fault = fault.kind if fault and fault.kind in PAGE_FAULTS else None
            call = api.Call(method, parameters, page_fault, sandbox.settings.search_limit, sandbox.settings.country)
            status, body = 200, sandbox.pages.body(call, zipped=zipped)
        except RefusedError as error:
            status, answer = error.refusal
            body = json.dumps(answer).encode()
            body = gzip.compress(body, 1) if zipped else body
        if fault and fault.kind == "truncated_json":
            whole = gzip.decompress(body) if zipped else body
            self._send(status, whole[: len(whole) // 2])
            return
        self._send(status, body, zipped=zipped, cut=bool(fault and fault.kind == "drop_after_headers"))

    def _refuse(self, fault: Fault) -> None:
        """Answer with a fault's own body."""
        after = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        if fault.kind == "http_502":
            self._send(502, BAD_GATEWAY, "text/html; charset=UTF-8", after)
        elif fault.kind in ("empty_body", "not_json"):
            self._send(200, b"" if fault.kind == "empty_body" else _NOT_JSON)
        else:
            status, answer = REFUSALS[fault.kind]
            self._send(status, json.dumps(answer).encode(), headers=after)

    def _watch(self, parameters: Mapping[str, str]) -> None:
        sandbox = self.server.sandbox
        video_id = parameters.get("v", "")
        video = sandbox.world.videos.get(video_id)
        trouble = trouble_of(video, sandbox.settings.country)
        fault = sandbox.faults.take(WATCH, parameters)
        if fault and fault.kind in WATCH_FAULTS:
            trouble = fault.kind
        elif fault and not self._page_fault(fault):
            return
        self._send(200, watch_page(video_id, video, sandbox.url, trouble), "text/html; charset=utf-8")

    def _media(self, path: str, parameters: Mapping[str, str]) -> None:
        sandbox = self.server.sandbox
        video = sandbox.world.videos.get(path.removeprefix(MEDIA).rpartition(".")[0])
        fault = sandbox.faults.take(path, parameters)
        if video is None:
            self._send(404, b"Not Found", "text/plain")
            return
        file = media_of(video, int(parameters.get("height", video.heights[0])))
        content = file.read_bytes() if isinstance(file, Path) else file
        if fault and fault.kind == "not_a_video":
            content = b"<!DOCTYPE html><p>This is no video.</p>".ljust(len(content))
        elif fault and fault.kind not in ("cut_off", "slow") and not self._page_fault(fault):
            return
        self._send_range(content, fault)

    def _page_fault(self, fault: Fault) -> bool:
        """Do a fault to a watch page or a file; tell whether it is to be answered all the same."""
        if fault.kind == "drop_before_headers":
            self._hang_up()
        elif fault.kind == "slow":
            time.sleep(fault.delay_s)
            return True
        elif fault.kind == "empty_body":
            self._send(200, b"", "text/html")
        elif fault.kind.startswith("http_"):
            self._send(int(fault.kind[5:]), b"", "text/html")
        else:
            raise ValueError(f"a sandbox cannot answer {self.path} with the fault {fault.kind!r}")
        return False

    def _send_range(self, content: bytes, fault: Fault | None) -> None:
        """Send the bytes that are asked for, as far as the fault lets them through."""
        start, end = 0, len(content)
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted[6:].partition("-")
            start, end = int(first), min(int(last) + 1 if last else len(content), len(content))
            if start >= len(content):
                self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {"Accept-Ranges": "bytes"}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        middle = len(content) // 2
        stop = end
        if fault and fault.kind == "cut_off":
            stop = max(start, min(end, middle if fault.at_byte is None else fault.at_byte))
        self.wfile.write(self._head(206 if wanted else 200, end - start, "video/mp4", headers))
        for at in range(start, stop, _MEDIA_BLOCK):
            self.wfile.write(content[at : min(at + _MEDIA_BLOCK, stop)])
            if fault and fault.kind == "slow":
                time.sleep(fault.delay_s)
        if stop < end:
            self._hang_up()

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json; charset=UTF-8",
        headers: Mapping[str, str] | None = None,
        *,
        zipped: bool = False,
        cut: bool = False,
    ) -> None:
        """Send an answer in one piece; `cut`: hang up in the middle of it."""
        more = {**(headers or {}), **({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"} if zipped else {})}
        head = self._head(status, len(body), kind, more)
        self.wfile.write(head + (body[: len(body) // 2] if cut else body))
        if cut:
            self._hang_up()

    def _head(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> bytes:
        lines = [
            f"HTTP/1.1 {status} {_phrase(status)}",
            f"Content-Type: {kind}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `requests` has it all."""


def _admit(sandbox: Sandbox, path: str, key: str, within_quota: bool) -> None:
    """Refuse who has no key, an unknown one, or one whose day is spent."""
    if not key:
        raise RefusedError(REFUSALS["no_key"])
    if key not in sandbox.settings.keys:
        raise RefusedError(REFUSALS["key_invalid"])
    if not within_quota:
        searched = path == f"{API}search" and sandbox.settings.daily_search_answer == 429
        raise RefusedError(REFUSALS["quota_429" if searched else "quota_403"])


def _parameters(query: str) -> dict[str, str]:
    """Parameters by name; one that is repeated is a list, as with commas."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Unknown"
