"""Tables as columns: the contents of CSV, TSV, JSONL and Parquet files, and the places of their pictures."""

from __future__ import annotations

import csv
import io
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
from fgmfn.settings import SourceSettings

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")

OTHERWISE = {
    ".json": "write one object a line into a .jsonl file",
    ".ndjson": "call it .jsonl",
    ".txt": "call it .csv or .tsv",
    ".tab": "call it .tsv",
    ".pq": "call it .parquet",
    **dict.fromkeys((".feather", ".arrow", ".ipc", ".orc", ".pkl", ".npz", ".h5"), "write it as Parquet"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV in UTF-8"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar"), "unpack it"),
}
"""Hints for tables of other formats."""

NULLS = {"nan", "-nan", "<na>", "null", "none", "nat", "#n/a"}
"""Values that programs write for a missing value of any kind, in lower case."""


@dataclass(frozen=True)
class Table:
    """Rows of one or more files, column by column."""

    columns: dict[str, list[Any]]
    row_files: list[Path]
    row_names: list[str]
    picture_names: list[str] | None
    """File names of the pictures, or identities of their bytes; None if there is no such column."""
    pictures: ParquetPictures | None
    """None if pictures are files or absent."""
    class_names: list[tuple[str, ...]]
    """Class names by row, as its Parquet file declares them for the label column; empty: none."""

    def __len__(self) -> int:
        return len(self.row_names)


def read_table(files: list[Path], settings: SourceSettings) -> Table:
    """Read files of one kind with the same columns; the label column may be absent if labels are hidden.

    Raises:
        DataError: There is no file, files of several kinds, an unreadable or empty one, or one with other columns.
    """
    kinds = {file.suffix.lower() for file in files}
    if len(kinds) != 1 or not kinds <= set(TABLE_ENDINGS):
        found = ", ".join(map(str, files[:5])) + (f" and {len(files) - 5} others" if len(files) > 5 else "")
        hints = "".join(f"; {kind}: {OTHERWISE[kind]}" for kind in sorted(kinds & OTHERWISE.keys()))
        raise DataError(f"expected files of one kind ({', '.join(TABLE_ENDINGS)}); found {found or 'nothing'}{hints}")
    if kinds == {".parquet"}:
        return _read_parquet(files, settings)
    read = _jsonl if kinds == {".jsonl"} else _separated
    tables: list[tuple[Path, int, dict[str, Any]]] = []
    for file in files:
        rows = [(file, row, record) for row, record in read(file, settings)]
        if not rows:
            raise DataError(f"{file}: the file has no rows")
        tables += rows
    image, label = settings.image, settings.label
    names = next((list(record) for _, _, record in tables if label in record), list(tables[0][2]))
    for file, row, record in tables:
        if list(record) != names and {*record, label} != {*names, label}:
            raise DataError(f"{file}: line {row} has columns {', '.join(record)}; expected {', '.join(names)}")
    columns = {name: [record.get(name) for _, _, record in tables] for name in names}
    row_names = [f"{file}:{row}" for file, row, _ in tables]
    pictures = None
    if image in columns:
        pictures = [_picture_name(value, row, image) for value, row in zip(columns[image], row_names, strict=True)]
    return Table(columns, [file for file, _, _ in tables], row_names, pictures, None, [()] * len(tables))


