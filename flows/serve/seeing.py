"""Decode and read an uploaded video or picture; runs in a separate process.

That process imports this module and nothing of the server, so a new one starts quickly.
"""

from __future__ import annotations

import resource
from pathlib import Path

from flows.frames.sampling import decode_jpeg
from flows.ocr.registry import ocr_engine
from flows.settings import OcrSettings, Settings
from flows.verdict.ads import SeenAd, see_ad


def see_within(memory_bytes: int, path: Path, video_id: str, settings: Settings) -> SeenAd:
    """See a video in this process."""
    limit_memory(memory_bytes)
    return see_ad(path, video_id, settings)


def read_within(memory_bytes: int, picture: bytes, settings: OcrSettings) -> str:
    """Read a picture in this process."""
    limit_memory(memory_bytes)
    [words] = ocr_engine(settings).read([decode_jpeg(picture)])
    return " ".join(word.text for word in words)


def limit_memory(memory_bytes: int) -> None:
    """From now on this process gets no more memory than that."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
