"""Notes of stages that a build found settled, so that the next build need not read a million rows again.

A note says that there was nothing to do for these tables, these drops, these settings and this program. Where any of
them is another now, or the note is gone, the stage looks for itself; so notes may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import data_catalog
import flows
from data_catalog.catalog import Catalog
from data_catalog.storage import Place, replace
from flows.settings import Settings
from flows.stages import Stage

FOLDER = ".settled"
"""Folder of the notes, in the catalog's."""
_LIBRARIES = ("duckdb", "numpy", "pyarrow")


@dataclass(frozen=True)
class Settled:
    """The state of a stage's tables at one moment, which becomes a note if it is found to be settled.

    It is taken before the rows are looked at: what another process writes meanwhile makes it another state.
    """

    catalog: Catalog
    stage: str
    states: dict[str, str]
    """Of each table, and of the stage's drops."""
    facts: tuple[Any, ...]

    @classmethod
    def now(cls, catalog: Catalog, stage: str, tables: Sequence[str], *facts: Any) -> Self:
        """The state as it is now.

        Args:
            catalog: the tables.
            stage: name of the stage; its drops are part of the state.
            tables: that it reads and writes.
            *facts: whatever else decides what it does, as JSON can hold it: fingerprints, settings.
        """
        states = {name: catalog.state(name) for name in tables} | {"drops": catalog.drops_state(stage)}
        return cls(catalog, stage, states, facts)

    @classmethod
    def of_stage(cls, catalog: Catalog, stage: Stage, settings: Settings) -> Self:
        """The state of a stage that makes its rows one by one from those of another table."""
        facts = stage.fingerprint(settings), settings.runner.max_attempts
        return cls.now(catalog, stage.name, (stage.upstream, *stage.tables), *facts)

    def again(self) -> Self:
        """The same for this moment."""
        return type(self).now(self.catalog, self.stage, [name for name in self.states if name != "drops"], *self.facts)

    def agrees(self, other: Self, tables: Sequence[str]) -> bool:
        """Whether both states are equal for these tables."""
        return all(self.states[name] == other.states[name] for name in tables)

    def is_noted(self) -> bool:
        """Whether exactly this state was found to be settled."""
        try:
            return self._file.read_text("ascii") == self._digest()
        except (OSError, ValueError):
            return False

    def note(self) -> None:
        """Store a note that this state was found to be settled."""
        with suppress(OSError):  # without a note the next build takes longer, that is all
            replace(self._file, self._digest().encode())

    @property
    def _file(self) -> Place:
        return self.catalog.place / FOLDER / self.stage

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps([self.states, self.facts, _program()], sort_keys=True).encode()).hexdigest()


@cache
def _program() -> str:
    """Digest of the program: another version may find other work."""
    digest = hashlib.sha256(" ".join(map(version, _LIBRARIES)).encode())
    for package in (data_catalog, flows):
        for file in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
