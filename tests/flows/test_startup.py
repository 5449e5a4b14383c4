"""A command starts at once: it loads no library that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.flows.conftest import ROOT

HEAVY = {"torch", "prefect", "pandas", "duckdb", "pyarrow", "deltalake", "transformers", "matplotlib", "scipy", "numpy"}
SETTINGS = {"pydantic", "pydantic_settings"}


def loaded(*arguments: str) -> set[str]:
    """Top-level names of everything that Python imports on the way, as Python itself reports it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        input="I love this ad\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    reported = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in reported}


@pytest.mark.parametrize("arguments", [("-c", "import flows.commands.main"), ("-m", "flows", "--help")])
def test_help_needs_none_of_the_pipelines_libraries(arguments: tuple[str, ...]) -> None:
    names = loaded(*arguments)
    assert "typer" in names
    assert not names & (HEAVY | SETTINGS)


@pytest.mark.parametrize("command", [("score",), ("explain", "I love this ad")])
def test_texts_are_scored_with_the_settings_and_nothing_else(command: tuple[str, ...]) -> None:
    names = loaded("-m", "flows", "sentiment", *command)
    assert names >= {"typer", "pydantic"}
    assert not names & HEAVY


@pytest.mark.parametrize("module", ["data_catalog", "data_catalog.printing", "flows.errors", "flows.settings"])
def test_what_everything_imports_is_light(module: str) -> None:
    names = loaded("-c", f"import {module}")
    assert "data_catalog" in names
    assert not names & HEAVY


def test_the_catalogs_names_are_found_when_they_are_asked_for() -> None:
    import data_catalog

    assert all(getattr(data_catalog, name) is not None for name in data_catalog.__all__)
    assert set(dir(data_catalog)) == set(data_catalog.__all__)
    with pytest.raises(AttributeError, match="'data_catalog' has no attribute 'Catalogue'"):
        data_catalog.Catalogue  # noqa: B018


def test_a_training_is_registered_without_pytorch() -> None:
    names = loaded("-c", "import flows.train")
    assert "prefect" in names
    assert not names & {"torch", "transformers"}
