"""Nothing that we import reports its use to anybody, and nothing leaves an identity behind for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import SWITCHES
from tests.flows.conftest import ROOT, Built
from tests.tracing import can_trace, left_the_machine, traced

IMPORTS = """
import importlib, pkgutil
import flows, fgmfn, annotation, data_catalog
for package in (flows, fgmfn, annotation, data_catalog):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
for name in ("datasets", "easyocr", "mlcroissant", "onnxruntime", "optuna", "timm", "yt_dlp"):
    importlib.import_module(name)
from flows.ocr.registry import make_engine
make_engine("rapidocr")
"""
LOOK_UP = "import socket; socket.getaddrinfo('example.org', 443)"


@pytest.fixture(scope="session")
def tracing() -> None:
    if not can_trace():
        if os.environ.get("CI"):
            pytest.fail("no strace, or none that may trace: `make setup-programs` installs it (Debian, as root)")
        pytest.skip("no strace, or none that may trace")


def run(program: str, home: Path, *prefix: str, **environment: str) -> None:
    """Run a program in a fresh process that knows no switch but what it sets itself, and no cache."""
    known = {name: value for name, value in os.environ.items() if name not in SWITCHES and not name.startswith("XDG_")}
    subprocess.run(
        [*prefix, sys.executable, "-c", program],
        env={**known, "HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
        check=True,
    )


@pytest.mark.usefixtures("tracing")
@pytest.mark.slow
def test_nothing_that_is_imported_looks_up_a_name(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    run(IMPORTS, tmp_path, *traced(log))
    assert left_the_machine(log) == []
    assert not list(tmp_path.rglob("*onnxruntime*"))


@pytest.mark.usefixtures("tracing")
@pytest.mark.slow
def test_a_build_talks_to_nobody_but_its_own_server(built: Built) -> None:
    assert built.calls is not None
    assert "127.0.0.1" in built.calls.read_text("utf-8", "replace")
    assert left_the_machine(built.calls) == []
    assert not list(built.home.rglob("*onnxruntime*"))


@pytest.mark.usefixtures("tracing")
def test_a_name_that_is_looked_up_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    run(f"try:\n    {LOOK_UP}\nexcept OSError:\n    pass", tmp_path, *traced(log))
    assert left_the_machine(log)


@pytest.mark.parametrize(("package", "name"), [("flows", "flows.SWITCHES"), ("fgmfn", "fgmfn.telemetry.HUB_SWITCHES")])
def test_switches_are_set_by_the_package_and_not_over_the_users(package: str, name: str, tmp_path: Path) -> None:
    run(
        f"import os, {package}\nswitches = {name}\n"
        "assert os.environ['DO_NOT_TRACK'] == '0'\n"
        "assert all(os.environ[name] == value for name, value in switches.items() if name != 'DO_NOT_TRACK')",
        tmp_path,
        DO_NOT_TRACK="0",
    )
