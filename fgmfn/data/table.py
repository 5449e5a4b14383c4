"""Any table as a source: CSV, TSV, JSONL or Parquet with a picture, a text and a label per row.

The settings name the columns. Splits come from a column, from files or folders called train, validation (or dev) and
test, or are drawn with a seed so that rows of one picture and of equal text (or of one group) stay together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgmfn.data.labels import read_labels
from fgmfn.data.overlap import linked, shared_between
from fgmfn.data.pictures import NARROW, Pictures, find_pictures, holds_any, is_narrow
from fgmfn.data.reading import NULLS, TABLE_ENDINGS, Table, read_table
from fgmfn.data.rows import NOWHERE, SPLITS, UNKNOWN, Rows, Source, combined_hash
from fgmfn.errors import DataError, did_you_mean
from fgmfn.settings import SourceSettings

__all__ = ["open_table", "table_files"]

_WORDS_OF_SPLITS = {
    "train": ("train", "training", "trn", "trainset"),
    "validation": (
        "validation",
        "valid",
        "val",
        "dev",
        "development",
        "devel",
        "eval",
        "evaluation",
        "valset",
        "devset",
    ),
    "test": ("test", "testing", "tst", "testset"),
}
_SPLIT_OF_WORD = {word: split for split, words in _WORDS_OF_SPLITS.items() for word in words}
DRAW = "or draw the splits of all rows by draw = true in [source]"


def split_named(value: object) -> str | None:
    """Return the split that a value names, in any case, apart from the word set, split or data."""
    words = re.findall(r"[^\W_]+", str(value).casefold())
    return _SPLIT_OF_WORD.get(words[0]) if words and words[1:] in ([], ["set"], ["split"], ["data"]) else None


def _split_of(path: Path, file: Path) -> str | None:
    """Return the split of a file: its name, or its folder's, has a word for exactly one split."""
    for name in (file.stem, file.parent.name if path not in (file, file.parent) else ""):
        words = re.findall(r"[^\W\d_]+", name.casefold())
        if found := {_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD}:
            return found.pop() if len(found) == 1 else None
    return None


def open_table(path: Path, settings: SourceSettings) -> Source:
    """Open a table, or a folder of tables that belong together.

    Raises:
        DataError: A file, column, row, label or picture is missing or invalid.
    """
    table = read_table(table_files(path), settings)
    if not len(table):
        raise DataError(f"{path}: the file has no rows")
    for setting in ("text", "label", "target", "split", "group", "auxiliary"):
        _check_column(path, table, setting, getattr(settings, setting))
    rows, notes = _all_rows(path, table, settings)
    column, said = _split_column(path, table, settings)
    by_file = None if column or settings.draw else _splits_of_files(path, table)
    notes += said
    given = bool(column or by_file)
    if column:
        assignment = [_split_in(row, value) for row, value in zip(table.row_names, table.columns[column], strict=True)]
    elif by_file:
        assignment = [by_file[file] for file in table.row_files]
    else:
        groups = linked(rows, grouped=settings.group is not None)
        assignment = _with_every_class(draw(groups, settings), groups, table.columns[settings.label])
    lacking = [split for split in SPLITS if split not in assignment] if given else []
    if "train" in lacking:
        raise DataError(f"{path}: no row is of the training split; name one train, {DRAW}")
    names, labels, hidden = read_labels(table, settings.label, assignment, given=given, meant=settings.labels)
    rows = replace(rows, label=labels)
    # The best weights cannot be chosen by rows without labels.
    assignment = [
        "" if (home, label) == ("validation", UNKNOWN) else home for home, label in zip(assignment, labels, strict=True)
    ]
    splits = {split: rows.take([i for i, home in enumerate(assignment) if home == split]) for split in SPLITS}
    present = set(splits["train"].label)
    if len(present) < 2:
        raise DataError(f"{path}: the training split has rows of {len(present)} class; a classifier needs rows of two")
    if not given:
        notes.append(_drawn(splits, settings, kept=len({*groups}) < len(groups)))
    if lacking:
        notes.append(f"no row is for {' or '.join(lacking)}, as the splits are given")
    notes += [*hidden, *shared_between(splits)]
    return Source(path.stem, path, combined_hash(names, splits), names, splits, notes=tuple(notes))


