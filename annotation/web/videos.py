"""Videos of a round's ads and of its training's under /videos, in ranges, for people who are logged in."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from annotation.errors import NotPossibleError
from annotation.web.forms import RoundId
from annotation.web.sessions import SignedIn
from annotation.web.state import Server, Web

router = APIRouter(prefix="/videos")

_KEPT = "private, max-age=86400, immutable"
"""A video never changes under its digest."""


@router.get("/{entry_id}")
def video(entry_id: str, round: RoundId, _session: SignedIn, web: Server, v: str = "") -> FileResponse:
    """The video of the ad of an entry, or of a training example: which file that is says the catalog alone."""
    video_id = _video_of(web, round, entry_id)
    film = web.contents.film(video_id) if video_id and web.store.rounds.get(round).options.show_video else None
    if film is None:
        raise HTTPException(404)
    same = len(v) >= 16 and film.sha256.startswith(v)
    headers = {"Cache-Control": _KEPT if same else "private, no-cache"}
    return FileResponse(film.path, media_type=film.media_type, headers=headers)


def _video_of(web: Web, round_id: int, entry_id: str) -> str | None:
    try:
        return web.store.ledger.entry(round_id, entry_id).video_id
    except NotPossibleError:
        examples = web.store.preparation.examples(round_id)
        return next((example.video_id for example in examples if example.id == entry_id), None)
