"""Videos of a round's ads under /videos, in ranges, for people who are logged in."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from annotation.errors import NotPossibleError
from annotation.web.forms import RoundId
from annotation.web.sessions import SignedIn
from annotation.web.state import Server

router = APIRouter(prefix="/videos")

_KEPT = "private, max-age=86400, immutable"
"""A video never changes under its digest."""


@router.get("/{entry_id}")
def video(entry_id: str, round: RoundId, _session: SignedIn, web: Server, v: str = "") -> FileResponse:
    """The video of an entry's ad: which file that is says the catalog alone."""
    try:
        entry = web.store.ledger.entry(round, entry_id)
    except NotPossibleError as error:
        raise HTTPException(404) from error
    film = web.contents.film(entry.video_id) if web.store.rounds.get(round).options.show_video else None
    if film is None:
        raise HTTPException(404)
    same = len(v) >= 16 and film.sha256.startswith(v)
    headers = {"Cache-Control": _KEPT if same else "private, no-cache"}
    return FileResponse(film.path, media_type=film.media_type, headers=headers)
