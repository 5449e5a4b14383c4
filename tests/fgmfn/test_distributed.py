"""Two processes train as one does: the same losses, gradients and weights, one run that ends once and is resumed."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fgmfn.commands.main import main
from fgmfn.data import open_release
from fgmfn.distributed import from_first_process, is_first_process, join_processes, share_batch_statistics
from fgmfn.errors import ConfigError, DataError, FgmfnError
from fgmfn.modeling import SentimentModel
from fgmfn.planning import plan_run
from fgmfn.trainer import Arguments
from fgmfn.training import read_trained, train_models, train_run
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import batch_of, build, tweet_split
from tests.fgmfn.releases import small_release, tiny_config

PROCESSES = 2
SHARES = ([0, 1], [2, 0])
"""Rows of a batch by process. The one that both have is its own positive in the contrastive loss."""


def in_two_processes(work: Callable[[], Any], folder: Path) -> list[Any]:
    """Call a function in two processes that torchrun might have started; return what each of them gave."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # forks of a fresh process that has imported this module: those of the tests' own would hold its threads and locks
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    pickled = cloudpickle.dumps(work)
    children = [context.Process(target=_child, args=(pickled, rank, port, folder)) for rank in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    said = "\n".join(file.read_text() for file in folder.glob("*.failed"))
    assert [child.exitcode for child in children] == [0] * PROCESSES, said
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(PROCESSES)]


def _child(pickled: bytes, rank: int, port: int, folder: Path) -> None:
    try:
        _work(cloudpickle.loads(pickled), rank, port, folder)
    except BaseException:
        (folder / f"{rank}.failed").write_text(traceback.format_exc())
        raise


def _work(work: Callable[[], Any], rank: int, port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(PROCESSES))
    AcceleratorState._reset_state(reset_partial_state=True)
    join_processes()
    torch.save(work(), folder / str(rank))


# --- losses and gradients ---


