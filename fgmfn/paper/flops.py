"""Floating-point operations of one forward pass: twice the multiply-accumulates of its matrix products.

Counted are matrix products, convolutions, attention and recurrent layers. Left out is all that works element by
element or along one axis: activations, softmax, norms, pooling, sums, looking up embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
