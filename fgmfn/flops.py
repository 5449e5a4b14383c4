"""Floating-point operations of a model, and the share of a device's peak that its training reaches (MFU)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence
from torch.utils.flop_counter import FlopCounterMode

PEAKS: dict[str, dict[str, float]] = {
    "H200": {"bf16": 989e12, "tf32": 494e12, "fp32": 67e12},
    "H200 NVL": {"bf16": 836e12, "tf32": 418e12, "fp32": 60e12},
    "H100": {"bf16": 989e12, "tf32": 494e12, "fp32": 67e12},
    "H100 PCIe": {"bf16": 756e12, "tf32": 378e12, "fp32": 51e12},
    "H100 NVL": {"bf16": 835e12, "tf32": 417e12, "fp32": 60e12},
    "A100": {"bf16": 312e12, "tf32": 156e12, "fp32": 19.5e12},
    "A10": {"bf16": 125e12, "tf32": 62.5e12, "fp32": 31.2e12},
    "L40S": {"bf16": 362e12, "tf32": 183e12, "fp32": 91.6e12},
    "L4": {"bf16": 121e12, "tf32": 60e12, "fp32": 30.3e12},
    "T4": {"fp32": 8.1e12},
    "V100": {"fp32": 15.7e12},
}
"""FLOP/s by GPU and precision, without sparsity, from NVIDIA's data sheets; some give twice this, with sparsity."""


def peak_flops(device_name: str, precision: str) -> float | None:
    """Return a device's peak operations per second by its data sheet, or None if it is not listed here.

    Args:
        device_name: CUDA's name for it, such as `NVIDIA H100 80GB HBM3`.
        precision: precision of matrix products: `bf16`, `tf32` or `fp32`.
    """
    words = device_name.replace("-", " ").split()
    # a MIG slice has only a part of its GPU's peak
    named = [name for name in PEAKS if {*name.split()} <= {*words} and "MIG" not in words]
    return PEAKS[max(named, key=len)].get(precision) if named else None


def count_flops(network: nn.Module, batch: Mapping[str, Tensor]) -> int:
    """Return the operations of one forward pass over a batch, the same on every device.

    Args:
        network: in evaluation mode.
        batch: keyword arguments of its `forward`.
    """
    return _count(network, batch)[0]


def training_flops(network: nn.Module, batch: Mapping[str, Tensor]) -> int:
    """Return the operations of a training step: three times a forward pass, once for parts that never train.

    Recomputation to save memory is not counted. The mode, the statistics and the random state are not changed.
    """
    was_training = network.training
    network.eval()
    try:
        total, frozen = _count(network, batch)
    finally:
        network.train(was_training)
    return 3 * total - 2 * frozen


@torch.no_grad()
def _count(network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return the operations of a forward pass, and those of the children that never train."""
    counter, corrections, frozen = FlopCounterMode(display=False), list[int](), list[int]()

    def counted() -> int:
        return int(counter.get_total_flops()) + sum(corrections)

    def correct(layer: nn.Module, sequence: Tensor | PackedSequence, before: int) -> None:
        # the counter does not know recurrent kernels, but may count the operations inside one
        corrections.append(recurrent_flops(layer, sequence) - (counted() - before))

    def add(part: nn.Module, given: Any, before: int) -> None:
        frozen.append(counted() - before)

    recurrent = [layer for layer in network.modules() if isinstance(layer, nn.RNNBase)]
    constant = [part for part in network.children() if _never_trains(part)]
    with _plain_attention(), counter, _watched(recurrent, counted, correct), _watched(constant, counted, add):
        network(**batch)
    return counted(), sum(frozen)


def _never_trains(part: nn.Module) -> bool:
    weights = list(part.parameters())
    return len(weights) > 0 and not any(weight.requires_grad for weight in weights)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Compute attention by plain matrix products: fused kernels are counted only on some devices."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _watched(
    parts: Sequence[nn.Module], counted: Callable[[], int], then: Callable[[nn.Module, Any, int], None]
) -> Iterator[None]:
    """Call a function after each forward pass of some parts, with the part, its first input and the earlier count."""
    before: list[int] = []

    def begin(part: nn.Module, inputs: tuple[Any, ...]) -> None:
        before.append(counted())

    def end(part: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], outputs: object) -> None:
        then(part, inputs[0] if inputs else named.get("input"), before.pop())

    handles = [part.register_forward_pre_hook(begin) for part in parts]
    handles += [part.register_forward_hook(end, with_kwargs=True) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def recurrent_flops(layer: nn.Module, sequence: Tensor | PackedSequence) -> int:
    """Return the operations of an LSTM, a GRU or an RNN: each step multiplies each of its matrices once.

    Args:
        layer: recurrent layer with any number of layers and directions.
        sequence: its input, [B, n, size] or packed.
    """
    steps = len(sequence.data) if isinstance(sequence, PackedSequence) else math.prod(sequence.shape[:-1])
    return 2 * steps * sum(weight.numel() for weight in layer.parameters() if weight.ndim == 2)
