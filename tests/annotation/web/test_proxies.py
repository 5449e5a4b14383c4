"""The page behind real proxies with https, by the configurations that the documentation gives."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from annotation.web.app import server_config
from annotation.web.hardening import listening
from tests.annotation.web.site_builder import Site, csrf_of, with_store_path

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[3] / "docs" / "annotation.md"
NAME = "ads.example.org"


def documented(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def nginx(folder: Path, server: str) -> list[str]:
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path {folder}/a; "
        f"proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; "
        f"scgi_temp_path {folder}/e; {server} }}"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;", "-e", "stderr"]


def caddy(folder: Path, server: str) -> list[str]:
    (folder / "Caddyfile").write_text("{\n admin off\n auto_https disable_redirects\n}\n" + server)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@contextmanager
def behind(proxy: Callable[[Path, str], list[str]], folder: Path, page: int, port: int) -> Iterator[None]:
    """A proxy as documented, with its own port and a certificate made here."""
    kind = proxy.__name__
    if shutil.which(kind) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{kind} is missing: make setup-programs")
        pytest.skip(f"{kind} is not installed: make setup-programs")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}"]
    subprocess.run(
        ["openssl", *asked, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60
    )
    server = documented(kind).replace("127.0.0.1:8440", f"127.0.0.1:{page}").replace("listen 443", f"listen {port}")
    server = server.replace(f"/etc/ssl/{NAME}.pem", str(certificate)).replace(f"/etc/ssl/{NAME}.key", str(key))
    server = server.replace(f"{NAME} {{", f"{NAME}:{port} {{\n    tls {certificate} {key}", 1)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            proxy(folder, server), stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}, cwd=folder
        )
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if running.poll() is not None or time.monotonic() > end:
                    pytest.fail((folder / "log").read_text())
                time.sleep(0.05)
        yield
    finally:
        running.terminate()
        running.wait(20)


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_people_judge_through_a_proxy_as_documented(
    site: Site, tmp_path: Path, free_tcp_port: int, proxy: Callable[[Path, str], list[str]]
) -> None:
    (folder := tmp_path / "proxy").mkdir()
    settings = with_store_path(site, public_url=f"https://{NAME}", failed_logins=1).settings
    with listening("127.0.0.1", 0) as at_address:
        server = uvicorn.Server(server_config(settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at_address]}, daemon=True)
        thread.start()
        with (
            behind(proxy, folder, at_address.getsockname()[1], free_tcp_port),
            httpx.Client(
                base_url=f"https://127.0.0.1:{free_tcp_port}",
                headers={"Host": NAME},
                verify=False,  # noqa: S501 - a certificate made here
                timeout=20,
            ) as client,
        ):
            client.headers["Origin"] = f"https://{NAME}"
            asked: dict[str, Any] = {"extensions": {"sni_hostname": NAME}}
            joined = client.post("/join", json={"token": site.invitations["Reviewer 0"].token}, **asked)
            assert joined.status_code == 200, joined.text
            assert "Secure" in joined.headers["set-cookie"]
            client.headers["Cookie"] = joined.headers["set-cookie"].partition(";")[0]
            page = client.get("/review", **asked)
            assert page.status_code == 200
            assert page.headers["content-security-policy"].startswith("default-src 'self'")
            client.headers["X-CSRF-Token"] = csrf_of(page.text)
            assert client.post("/logout", **asked).json() == {"to": "/goodbye"}
            # the address that is told to wait is the visitor's, whatever it claims to be
            wrong = [
                client.post("/join", json={"token": "wrong"}, headers={"X-Forwarded-For": f"192.0.2.{n}"}, **asked)
                for n in range(2)
            ]
            assert [answer.status_code for answer in wrong] == [401, 429]
        server.should_exit = True
        thread.join(10)
