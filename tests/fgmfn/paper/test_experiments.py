"""A table's runs: each trained once, found again, shared between processes, and a reason for what cannot run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from fgmfn.data import Source, open_source
from fgmfn.errors import ConfigError, WeightsError
from fgmfn.paper import experiments
from fgmfn.paper.experiments import Cell, Entry, Recipe, entries_of, run_experiments
from fgmfn.planning import plan_run
from tests.fgmfn.conftest import Finished
from tests.fgmfn.releases import tiny_config


@pytest.fixture
def release(finished: Finished) -> Source:
    """A release of forty small ads."""
    return open_source(finished[0] / "releases")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Two seeds of an epoch each."""
    return Recipe(seeds=(1, 2), runs=tmp_path / "runs", config=tiny_config(tmp_path, epochs=1))


def run(entries: Sequence[Entry], source: Source, recipe: Recipe) -> list[Cell]:
    return run_experiments(entries, [source], recipe, progress=False)


def test_every_seed_is_trained_once_and_found_again(release: Source, recipe: Recipe) -> None:
    (first,) = run(entries_of(["text_only"]), release, replace(recipe, seeds=(1,)))
    (cell,) = run(entries_of(["text_only"]), release, recipe)
    assert (list(cell.trained), cell.missing) == ([1, 2], None)
    assert [one.already_trained for one in cell.trained.values()] == [True, False]
    assert cell.trained[1].checkpoint == first.trained[1].checkpoint != cell.trained[2].checkpoint
    assert cell.trained[1].test == first.trained[1].test


def test_an_entrys_changes_make_a_run_of_its_own(release: Source, recipe: Recipe) -> None:
    entries = [Entry("fgmfn", "FGMFN", "fgmfn"), Entry("lambda_0", "lambda = 0", "fgmfn", {"mi_lambda": 0.0})]
    plain, changed = run(entries, release, replace(recipe, seeds=(1,)))
    assert plain.trained[1].checkpoint != changed.trained[1].checkpoint
    assert '"mi_lambda": 0.0' in (changed.trained[1].checkpoint / "config.json").read_text()
    assert '"mi_lambda": 0.0' not in (plain.trained[1].checkpoint / "config.json").read_text()


def test_a_row_without_pictures_says_so_and_the_others_run(tweets: Source, recipe: Recipe) -> None:
    pictured, fitted = run(entries_of(["res_target", "tfidf"]), tweets, replace(recipe, config=None))
    assert pictured.missing == "pictures are missing: name their folder (--images DIR)"
    assert not pictured.trained
    assert list(fitted.trained) == [1, 2]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            WeightsError("cannot get the weights of 'bert-base-uncased'"),
            "weights are missing: cannot get the weights of 'bert-base-uncased'",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"),
            "memory ran out while it was trained: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
        (RuntimeError("shapes differ"), None),
    ],
)
def test_missing_weights_or_memory_are_a_reason_and_not_tried_again_and_any_other_error_ends_it(
    error: Exception, reason: str | None, tweets: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fail(run: object, **_: object) -> None:
        tried.append(run)
        raise error

    monkeypatch.setattr(experiments, "train_run", fail)
    with nullcontext() if reason else pytest.raises(RuntimeError, match="shapes differ"):
        (cell,) = run(entries_of(["text_cnn"]), tweets, replace(recipe, config=None))
        assert cell.missing == reason
    assert len(tried) == 1


def test_a_row_too_large_for_the_memory_is_not_begun(
    tweets: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "free_bytes", lambda: 1_000_000)
    large, fitted = run(entries_of(["text_cnn", "tfidf"]), tweets, replace(recipe, config=None))
    assert large.missing is not None
    assert large.missing.startswith("memory is missing: training takes 0.1 GB before the first batch, 0.0 GB are free")
    assert fitted.missing is None
    assert not list(recipe.runs.glob("text_cnn-*"))


def test_a_wrong_setting_ends_it_before_anything_is_trained(release: Source, recipe: Recipe) -> None:
    entries = [*entries_of(["text_only"]), Entry("wrong", "wrong", "fgmfn", {"mi_lamda": 0.0})]
    with pytest.raises(ConfigError, match=r"unknown key .*mi_lamda.*mi_lambda"):
        run(entries, release, recipe)
    assert not recipe.runs.exists()


def test_only_finished_runs_are_read_where_nothing_shall_be_trained(tweets: Source, recipe: Recipe) -> None:
    read = replace(recipe, config=None, only_finished=True)
    run(entries_of(["tfidf"]), tweets, replace(recipe, config=None, seeds=(1,)))
    seen, unseen = run(entries_of(["tfidf", "text_cnn"]), tweets, read)
    assert (list(seen.trained), seen.missing) == ([1], "not every seed has been trained yet")
    assert (list(unseen.trained), unseen.missing) == ([], "not every seed has been trained yet")
    assert not list(recipe.runs.glob("text_cnn-*"))


def test_a_run_that_another_process_trains_is_taken_last_and_waited_for(
    tweets: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "POLL_S", 0.05)
    one_seed = replace(recipe, seeds=(1,), config=None)
    held = plan_run("tfidf", tweets, None, recipe.runs, seed=1)
    held.folder.mkdir(parents=True)
    lock = FileLock(held.folder / ".lock", thread_local=False)
    lock.acquire()
    release_lock = threading.Timer(0.5, lock.release)
    release_lock.start()
    order: list[str] = []

    def told(cells: list[Cell]) -> None:
        order.extend(cell.entry.key for cell in cells if cell.trained and cell.entry.key not in order)

    small = [Entry("cnn", "TextCNN", "text_cnn", {"word_size": 8, "filters": 4, "training": {"epochs": 1}})]
    cells = run_experiments([*entries_of(["tfidf"]), *small], [tweets], one_seed, progress=False, told=told)
    release_lock.join()
    assert all(cell.trained for cell in cells)
    assert order == ["cnn", "tfidf"]
