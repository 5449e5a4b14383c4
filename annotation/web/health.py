"""Health of the server, for a monitor."""

from __future__ import annotations

from fastapi import APIRouter

from annotation.web.state import Server

router = APIRouter()


@router.get("/healthz")
def healthz(web: Server) -> dict[str, str]:
    """Answer with 200 where the store can be read, and with 503 where it cannot; says nothing of what is in it."""
    web.store.rounds.current()
    return {"status": "ok"}
