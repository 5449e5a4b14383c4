"""Videos of a round's ads and of its training's under /videos, in ranges, for people who are logged in."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Response
from fastapi.responses import FileResponse, StreamingResponse

from annotation.errors import NotPossibleError
from annotation.web.forms import RoundId
from annotation.web.sessions import SignedIn
from annotation.web.state import Server, Web
from data_catalog.storage import StorePath

router = APIRouter(prefix="/videos")

_KEPT = "private, max-age=86400, immutable"
"""A video never changes under its digest."""
_RANGE = re.compile(r"bytes=(?!-$)(\d{0,18})-(\d{0,18})")
_PART_BYTES = 1 << 20
"""Of a bucket's file, asked for at once."""


@router.get("/{entry_id}")
def video(
    entry_id: str,
    round: RoundId,
    _session: SignedIn,
    web: Server,
    v: str = "",
    asked: Annotated[str, Header(alias="Range")] = "",
) -> Response:
    """The video of the ad of an entry, or of a training example: which file that is says the catalog alone."""
    video_id = _video_of(web, round, entry_id)
    film = web.contents.film(video_id) if video_id and web.store.rounds.get(round).options.show_video else None
    if film is None:
        raise HTTPException(404)
    same = len(v) >= 16 and film.sha256.startswith(v)
    headers = {"Cache-Control": _KEPT if same else "private, no-cache"}
    if isinstance(film.path, StorePath):
        return _from_bucket(film.path, asked, film.media_type, headers)
    return FileResponse(film.path, media_type=film.media_type, headers=headers)


def _video_of(web: Web, round_id: int, entry_id: str) -> str | None:
    try:
        return web.store.ledger.entry(round_id, entry_id).video_id
    except NotPossibleError:
        examples = web.store.preparation.examples(round_id)
        return next((example.video_id for example in examples if example.id == entry_id), None)


def _from_bucket(file: StorePath, asked: str, media_type: str, headers: dict[str, str]) -> Response:
    """A file of a bucket, or the one range that was asked for; what asks for several gets the whole, as it may."""
    about = file.head()
    if about is None:
        raise HTTPException(404)
    size: int = about["size"]
    start, end = 0, size
    given = _RANGE.fullmatch(asked)
    if given and not (given[1] and given[2] and int(given[2]) < int(given[1])):
        start = int(given[1]) if given[1] else max(0, size - int(given[2]))
        end = min(int(given[2]) + 1, size) if given[1] and given[2] else size
        if start >= end:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    parts = (file.part(at, min(at + _PART_BYTES, end)) for at in range(start, end, _PART_BYTES))
    return StreamingResponse(parts, 206 if "Content-Range" in headers else 200, headers=headers, media_type=media_type)
