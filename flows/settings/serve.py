"""Settings of `ytb-ads serve`: address, keys, and the limits of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from flows.settings.secrets import Secret
from flows.settings.section import Section


class ServeSettings(Section):
    """Address, keys and limits of `ytb-ads serve`."""

    host: str = "127.0.0.1"
    """Address to listen on; the default is reached from this machine alone."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8450
    """Port to listen on."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+/?)?$")] = ""
    """Address of a proxy before the server, as `https://ads.example.org`."""
    api_keys: tuple[Secret, ...] = ()
    """Keys of at least 16 characters, of which a request has to name one; none: everybody who reaches the server may
    ask. Several let one be replaced without a pause."""
    batch_rows: PositiveInt = 32
    """Rows of all requests that share a forward pass, at most."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 4.0
    """Milliseconds that a row waits for others to share its forward pass."""
    queue_rows: PositiveInt = 256
    """Accepted rows that have no answer yet; beyond it requests are refused with 503."""
    max_rows: PositiveInt = 64
    """Pictures of one request."""
    max_pixels: PositiveInt = 25_000_000
    """Pixels of one picture."""
    max_text: PositiveInt = 10_000
    """Characters of a picture's text."""
    max_json_mb: PositiveInt = 32
    """Longest JSON body in MB."""
    max_upload_mb: PositiveInt = 200
    """Longest body with files in MB."""
    max_bodies_mb: PositiveInt = 1000
    """Bodies of all requests under way in MB, together."""
    max_video_s: PositiveFloat = 600.0
    """Longest video in seconds."""
    video_workers: PositiveInt = 1
    """Processes that decode and read videos, one video each at a time."""
    video_queue: Annotated[int, Field(ge=0)] = 4
    """Videos that wait for a process; beyond it they are refused with 503."""
    video_memory_mb: Annotated[int, Field(ge=1000)] = 6000
    """Address space of such a process in MB."""
    timeout_s: PositiveFloat = 30.0
    """Seconds after which a request that was received is given up."""
    video_timeout_s: PositiveFloat = 60.0
    """Seconds of decoding and reading after which a video is given up and its process ended."""
    upload_timeout_s: PositiveFloat = 120.0
    """Seconds in which a body has to arrive."""
    idle_timeout_s: PositiveFloat = 10.0
    """Seconds without a byte, of a head or body that is awaited or an answer that is not taken, after which a
    connection is closed."""
    connections: PositiveInt = 512
    """Connections at a time."""
    reload_s: PositiveFloat = 5.0
    """Seconds from one look at which model is in service to the next."""

    @model_validator(mode="after")
    def _fits(self) -> ServeSettings:
        if self.max_rows > self.queue_rows:
            raise ValueError(
                f"max_rows = {self.max_rows} rows of one request never fit in queue_rows = {self.queue_rows}"
            )
        if self.max_json_mb > self.max_upload_mb:
            raise ValueError(f"max_json_mb = {self.max_json_mb} is above max_upload_mb = {self.max_upload_mb}")
        return self

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"
