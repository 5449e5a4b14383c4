"""croissant.json: the release in MLCommons Croissant 1.0, for dataset search and loaders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_catalog.releases.shards import split_of
from data_catalog.schemas import RELEASE_SCHEMA, SPLITS
from flows.release.facts import COLUMN_MEANINGS, ReleaseFacts, sum_counts

_CONTEXT = Path(__file__).parent / "templates" / "croissant_context.json"
"""The JSON-LD context that Croissant 1.0 prescribes."""
_DATA_TYPES = {"string": "sc:Text", "double": "sc:Float", "int32": "sc:Integer", "int64": "sc:Integer"}
_PARQUET = "application/x-parquet"


def croissant_json(facts: ReleaseFacts, manifest: Mapping[str, Any]) -> str:
    """The release's Croissant metadata; paths are relative to the file, so the folder can be moved.

    Args:
        facts: what the release says about itself.
        manifest: the release's manifest, for its files and their sha256.
    """
    data_files = {name: file for name, file in manifest["files"].items() if split_of(name)}
    filled = [split for split in SPLITS if any(split_of(name) == split for name in data_files)]
    metadata = {
        "@context": json.loads(_CONTEXT.read_text(encoding="utf-8")),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "YTB-ADS",
        "version": _semantic(facts.version),
        "datePublished": facts.created_at,
        "description": _description(facts),
        "license": "https://www.youtube.com/t/terms",
        "url": "https://www.youtube.com/t/terms",
        "creator": {"@type": "sc:Organization", "name": "YTB-ADS pipeline"},
        "citeAs": "FGMFN, IEEE Access, 2025 (the dataset's description)",
        "keywords": ["multimodal sentiment analysis", "advertising", *(["synthetic"] if facts.synthetic else [])],
        "distribution": [
            *(_file_object(name, file) for name, file in data_files.items()),
            *(_file_set(split) for split in filled),
        ],
        "recordSet": [_record_set(split) for split in filled],
    }
    return json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"


def _description(facts: ReleaseFacts) -> str:
    counts = sum_counts(facts.after)
    said = (
        f"Frames of video advertisements, the words on them and the sentiment of their audience: {counts.rows} rows of "
        f"{counts.frames} frames of {counts.ads} ads."
    )
    return f"SYNTHETIC: rendered by a program, not crawled. {said}" if facts.synthetic else said


def _semantic(version: str) -> str:
    """A release's version as Croissant wants it: three numbers, the fourth as build metadata."""
    year, month, day, *number = version.split(".")
    return ".".join(str(int(part)) for part in (year, month, day)) + (f"+{number[0]}" if number else "")


def _file_object(name: str, file: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file['size_bytes']} B",
        "encodingFormat": _PARQUET,
        "sha256": file["sha256"],
    }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "description": f"All files of the split {split}.",
        "encodingFormat": _PARQUET,
        "includes": f"data/{split}-*.parquet",
    }


def _record_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The rows of the split {split}.",
        "key": [{"@id": f"{split}/frame_id"}, {"@id": f"{split}/draw"}],
        "field": [_field(split, column) for column in RELEASE_SCHEMA],
    }


def _field(split: str, column: pa.Field[Any]) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": column.name}}
    if column.name == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{column.name}",
        "name": column.name,
        "description": COLUMN_MEANINGS[column.name],
        "dataType": "sc:ImageObject" if column.name == "image" else _DATA_TYPES[str(column.type)],
        "source": source,
    }
