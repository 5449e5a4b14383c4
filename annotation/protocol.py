"""From an ad's sentiment to the label it leaves with, and who decided it: pure, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data_catalog.schemas import Label

DecidedBy = Literal["comments", "reviewers", "verifier", "discussion"]
"""Whose word the label is; `comments` means that nobody reviewed it."""


@dataclass(frozen=True)
class Decision:
    """The settled label of one ad and how it came about."""

    label: Label
    decided_by: DecidedBy
    n_reviewers: int
    agreement: float | None
    """Share of the reviewers who chose the label; None where nobody reviewed it."""


def accept_comments(label: Label) -> Decision:
    """Policy `auto`: the label that the comments' scores give stands, and nobody reviewed it."""
    return Decision(label=label, decided_by="comments", n_reviewers=0, agreement=None)
