"""Tables of any kind as columns: what stands in a CSV, TSV, JSONL or Parquet file, and where its pictures lie."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fgmfn.data.pictures import ParquetPictures, declared_classes, open_parquet, row_places
from fgmfn.errors import DataError

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Table:
    """Rows of one or more files, column by column."""

    columns: dict[str, list[Any]]
    row_files: list[Path]
    row_names: list[str]
    picture_names: list[str] | None
    """File names of the pictures, or what tells them apart; None where there is no such column."""
    pictures: ParquetPictures | None
    """None where pictures are files, or absent."""
    class_names: list[tuple[str, ...]]
    """Of each row, those that its Parquet file declares for the label's column; empty: none."""

    def __len__(self) -> int:
        return len(self.row_names)


def read_table(files: list[Path], image: str, label: str) -> Table:
    """Read files of one kind with the same columns.

    Args:
        files: their paths.
        image: the column of the pictures, which may be absent.
        label: the column of the classes.

    Raises:
        DataError: There is no file, files of several kinds, an unreadable one, or one with other columns.
    """
    kinds = {file.suffix.lower() for file in files}
    if len(kinds) != 1 or not kinds <= set(TABLE_ENDINGS):
        found = ", ".join(str(file) for file in files) or "nothing"
        raise DataError(f"expected files of one kind ({', '.join(TABLE_ENDINGS)}); found {found}")
    if kinds == {".parquet"}:
        return _read_parquet(files, image, label)
    read = _jsonl if kinds == {".jsonl"} else _separated
    tables = [(file, row, record) for file in files for row, record in read(file)]
    names = list(tables[0][2]) if tables else []
    for file, row, record in tables:
        if list(record) != names and set(record) != set(names):
            raise DataError(f"{file}: line {row} has columns {', '.join(record)}; expected {', '.join(names)}")
    columns = {name: [record[name] for _, _, record in tables] for name in names}
    pictures = [str(value) for value in columns[image]] if image in columns else None
    return Table(
        columns,
        [file for file, _, _ in tables],
        [f"{file}:{row}" for file, row, _ in tables],
        pictures,
        None,
        [()] * len(tables),
    )


def _separated(file: Path) -> list[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)  # a text may be longer than csv's 131,072 characters
    if file.suffix.lower() == ".csv":
        return list(_records(file))
    try:
        return list(_records(file, delimiter="\t", strict=True))
    except DataError:
        # Not written with quotes: some text begins with one by itself.
        return list(_records(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _records(file: Path, **dialect: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, **dialect)
            _refuse_twice(file, reader.fieldnames or ())
            for record in reader:
                if None in record or None in record.values():
                    raise DataError(f"{file}: line {reader.line_num} has more or fewer cells than the header")
                yield reader.line_num, record
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a table: {error}") from error


def _refuse_twice(where: Path | str, names: Iterable[str]) -> None:
    """Of two columns of one name nobody knows which is meant."""
    twice = [name for name, times in Counter(names).items() if name and times > 1]
    if twice:
        raise DataError(f"{where}: column {', '.join(map(repr, twice))} stands there more than once")


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except ValueError as error:
            raise DataError(f"{file}: line {number} is not JSON: {error}") from error
        if not isinstance(pairs, _Pairs):
            raise DataError(f"{file}: line {number} is not a JSON object")
        _refuse_twice(f"{file}: line {number}", (name for name, _ in pairs))
        yield number, dict(pairs)


class _Pairs(list[Any]):
    """A JSON object before its names are taken for unique."""


def _read_parquet(files: list[Path], image: str, label: str) -> Table:
    columns: dict[str, list[Any]] = {}
    places: list[tuple[int, int, int]] = []
    row_files: list[Path] = []
    identities: list[str] | None = None
    embedded = False
    class_names: list[tuple[str, ...]] = []
    for number, file in enumerate(files):
        parquet = open_parquet(file)
        _refuse_twice(file, parquet.schema_arrow.names)
        names = [name for name in parquet.schema_arrow.names if name != image]
        if columns and set(names) != set(columns):
            raise DataError(f"{file}: columns {', '.join(names)}; expected {', '.join(columns)}")
        try:
            table = parquet.read(columns=names)
            found, embedded = _identities(parquet, image)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file}: damaged: {error}") from error
        for name in names:
            columns.setdefault(name, []).extend(table[name].to_pylist())
        if found is not None:
            identities = [*(identities or []), *found]
        places += row_places(parquet, number)
        row_files += [file] * parquet.metadata.num_rows
        declared: tuple[str, ...] = ()
        with suppress(ValueError):  # another program's metadata: the labels that occur are the classes
            declared = declared_classes(parquet, label)
        class_names += [declared] * parquet.metadata.num_rows
    row_names = [f"{file}:{place[1]}:{place[2]}" for file, place in zip(row_files, places, strict=True)]
    pictures = ParquetPictures(files, places, row_names, image) if embedded else None
    return Table(columns, row_files, row_names, identities, pictures, class_names)


def _identities(parquet: Any, image: str) -> tuple[list[str] | None, bool]:
    """Names of a file's pictures, and whether the pictures themselves stand in it: then their content names them."""
    if image not in parquet.schema_arrow.names:
        return None, False
    found: list[str] = []
    embedded = False
    for group in range(parquet.num_row_groups):
        values = parquet.read_row_group(group, columns=[image], use_threads=False)[image]
        if pa.types.is_struct(values.type):
            contents = pc.struct_field(values, "bytes")
            inside = contents.null_count < len(contents)
            values = contents if inside else pc.struct_field(values, "path")
        else:
            inside = pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
        embedded = embedded or inside
        found += [_name(value) for value in values.to_pylist()]
    return found, embedded


def _name(value: bytes | str | int | None) -> str:
    return (
        blake2b(value, digest_size=16).hexdigest() if isinstance(value, bytes) else "" if value is None else str(value)
    )
