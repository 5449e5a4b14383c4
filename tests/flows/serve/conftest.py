"""The service over a catalog of small models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Once
from tests.flows.serve.serving import Running, serving, write_models


@pytest.fixture(scope="session")
def models(once: Once) -> Path:
    """A catalog with nothing but models; to be copied, not changed."""
    return once("served-models", write_models)


@pytest.fixture
def own_models(models: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(models, tmp_path / "catalog"))


@pytest.fixture(scope="module")
def running(models: Path) -> Iterator[Running]:
    """The service with limits that are soon reached, for the tests of one file."""
    with serving(
        models,
        queue_rows=40,
        max_rows=20,
        batch_rows=8,
        max_pixels=1_000_000,
        max_text=500,
        max_json_mb=1,
        max_upload_mb=2,
        max_bodies_mb=4,
        idle_timeout_s=0.6,
        upload_timeout_s=2.0,
        timeout_s=120.0,
        video_timeout_s=120.0,
        max_video_s=30.0,
        connections=60,
    ) as started:
        yield started
