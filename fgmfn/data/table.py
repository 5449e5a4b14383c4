"""Any table as a source: CSV, TSV, JSONL or Parquet with a picture, a text and a label per row.

Columns go by the names in the settings. Splits come from a column, from files called train, validation (or
dev) and test, or are drawn with a seed so that rows of one picture and of equal text (or of one group) stay together.
CSV is read with quotes, TSV too unless its texts begin with quotation marks of their own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fgmfn.data.labels import looking_alike, read_labels
from fgmfn.data.overlap import linked, shared_between
from fgmfn.data.pictures import Pictures, find_pictures, holds_any
from fgmfn.data.reading import TABLE_ENDINGS, Table, read_table
from fgmfn.data.rows import NOWHERE, SPLITS, UNKNOWN, Rows, Source, combined_hash
from fgmfn.errors import DataError, did_you_mean
from fgmfn.settings import SourceSettings

__all__ = ["TABLE_ENDINGS", "open_table"]

SPLIT_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
SPLIT_NAMES |= {"dev": "validation", "test": "test"}


def open_table(path: Path, settings: SourceSettings) -> Source:
    """Open a table, or a folder of tables that belong together.

    Raises:
        DataError: A file, column, row, label or picture is missing or not what it must be.
    """
    inside = [path] if path.is_file() else sorted(path.iterdir())
    files = [file for file in inside if path.is_file() or file.suffix.lower() in TABLE_ENDINGS]
    table = read_table(files, settings.image, settings.label)
    for setting in ("text", "label", "target", "split", "group", "auxiliary"):
        _check_column(path, table, setting, getattr(settings, setting))
    settings, notes = _with_split_column(table, settings)
    given = settings.split is not None or _named_by_file(table)
    rows = _all_rows(path, table, settings)
    assignment = _assign(table, settings) if given else draw(linked(rows, grouped=settings.group is not None), settings)
    names, labels, hidden = read_labels(table, settings.label, assignment, given=given)
    rows = replace(rows, label=labels)
    # Weights cannot be chosen by rows without labels.
    assignment = [
        "" if (home, label) == ("validation", UNKNOWN) else home for home, label in zip(assignment, labels, strict=True)
    ]
    splits = {split: rows.take([i for i, home in enumerate(assignment) if home == split]) for split in SPLITS}
    present = set(splits["train"].label)
    if len(present) < 2:
        raise DataError(f"{path}: the training split has rows of {len(present)} class; a classifier needs rows of two")
    notes += [] if given else [_drawn(splits, settings)]
    notes += [*hidden, *looking_alike(names), *shared_between(splits)]
    return Source(path.stem, path, combined_hash(names, splits), names, splits, notes=tuple(notes))


def _with_split_column(table: Table, settings: SourceSettings) -> tuple[SourceSettings, list[str]]:
    """Take a column called split for what its name says, unless most of its values are no names of splits."""
    values = [str(value) for value in table.columns.get("split", [])]
    if settings.split or not values:
        return settings, []
    known = [value for value in values if _plain(value) in SPLIT_NAMES]
    if 2 * len(known) <= len(values):
        seen = ", ".join(map(repr, sorted(set(values) - set(known))[:3]))
        return settings, [f"the column 'split' was left aside: its values, such as {seen}, name no splits"]
    spelled = ", ".join(sorted({repr(value) for value in known if value != _plain(value)}))
    notes = [f"in the column 'split', {spelled} were read in small letters and without blanks"] if spelled else []
    return settings.model_copy(update={"split": "split"}), notes


def _plain(value: str) -> str:
    return value.strip().lower()


def _named_by_file(table: Table) -> bool:
    return "train" in map(_split_of, table.row_files)


def _drawn(splits: dict[str, Rows], settings: SourceSettings) -> str:
    total, shares = sum(map(len, splits.values())), []
    for split, wanted in (("validation", settings.validation), ("test", settings.test)):
        share = len(splits[split]) / total
        short = f" instead of {wanted:.0%}, since groups of rows are kept whole" if abs(share - wanted) > 0.02 else ""
        shares.append(f"{len(splits[split])} rows for {split} ({share:.0%}{short})")
    return f"the splits were drawn from one table with seed {settings.seed}: {' and '.join(shares)}"


def _check_column(path: Path, table: Table, setting: str, name: str | None) -> None:
    if name is not None and name not in table.columns:
        raise DataError(
            f"{path}: no column {name!r}{did_you_mean(name, table.columns)}; it has {', '.join(table.columns)}; "
            f"name yours by {setting} in [source]"
        )


def _all_rows(path: Path, table: Table, settings: SourceSettings) -> Rows:
    texts = _words(table, settings.text)
    targets = _words(table, settings.target) if settings.target else [""] * len(table)
    pictures: Pictures | None = table.pictures
    identities = table.picture_names
    digests = None
    if pictures is None and identities is not None and (folder := _picture_folder(path, settings, identities)):
        pictures = found = find_pictures(folder, identities)
        digests = found.digests()
    return Rows(
        name=table.row_names,
        group=_words(table, settings.group) if settings.group else texts,
        text=texts,
        target=targets,
        span=[_span(text, target) for text, target in zip(texts, targets, strict=True)],
        label=[0] * len(table),
        picture=identities if identities is not None else [""] * len(table),
        pictures=pictures,
        has_targets=settings.target is not None,
        auxiliary=_words(table, settings.auxiliary) if settings.auxiliary else None,
        digests=digests,
    )


def _picture_folder(path: Path, settings: SourceSettings, files: list[str]) -> Path | None:
    """Return the folder that was named, or the table's own where it holds any of the pictures.

    Without either the rows have no pictures at hand, which a model that looks at none does not miss.
    """
    own = path.parent if path.is_file() else path
    return settings.images or (own if holds_any(own, files) else None)


def _span(text: str, target: str) -> tuple[int, int]:
    """Return the characters of the target's first occurrence in the text, whatever its case."""
    start = text.lower().find(target.lower()) if target and len(text.lower()) == len(text) else -1
    return NOWHERE if start < 0 else (start, start + len(target))


