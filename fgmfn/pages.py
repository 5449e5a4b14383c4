"""Pages of one HTML file, and a report in Markdown as one: nothing beside it is needed, on a screen or on A4."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def templates() -> Environment:
    """Return the templates of this package's pages, in which every value is escaped and a missing one is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(markdown: str, folder: Path) -> str:
    """Return a page with the pictures in it; what is markup in the text already is escaped.

    Args:
        markdown: begins with its title.
        folder: holds the pictures that it names, PNG; one that is missing leaves its title.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    contents = []
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            title = tokens[at + 1].content
            token.attrSet("id", re.sub(r"\W+", "-", title.lower()).strip("-"))
            contents.append((token.attrGet("id"), title))
        for part in token.children or ():
            if part.type == "image":
                _embed(part, folder)
    title = next((tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"), "")
    preface, heading, sections = _for_paper(reader.renderer.render(tokens, reader.options, {})).partition("<h2")
    style = Markup((TEMPLATES / "report.css").read_text("utf-8"))  # noqa: S704 - our own file
    return (
        templates()
        .get_template("report.html")
        .render(
            title=title,
            style=style,
            contents=contents,
            preface=Markup(preface),  # noqa: S704 - markdown-it escapes what is not its own
            sections=Markup(heading + sections),  # noqa: S704
        )
    )


def _embed(image: Token, folder: Path) -> None:
    file = folder / Path(str(image.attrGet("src"))).name
    if file.is_file():
        image.attrSet("src", f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}")


def _for_paper(html: str) -> str:
    """Let wide tables scroll on a screen, and set the interval of a cell below its figure."""
    html = re.sub(r"<table>", '<div class="table"><table>', html).replace("</table>", "</table></div>")
    html = re.sub(r"<p>(<img [^>]*>)</p>", r"<figure>\1</figure>", html)
    return re.sub(r"(<td[^>]*>[^<]*?) (\[[^\],<]+,[^\]<]+\](?: \*+)?)", r'\1 <span class="interval">\2</span>', html)
