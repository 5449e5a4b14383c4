"""Style sheets, scripts and the icon, under an address that their contents give, so that browsers may keep them."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_KEPT = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """A folder's files. Scripts import each other by relative addresses, so that one digest stands for all of them.

    Args:
        folder: read once for the digest; files that are changed under a running server keep its address.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._folder = folder

    @cached_property
    def address(self) -> str:
        """Path at which the folder is served: `/static/` and 16 digits of the digest of all names and contents."""
        digest = hashlib.sha256()
        for path in sorted(each for each in self._folder.rglob("*") if each.is_file()):
            for part in (path.relative_to(self._folder).as_posix().encode(), path.read_bytes()):
                digest.update(len(part).to_bytes(8, "big") + part)
        return f"/static/{digest.hexdigest()[:16]}"

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, or that the browser's copy is still right; both may be kept for good."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = _KEPT
        return answer
