"""Frames of the catalog, for people who are logged in; their browsers keep them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from annotation.web.access import SignedIn
from annotation.web.state import Web, web_of

router = APIRouter()

_WEB = Depends(web_of)

_KEPT = "private, max-age=86400, immutable"
"""A frame never changes under its digest; a day is what one sitting needs, and what is forgotten is soon gone."""


@router.get("/frames/{frame_id:path}")
def frame(request: Request, frame_id: str, _session: SignedIn, v: str = "", web: Web = _WEB) -> Response:
    """One frame's picture."""
    picture = web.contents.picture(frame_id)
    if picture is None or not picture.media_type.startswith("image/"):
        raise HTTPException(404)
    same = bool(v) and v == picture.sha256[: len(v)] and len(v) >= 16
    headers = {"ETag": f'"{picture.sha256}"', "Cache-Control": _KEPT if same else "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)
