"""Data that models learn from: a release, the Twitter sets, or any table with pictures, all of one shape.

`open_source` opens any of them; `SplitDataset` and `Collator` make a model's batches of its rows.
"""

from __future__ import annotations

from fgmfn.data.batches import Collator, SplitDataset
from fgmfn.data.opening import open_source
from fgmfn.data.release import find_release, open_release
from fgmfn.data.rows import SPLITS, Rows, Source, identity

__all__ = [
    "SPLITS",
    "Collator",
    "Rows",
    "Source",
    "SplitDataset",
    "find_release",
    "identity",
    "open_release",
    "open_source",
]
