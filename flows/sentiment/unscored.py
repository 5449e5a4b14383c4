"""The answer to a text that has no strength: why its engine could not score it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unscored:
    """A text that its engine failed on, while the texts around it were scored."""

    reason: str
    """In a word: `engine_ended`, `engine_silent` or `engine_garbled`."""
    detail: str
    """What happened, for a person."""
