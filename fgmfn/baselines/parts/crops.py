"""The stand-in for an object detector: the whole picture and its four quarters, cut from `pixel_values` itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CROPS = 5
BOXES = ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.5, 0.5, 1.0, 1.0))
"""Left, top, right and bottom of each crop, as shares of the picture."""


def whole_and_quarters(pixel_values: Tensor, count: int = CROPS) -> Tensor:
    """Turn [B, 3, H, W] into [B, count, 3, H, W]: the whole, then the quarters row by row, each at full size."""
    height, width = pixel_values.shape[-2:]
    crops = [
        pixel_values[..., int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        for left, top, right, bottom in BOXES[:count]
    ]
    resized = [
        F.interpolate(crop, size=(height, width), mode="bilinear", align_corners=False)
        if crop.shape != pixel_values.shape
        else crop
        for crop in crops
    ]
    return torch.stack(resized, dim=1)


def grid_boxes(grid: int, device: torch.device | None = None) -> Tensor:
    """Left, top, right, bottom and area of a grid's cells row by row, as shares of the picture: [grid * grid, 5]."""
    edges = torch.arange(grid, device=device) / grid
    top, left = (axis.flatten() for axis in torch.meshgrid(edges, edges, indexing="ij"))
    return torch.stack([left, top, left + 1 / grid, top + 1 / grid, torch.full_like(left, 1 / grid**2)], dim=1)
