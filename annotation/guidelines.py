"""The guidelines that people judge by, and the version that every event names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).with_name("guidelines.md")


@dataclass(frozen=True)
class Guidelines:
    """A text in Markdown and the name of this very text."""

    text: str
    version: str
    """`sha256:` and the first 16 digits of the text's digest: another word, another version."""

    def html(self) -> str:
        """The text as HTML; what is markup in it already is escaped."""
        from markdown_it import MarkdownIt

        return MarkdownIt("commonmark", {"html": False}).enable("table").render(self.text)


def read_guidelines(path: Path = PATH) -> Guidelines:
    """The guidelines in a file; the project's own if none is named."""
    text = path.read_text("utf-8")
    return Guidelines(text, f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}")
