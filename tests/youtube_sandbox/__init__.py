"""A local stand-in for the YouTube Data API v3 and for the site that the media come from, over real HTTP.

with serve(random_world(seed=1, videos=20)) as sandbox:
    ...  # crawl with endpoint and site = sandbox.url and the key k1
"""

from __future__ import annotations

from tests.youtube_sandbox.builders import TROUBLES, random_world
from tests.youtube_sandbox.extractor import use_sandbox_extractor
from tests.youtube_sandbox.faults import Fault, Storm
from tests.youtube_sandbox.sample_world import world_of_folder
from tests.youtube_sandbox.server import Sandbox, SandboxSettings, serve
from tests.youtube_sandbox.world import SandboxChannel, SandboxComment, SandboxPlaylist, SandboxVideo, World

__all__ = [
    "TROUBLES",
    "Fault",
    "Sandbox",
    "SandboxChannel",
    "SandboxComment",
    "SandboxPlaylist",
    "SandboxSettings",
    "SandboxVideo",
    "Storm",
    "World",
    "random_world",
    "serve",
    "use_sandbox_extractor",
    "world_of_folder",
]
