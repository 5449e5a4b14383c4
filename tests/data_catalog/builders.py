"""Rows of tables and releases from dictionaries; what is left out of a table's row is null."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from PIL import Image

from data_catalog import TABLES
from data_catalog.schemas import RELEASE_SCHEMA


def rows(table: str, *values: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=TABLES[table].schema)


def release_rows(*values: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=RELEASE_SCHEMA)


def release_row(ad: str, index: int = 0, label: int = 1, **changes: Any) -> dict[str, Any]:
    """A whole row of a release; each of an ad's frames has a picture of its own."""
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (index % 256, 40, 90)).save(file, "PNG")
    return {
        "image": {"bytes": file.getvalue(), "path": f"{ad}-{index}.png"},
        "text": f"six words stand on frame {index}",
        "label": label,
        "video_id": ad,
        "frame_id": f"{ad}:{index}",
        "category": "apparel",
        "timestamp_s": index / 3,
        "mean_score": 2.75,
        "n_words": 6,
        "draw": 0,
        **changes,
    }


def strings(column: pa.ChunkedArray[Any]) -> list[str]:
    """A column's values, none of which may be null."""
    return [str(value) for value in column.to_pylist() if value is not None]
