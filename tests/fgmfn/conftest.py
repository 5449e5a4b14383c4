"""Fixtures of the model's tests: the command line, a Twitter set, and models that are trained once for all of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx  # as the hub's client does
import huggingface_hub
import pytest
import torch
from huggingface_hub.utils._http import default_client_factory

from fgmfn.commands.main import main
from fgmfn.data import Source, open_source
from fgmfn.settings import SourceSettings
from fgmfn.training import TrainedModel, train_models
from tests.conftest import Once
from tests.fgmfn.hub import Hub
from tests.fgmfn.releases import LINES, small_release, tiny_config, write_set

Run = Callable[..., tuple[int, str, str]]
Finished = tuple[Path, list[TrainedModel]]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Small models are faster so, and sums are added up in one order.
    torch.set_num_threads(1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `fgmfn` with arguments; return its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["fgmfn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return (int(end.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The hub; nothing leaves this machine."""
    made = Hub()
    huggingface_hub.set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(made)))
    yield made
    huggingface_hub.set_client_factory(default_client_factory)


@pytest.fixture(scope="session")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A Twitter set of three tweets per split, without pictures."""
    return open_source("twitter2015", SourceSettings(data_dir=write_set(tmp_path_factory.mktemp("twitter"), LINES)))


@pytest.fixture(scope="session")
def finished(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A folder with a release, its configuration, and FGMFN and both its halves trained on it into `runs`."""
    folder = tmp_path_factory.mktemp("finished") / "copy"  # tests train further models beside them
    shutil.copytree(once("finished", _train), folder)
    return folder, _train(folder)


def _train(folder: Path) -> list[TrainedModel]:
    release = folder / "releases" / "2026.11.24"
    if not release.exists():
        small_release(release)
    names = ("fgmfn", "text_only", "image_only")
    return train_models(release, tiny_config(folder), folder / "runs", names, progress=False)