def _decoded(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    if content.startswith(b"\x1f\x8b"):
        raise DataError(f"{file}: cannot be read as text: it is compressed; unpack it")
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text: {error}; save it as UTF-8") from error
    if 4 * text.count("\0") > len(text) > 0:
        raise DataError(f"{file}: cannot be read as UTF-8 text: it seems to be UTF-16 without a mark; save it as UTF-8")
    return text


def _separated(file: Path, settings: SourceSettings) -> list[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)  # a text may be longer than csv's 131,072 characters
    lines = list(io.StringIO(_decoded(file), newline=""))
    delimiter = _delimiter(file, lines, settings.text)
    if settings.quotes is not None:
        quoting = csv.QUOTE_MINIMAL if settings.quotes else csv.QUOTE_NONE
        return list(_records(file, lines, delimiter=delimiter, quoting=quoting))
    try:
        records = list(_records(file, lines, delimiter=delimiter, strict=delimiter == "\t"))
    except DataError:
        if delimiter != "\t":
            raise
        # Not written with quotes: some text itself begins with one.
        records = list(_records(file, lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        _refuse_half_quoted(file, records)
        return records
    _refuse_swallowed(file, lines, records, delimiter, settings.label)
    return records


def _delimiter(file: Path, lines: list[str], text: str) -> str:
    """Return the suffix's delimiter, unless only another one makes the header name the text column."""
    usual = "\t" if file.suffix.lower() == ".tsv" else ","
    header = [char for char in (usual, *",;\t|") if lines and text in next(csv.reader(lines[:1], delimiter=char))]
    return header[0] if header else usual


def _records(file: Path, lines: list[str], **dialect: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        reader = csv.DictReader(lines, **dialect)
        _refuse_twice(file, reader.fieldnames or ())
        for record in reader:
            if None in record or None in record.values():
                raise DataError(
                    f"{file}: line {reader.line_num} has more or fewer cells than the header; cells with the delimiter "
                    f"{dialect['delimiter']!r} in them stand in quotation marks, marks within those are doubled"
                )
            yield reader.line_num, record
    except csv.Error as error:
        raise DataError(f"{file}: cannot be read as a table: {error}") from error


QUOTES = "say by quotes in [source] whether marks enclose cells (true) or belong to the texts (false)"


def _refuse_half_quoted(file: Path, records: list[tuple[int, dict[str, Any]]]) -> None:
    """Refuse a file that can only be read without quoting but has quoted cells."""
    for row, record in records:
        for value in record.values():
            inner = value[1:-1]
            if value[:1] == value[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', ""):
                raise DataError(
                    f"{file}: line {row} has a cell within quotation marks, but others begin with a mark of their own; "
                    f"{QUOTES}"
                )


def _refuse_swallowed(
    file: Path, lines: list[str], records: list[tuple[int, dict[str, Any]]], delimiter: str, label: str
) -> None:
    """Refuse a cell of several lines if each line is a complete row: two texts begin or end with a quotation mark."""
    starts = [1, *(row for row, _ in records)]
    spans = [
        [line for line in lines[start:row] if line.strip()] for start, (row, _) in zip(starts, records, strict=False)
    ]
    if all(len(span) == 1 for span in spans) or label not in records[0][1]:
        return
    at, width = list(records[0][1]).index(label), len(records[0][1])
    known = {record[label] for span, (_, record) in zip(spans, records, strict=True) if len(span) == 1}

    def is_row(line: str) -> bool:
        for quoting in (csv.QUOTE_NONE, csv.QUOTE_MINIMAL):
            cells = next(csv.reader([line], delimiter=delimiter, quoting=quoting))
            if len(cells) == width and cells[at].strip('"\r\n') in known:
                return True
        return False

    for span, (row, _) in zip(spans, records, strict=True):
        if len(span) > 1 and all(map(is_row, span)):
            raise DataError(
                f"{file}: the {len(span)} lines up to line {row} are one row, since a quotation mark opens in the "
                f"first and closes in the last of them, but each reads as a row of its own; double "
                f"the marks, or {QUOTES}"
            )


def _refuse_twice(where: Path | str, names: Iterable[str]) -> None:
    """Refuse two columns with the same name: it is not known which is meant."""
    twice = [name for name, times in Counter(names).items() if name and times > 1]
    if twice:
        raise DataError(f"{where}: column {', '.join(map(repr, twice))} stands there more than once")


def _jsonl(file: Path, _: SourceSettings) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_decoded(file).split("\n"), 1):
        if not line.strip():
            continue
        objects: list[list[tuple[str, Any]]] = []
        """Names and values as they stand, of each object within the line and of the line itself."""

        def keep(pairs: list[tuple[str, Any]], objects: list[list[tuple[str, Any]]] = objects) -> dict[str, Any]:
            objects.append(pairs)
            return dict(pairs)

        try:
            record = json.loads(line, object_pairs_hook=keep)
        except ValueError as error:
            raise DataError(f"{file}: line {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{file}: line {number} is not a JSON object; write one object a line")
        _refuse_twice(f"{file}: line {number}", (name for name, _ in objects[-1]))
        yield number, record


def _read_parquet(files: list[Path], settings: SourceSettings) -> Table:
    image, label = settings.image, settings.label
    opened = [open_parquet(file) for file in files]
    headers = [[name for name in parquet.schema_arrow.names if name != image] for parquet in opened]
    names = next((header for header in headers if label in header), headers[0])
    columns: dict[str, list[Any]] = {name: [] for name in names}
    places: list[tuple[int, int, int]] = []
    row_files: list[Path] = []
    identities: list[str] | None = None
    inside: set[bool] = set()
    class_names: list[tuple[str, ...]] = []
    for number, (file, parquet, header) in enumerate(zip(files, opened, headers, strict=True)):
        _refuse_twice(file, parquet.schema_arrow.names)
        if {*header, label} != {*names, label}:
            raise DataError(f"{file}: columns {', '.join(header)}; expected {', '.join(names)}")
        try:
            table = parquet.read(columns=header)
            found, embedded = _identities(file, parquet, image)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file}: damaged: {error}") from error
        size = parquet.metadata.num_rows
        for name in names:
            columns[name] += table[name].to_pylist() if name in header else [None] * size
        if found is not None:
            identities = [*(identities or []), *found]
        inside |= {embedded} if size else set()
        places += row_places(parquet, number)
        row_files += [file] * size
        declared: tuple[str, ...] = ()
        with suppress(ValueError):  # metadata of another program: the classes are then the labels that occur
            declared = declared_classes(parquet, label)
        class_names += [declared] * size
    if len(inside) > 1 or (identities is not None and len(identities) != len(places)):
        raise DataError(f"{files[0].parent}: some of the files hold the pictures of their rows and others do not")
    row_names = [f"{file}:{place[1]}:{place[2]}" for file, place in zip(row_files, places, strict=True)]
    pictures = ParquetPictures(files, places, row_names, image) if True in inside else None
    return Table(columns, row_files, row_names, identities, pictures, class_names)


_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


def _identities(file: Path, parquet: Any, image: str) -> tuple[list[str] | None, bool]:
    """Return the names of a file's pictures, and whether the file contains them: then their content is their name."""
    if image not in parquet.schema_arrow.names:
        return None, False
    kind = parquet.schema_arrow.field(image).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    fields = {field.name for field in kind} if pa.types.is_struct(kind) else set()
    parts = ["bytes", *({"path"} & fields)] if "bytes" in fields else [""]
    names: dict[str, list[str]] = {part: [] for part in parts}
    for group in range(parquet.num_row_groups):
        values = parquet.read_row_group(group, columns=[image], use_threads=False)[image]
        for part, found in names.items():
            column = pc.struct_field(values, part) if part else values
            where = (f"{file}: row {row}" for row in range(len(found), len(found) + len(column)))
            found += [_picture_name(value, row, image) for value, row in zip(column.to_pylist(), where, strict=True)]
    if parts == [""]:
        return names[""], any(is_kind(kind) for is_kind in _BINARY)
    held, paths = names["bytes"], names.get("path", [])
    if not any(held) and any(paths):
        return paths, False
    lost = [row for row, (content, path) in enumerate(zip(held, paths, strict=False)) if path and not content]
    if lost:
        raise DataError(
            f"{file}: row {lost[0]} and {len(lost) - 1} others of {len(held)} have a path in the column {image!r} but "
            f"no bytes as the other rows have; fill them in"
        )
    return held, True


def _picture_name(value: Any, where: str, column: str) -> str:
    """Return a picture's name: its file, or an identity of its bytes; "" if there is none.

    Raises:
        DataError: It is neither.
    """
    held = "" if isinstance(value, str | bytes | int | float | None) else type(value).__name__
    if isinstance(value, bool):
        held = "bool"
    if isinstance(value, str) and (
        value.startswith("data:")
        or len(value) > 4000
        or any(len(part.encode(errors="replace")) > 255 for part in value.split("/"))
    ):
        held = f"{len(value)} characters (base64?)"
    if held:
        raise DataError(
            f"{where}: the column {column!r} holds {held}, not the name or the bytes of a picture; name another one by "
            f'image in [source], or none: image = ""'
        )
    if isinstance(value, bytes):
        return blake2b(value, digest_size=16).hexdigest()
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