def without_dropout(model: SentimentModel) -> SentimentModel:
    """A model in training that drops nothing out."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in ("dropout", "activation_dropout", "layer_dropout", "layerdrop"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    return model.train()


def two_steps(name: str, numbers: list[int], wrap: Callable[[SentimentModel], nn.Module]) -> dict[str, Tensor]:
    """Losses and gradients of two steps on some rows."""
    model = without_dropout(build(name))
    # Further words, which MTVAF reads, stand in a row of the first process alone.
    batch = batch_of(model, replace(tweet_split(), auxiliary=["", "a good caption", "", ""]), numbers)
    wrapped, found = wrap(model), {}
    for step in range(2):
        loss = wrapped(**batch).loss
        wrapped.zero_grad()
        loss.backward()
        found[f"loss {step}"] = loss.detach()
        with torch.no_grad():
            for part, weight in model.named_parameters():
                if weight.requires_grad:
                    found[f"{part} {step}"] = weight.grad.clone()
                    weight -= 0.1 * weight.grad
    return found | {f"buffer {part}": values.double() for part, values in model.named_buffers()}


def over_processes(model: SentimentModel) -> nn.Module:
    """A model whose gradients are averaged over the processes, as the trainer wraps it."""
    share_batch_statistics(model)
    return DistributedDataParallel(model)


def test_every_model_has_the_losses_gradients_and_statistics_of_the_whole_batch(tmp_path: Path) -> None:
    whole = {name: two_steps(name, [*SHARES[0], *SHARES[1]], lambda model: model) for name in STEPPED}

    def work() -> dict[str, dict[str, Tensor]]:
        rows = SHARES[int(os.environ["RANK"])]
        return {name: two_steps(name, rows, over_processes) for name in STEPPED}

    shares = in_two_processes(work, tmp_path)
    for name, expected in whole.items():
        for part, values in expected.items():
            found = [share[name][part] for share in shares]
            if part.startswith("loss"):  # each process knows the task's loss of its own rows alone
                found = [torch.stack(found).mean()]
            # Small gradients of sums of large terms differ by the terms' rounding.
            for one in found:
                assert torch.allclose(one, values, atol=1e-5, rtol=1e-4), (name, part)


def test_batch_norms_run_over_the_rows_of_all_processes(tmp_path: Path) -> None:
    torch.manual_seed(3)
    norms = [BatchNormAct2d(3), nn.BatchNorm2d(3, momentum=None, affine=False)]
    norms.append(nn.BatchNorm1d(3, track_running_stats=False))
    shapes = ((4, 3, 5, 2), (4, 3, 1, 1), (4, 3))
    rows = [4 * torch.randn(shape) + 9 for shape in shapes]

    def run(norm: nn.Module, given: Tensor) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        given = given.clone().requires_grad_()
        output = norm(norm(given))
        (output.sin() * output).sum().backward()
        return output.detach(), given.grad, norm.state_dict()

    def work() -> list[Any]:
        share_batch_statistics(nn.ModuleList(norms))
        own = [given.chunk(2)[int(os.environ["RANK"])] for given in rows]
        return [run(norm, given) for norm, given in zip(norms, own, strict=True)]

    shares = in_two_processes(work, tmp_path)
    for number, norm in enumerate(norms):
        output, gradient, state = run(norm, rows[number])
        assert gradient is not None
        assert torch.allclose(torch.cat([share[number][0] for share in shares]), output, atol=1e-5)
        assert torch.allclose(torch.cat([share[number][1] for share in shares]), gradient, atol=1e-4)
        for share in shares:
            assert all(torch.allclose(share[number][2][name], state[name]) for name in state)


# --- whole runs ---


class Stopped(Exception):  # noqa: N818  no error
    """Ends a training as a kill would."""


def stop_in_second_epoch(epoch: int, score: float) -> None:
    """The first epoch's checkpoint is there, the second's is not."""
    if epoch == 2:
        raise Stopped


def test_a_run_of_two_processes_ends_as_one_of_a_single_process_and_is_resumed_exactly(tmp_path: Path) -> None:
    source = open_release(small_release(tmp_path / "r"))
    config = tiny_config(tmp_path, epochs=2)
    plain = tmp_path / "plain.toml"
    nothing = "hidden_dropout_prob = 0.0\nattention_probs_dropout_prob = 0.0\n"
    plain.write_text(
        config.read_text()
        .replace("dropout = 0.1", "dropout = 0\ncross_attention.dropout = 0")
        .replace("num_hidden_layers", nothing + "num_hidden_layers")
    )

    def train(config: Path, output: str) -> Path:
        return train_models(source, config, tmp_path / output, ("fgmfn",), progress=False)[0].checkpoint

    def work() -> dict[str, Any]:
        folders = {"plain": train(plain, "both"), "undisturbed": train(config, "undisturbed")}
        run = plan_run("fgmfn", source, config, tmp_path / "stopped")
        with pytest.raises(Stopped):
            train_run(run, progress=False, after_epoch=stop_in_second_epoch)
        checkpoints = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
        resumed = train_run(run, progress=False)
        again = train_run(run, progress=False)
        sys.argv = ["fgmfn", "train", "--data", str(source.path), "--config", str(config), "--model", "tfidf"]
        sys.argv += ["--output", str(tmp_path / "fitted"), "--json"]
        with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
            main()
        return folders | {"resumed": resumed, "again": again, "left": checkpoints, "printed": printed.getvalue()}

    first, second = in_two_processes(work, tmp_path)
    assert (first["left"], first["again"].already_trained) == (["checkpoint-3"], True)
    assert (json.loads(first.pop("printed"))[0]["test"]["rows"], second.pop("printed")) == (8, "")
    assert first == second
    record = json.loads((first["plain"] / "metrics.json").read_text())
    assert record["devices"] == {"count": 2, "batch_size": 4}
    assert [epoch["parts"]["rows"] for epoch in record["epochs"]] == [4, 4]  # the first process has looked
    undisturbed, resumed = (
        json.loads((folder / "metrics.json").read_text())["epochs"]
        for folder in (first["undisturbed"], first["resumed"].checkpoint)
    )
    assert [epoch["parts"] for epoch in undisturbed] == [epoch["parts"] for epoch in resumed]

    alone = train(plain, "alone")
    assert alone.name != first["plain"].name
    alone_record = json.loads((alone / "metrics.json").read_text())
    for split in ("dev", "test"):
        one, other = alone_record[split], record[split]
        calibrations = [scores.pop("calibration") for scores in (one, other)]  # of confidences, and so of rounding
        assert one == other
        assert calibrations[0]["brier"] == pytest.approx(calibrations[1]["brier"], rel=5e-3)
    for one, other in zip(alone_record["history"], record["history"], strict=True):
        assert one == pytest.approx(other, rel=5e-3)  # Adam takes a gradient's rounding for a direction
    assert_equal_weights(first["undisturbed"], first["resumed"].checkpoint)


def assert_equal_weights(*runs: Path) -> None:
    one, other = (load_file(folder / "model.safetensors") for folder in runs)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_steps_in_parts_and_averaged_weights_are_resumed_exactly_by_two_processes(tmp_path: Path) -> None:
    source, config = open_release(small_release(tmp_path / "r")), tiny_config(tmp_path, epochs=2)
    changes = {"training": {"accumulation": 2, "ema_decay": 0.9}}

    def work() -> tuple[list[Path], list[Any]]:
        runs = [
            plan_run("text_only", source, config, tmp_path / output, changes=changes) for output in ("whole", "stopped")
        ]
        train_run(runs[0], progress=False)
        with pytest.raises(Stopped):
            train_run(runs[1], progress=False, after_epoch=stop_in_second_epoch)
        left = {file.name for file in (runs[1].folder / "checkpoints").glob("checkpoint-*/*")}
        assert "training_weights.safetensors" in left
        train_run(runs[1], progress=False)
        return [run.folder for run in runs], [json.loads((run.folder / "metrics.json").read_text()) for run in runs]

    (folders, records), _ = in_two_processes(work, tmp_path)
    assert_equal_weights(*folders)
    assert records[0]["history"][:-1] == records[1]["history"][:-1]  # the last is a sum since the resumption
    # the loss of a step is the mean over its parts, as one process with all rows has it, and so are its averages
    nothing = {"text_config": {"num_hidden_layers": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    plain = nothing | {"dropout": 0.0, "pretrained": False}

    def losses(training: dict[str, Any], output: str) -> list[dict[str, float]]:
        run = plan_run("text_only", source, config, tmp_path / output, changes=plain | {"training": training})
        train_run(run, progress=False)
        history: list[dict[str, float]] = json.loads((run.folder / "metrics.json").read_text())["history"]
        return history

    (shared, _) = in_two_processes(lambda: losses(changes["training"], "shared"), tmp_path)
    for one, other in zip(losses({"ema_decay": 0.9}, "alone")[:-1], shared[:-1], strict=True):
        assert one == pytest.approx(other, rel=5e-3)


def test_what_the_first_process_refuses_all_refuse(tmp_path: Path) -> None:
    def refuse() -> None:
        assert is_first_process()
        raise DataError("no rows")

    def work() -> str:
        with pytest.raises(DataError) as refused:
            from_first_process(refuse)
        return str(refused.value)

    assert in_two_processes(work, tmp_path) == ["no rows", "no rows"]


# --- plans and finished runs ---


def test_a_batch_is_shared_evenly_and_the_number_of_devices_is_part_of_the_key(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    source = open_release(folder / "releases/2026.11.24")

    def planned(name: str, processes: int) -> str:
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        return plan_run(name, source, folder / "config.toml", folder).folder.name

    assert len({planned("fgmfn", processes) for processes in (1, 2, 4)}) == 3
    assert len({planned("tfidf", processes) for processes in (1, 2, 3)}) == 1
    with pytest.raises(ConfigError, match="batch_size = 8; expected a multiple of 3"):
        planned("fgmfn", 3)


def test_several_visible_gpus_do_not_split_a_batch_without_a_launcher(tmp_path: Path) -> None:
    arguments = Arguments(output_dir=str(tmp_path), use_cpu=True)
    arguments._n_gpu = 4
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, arguments.per_device_train_batch_size)


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_run_has_finished_when_all_that_was_scored_is_there(finished: Finished, tmp_path: Path, lost: str) -> None:
    copied = shutil.copytree(finished[1][1].checkpoint, tmp_path / "run")
    assert read_trained(copied) is not None
    (copied / lost).write_bytes((copied / lost).read_bytes() + b" ")
    with pytest.raises(FgmfnError, match=f"{lost}: not the file that was scored"):
        read_trained(copied)
    (copied / lost).unlink()
    assert read_trained(copied) is None


def test_scores_without_weights_are_trained_anew(finished: Finished, tmp_path: Path) -> None:
    folder, trained = finished
    copied = shutil.copytree(trained[1].checkpoint, tmp_path / trained[1].checkpoint.name)
    (copied / "model.safetensors").unlink()
    (again,) = train_models(folder / "releases/2026.11.24", folder / "config.toml", tmp_path, ("text_only",))
    assert (again.already_trained, again.test) == (False, trained[1].test)
