"""How a label is settled: by the comments alone, or by people."""

from annotation.protocol import DecidedBy, Decision, accept_comments

__all__ = ["DecidedBy", "Decision", "accept_comments"]
