"""Labels settled by the comments alone, or by people: five reviewers, one verifier, one discussion."""

from annotation.protocol import DecidedBy, Decision, accept_comments

__all__ = ["DecidedBy", "Decision", "accept_comments"]
