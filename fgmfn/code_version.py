"""Which code a model is trained by: a digest of every module that its training reaches, comments and docstrings aside.

A run's key holds it, so that a result found again is one that today's code would give.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fgmfn.baselines import MODELS

PACKAGE = Path(__file__).parent
REGISTRY = "fgmfn.baselines"
TRAINED_BY = ("fgmfn.building", "fgmfn.trainer", "fgmfn.data", "fgmfn.processing")
"""What all models' training runs through; where results are written and shown is not part of it."""


@cache
def code_version(name: str) -> str:
    """Return the version of the code that trains a registered model, 12 hexadecimal digits."""
    reached: dict[str, str] = {}
    waiting = [MODELS[name].module, *TRAINED_BY]
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if file is not None and module not in reached:
            imported, reached[module] = _read(file)
            waiting += imported
    lines = (f"{module} {reached[module]}\n" for module in sorted(reached))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


def _file(module: str) -> Path | None:
    """Return a module's file, or None for what is not a module of this package.

    The registry counts as none: it names every model, and no model is trained by the others' code.
    """
    package, *parts = module.split(".")
    if package != PACKAGE.name or module == REGISTRY:
        return None
    place = PACKAGE.joinpath(*parts)
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


@cache
def _read(file: Path) -> tuple[list[str], str]:
    """Return what a module imports at its top, and its code's digest.

    What a function imports when it is called is its own affair.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = [name for node in tree.body for name in _imports(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_docstring(part)] or [ast.Pass()]
    return imported, hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _imports(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
