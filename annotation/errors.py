"""Errors of the annotation; each message says what was refused and what to do."""

from __future__ import annotations

from data_catalog.errors import YtbAdsError


class AnnotationError(YtbAdsError):
    """Base of everything that the annotation refuses."""


class StoreError(AnnotationError):
    """The store of the annotation cannot be opened or is of another version."""


class RoundError(AnnotationError):
    """A round cannot be drawn, opened or closed as asked."""


class AccessError(AnnotationError):
    """The store does not know the person, or no longer; the message does not say which."""


class RoleError(AccessError):
    """The person is known, and this is not theirs to do or to see."""


class SubmissionError(AnnotationError):
    """The submission is malformed: nothing was stored."""


class KeyReusedError(SubmissionError):
    """A submission carries the key of another one that says something else."""


class NotPossibleError(AnnotationError):
    """The entry's state does not allow this (any more): nothing was stored."""


class RoundClosedError(NotPossibleError):
    """The round is over; nothing in it changes any more."""


class WithdrawnError(NotPossibleError):
    """The entry's ad was removed from the catalog, with all its judgements."""


class OutdatedError(NotPossibleError):
    """The entry has changed since the page was shown: look again, then decide."""


class TrainingError(AnnotationError):
    """A round cannot be opened with the training that is asked for."""
