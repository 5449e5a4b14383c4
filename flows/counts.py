"""What a stage did, in numbers: the only thing that its tasks hand back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.errors import StageError


@dataclass
class StageCount:
    """Rows that went into a stage's batches, rows that came out, and the reasons of the rest."""

    stage: str
    unit: str
    """What a row going in is: ads, frames, comments."""
    rows_in: int = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, stage: str, unit: str, *, rows_in: int, rows_out: int, drops: Iterable[Drop] = ()) -> StageCount:
        """The count of one batch."""
        return cls(stage, unit, rows_in, rows_out, Counter(drop.reason for drop in drops))

    def add(self, batch: StageCount) -> None:
        """Take a batch's count in."""
        self.rows_in += batch.rows_in
        self.rows_out += batch.rows_out
        self.dropped += batch.dropped

    def __str__(self) -> str:
        if not self.rows_in and not self.dropped:
            return f"{self.stage}: nothing left to do"
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        return f"{self.stage}: {self.rows_in} {self.unit} in, {self.rows_out} rows out" + (
            f", dropped: {reasons}" if reasons else ""
        )


def check_nothing_lost(catalog: Catalog, *, stage: str, table: str, upstream: str, fingerprint: str) -> None:
    """Rows in = rows out + drops, over the whole tables; and some rows out where there were rows in.

    Raises:
        StageError: an upstream row has neither a current row of this stage nor a drop, or every row was dropped.
    """
    [key] = TABLES[upstream].key
    # a failed row may be tried again by a later run, but it has its drop: one attempt is enough here
    lost = catalog.pending(
        table, upstream=upstream, stage=stage, fingerprint=fingerprint, size=1, columns=[key], max_attempts=1
    )
    wanted = catalog.count(upstream)
    if lost.rows:
        raise StageError(
            f"stage {stage}: {lost.rows} of {wanted} rows of {upstream} have neither a row in {table} nor a drop, "
            f"{next(lost)[key][0].as_py()!r} first; run the build again, and report this if it stays"
        )
    if wanted and not catalog.current(table, upstream=upstream, fingerprint=fingerprint, columns=[key]).num_rows:
        reasons = Counter(catalog.values("drops", "reason", where=pc.field("stage") == stage))
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        raise StageError(f"stage {stage}: none of {wanted} rows of {upstream} came through ({why})")
