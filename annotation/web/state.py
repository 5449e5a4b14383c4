"""What all routes of one server share."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from jinja2 import Environment

from annotation.guidelines import Guidelines
from annotation.store import Store
from annotation.web.access import Sessions
from annotation.web.attempts import Attempts
from annotation.web.content import Contents
from annotation.web.measurements import Measurements
from annotation.web.settings import WebSettings


@dataclass(frozen=True)
class Web:
    """One server's parts; a route takes it as `web: Web = Depends(web_of)`."""

    settings: WebSettings
    store: Store
    contents: Contents
    measurements: Measurements
    guidelines: Guidelines
    sessions: Sessions
    attempts: Attempts
    templates: Environment


def web_of(request: Request) -> Web:
    """The server that a request came to."""
    web: Web = request.app.state.web
    return web
