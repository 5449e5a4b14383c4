"""Operations, time and memory of a function or a network, on a CPU or a GPU."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def count_flops(network: nn.Module, batch: Mapping[str, Tensor]) -> int:
    """Return the operations of one forward pass over a batch, the same on every device.

    Args:
        network: in evaluation.
        batch: the keywords of its `forward`.
    """
    counter = FlopCounterMode(display=False)
    with _plain_attention(), counter, _recurrent_layers(network, counter) as corrections:
        network(**batch)
    return int(counter.get_total_flops()) + sum(corrections)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention run as the matrix products that it is: fused kernels are counted on some devices only."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _recurrent_layers(network: nn.Module, counter: FlopCounterMode) -> Iterator[list[int]]:
    """Collect corrections of a counter that knows no kernel of recurrent layers, but may know what one consists of."""
    corrections: list[int] = []
    counted_before: list[int] = []

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        counted_before.append(counter.get_total_flops())

    def after(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], outputs: object) -> None:
        counted = counter.get_total_flops() - counted_before.pop()
        sequence = inputs[0] if inputs else named["input"]
        corrections.append(recurrent_flops(layer, sequence) - counted)

    layers = [layer for layer in network.modules() if isinstance(layer, nn.RNNBase)]
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    handles += [layer.register_forward_hook(after, with_kwargs=True) for layer in layers]
    try:
        yield corrections
    finally:
        for handle in handles:
            handle.remove()


def recurrent_flops(layer: nn.Module, sequence: Tensor | PackedSequence) -> int:
    """Return the operations of an LSTM, a GRU or an RNN: each step multiplies each of its matrices once.

    Args:
        layer: with any number of layers and directions.
        sequence: what it reads, [B, n, size], or packed.
    """
    steps = len(sequence.data) if isinstance(sequence, PackedSequence) else math.prod(sequence.shape[:-1])
    return 2 * steps * sum(weight.numel() for weight in layer.parameters() if weight.ndim == 2)


FEWEST = 3
"""Runs that a median is taken of, however long they take."""


@dataclass(frozen=True)
class Repeats:
    """Numbers of runs; both end early when the time is up."""

    warm_up: int
    """Runs beforehand, which are not timed."""
    runs: int
    most_s: float
    """Time for the timed runs; a third of it for those beforehand."""


@dataclass(frozen=True)
class Timing:
    """Seconds per run."""

    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    runs: int


def time_runs(run: Callable[[], object], repeats: Repeats, device: torch.device) -> Timing:
    """Time a function, each time until the device has finished."""
    for _ in _within(repeats.warm_up, repeats.most_s / 3, fewest=1):
        run()
        finish(device)
    seconds = []
    for _ in _within(repeats.runs, repeats.most_s, fewest=min(FEWEST, repeats.runs)):
        started = time.perf_counter()
        run()
        finish(device)
        seconds.append(time.perf_counter() - started)
    lower, median, upper = (float(value) for value in np.percentile(seconds, (25, 50, 75)))
    return Timing(median, lower, upper, len(seconds))


def _within(count: int, most_s: float, *, fewest: int) -> Iterator[int]:
    """Count up to a number, or until the time is up."""
    end = time.perf_counter() + most_s
    for number in range(count):
        if number >= fewest and time.perf_counter() > end:
            return
        yield number


def finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do; a CPU has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Let a GPU's peak start anew from what is held now; a process's peak on a CPU never falls."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Return the most memory held at once, by tensors on a GPU, by the whole process on a CPU; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux alone tells it of this very process; `ru_maxrss` is inherited from the one that started it.
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text("utf-8"), re.MULTILINE) if status.is_file() else None
    return int(found[1]) * 1024 if found else None
