"""Data to train on: a release, the Twitter sets, or any table with pictures, all in one form.

`open_source` opens any of them; `SplitDataset` and `Collator` turn rows into a model's batches.
"""

from __future__ import annotations

from pathlib import Path

from fgmfn.data.batches import Collator, SplitDataset
from fgmfn.data.reading import OTHERWISE
from fgmfn.data.release import find_release, open_release
from fgmfn.data.rows import SPLITS, Rows, Source, identity
from fgmfn.data.table import open_table, table_files
from fgmfn.data.twitter import TWITTER_SETS, open_twitter
from fgmfn.errors import DataError
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
        settings: picture folders and column names.

    Raises:
        DataError: There is no such data, or something in it is invalid.
    """
    settings = settings or SourceSettings()
    return _open(data, settings).reading(settings.words)


def _open(data: Path | str, settings: SourceSettings) -> Source:
    if str(data) in TWITTER_SETS:
        return open_twitter(str(data), settings)
    if settings.captions:
        raise DataError(
            f"{data}: captions = '{settings.captions}' in [source] is for the Twitter sets; a table has a column of "
            f"auxiliary texts, which auxiliary names"
        )
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file() or _has_tables(path):
        return open_table(path, settings)
    _refuse_other_kinds(path)
    return open_release(find_release(path))


def _has_tables(path: Path) -> bool:
    return not [*path.glob("manifest.json"), *path.glob("*/manifest.json")] and bool(table_files(path))


def _refuse_other_kinds(path: Path) -> None:
    """Refuse folders of other data formats, and say what to do with them."""
    kept = "a table has a row for each picture, with columns image, text and label"
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DataError(f"{path}: written by save_to_disk of the library datasets; write it by to_parquet; {kept}")
    kinds = {file.suffix.lower() for file in path.glob("*")} & OTHERWISE.keys()
    if kinds and not any(path.glob("*/")):
        raise DataError(f"{path}: no table in it; {'; '.join(f'{kind}: {OTHERWISE[kind]}' for kind in sorted(kinds))}")
    if any(file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") for file in path.glob("*/*")):
        raise DataError(f"{path}: pictures in folders, but no table; {kept}")
