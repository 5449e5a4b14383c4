"""Every reason that a fault of the crawl may carry is declared with its stage, of the same kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.stages import COMMENT_PAGES, MEDIA, Stage

CRAWL = Path(__file__).parents[3] / "flows" / "crawl"
KINDS = {"terminal": "filtered", "transient": "failed"}


def faults_in(module: Path) -> Iterator[tuple[str, str]]:
    """Kind and reason of every fault that stands as such in a module: in a call or a row of a table."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault":
            parts = node.args
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3:
            parts = node.elts
        match [part.value for part in parts[:2] if isinstance(part, ast.Constant)]:
            case [kind, reason] if kind in KINDS:
                yield str(kind), str(reason)


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        ("data_api/faults.py", COMMENT_PAGES),
        ("media/faults.py", MEDIA),
        ("media/downloader.py", MEDIA),
        ("media/lane.py", MEDIA),
    ],
)
def test_every_reason_is_declared(module: str, stage: Stage) -> None:
    found = set(faults_in(CRAWL / module))
    assert found
    assert not [(kind, reason) for kind, reason in sorted(found) if stage.reason(reason).kind != KINDS[kind]]
