"""Data that models learn from: a release, the Twitter sets, or any table with pictures, all of one shape.

`open_source` opens any of them; `SplitDataset` and `Collator` make a model's batches of its rows.
"""

from __future__ import annotations

from pathlib import Path

from fgmfn.data.batches import Collator, SplitDataset
from fgmfn.data.release import find_release, open_release
from fgmfn.data.rows import SPLITS, Rows, Source, identity
from fgmfn.data.table import TABLE_ENDINGS, open_table
from fgmfn.data.twitter import TWITTER_SETS, open_twitter
from fgmfn.settings import SourceSettings

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


def open_source(data: Path | str, settings: SourceSettings | None = None) -> Source:
    """Open data to train on; pictures are read later.

    Args:
        data: the name of a Twitter set, a release folder or a folder of releases, or a folder or file of tables.
        settings: where pictures lie and what columns are called.

    Raises:
        DataError: There is no such data, or something in it is not what it must be.
    """
    settings = settings or SourceSettings()
    if str(data) in TWITTER_SETS:
        return open_twitter(str(data), settings.data_dir, settings.images)
    path = Path(data)
    if path.is_file() or _has_tables(path):
        return open_table(path, settings)
    return open_release(find_release(path))


def _has_tables(path: Path) -> bool:
    if (path / "manifest.json").is_file() or not path.is_dir():
        return False
    return any(file.suffix.lower() in TABLE_ENDINGS for file in path.iterdir())
