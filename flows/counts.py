"""What a stage did, in numbers: the only thing that its tasks hand back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

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
        if not self.rows_in:
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
    wanted = set(catalog.read(upstream, columns=[key])[key].to_pylist())
    done = set(catalog.current(table, upstream=upstream, fingerprint=fingerprint, columns=[key])[key].to_pylist())
    drops = catalog.read("drops", columns=["stage", "key", "reason", "fingerprint"]).to_pylist()
    reasons = {
        drop["key"]: drop["reason"] for drop in drops if drop["stage"] == stage and drop["fingerprint"] == fingerprint
    }
    if lost := sorted(wanted - done - reasons.keys()):
        raise StageError(
            f"stage {stage}: {len(lost)} of {len(wanted)} rows of {upstream} have neither a row in {table} nor a "
            f"drop, {lost[0]!r} first; run the build again, and report this if it stays"
        )
    if wanted and not done:
        why = ", ".join(f"{count} {reason}" for reason, count in Counter(reasons.values()).most_common(5))
        raise StageError(f"stage {stage}: none of {len(wanted)} rows of {upstream} came through ({why})")
