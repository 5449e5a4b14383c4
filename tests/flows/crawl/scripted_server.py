"""A server on a real socket that answers byte for byte as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    connection: int
    line: str

    @property
    def key(self) -> str:
        return self.headers.get("x-goog-api-key", "")


@dataclass(frozen=True)
class Raw:
    """An answer: these bytes, after a delay, and then perhaps the end of the connection."""

    data: bytes
    close: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0
    """Pause after each byte of the body."""


Script = Raw | Callable[[Request], Raw]


def answer(body: Any, status: int = 200, **headers: str) -> Raw:
    """An honest answer: JSON from anything but bytes, with its true length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status} Told\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return Raw(head.encode() + b"\r\n" + data)


def error(status: int, reason: str, message: str = "No.", domain: str = "youtube.video", **headers: str) -> Raw:
    """A refusal in the API's shape."""
    entry = {"message": message, "domain": domain, "reason": reason}
    return answer({"error": {"code": status, "message": message, "errors": [entry]}}, status, **headers)


HANG_UP = Raw(b"", close=True)
"""No answer at all."""


@dataclass
class ScriptedServer:
    """Answers with its script in turn; the last line answers every further request."""

    script: list[Script]
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    in_flight: int = 0
    max_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: int = 0

    def receive(self, request: Request) -> Raw:
        with self.lock:
            self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            line = self.script[min(len(self.requests), len(self.script)) - 1]
        return line if isinstance(line, Raw) else line(request)

    def sent(self) -> None:
        with self.lock:
            self.in_flight -= 1

    def new_connection(self) -> int:
        with self.lock:
            self.connections += 1
            return self.connections


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        scripted: ScriptedServer = self.server.scripted  # type: ignore[attr-defined]
        number = scripted.new_connection()
        while line := self.rfile.readline().decode("latin-1").strip():
            headers = {}
            while header := self.rfile.readline().decode("latin-1").strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            parts = urlsplit(line.split(" ")[1])
            parameters = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            raw = scripted.receive(Request(parts.path, parameters, headers, number, line))
            try:
                self._answer(raw, scripted)
            except OSError:
                return
            if raw.close:
                return

    def _answer(self, raw: Raw, scripted: ScriptedServer) -> None:
        time.sleep(raw.delay_s)
        scripted.sent()
        if not raw.drip_s:
            self.wfile.write(raw.data)
            return
        head, _, body = raw.data.partition(b"\r\n\r\n")
        self.wfile.write(head + b"\r\n\r\n")
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(raw.drip_s)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def scripted(*script: Script) -> Iterator[ScriptedServer]:
    """Serve a script on a port of this machine."""
    server = ScriptedServer(list(script))
    with _Server(("127.0.0.1", 0), _Handler) as sockets:
        sockets.scripted = server  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{sockets.server_address[1]}"
        thread = threading.Thread(target=sockets.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            sockets.shutdown()
            thread.join()
