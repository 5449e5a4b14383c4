"""Drops: items that left the pipeline, with the reason, and the number of attempts after a fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.errors import CatalogError
from data_catalog.schemas import TABLES, DropKind
from data_catalog.tables.delta import Change
from data_catalog.tables.snapshot import Snapshot


@dataclass(frozen=True)
class Drop:
    """One key of a stage that has no row, and the reason.

    `filtered` is final for the content and settings it was decided on; `failed` is tried again by later
    runs until its attempts are used up.
    """

    stage: str
    key: str
    video_id: str | None
    kind: DropKind
    reason: str
    detail: str = ""
    fingerprint: str = ""
    upstream_revision: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(DropKind):
            raise CatalogError(
                f"drop of {self.key!r} in stage {self.stage!r}: kind {self.kind!r}; "
                f"expected one of {', '.join(get_args(DropKind))}"
            )


def drop_rows(drops: Iterable[Drop], attempts: dict[Drop, int] | None = None) -> pa.Table:
    """Rows of the `drops` table, one per (stage, key): the last one given wins."""
    at = datetime.now(UTC)
    last = {(drop.stage, drop.key): drop for drop in drops}
    rows = [{**asdict(drop), "attempts": (attempts or {}).get(drop, 1), "at": at} for drop in last.values()]
    return pa.Table.from_pylist(rows, schema=TABLES["drops"].schema)


def settle(snapshot: Snapshot, stage: str, drops: Sequence[Drop], done: Sequence[str]) -> Change | None:
    """Write the stage's new drops, counting attempts, and take away earlier ones of keys that are done."""
    touched = list(dict.fromkeys([*(drop.key for drop in drops), *done]))
    earlier = snapshot.read(
        ["key", "fingerprint", "upstream_revision", "attempts"],
        (pc.field("stage") == stage) & pc.field("key").isin(pa.array(touched, pa.string())),
    ).to_pylist()
    if not drops and not earlier:
        return None
    met = {row["key"]: row for row in earlier}
    attempts = {drop: 1 + _times_met(met.get(drop.key), drop) for drop in drops}
    named = pa.table({"stage": pa.repeat(stage, len(touched)), "key": pa.array(touched, pa.string())})
    return Change(drop_rows(drops, attempts), named)


def _times_met(earlier: dict[str, object] | None, drop: Drop) -> int:
    """The number of earlier attempts with the same content and settings."""
    if earlier is None:
        return 0
    same = earlier["fingerprint"] == drop.fingerprint and (earlier["upstream_revision"] or "") == (
        drop.upstream_revision or ""
    )
    return int(str(earlier["attempts"])) if same else 0
