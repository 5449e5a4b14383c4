"""Files of tables and figures: Markdown to read, Parquet to compute with, a picture to look at."""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fgmfn.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

DPI = 150


def check_output(output: Path) -> None:
    """Refuse, before anything is trained for it, a folder that cannot be written to.

    Raises:
        InputError: It cannot.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{output}: nothing can be written there: {error.strerror}") from error


def write_sheet(output: Path, name: str, *, markdown: str, table: pa.Table, figure: Figure) -> tuple[Path, ...]:
    """Write `name`.md, `name`.parquet and `name`.png into a folder; each replaces its older one whole.

    Raises:
        InputError: They cannot be written there.
    """
    import pyarrow.parquet as pq

    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    contents: dict[str, str | bytes | Figure] = {"md": markdown, "parquet": parquet.getvalue(), "png": figure}
    return tuple(write_file(output, f"{name}.{ending}", content) for ending, content in contents.items())


def write_file(output: Path, name: str, content: str | bytes | Figure) -> Path:
    """Write one file into a folder, a figure as PNG; it replaces its older one whole.

    Raises:
        InputError: It cannot be written there.
    """
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        picture = io.BytesIO()
        content.savefig(picture, format="png", dpi=DPI)
        content = picture.getvalue()
    try:
        output.mkdir(parents=True, exist_ok=True)
        return _replace(output / name, content)
    except OSError as error:
        raise InputError(f"{output}: {name} cannot be written there: {error.strerror}") from error


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> list[str]:
    """Return the lines of a Markdown table; columns behind the first `text_columns` are numbers and stand right.

    Cells stand as they are: words of strangers come through `plain`.
    """
    ruler = ["---" if number < text_columns else "---:" for number in range(len(columns))]
    return [_line(columns), _line(ruler), *(_line(row) for row in rows)]


def plain(text: str) -> str:
    """Return words that strangers wrote so that Markdown shows them as they are, on one line."""
    return re.sub(r"([\\`*_{}\[\]()#+.!~>|$-])", r"\\\1", html.escape(printable(text), quote=False)).strip()


def printable(text: str) -> str:
    """Return words with a space for every sign that cannot be seen, those that turn the direction of text included."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _replace(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # several processes may work on one table
    beside.write_bytes(content)
    return beside.replace(path)
