"""Rows that belong together because they share a picture or words, and such rows in two splits."""

from __future__ import annotations

from collections.abc import Mapping

from fgmfn.data.rows import Rows

Parts = dict[str, list[str]]


def _parts(rows: Rows) -> Parts:
    """Return each row's words, and its picture's content or name: rows that share one are alike; "" if it has none."""
    return {"texts": rows.text, "pictures": rows.digests if rows.digests is not None else rows.picture}


def linked(rows: Rows, *, grouped: bool) -> list[str]:
    """Return each row's group: rows with the same picture share one, and rows with equal words or of one group.

    Args:
        rows: all of a table.
        grouped: use the rows' own groups instead of their words.
    """
    parts = _parts(rows)
    first = rows.group if grouped else parts["texts"]
    # Union-find: each row points to an earlier row that is alike, or to itself.
    root = list(range(len(rows)))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for values in (first, parts["pictures"]):
        seen: dict[str, int] = {}
        for row, value in enumerate(values):
            if value.strip():
                one, other = sorted((find(row), find(seen.setdefault(value, row))))
                root[other] = one
    # The smallest of a group's names, so that the order of the rows has no effect.
    names: dict[int, str] = {}
    for row, value in enumerate(first):
        name = value if value.strip() else parts["pictures"][row] or rows.name[row]
        names[find(row)] = min(name, names.get(find(row), name))
    return [names[find(row)] for row in range(len(rows))]


def shared_between(splits: Mapping[str, Rows]) -> list[str]:
    """Return notes on the number of texts and pictures in more than one split, if there are any."""
    notes = []
    for kind in ("texts", "pictures"):
        homes: dict[str, set[str]] = {}
        for split, rows in splits.items():
            for value in _parts(rows)[kind]:
                if value.strip():
                    homes.setdefault(value, set()).add(split)
        shared = {value for value, found in homes.items() if len(found) > 1}
        if shared:
            counts = {
                split: sum(value in shared for value in _parts(rows)[kind])
                for split, rows in splits.items()
                if split != "train"
            }
            rows_of = " and ".join(f"{count} of the {split} rows" for split, count in counts.items() if count)
            notes.append(
                f"{len(shared)} {kind} stand in more than one split, on {rows_of}: scores measure memory there"
            )
    return notes
