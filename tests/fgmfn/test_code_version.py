"""A run's key changes with the code that trains it, and with nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fgmfn import planning as module
from fgmfn.baselines import MODELS

Edit = Callable[[str, str, str], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Replace something in a file of a copy of the package, which is then the one that is looked at."""
    copy = tmp_path / "fgmfn"
    shutil.copytree(module.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", copy)

    def replace(file: str, old: str, new: str) -> None:
        text = (copy / file).read_text("utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new), "utf-8")
        forget()

    forget()

    yield replace
    forget()


def forget() -> None:
    """Files are read once a process, since no process changes its own code."""
    module.code_version.cache_clear()
    module._read.cache_clear()


def versions() -> dict[str, str]:
    return {name: module.code_version(name) for name in MODELS}


def changed(before: dict[str, str]) -> set[str]:
    return {name for name, version in versions().items() if version != before[name]}


def test_a_models_own_code_changes_its_version_alone(edit: Edit) -> None:
    before = versions()
    edit("baselines/bilstm.py", "forward + backward", "forward - backward")
    assert changed(before) == {"bilstm"}


def test_a_shared_part_changes_the_version_of_those_that_use_it(edit: Edit) -> None:
    before = versions()
    edit("baselines/parts/words.py", "class WordVectors(nn.Module):", "class WordVectors(nn.Module):\n    extra = 1\n")
    affected = changed(before)
    assert {"bilstm", "text_cnn", "res_target"} <= affected
    assert not affected & {"roberta", "vgg16", "tfidf"}


def test_the_trainer_changes_every_version(edit: Edit) -> None:
    before = versions()
    edit("trainer.py", "save_total_limit=1", "save_total_limit=2")
    assert changed(before) == set(MODELS)


def test_comments_docstrings_the_registry_and_the_command_line_change_none(edit: Edit) -> None:
    before = versions()
    edit("baselines/bilstm.py", '"""Classify words [B, n]."""', '"""Classify words."""  # and a comment')
    edit("baselines/__init__.py", '"this comparison"', '"nobody"')
    edit("commands/main.py", "no_args_is_help=True", "no_args_is_help=False")
    assert changed(before) == set()
