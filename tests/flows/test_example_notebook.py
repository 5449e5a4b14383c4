"""The example notebook runs from its first cell to its last on a release that was built from the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.flows.conftest import ROOT, Built

NOTEBOOK = ROOT / "docs" / "example.ipynb"


def outputs_of(notebook: Any) -> list[list[Any]]:
    """What each cell of code has put out."""
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_example_loads_looks_trains_and_predicts(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("YTB_ADS_RELEASES", built.catalog / "releases"),
        ("PYTHONPATH", ROOT),
        ("OMP_NUM_THREADS", 1),
        ("IPYTHONDIR", tmp_path / "ipython"),
        ("TMPDIR", tmp_path),
    ):
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = outputs_of(notebook)
    where = {"metadata": {"path": NOTEBOOK.parent}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    executed = outputs_of(notebook)
    assert [{output.output_type for output in cell} for cell in executed] == [
        {output.output_type for output in cell} for cell in stored
    ]
    assert "the saved model scores as it did: True" in "".join(output.text for output in executed[-1])


def test_its_outputs_are_stored_small_and_without_an_error() -> None:
    stored = outputs_of(nbformat.read(NOTEBOOK, as_version=4))
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr" for cell in stored for output in cell
    )
    assert NOTEBOOK.stat().st_size < 100_000
