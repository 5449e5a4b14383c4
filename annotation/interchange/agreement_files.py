"""A round's agreement as tables: one row for each entry, reviewer or pair of reviewers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from annotation.agreement import Agreement, Share
from annotation.events import CHOICES

_CHOICES = [(choice, pa.int32()) for choice in CHOICES]
_SHARES = ("same_again", "known_answers", "final_label", "overruled")
ENTRIES = pa.schema(
    [
        *(("entry_id", pa.string()), ("video_id", pa.string()), *_CHOICES, ("median_s", pa.float64())),
        *((name, pa.string()) for name in ("majority", "final_label", "dawid_skene")),
        ("dawid_skene_probability", pa.float64()),
    ]
)
PEOPLE = pa.schema(
    [
        *(("reviewer", pa.string()), ("level", pa.string()), ("votes", pa.int32()), *_CHOICES),
        ("median_s", pa.float64()),
        *((column, pa.int32()) for name in _SHARES for column in (name, f"{name}_of")),
        ("dawid_skene_right", pa.float64()),
    ]
)
PAIRS = pa.schema(
    [
        *(("first", pa.string()), ("second", pa.string()), ("same", pa.int32()), ("same_of", pa.int32())),
        ("cohen_kappa", pa.float64()),
    ]
)


def entries_table(found: Agreement) -> pa.Table:
    """The entries with a vote: choices, median seconds, majority, final label, and Dawid and Skene's estimate."""
    return _table(
        (
            {
                "entry_id": each.entry_id,
                "video_id": each.video_id,
                **each.choices,
                "median_s": each.median_s,
                "majority": each.majority,
                "final_label": each.final,
                "dawid_skene": each.estimated,
                "dawid_skene_probability": each.estimate[each.estimated],
            }
            for each in found.entries
        ),
        ENTRIES,
    )


def people_table(found: Agreement, names: Mapping[str, str]) -> pa.Table:
    """The reviewers: choices, pace, and their votes against themselves, known answers and final labels."""
    return _table(
        (
            {
                "reviewer": names.get(person, person),
                "level": found.levels.get(person),
                "votes": found.pace[person].n_votes,
                **choices,
                "median_s": found.pace[person].median_s,
                **_share("same_again", found.self_consistency[person]),
                **_share("known_answers", found.gold[person]),
                **_share("final_label", found.adjudication[person].final),
                **_share("overruled", found.adjudication[person].overruled),
                "dawid_skene_right": found.reliability.get(person),
            }
            for person, choices in found.balance.items()
        ),
        PEOPLE,
    )


def pairs_table(found: Agreement, names: Mapping[str, str]) -> pa.Table:
    """The pairs of reviewers: same choices, and Cohen's kappa."""
    return _table(
        (
            {
                "first": names.get(pair.first, pair.first),
                "second": names.get(pair.second, pair.second),
                **_share("same", pair.same),
                "cohen_kappa": pair.kappa.value,
            }
            for pair in found.pairs
        ),
        PAIRS,
    )


def _share(name: str, share: Share) -> dict[str, int]:
    return {name: share.right, f"{name}_of": share.of}


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
