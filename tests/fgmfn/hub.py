"""A hub in memory: what the Hugging Face Hub answers, by the requests that its clients make."""

from __future__ import annotations

import base64
import json

import httpx2 as httpx  # as the hub's client does

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """A hub whose one repository `me/ads` may be written, and which reads the same files under every name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []
        self.reachable = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        method, path = request.method, request.url.path
        self.seen.append((method, path))
        if not self.reachable:
            raise httpx.ConnectError("no such host", request=request)
        if path == "/api/repos/create":
            return httpx.Response(200, json={"url": "https://huggingface.co/me/ads", "id": "me/ads"})
        if path == "/api/validate-yaml":
            return httpx.Response(200, json={"errors": [], "warnings": []})
        if path.startswith("/api/models/me/ads/preupload/"):
            files = json.loads(request.content)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            return httpx.Response(200, json={"files": modes})
        if path.startswith("/api/models/me/ads/commit/"):
            for line in map(json.loads, request.content.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            place = "https://huggingface.co/me/ads/commit/" + COMMIT
            return httpx.Response(200, json={"commitUrl": place, "commitOid": COMMIT, "hookOutput": ""})
        if path.split("/")[3:4] == ["resolve"]:
            return self._file(request, path.split("/", 5)[5])
        if path.startswith("/api/models/me/ads/tree/"):
            below = path.split("/", 6)[6].partition("/")[2]
            if below:
                return httpx.Response(404, headers={"X-Error-Code": "EntryNotFound"})
            sizes = {name: len(content) for name, content in self.files.items()}
            tree = [{"type": "file", "path": name, "size": size, "oid": name} for name, size in sizes.items()]
            return httpx.Response(200, json=tree)
        if path.startswith("/api/models/me/ads"):
            siblings = [{"rfilename": name} for name in self.files]
            return httpx.Response(200, json={"id": "me/ads", "modelId": "me/ads", "sha": COMMIT, "siblings": siblings})
        return httpx.Response(404, json={"error": f"{method} {path}"})

    def _file(self, request: httpx.Request, name: str) -> httpx.Response:
        if name not in self.files:
            return httpx.Response(404, headers={"X-Error-Code": "EntryNotFound"})
        content = self.files[name]
        headers = {"ETag": f'"{hash(content):x}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(content))}
        return httpx.Response(200, headers=headers, content=b"" if request.method == "HEAD" else content)
