"""Five frames per ad: which moments, and the pictures at those moments."""

from __future__ import annotations

from flows.frames.sampling import Frame, SampledFrames, choose_timestamps, sample_frames

__all__ = ["Frame", "SampledFrames", "choose_timestamps", "sample_frames"]