def _words(table: Table, column: str) -> list[str]:
    for row, value in enumerate(table.columns[column]):
        if value is None or value != value:  # a missing value of pandas is not equal to itself
            raise DataError(f"{table.row_names[row]}: no {column}")
        if not isinstance(value, str | int | float):
            held = f"{type(value).__name__}, not words: {str(value)[:80]}"
            raise DataError(f"{table.row_names[row]}: the column {column!r} holds {held}")
    return [str(value) for value in table.columns[column]]


def _assign(table: Table, settings: SourceSettings) -> list[str]:
    if settings.split:
        return [
            _split_named(row, str(value))
            for row, value in zip(table.row_names, table.columns[settings.split], strict=True)
        ]
    by_file = [_split_of(file) for file in table.row_files]
    unknown = next((file for file, split in zip(table.row_files, by_file, strict=True) if split is None), None)
    if unknown is not None:
        raise DataError(f"{unknown}: stands beside training rows but is called neither train, validation, dev nor test")
    return [str(split) for split in by_file]


def _split_named(row: str, value: str) -> str:
    if _plain(value) not in SPLIT_NAMES:
        raise DataError(f"{row}: split {value!r}; expected train, validation (or dev) or test")
    return SPLIT_NAMES[_plain(value)]


def _split_of(file: Path) -> str | None:
    return SPLIT_NAMES.get(file.stem.lower().replace(".", "-").replace("_", "-").split("-")[0])


def draw(groups: Sequence[str], settings: SourceSettings) -> list[str]:
    """Deal whole groups to test, validation and train in an order that only the seed and their names decide.

    A group that would take a split further from its share than the split is without it goes to train.
    """
    sizes = Counter(groups)

    def lot(group: str) -> bytes:
        return hashlib.sha256(f"{settings.seed}:{group}".encode(errors="surrogatepass")).digest()

    home: dict[str, str] = {}
    wanted = {"test": settings.test * len(groups), "validation": settings.validation * len(groups)}
    for group in sorted(sizes, key=lot):
        home[group] = next((split for split, rows in wanted.items() if sizes[group] <= 2 * rows), "train")
        if home[group] in wanted:
            wanted[home[group]] -= sizes[group]
    return [home[group] for group in groups]
