"""Pictures as a viewer shows them, and as callers give them: of Pillow, an array, a tensor, a file or an address."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import httpx2 as httpx  # as the hub's client does
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from fgmfn.errors import InputError

CHANNELS = (1, 3, 4)
"""Grey, colours, colours and opacity."""

NO_PICTURE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError)
"""Errors that Pillow raises for bytes that are not a picture or too large to decode."""

TIMEOUT_S = 30.0
"""Timeout of a picture that is fetched."""


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
    white = 1 if floats or values.dtype == np.bool_ else 255
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        white = 65535
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
        given: one picture or several in anything that can be gone through, or an array of several; lists within may
            hold one each. A picture is one of Pillow; an array or tensor [H, W], [H, W, C] or [C, H, W] of bytes, of
            16 bits or of floats from 0 to 1; a file's content, as bytes, opened or within `{"bytes": ..., "path": ...}`
            as datasets have it; or a str or path of a file, a `http` address or base64.

    Raises:
        InputError: Something given is none of these.
    """
    if isinstance(given, torch.Tensor):
        given = _array(given)
    if isinstance(given, np.ndarray) and given.ndim == 4:
        given = list(given)
    pictures = [_as_picture(one, number) for number, one in enumerate(given if several(given) else [given], 1)]
    if not pictures:
        raise InputError("images is empty; expected one picture or more")
    return pictures


ONE_PICTURE = (str, bytes, bytearray, os.PathLike, Image.Image, np.ndarray, torch.Tensor, Mapping)


def several(given: Any) -> bool:
    """Return whether something is a collection of pictures, or ads, and not a single one."""
    return isinstance(given, Iterable) and not isinstance(given, ONE_PICTURE) and not hasattr(given, "read")


def _as_picture(given: Any, number: int) -> Image.Image:
    if several(given):
        held = list(given)
        if len(held) != 1:
            raise InputError(f"picture {number} is a {type(given).__name__} of {len(held)}; expected one picture")
        (given,) = held
    if isinstance(given, torch.Tensor):
        given = _array(given)
    if isinstance(given, Mapping):  # of a column of pictures, as datasets has it
        known = [given.get("bytes"), given.get("path")]
        given = next((value for value in known if value is not None), given)
    try:
        if isinstance(given, Image.Image):
            return as_seen(given)
        if isinstance(given, np.ndarray):
            return as_seen(Image.fromarray(_channels_last(given)))
        if isinstance(given, str | bytes | bytearray | os.PathLike) or hasattr(given, "read"):
            return as_seen(Image.open(_opened(given)))
    except (*NO_PICTURE, httpx.HTTPError, httpx.InvalidURL) as error:
        shown = f" {os.fspath(given)[:200]!r}" if isinstance(given, str | os.PathLike) else ""
        reason = "no picture" if isinstance(error, UnidentifiedImageError) else str(error)[:200]
        raise InputError(f"picture {number}{shown} cannot be read: {reason}") from error
    raise InputError(
        f"picture {number} is a {type(given).__name__}; expected one of Pillow, an array, a tensor or a path"
    )


def _opened(given: Any) -> Any:
    """Return a file, or its name, where bytes, an address or base64 is given."""
    if isinstance(given, bytes | bytearray):
        return BytesIO(given)
    if not isinstance(given, str) or os.path.isfile(given):  # noqa: PTH113  pathlib raises an error for base64
        return given
    if given.startswith(("http://", "https://")):
        return BytesIO(httpx.get(given, timeout=TIMEOUT_S, follow_redirects=True).raise_for_status().content)
    try:
        encoded = given.partition(",")[2] if given.startswith("data:") else given
        return BytesIO(base64.b64decode("".join(encoded.split()), validate=True))
    except ValueError:
        raise FileNotFoundError("no such file, and neither an address nor base64") from None


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
