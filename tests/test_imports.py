"""Who may import whom: the layers of the house, and the orchestrator at its rim."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("annotation", "data_catalog", "fgmfn", "flows")
ALLOWED = {
    "data_catalog": {"data_catalog"},
    "annotation": {"annotation", "data_catalog"},
    "fgmfn": {"fgmfn"},
    "flows": set(PACKAGES),
}
RIM = {"flows/build_dataset.py", "flows/train.py", "flows/runner.py", "flows/commands/main.py"}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no module in {package}"
    return found


def imported(path: Path) -> Iterator[str]:
    """Top-level names of everything that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    for path in modules(package):
        ours = set(imported(path)) & set(PACKAGES)
        assert ours <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {sorted(ours - ALLOWED[package])}"


@pytest.mark.parametrize("package", PACKAGES)
def test_only_the_rim_imports_prefect(package: str) -> None:
    for path in modules(package):
        name = path.relative_to(ROOT).as_posix()
        if {"prefect", "prefect_ray", "prefect_dask"} & set(imported(path)):
            rim = name in RIM or name.startswith("flows/commands/")
            assert rim or (package == "flows" and path.name == "flow.py"), f"{name} imports Prefect"


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    path = tmp_path / "sampling.py"
    path.write_text("def f():\n    from prefect.logging import get_run_logger\n    import data_catalog.catalog\n")
    assert set(imported(path)) == {"prefect", "data_catalog"}
