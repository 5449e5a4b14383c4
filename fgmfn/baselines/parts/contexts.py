"""The two sides of a target in its sentence, each as a padded sequence of its own."""

from __future__ import annotations

from torch import Tensor

from fgmfn.baselines.parts.masking import positions


def left_and_right(ids: Tensor, mask: Tensor, span: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Cut sentences at their targets.

    Args:
        ids: tokens, [B, n].
        mask: where a token is real, [B, n].
        span: first token of the target and the one behind its last, [B, 2]; (0, 0) where it does not stand there.

    Returns:
        Tokens and mask, [B, n] each, of what is left of the target and of what is right of it; both begin at
        position 0, neither holds the target. Behind the mask's end stand tokens that mean nothing.
    """
    start, end = span.unbind(dim=1)
    nowhere, everywhere = end.new_zeros(end.shape), end.new_full(end.shape, ids.shape[1])
    left, right = positions(mask, nowhere, start), positions(mask, end, everywhere)
    # A stable sort by "not on the right" brings the right side to the front in its own order.
    order = (~right).int().argsort(dim=1, stable=True)
    return (ids, left), (ids.gather(1, order), right.gather(1, order))
