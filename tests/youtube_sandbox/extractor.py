"""Makes yt-dlp in this process take the sandbox for YouTube."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from yt_dlp.plugins import load_all_plugins

FOLDER = Path(__file__).parent
"""What belongs on the path of another process that is to use the sandbox."""


def use_sandbox_extractor() -> None:
    """Let yt-dlp find the sandbox's extractor, even when it has looked for extractors before."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    importlib.invalidate_caches()
    load_all_plugins()
