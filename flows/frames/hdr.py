"""High dynamic range brought to an ordinary screen's: what a player shows who has no better one.

Light above the white of print and subtitles (203 cd/m2 by ITU-R BT.2408) is rolled off instead of clipped, and the
wide colours of BT.2020 are brought to those of BT.709.
"""

from __future__ import annotations

import enum
from functools import cache

import numpy as np
from numpy.typing import NDArray

_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
"""What most content is graded for; brighter light becomes white."""
_KNEE = 0.75
"""Share of the screen's light up to which nothing is changed."""
_LEVELS = 65_536
# linear BT.2020 to linear BT.709, both with white D65 (ITU-R BT.2087)
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)


class Transfer(enum.IntEnum):
    """How code values stand for light; the numbers are those of ITU-T H.273."""

    PQ = 16
    HLG = 18

    @classmethod
    def of(cls, code: int) -> Transfer | None:
        """The transfer that a frame states, None if it is an ordinary one."""
        return cls(code) if code in tuple(cls) else None


def tone_mapped(deep: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """Convert a picture.

    Args:
        deep: [height, width, 3], red first, 16 bits a value.
        transfer: how its values stand for light.

    Returns:
        [height, width, 3], blue first, 8 bits a value.
    """
    # by the brightest of the three, so that hues stay
    light = _light(transfer)[deep] @ _TO_BT709.T
    brightest = light.max(axis=2, keepdims=True)
    light *= _rolled_off(brightest) / np.maximum(brightest, 1e-6)
    shown = _codes()[(np.clip(light, 0.0, 1.0) * (_LEVELS - 1)).astype(np.uint16)]
    return np.ascontiguousarray(shown[..., ::-1])


def _rolled_off(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light of 0 to the peak as 0 to 1: as it is up to the knee, then ever slower."""
    above = np.clip(light - _KNEE, 0.0, _PEAK_NITS / _WHITE_NITS - _KNEE)
    room, rest = 1.0 - _KNEE, _PEAK_NITS / _WHITE_NITS - _KNEE
    # begins at the knee with slope 1 and is 1 at the peak
    bent = above / (1.0 + above * (1.0 / room - 1.0 / rest))
    return np.where(light <= _KNEE, light, _KNEE + bent).astype(np.float32)


@cache
def _light(transfer: Transfer) -> NDArray[np.float32]:
    """Linear light by 16-bit code value; 1.0 is the white of print."""
    code = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
    if transfer is Transfer.PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:  # ARIB STD-B67: scene light, then the system gamma of a screen of 1,000 cd/m2
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = 1000 * scene**1.2
    return (nits / _WHITE_NITS).astype(np.float32)


@cache
def _codes() -> NDArray[np.uint8]:
    """8-bit code value by linear light in 65,536 steps: the inverse of a screen's gamma (ITU-R BT.1886)."""
    light = np.arange(_LEVELS, dtype=np.float64) / (_LEVELS - 1)
    return np.round(255 * light ** (1 / 2.4)).astype(np.uint8)