def table_files(path: Path) -> list[Path]:
    """Return a file, or the tables of a folder, or those of its subfolders if it has none itself.

    Raises:
        DataError: There is no such file or folder.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    inside = (
        sorted(file for file in path.glob(pattern) if file.suffix.lower() in TABLE_ENDINGS) for pattern in ("*", "*/*")
    )
    return next(filter(None, inside), [])


def _split_column(path: Path, table: Table, settings: SourceSettings) -> tuple[str | None, list[str]]:
    """Return the column that names each row's split: the one called split, or one with only names of splits.

    Raises:
        DataError: There are several, or the files' names contradict it.
    """
    if settings.split or settings.draw:
        return None if settings.draw else settings.split, []
    used = {settings.text, settings.label, settings.image, settings.target, settings.group, settings.auxiliary}
    found: list[str] = []
    notes = []
    for name, values in table.columns.items():
        splits = {str(value): split_named(value) for value in values} if name not in used else {}
        if name.strip().casefold() == "split" and splits and not any(splits.values()):
            seen = ", ".join(map(repr, sorted(splits)[:3]))
            notes.append(f"the column {name!r} was left aside: its values, such as {seen}, name no splits")
        elif (name.strip().casefold() == "split" and splits) or ({"train"} < {*splits.values()} <= {*SPLITS}):
            found.append(name)
    if len(found) > 1:
        names = " and ".join(map(repr, found))
        raise DataError(f"{path}: the columns {names} name splits; choose one by split in [source], {DRAW}")
    if not found:
        return None, notes
    (column,) = found
    home = {file: _split_of(path, file) for file in dict.fromkeys(table.row_files)}
    for row, file, value in zip(table.row_names, table.row_files, table.columns[column], strict=True):
        if len(home) > 1 and home[file] and split_named(value) != home[file]:
            raise DataError(
                f"{row}: stands in a file of the {home[file]} split, but its {column!r} is {value!r}; take the column "
                f"by split = {column!r} in [source], {DRAW}"
            )
    if column != "split":
        notes.append(f"the splits are those that the column {column!r} names")
    spellings = {str(value) for value in table.columns[column]} - _SPLIT_OF_WORD.keys()
    if spelled := ", ".join(map(repr, sorted(spellings))):
        notes.append(f"in the column {column!r}, {spelled} were read in small letters and without blanks")
    return column, notes


def _split_in(row: str, value: object) -> str:
    if split := split_named(value):
        return split
    raise DataError(f"{row}: split {value!r}; expected train, validation (or dev) or test, {DRAW}")


def _splits_of_files(path: Path, table: Table) -> dict[Path, str] | None:
    """Return the split of each file by its name; None if no name has one.

    Raises:
        DataError: Only some have one, none is for training, or two files of different tables are for one split.
    """
    home = {file: _split_of(path, file) for file in dict.fromkeys(table.row_files)}
    named = {file: split for file, split in home.items() if split}
    if not named or (len(home) == 1 and "train" not in named.values()):
        return None
    other = next((file for file in home if file not in named), None)
    if other:
        raise DataError(
            f"{other}: stands beside files of other splits but is called neither train, validation, dev nor test; "
            f"rename or remove it, {DRAW}"
        )
    if "train" not in named.values():
        names = ", ".join(file.name for file in named)
        raise DataError(f"{path}: {names} are files of splits, but none is called train; rename one, {DRAW}")
    parts: dict[tuple[str, Path], dict[str, Path]] = {}
    for file, split in named.items():
        if _split_of(file.parent, file):  # in a folder named after the split, files may have any names
            parts.setdefault((split, file.parent), {}).setdefault(_without_number(file.stem), file)
    for (split, _), files in parts.items():
        if len(files) > 1:
            raise DataError(
                f"{path}: {' and '.join(file.name for file in files.values())} are both called {split}, and rows would "
                f"count twice if one is a part or a version of the other; keep one, or parts that differ by their "
                f"numbers alone, {DRAW}"
            )
    return named


def _without_number(stem: str) -> str:
    """Return the common name of a table's parts: without the part's number and digest."""
    return re.sub(r"(?<![v\d])\d+", "0", re.sub(r"-[0-9a-f]{16}$", "", stem.casefold()))


def _with_every_class(assignment: list[str], groups: Sequence[str], labels: Sequence[Any]) -> list[str]:
    """For each class without a training row, move its smallest group to the training rows."""
    sizes, trained = (
        Counter(groups),
        {str(label) for label, home in zip(labels, assignment, strict=True) if home == "train"},
    )
    rows_of: dict[str, list[int]] = {}
    for row, label in enumerate(map(str, labels)):
        rows_of.setdefault(label, []).append(row)
    moved: set[str] = set()
    for label, rows in sorted(rows_of.items()):
        if label not in trained and not moved & {groups[row] for row in rows}:
            moved.add(min((groups[row] for row in rows), key=lambda group: (sizes[group], group)))
    return ["train" if group in moved else home for group, home in zip(groups, assignment, strict=True)]


def _drawn(splits: dict[str, Rows], settings: SourceSettings, *, kept: bool) -> str:
    total, shares = sum(map(len, splits.values())), []
    reason = "since groups of rows are kept whole" if kept else f"since there are only {total} rows"
    for split, wanted in (("validation", settings.validation), ("test", settings.test)):
        share = len(splits[split]) / total
        short = f" instead of {wanted:.0%}, {reason}" if abs(share - wanted) > 0.02 else ""
        shares.append(f"{len(splits[split])} rows for {split} ({share:.0%}{short})")
    return f"the splits were drawn from one table with seed {settings.seed}: {' and '.join(shares)}"


def _check_column(path: Path, table: Table, setting: str, name: str | None) -> None:
    if name is not None and name not in table.columns:
        raise DataError(
            f"{path}: no column {name!r}{did_you_mean(name, table.columns)}; it has {', '.join(table.columns)}; "
            f"name yours by {setting} in [source]"
        )


def _all_rows(path: Path, table: Table, settings: SourceSettings) -> tuple[Rows, list[str]]:
    texts = _words(table, settings.text)
    targets = _words(table, settings.target) if settings.target else [""] * len(table)
    empty = sum(not text.strip() for text in texts)
    notes = [f"{empty} of {len(texts)} rows have no text"] if empty else []
    pictures: Pictures | None = table.pictures
    identities = table.picture_names
    digests = None
    folder = _picture_folder(path, settings, identities) if identities is not None and pictures is None else None
    if identities is not None and "" in identities and (folder or pictures):
        more = f", nor have {identities.count('') - 1} other rows one" if identities.count("") > 1 else ""
        raise DataError(
            f"{table.row_names[identities.index('')]}: no picture{more}; give it or remove the row, or use no "
            f'pictures: image = "" in [source]'
        )
    if identities is not None and folder:
        pictures = found = find_pictures(folder, identities)
        digests = found.digests()
    if pictures is None:
        notes += _why_no_pictures(table, settings)
    elif identities is not None:
        strips = {name for name, row in _first(identities).items() if is_narrow(pictures.read(row))}
        number = sum(name in strips for name in identities)
        notes += (
            [f"the pictures of {number} rows are strips, {NARROW} times as long as broad or more"] if number else []
        )
    rows = Rows(
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
    return rows, notes


def _first(names: Sequence[str]) -> dict[str, int]:
    """Return each picture's first row, in the order of the rows."""
    found: dict[str, int] = {}
    for row, name in enumerate(names):
        found.setdefault(name, row)
    return found


