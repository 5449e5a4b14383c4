"""Rows that nobody keeps: pictures and words that a caller holds and asks about."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from fgmfn.data.rows import NOWHERE, Rows


@dataclass(frozen=True)
class GivenPictures:
    """Pictures in memory, encoded without loss when they are read."""

    images: Sequence[Image.Image]

    def read(self, row: int) -> bytes:
        """Return the row's picture in its colours."""
        encoded = io.BytesIO()
        self.images[row].convert("RGB").save(encoded, "BMP")
        return encoded.getvalue()


def given_rows(
    images: Sequence[Image.Image],
    texts: Sequence[str],
    targets: Sequence[str] | None,
    auxiliary: Sequence[str] | None,
    *,
    has_targets: bool,
) -> Rows:
    """Make rows of what is given; their labels say nothing.

    Args:
        images: one picture per text, or none.
        texts: the words.
        targets: what each text is about, or an ad's category; None: nothing.
        auxiliary: further words per text.
        has_targets: False where the targets are categories, which have no place in the text whatever it says.
    """
    about = list(targets or [""] * len(texts))
    starts = [text.find(target) if has_targets and target else -1 for text, target in zip(texts, about, strict=True)]
    names = [str(number) for number in range(len(texts))]
    return Rows(
        name=names,
        group=names,
        text=list(texts),
        target=about,
        span=[NOWHERE if at < 0 else (at, at + len(target)) for at, target in zip(starts, about, strict=True)],
        label=[0] * len(texts),
        picture=names,
        pictures=GivenPictures(images) if len(images) else None,
        has_targets=has_targets,
        auxiliary=None if auxiliary is None else list(auxiliary),
    )
