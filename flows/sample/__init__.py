"""A folder of synthetic ads in the layout that yt-dlp leaves, to try the whole pipeline on."""

from __future__ import annotations

from flows.sample.render import SampleSummary, render_sample

__all__ = ["SampleSummary", "render_sample"]
