"""Pictures as a viewer shows them, and as callers give them: of Pillow, an array, a tensor, a file or an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers.image_utils import load_image

from fgmfn.errors import InputError

CHANNELS = (1, 3, 4)
"""Grey, colours, colours and opacity."""

NO_PICTURE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError)
"""What Pillow raises for bytes that are no picture or none of a size to be decoded."""


def as_seen(image: Image.Image) -> Image.Image:
    """Return a picture in RGB as a viewer shows it; one that is only opened is read now."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode.startswith("I"):  # Pillow's whole numbers, whatever their size, are those of 16 bits
            if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
                raise ValueError(f"whole numbers from {values.min()} to {values.max()}; expected 0 to 65535")
            values = values.astype(np.uint16)
        image = Image.fromarray(_eight_bits(values))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Return numbers as bytes, by their type and never by the greatest of them.

    Floats are 0 to 1, two bytes 0 to 65535, false and true black and white, all others bytes already.

    Raises:
        ValueError: Numbers are beyond that.
    """
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
        raise ValueError(f"an array of {values.dtype}; expected numbers")
    floats = np.issubdtype(values.dtype, np.floating)
    white = (
        1
        if floats or values.dtype == np.bool_
        else 65535
        if values.dtype.itemsize == 2 and values.dtype.kind == "u"
        else 255
    )
    lowest, highest = values.min(initial=0), values.max(initial=0)
    slack = 1e-3 if floats else 0  # of resampling and half precision
    if not (-slack <= lowest and highest <= white + slack):  # nor where one is not a number
        raise ValueError(
            f"numbers from {lowest} to {highest} in an array of {values.dtype}; expected a picture that is not "
            f"normalised, with 0 to {white}, or bytes (uint8)"
        )
    return (values.astype(np.float64) * (255 / white)).round().clip(0, 255).astype(np.uint8)


def as_pictures(given: Any) -> list[Image.Image]:
    """Return what a caller gives as pictures in RGB.

    Args:
        given: one picture or a sequence of them, or an array of several. A picture is one of Pillow; an array or tensor
            [H, W], [H, W, C] or [C, H, W] of bytes, of 16 bits or of floats from 0 to 1; or a str or path of a file,
            a `http` address or base64, as transformers reads it.

    Raises:
        InputError: Something given is none of these.
    """
    if isinstance(given, torch.Tensor):
        given = _array(given)
    if isinstance(given, np.ndarray) and given.ndim == 4:
        given = list(given)
    several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    pictures = [_as_picture(one, number) for number, one in enumerate(given if several else [given], 1)]
    if not pictures:
        raise InputError("images is empty; expected one picture or more")
    return pictures


def _as_picture(given: Any, number: int) -> Image.Image:
    if isinstance(given, torch.Tensor):
        given = _array(given)
    try:
        if isinstance(given, Image.Image):
            return as_seen(given)
        if isinstance(given, np.ndarray):
            return as_seen(Image.fromarray(_channels_last(given)))
        # pathlib raises an error for base64: no name is that long
        if isinstance(given, os.PathLike) or (isinstance(given, str) and os.path.isfile(given)):  # noqa: PTH113
            return as_seen(Image.open(given))
        if isinstance(given, str):
            return load_image(given)
    except NO_PICTURE as error:
        shown = f" {os.fspath(given)[:200]!r}" if isinstance(given, str | os.PathLike) else ""
        raise InputError(f"picture {number}{shown} cannot be read: {str(error)[:200]}") from error
    raise InputError(
        f"picture {number} is a {type(given).__name__}; expected one of Pillow, an array, a tensor or a path"
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _channels_last(values: np.ndarray) -> np.ndarray:
    """Return bytes [H, W] or [H, W, C]; of a picture whose first axis could be C as well, that one is."""
    shape = values.shape
    if values.ndim == 3 and (shape[0] in (1, 3) or (shape[0] == 4 and shape[2] not in CHANNELS)):
        values = values.transpose(1, 2, 0)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in CHANNELS) or not values.size:
        raise ValueError(f"an array of shape {shape}; expected [H, W], [H, W, C] or [C, H, W]")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    return np.ascontiguousarray(_eight_bits(values))
