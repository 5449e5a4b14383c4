"""Labels of a table as classes: missing, hidden and differently spelled ones are said or refused, never learned."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from fgmfn.data.reading import Table
from fgmfn.data.rows import SPLITS, UNKNOWN
from fgmfn.errors import DataError

MISSING = {"", "nan", "-nan", "na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "null", "none", "nat", "?"}
"""Small letters of what pandas and others write for a missing value."""


def read_labels(
    table: Table, column: str, assignment: Sequence[str], *, given: bool
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Return the class names, each row's class (`UNKNOWN` in a split whose labels are hidden), and notes.

    Class names are in the order of the training files where these declare one, else sorted.

    Args:
        table: the rows.
        column: of their labels.
        assignment: split of each row.
        given: the splits were not drawn, so that a whole split may lack labels.

    Raises:
        DataError: A label is missing, out of the declared range, no class or another spelling of one, or the labels of
            a split have nothing in common with those of training.
    """
    values = [_label(table, column, row) for row in range(len(table))]
    own = {split: {value for value, home in zip(values, assignment, strict=True) if home == split} for split in SPLITS}
    hidden = [split for split in SPLITS[1:] if given and own[split] and _is_hidden(own[split], own["train"])]
    labelled = [row for row in range(len(table)) if assignment[row] not in hidden]
    _refuse_missing(table, column, [row for row in labelled if values[row] is None])
    shown = {row: str(values[row]) for row in labelled}
    _refuse_spellings(table, column, shown)
    first = sorted(labelled, key=lambda row: assignment[row] != "train")
    declared = dict.fromkeys(name for row in first for name in table.class_names[row])
    names = (*declared, *sorted(set(shown.values()) - declared.keys(), key=_natural))
    number = {name: at for at, name in enumerate(names)}
    labels = [number[shown[row]] if row in shown else UNKNOWN for row in range(len(table))]
    notes = [f"the labels of the {split} split are hidden: it is not scored" for split in hidden]
    for split in {*SPLITS[1:]} - {*hidden}:
        new = sorted(map(str, own[split] - own["train"]))
        if given and len(new) == len(own[split]) > 1:
            raise DataError(
                f"{table.row_files[0].parent}: no label of the {split} split ({', '.join(new)}) is trained on"
            )
        if new:
            rows = sum(home == split and values[row] in new for row, home in enumerate(assignment))
            notes.append(f"{rows} {split} rows are of a class that no training row has: {', '.join(new)}")
    return names, labels, notes


def _is_hidden(own: set[str | None], trained: set[str | None]) -> bool:
    """Whether a split has no labels, or one and the same for all rows that training does not know."""
    return own == {None} or (len(own) == 1 and not own & trained)


def _refuse_missing(table: Table, column: str, rows: Sequence[int]) -> None:
    if rows:
        said = table.columns[column][rows[0]]
        more = f", nor have {len(rows) - 1} other rows one" if len(rows) > 1 else ""
        raise DataError(f"{table.row_names[rows[0]]}: no {column} ({said!r}{more}); give it or remove the row")


def looking_alike(names: Sequence[str]) -> list[str]:
    """Say which classes may be one by their names, such as pos and positive."""
    pairs = [
        f"{one!r} and {other!r}"
        for one, other in combinations(sorted(names, key=len), 2)
        if _number(one) is None and len(_form(one)) > 1 and _form(other).startswith(_form(one))
    ]
    return [f"classes that look alike: {'; '.join(pairs)}"] if pairs else []


def _label(table: Table, column: str, row: int) -> str | None:
    """A row's label as a class name, None where it is missing or, declared by number, below 0."""
    value: Any = table.columns[column][row]
    where, names = table.row_names[row], table.class_names[row]
    if value is None or value != value:
        return None
    if not isinstance(value, str | int | float):
        raise DataError(f"{where}: the column {column!r} holds {type(value).__name__}, not classes: {str(value)[:80]}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if names and isinstance(value, int) and not isinstance(value, bool):
        if not -1 <= value < len(names):
            raise DataError(f"{where}: label {value}; expected 0 to {len(names) - 1}")
        return names[value] if value >= 0 else None
    name = str(value)
    return None if name.strip().casefold() in MISSING else name


def _refuse_spellings(table: Table, column: str, labels: Mapping[int, str]) -> None:
    """Refuse labels that differ by case, blanks or the form of a number."""
    spelled: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row, label in labels.items():
        spelled[_form(label)].setdefault(label, row)
    alike = next((rows for rows in spelled.values() if len(rows) > 1), None)
    if alike:
        forms = ", ".join(f"{label!r} ({table.row_names[row]})" for label, row in sorted(alike.items()))
        chosen = min(alike, key=lambda label: (len(label.strip()), not label.islower())).strip()
        more = "".join(f"; {note}" for note in looking_alike(sorted(set(labels.values()) - alike.keys() | {chosen})))
        raise DataError(
            f"column {column!r}: labels that look like one class: {forms}; write each class in one way, such as "
            f"{chosen!r}{more}"
        )


def _form(label: str) -> str:
    """What spellings of a class have in common: small letters without blanks, quotes and dots, or a number's value."""
    plain = unicodedata.normalize("NFKC", label).casefold().strip()
    value = _number(plain)
    if value is not None:
        return f"{value:g}"
    return re.sub(r"[\s_\u200b\u200c\u200d\ufeff\"'`.-]+", "", plain) or plain


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by their value, before words."""
    value = _number(name)
    return value is None, value or 0.0, name
