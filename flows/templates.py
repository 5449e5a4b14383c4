"""Templates of the pages and cards that the pipeline writes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render_page(
    template: Path, style: Path | Sequence[Path], filters: dict[str, Callable[..., Any]], **values: Any
) -> str:
    """An HTML page of one template, in which every value is escaped.

    Args:
        template: its file.
        style: file of the style sheet, or several; the page allows it by its hash, so that no untrusted text can bring
            another.
        filters: further filters of the template.
        **values: what the template names.
    """
    styles = [style] if isinstance(style, Path) else style
    css = "".join(each.read_text("utf-8") for each in styles)
    return render(
        template,
        filters,
        autoescape=True,
        style=Markup(css),  # noqa: S704 - our own file
        style_sha256=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        **values,
    )


def render(template: Path, filters: dict[str, Callable[..., Any]], *, autoescape: bool = False, **values: Any) -> str:
    """A document of one template; a value that it names and that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone, whose filters escape what is untrusted
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not autoescape,
    )
    environment.filters |= filters
    return environment.get_template(template.name).render(**values)
