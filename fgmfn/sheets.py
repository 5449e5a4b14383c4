"""Files of tables and figures: Markdown to read, Parquet to compute with, a picture to look at, a page with both."""

from __future__ import annotations

import base64
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


def write_sheet(
    output: Path, name: str, *, markdown: str, table: pa.Table, figure: Figure, page: str | None = None
) -> tuple[Path, ...]:
    """Write `name`.md, `name`.parquet and `name`.png into a folder; each replaces its older one whole.

    Args:
        output: the folder.
        name: of the files.
        markdown: the text; the picture stands in it where it names `name`.png.
        table: the figures of both.
        figure: the picture.
        page: title of `name`.html, text and picture in one file; None: there is none.

    Raises:
        InputError: They cannot be written there.
    """
    import pyarrow.parquet as pq

    parquet, picture = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    figure.savefig(picture, format="png", dpi=DPI)
    contents = {"md": markdown.encode(), "parquet": parquet.getvalue(), "png": picture.getvalue()}
    if page is not None:
        contents["html"] = _page(page, markdown, f"{name}.png", picture.getvalue()).encode()
    try:
        output.mkdir(parents=True, exist_ok=True)
        return tuple(_replace(output / f"{name}.{ending}", content) for ending, content in contents.items())
    except OSError as error:
        raise InputError(f"{output}: {name} cannot be written there: {error.strerror}") from error


STYLE = """
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1d2430 }
h1, h2 { line-height: 1.25 }
p { overflow-x: auto }
img { max-width: 100%; min-width: 44rem }
code { overflow-wrap: anywhere }
table { display: block; overflow-x: auto; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid #d5dae2; white-space: nowrap }
th { white-space: normal; vertical-align: bottom }
"""


def _page(title: str, markdown: str, picture: str, content: bytes) -> str:
    """Return a page without scripts that needs no other file and no network."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    embedded = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            body.replace(f'src="{picture}"', f'src="{embedded}"'),
            "</body>\n</html>\n",
        ]
    )


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
