"""A round's agreement as tables: one row for each entry, reviewer or pair of reviewers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from annotation.agreement import Agreement, Share
from annotation.events import CHOICES

_TEXT, _COUNT, _NUMBER = pa.string(), pa.int32(), pa.float64()
_CHOICES: dict[str, pa.DataType] = dict.fromkeys(CHOICES, _COUNT)
_SHARES: dict[str, pa.DataType] = {
    column: _COUNT
    for name in ("same_again", "known_answers", "final_label", "overruled")
    for column in (name, f"{name}_of")
}


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


ENTRIES = _schema(
    entry_id=_TEXT,
    video_id=_TEXT,
    **_CHOICES,
    median_s=_NUMBER,
    majority=_TEXT,
    final_label=_TEXT,
    dawid_skene=_TEXT,
    dawid_skene_probability=_NUMBER,
)
PEOPLE = _schema(
    reviewer=_TEXT, level=_TEXT, votes=_COUNT, **_CHOICES, median_s=_NUMBER, **_SHARES, dawid_skene_right=_NUMBER
)
PAIRS = _schema(first=_TEXT, second=_TEXT, same=_COUNT, same_of=_COUNT, cohen_kappa=_NUMBER)


def entries_table(found: Agreement) -> pa.Table:
    """The entries with a vote: choices, median seconds, majority, final label, and Dawid and Skene's estimate."""
    return _table(
        (
            {
                "entry_id": each.entry_id,
                "video_id": each.video_id,
                **dict(each.choices.items()),
                "median_s": each.median_s,
                "majority": each.majority,
                "final_label": each.final,
                "dawid_skene": each.estimated,
                "dawid_skene_probability": max(each.estimate.values(), default=None),
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
                **dict(choices.items()),
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