def _why_no_pictures(table: Table, settings: SourceSettings) -> list[str]:
    """Return hints on where unused pictures may be."""
    if table.picture_names is None:
        like = [
            name
            for name, values in table.columns.items()
            if isinstance(values[0], bytes | dict) or re.match(r"(?i)(image|img|picture|photo|file_?name)", name)
        ]
        hint = f"; it may be {' or '.join(map(repr, like))}: say so by image in [source]"
        return [f"the rows have no pictures, as there is no column {settings.image!r}{hint}"] if like else []
    if any(re.match(r"(?i)https?://", name) for name in table.picture_names):
        return [f"the rows have no pictures: the column {settings.image!r} holds web addresses, which are not fetched"]
    if any(table.picture_names):
        return ["the rows have no pictures: none lies beside the table; name their folder by images in [source]"]
    return []


def _picture_folder(path: Path, settings: SourceSettings, files: list[str]) -> Path | None:
    """Return the configured folder, or the table's own if it contains any of the pictures.

    Without either the rows have no pictures; a model that reads none can still be trained.
    """
    own = path.parent if path.is_file() else path
    return settings.images or (own if holds_any(own, files) else None)


def _span(text: str, target: str) -> tuple[int, int]:
    """Return the characters of the target's first occurrence in the text, in any case."""
    start = text.lower().find(target.lower()) if target and len(text.lower()) == len(text) else -1
    return NOWHERE if start < 0 else (start, start + len(target))


def _words(table: Table, column: str) -> list[str]:
    """Return a column of words; any notation of a missing value becomes ""."""
    words = []
    for row, value in enumerate(table.columns[column]):
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            held = f"{type(value).__name__}, not words: {str(value)[:80]}"
            raise DataError(f"{table.row_names[row]}: the column {column!r} holds {held}")
        words.append("" if value is None or str(value).strip().casefold() in NULLS else str(value))
    return words


def draw(groups: Sequence[str], settings: SourceSettings) -> list[str]:
    """Assign whole groups to test, validation and train, in an order that depends only on the seed and their names.

    A group goes to train if it would take a split further from its share than the split is without it.
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
