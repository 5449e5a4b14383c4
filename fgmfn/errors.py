"""Errors of the model, its training and its commands; each message names the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class FgmfnError(Exception):
    """Base of every error this package raises on purpose; a command prints it and ends with 1."""


class ConfigError(FgmfnError, ValueError):
    """A setting of the model or of a run is unknown, of the wrong type or out of its range."""


class DataError(FgmfnError):
    """Rows or pictures to train on are missing or invalid."""


class BrokenPicturesError(DataError):
    """Pictures that are missing or cannot be decoded, each in a line with its row and file.

    Args:
        broken: the lines.
        ended: all pictures have been looked at.
    """

    def __init__(self, broken: Sequence[str], *, ended: bool = True) -> None:
        self.broken = list(broken)
        counted = [f"{len(broken)} pictures{'' if ended else ' so far'} cannot be used:"] if len(broken) > 1 else []
        super().__init__("\n".join([*counted, *broken]))

    def __reduce__(self) -> tuple[type[BrokenPicturesError], tuple[list[str]]]:
        return type(self), (self.broken,)


class ReleaseDataError(DataError):
    """A release folder cannot be trained on: a file, a row or a picture in it is missing or invalid."""


class WeightsError(FgmfnError):
    """Pretrained weights or a checkpoint are not available or do not fit."""

    @classmethod
    def unavailable(cls, what: str, error: BaseException) -> WeightsError:
        """Return an error that says which weights are not available, why, and what to do."""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return cls(
            f"cannot get {what}: {reason} Connect to the network once, give a local path in the configuration "
            f"(text_encoder, backbone_weights), or train without pretrained weights (--from-scratch)."
        )


class ExportError(FgmfnError):
    """A model cannot be exported, or its export does not answer as the model does."""


class InputError(FgmfnError, ValueError):
    """A picture or a text that a prediction was asked for cannot be read."""


class RunInProgressError(FgmfnError):
    """Another process is training into the same folder."""


class MemoryExhaustedError(FgmfnError, MemoryError):
    """A training needs more memory than there is; the message names the settings that need less."""


class DivergedError(FgmfnError, ArithmeticError):
    """A training's loss or weights are no longer finite; the message names the step and the settings to lower."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing where no known name is near.

    >>> did_you_mean("epoch", ["epochs", "seed"])
    "; did you mean 'epochs'?"
    """
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
