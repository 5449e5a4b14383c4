"""A build that waits for people: how many entries are open, and where they are judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Waiting:
    """An open round, as a build leaves it."""

    round_id: int
    n_entries: int
    """Entries that people settle; what comes twice is counted once."""
    n_settled: int
    opened: bool
    """This run has opened the round; otherwise it was open, and nothing was added to it."""
    page: str
    """Where people judge."""
    release: Path | None = None
    """The release of what was judged before, brought up to date before the round was opened."""

    def with_release(self, folder: Path | None) -> Waiting:
        """The same, naming a release."""
        return replace(self, release=folder)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "release": str(self.release) if self.release else None}

    def __str__(self) -> str:
        how = "opened" if self.opened else "still open, and nothing was added to it"
        left = self.n_entries - self.n_settled
        return f"review: round {self.round_id} is {how}; {left} of {self.n_entries} entries wait for people"
