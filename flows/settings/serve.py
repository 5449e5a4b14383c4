"""Settings of `ytb-ads serve`: address, keys, and the limits of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from flows.settings.secrets import Secret
from flows.settings.section import Section


class ServeSettings(Section):
    """Address, keys and limits of `ytb-ads serve`."""

    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8450
    """Port to listen on."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+/?)?$")] = ""
    """Address of a proxy in front of the server, such as `https://ads.example.org`."""
    api_keys: tuple[Secret, ...] = ()
    """Keys of at least 16 characters; a request must have one of them. Without keys everybody who reaches the server
    can send requests. With several you can replace one without an interruption."""
    batch_rows: PositiveInt = 32
    """Maximum number of rows, from any requests, that share a forward pass."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 4.0
    """Milliseconds that a row waits for others to share its forward pass."""
    queue_rows: PositiveInt = 256
    """Maximum number of accepted rows without an answer; beyond it requests are refused with 503."""
    max_rows: PositiveInt = 64
    """Maximum number of pictures in one request."""
    max_pixels: PositiveInt = 25_000_000
    """Maximum number of pixels of one picture."""
    max_text: PositiveInt = 10_000
    """Maximum number of characters of a picture's text."""
    max_json_mb: PositiveInt = 32
    """Largest JSON body in MB."""
    max_upload_mb: PositiveInt = 200
    """Largest body with files in MB."""
    max_bodies_mb: PositiveInt = 1000
    """Largest total size in MB of the bodies of all requests under way."""
    max_video_s: PositiveFloat = 600.0
    """Longest video in seconds."""
    video_workers: PositiveInt = 1
    """Number of processes that decode and read videos, one video at a time each."""
    video_queue: Annotated[int, Field(ge=0)] = 4
    """Maximum number of videos that wait for a process; beyond it they are refused with 503."""
    video_memory_mb: Annotated[int, Field(ge=1000)] = 6000
    """Address space of a video process in MB."""
    timeout_s: PositiveFloat = 30.0
    """Time limit for answering a received request in seconds."""
    video_timeout_s: PositiveFloat = 60.0
    """Time limit for decoding and reading a video in seconds; its process is then ended."""
    upload_timeout_s: PositiveFloat = 120.0
    """Seconds within which a body must arrive."""
    idle_timeout_s: PositiveFloat = 10.0
    """Seconds without a byte received of a request, or accepted of an answer, after which a connection is closed."""
    connections: PositiveInt = 512
    """Maximum number of open connections."""
    reload_s: PositiveFloat = 5.0
    """Seconds between two checks of which model is in service."""

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
