"""Every reason that a drop of the crawl may carry is explained in docs/crawl.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "crawl.md"
RAISED_AS = {"Fault", "Verdict", "MediaFault"}
"""What is made with a kind and a reason, in this order."""


def reasons_in(module: Path) -> Iterator[str]:
    """Reasons that stand as such in a module: behind a kind in a call or a row of a table."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED_AS:
            parts = node.args
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3:
            parts = node.elts
        values = [part.value for part in parts[:2] if isinstance(part, ast.Constant)]
        if len(values) == 2 and values[0] in ("final", "failed", "lane", "transient", "slow_down", "bad_token"):
            yield str(values[1])


@pytest.mark.parametrize("module", ["faults.py", "media_faults.py", "media.py", "downloader.py"])
def test_every_reason_is_explained(module: str) -> None:
    found = set(reasons_in(ROOT / "flows" / "crawl" / module))
    assert found
    text = DOCUMENT.read_text("utf-8")
    assert not [reason for reason in sorted(found) if f"`{reason}`" not in text and f"*{reason}*" not in text]
