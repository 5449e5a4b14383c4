"""A table of the settings file: typed, unknown keys refused, with a fingerprint of its values."""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the settings file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def fingerprint(self, *engine: str, only: frozenset[str] | None = None) -> str:
        """Digest of the section's values, or some of them, and of the engine; rows made with them carry it."""
        values = self.model_dump(mode="json", include=set(only) if only is not None else None)
        payload = json.dumps([values, *engine], sort_keys=True).encode()
        return hashlib.sha256(payload).hexdigest()[:16]


class Versioned(Protocol):
    """An engine, whose version changes whenever its answers might."""

    @property
    def name(self) -> str:
        """The engine's name."""
        ...

    @property
    def version(self) -> str:
        """Version; it changes whenever an answer might."""
        ...


def version_of(engine: Versioned) -> str:
    """Name and version of an engine, as fingerprints and releases record them."""
    return f"{engine.name} {engine.version}"
