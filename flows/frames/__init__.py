"""Five frames per ad: which moments, the pictures at those moments, and which ads are one ad uploaded twice."""

from __future__ import annotations

from flows.frames.moments import Spacing, choose_timestamps
from flows.frames.sampling import Frame, SampledFrames, sample_frames

__all__ = ["Frame", "SampledFrames", "Spacing", "choose_timestamps", "sample_frames"]
