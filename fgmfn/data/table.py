"""Any table as a source: CSV, TSV, JSONL or Parquet with a picture, a text and a label per row.

Columns go by the names in the settings. Splits come from a column, from files called train, validation (or
dev) and test, or are drawn with a seed so that rows of equal text (or of one group) stay together.
TSV is read without quoting, CSV with.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from fgmfn.data.pictures import Pictures, find_pictures
from fgmfn.data.reading import TABLE_ENDINGS, Table, read_table
from fgmfn.data.rows import NOWHERE, SPLITS, Rows, Source, combined_hash
from fgmfn.errors import DataError, did_you_mean
from fgmfn.settings import SourceSettings

__all__ = ["TABLE_ENDINGS", "open_table"]

SPLIT_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
SPLIT_NAMES |= {"dev": "validation", "test": "test"}


def open_table(path: Path, settings: SourceSettings) -> Source:
    """Open a table, or a folder of tables that belong together.

    Raises:
        DataError: A file, column, row or picture is missing or not what it must be.
    """
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in TABLE_ENDINGS)
    table = read_table(files, settings.image)
    for setting in ("text", "label", "target", "split", "group", "auxiliary"):
        _check_column(path, table, setting, getattr(settings, setting))
    settings = _with_split_column(table, settings)
    assignment = _assign(table, settings)
    class_names, labels = _classes(table, settings.label)
    rows = _all_rows(path, table, settings, labels)
    splits = {split: rows.take([i for i, home in enumerate(assignment) if home == split]) for split in SPLITS}
    present = {rows.label[i] for i, home in enumerate(assignment) if home == "train"}
    if len(present) < 2:
        raise DataError(f"{path}: the training split has rows of {len(present)} class; a classifier needs rows of two")
    notes = () if settings.split or _named_by_file(table) else (_drawn(settings),)
    return Source(path.stem, path, combined_hash(class_names, splits), class_names, splits, notes=notes)


def _with_split_column(table: Table, settings: SourceSettings) -> SourceSettings:
    """Take a column called split for what its name says, where all its values are names of splits."""
    values = table.columns.get("split", [])
    if settings.split or not values or any(str(value).lower() not in SPLIT_NAMES for value in values):
        return settings
    return settings.model_copy(update={"split": "split"})


def _named_by_file(table: Table) -> bool:
    return "train" in map(_split_of, table.row_files)


def _drawn(settings: SourceSettings) -> str:
    shares = f"{settings.validation:.0%} for validation and {settings.test:.0%} for test"
    return f"the splits were drawn from one table with seed {settings.seed}, {shares}"


def _check_column(path: Path, table: Table, setting: str, name: str | None) -> None:
    if name is not None and name not in table.columns:
        raise DataError(
            f"{path}: no column {name!r}{did_you_mean(name, table.columns)}; it has {', '.join(table.columns)}; "
            f"name yours by {setting} in [source]"
        )


def _all_rows(path: Path, table: Table, settings: SourceSettings, labels: list[int]) -> Rows:
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
        label=labels,
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
    beside = any(name and "\0" not in name and (own / name).is_file() for name in files)
    return settings.images or (own if beside else None)


def _span(text: str, target: str) -> tuple[int, int]:
    """Return the characters of the target's first occurrence in the text, whatever its case."""
    start = text.lower().find(target.lower()) if target and len(text.lower()) == len(text) else -1
    return NOWHERE if start < 0 else (start, start + len(target))


def _words(table: Table, column: str) -> list[str]:
    for row, value in enumerate(table.columns[column]):
        if value is None:
            raise DataError(f"{table.row_names[row]}: no {column}")
    return [str(value) for value in table.columns[column]]


def _classes(table: Table, column: str) -> tuple[tuple[str, ...], list[int]]:
    """Class names in their order: those the file declares, else the labels that occur, sorted."""
    values = table.columns[column]
    missing = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if missing is not None:
        raise DataError(f"{table.row_names[missing]}: no {column}")
    if table.class_names and all(isinstance(value, int) for value in values):
        for row, value in enumerate(values):
            if not 0 <= value < len(table.class_names):
                raise DataError(f"{table.row_names[row]}: label {value}; expected 0 to {len(table.class_names) - 1}")
        return table.class_names, list(values)
    names = sorted({str(value) for value in values}, key=_natural)
    number = {name: at for at, name in enumerate(names)}
    return tuple(names), [number[str(value)] for value in values]


def _natural(name: str) -> tuple[bool, int, str]:
    """Numbers by their value, before words."""
    return not name.isdecimal(), len(name) if name.isdecimal() else 0, name


def _assign(table: Table, settings: SourceSettings) -> list[str]:
    if settings.split:
        return [
            _split_named(row, str(value))
            for row, value in zip(table.row_names, table.columns[settings.split], strict=True)
        ]
    by_file = [_split_of(file) for file in table.row_files]
    if "train" in by_file:
        unknown = next((file for file, split in zip(table.row_files, by_file, strict=True) if split is None), None)
        if unknown is not None:
            raise DataError(
                f"{unknown}: stands beside training rows but is called neither train, validation, dev nor test"
            )
        return [str(split) for split in by_file]
    return _draw(_words(table, settings.group or settings.text), settings)


def _split_named(row: str, value: str) -> str:
    if value.lower() not in SPLIT_NAMES:
        raise DataError(f"{row}: split {value!r}; expected train, validation (or dev) or test")
    return SPLIT_NAMES[value.lower()]


def _split_of(file: Path) -> str | None:
    return SPLIT_NAMES.get(file.stem.lower().replace(".", "-").replace("_", "-").split("-")[0])


def _draw(groups: list[str], settings: SourceSettings) -> list[str]:
    """Deal whole groups to test, validation and train in an order that only the seed and their names decide."""
    sizes: dict[str, int] = defaultdict(int)
    for group in groups:
        sizes[group] += 1

    def lot(group: str) -> bytes:
        return hashlib.sha256(f"{settings.seed}:{group}".encode(errors="surrogatepass")).digest()

    home: dict[str, str] = {}
    dealt = 0
    for group in sorted(sizes, key=lot):
        share = dealt / len(groups)
        if share < settings.test:
            home[group] = "test"
        else:
            home[group] = "validation" if share < settings.test + settings.validation else "train"
        dealt += sizes[group]
    return [home[group] for group in groups]
