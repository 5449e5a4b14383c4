"""Training by several processes, as torchrun starts them: decisions of the first process, and sums over all.

Every process holds the same weights and its share of each batch. A loss that couples rows, and batch statistics, must
run over the rows of all processes, or the training would be another one than that of the whole batch in one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from accelerate import PartialState
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fgmfn.errors import FgmfnError

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=1)
"""Longest wait for the first process to score and write; torchrun ends the others if one fails."""


def process_count() -> int:
    """Number of processes that torchrun started for this training; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Return whether this process writes files and reports."""
    return int(os.environ.get("RANK", "0")) == 0


def join_processes() -> None:
    """Connect to the other processes, over gloo without a GPU; a single process does nothing."""
    if process_count() > 1 and not dist.is_initialized():
        PartialState(cpu=not torch.accelerator.is_available(), timeout=LONGEST_WAIT)


def from_first_process(make: Callable[[], T]) -> T:
    """Call a function in the first process alone; return its result, or raise its error, in all of them."""
    if process_count() == 1:
        return make()
    made: list[Any] = [None, None]
    if is_first_process():
        try:
            made[0] = make()
        except (FgmfnError, OSError) as error:
            made[1] = error
    dist.broadcast_object_list(made)
    if made[1] is not None:
        raise made[1]
    return made[0]


class _Sum(torch.autograd.Function):
    """The sum over all processes; each gradient is the sum of theirs, since each of their losses depends on it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


def all_rows(rows: Tensor) -> Tensor:
    """Rows [B, ...] of all processes, each of which has as many: [processes * B, ...], with their gradients.

    A single process gets its own rows.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    others = [0] * (2 * (rows.ndim - 1))
    before, behind = dist.get_rank() * len(rows), (dist.get_world_size() - dist.get_rank() - 1) * len(rows)
    padded = F.pad(rows, [*others, before, behind])
    total: Tensor = _Sum.apply(padded)
    return total


def mean_count(count: Tensor) -> Tensor:
    """Mean over the processes of a number of rows, by which sums over them become means over those of all.

    Every process must call it; a single process gets its own number.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return count
    total: Tensor = _Sum.apply(count.float())
    return total / dist.get_world_size()


def share_batch_statistics(model: nn.Module) -> None:
    """Compute a model's batch norms over the rows of all processes in training."""
    if process_count() == 1:
        return
    if torch.accelerator.is_available():
        convert_sync_batchnorm(model)
        return
    # PyTorch's own runs only on GPUs.
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]


def _batch_norm(module: Any, states: Tensor) -> Tensor:
    """As `torch.nn.SyncBatchNorm`, or timm's with its activation, on states [B, channels, ...] of one size."""
    if not module.training:
        return type(module).forward(module, states)
    axes = [axis for axis in range(states.ndim) if axis != 1]
    count = dist.get_world_size() * states.numel() // states.shape[1]
    mean = _Sum.apply(states.sum(axes)) / count
    centred = states - _along_channels(mean, states)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    if module.track_running_stats:
        with torch.no_grad():
            module.num_batches_tracked += 1
            rate = module.momentum if module.momentum is not None else 1 / float(module.num_batches_tracked)
            module.running_mean.lerp_(mean, rate)
            module.running_var.lerp_(variance * count / max(1, count - 1), rate)
    normed = centred * _along_channels((variance + module.eps).rsqrt(), states)
    if module.affine:
        normed = normed * _along_channels(module.weight, states) + _along_channels(module.bias, states)
    for name in ("drop", "act"):  # of timm's layers
        normed = getattr(module, name, nn.Identity())(normed)
    return normed


def _along_channels(values: Tensor, states: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (states.ndim - 2))
