"""croissant.json: the release in MLCommons Croissant 1.0, for dataset search and loaders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_catalog.releases.shards import split_of
from data_catalog.schemas import RELEASE, SPLITS, Column
from flows.release.facts import ReleaseFacts, sum_counts

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
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "YTB-ADS",
        "version": _semantic(facts.version),
        "datePublished": facts.created_at,
        "description": _description(facts),
        "license": "https://www.youtube.com/t/terms" if facts.from_youtube else "unknown: that of the folder's files",
        "url": "https://doi.org/10.1109/ACCESS.2025.3571624",
        "creator": {"@type": "sc:Organization", "name": "YTB-ADS pipeline"},
        "citeAs": "FGMFN, IEEE Access, 2025 (the dataset's description)",
        "keywords": ["multimodal sentiment analysis", "advertising", *(["synthetic"] if facts.synthetic else [])],
        **_responsible_ai(facts),
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


def _responsible_ai(facts: ReleaseFacts) -> dict[str, Any]:
    """Fields that Croissant RAI 1.0, the vocabulary for responsible AI, requires of a dataset with human judgements."""
    review, sentiment = facts.settings.review, facts.settings.sentiment
    by_people = facts.agreement is not None
    collected = {
        "youtube": "Ads and comments were crawled from YouTube",
        "folder": "Ads were read from a folder of files",
    }
    protocol = (
        f"Each ad was judged by {review.reviewers} reviewers; without an agreement of {review.agreement} of them a "
        f"verifier decided, then a discussion. Mean agreement {facts.agreement:.3f}."
        if by_people
        else "No person has judged an ad: labels follow from the comments alone."
    )
    return {
        "rai:dataCollection": "; ".join(collected[source] for source in sorted(facts.sources)) + ".",
        "rai:dataCollectionType": ["Secondary Data Analysis"] if "folder" in facts.sources else ["Web Scraping"],
        "rai:dataPreprocessingProtocol": [
            f"{facts.settings.frames.count} frames were sampled of each ad.",
            f"Those with more than {facts.settings.ocr.more_than_words} words that OCR reads were kept.",
            f"The classes of the training split were balanced by {facts.settings.release.balance}.",
        ],
        "rai:dataAnnotationProtocol": (
            f"An ad is positive if the mean strength of its comments ({sentiment.aggregation}) lies above "
            f"{facts.thresholds.positive:.4g}, negative at or below {facts.thresholds.negative:.4g}, and left out in "
            f"between. {protocol}"
        ),
        **({"rai:dataAnnotationPlatform": ["ytb-ads annotate"]} if by_people else {}),
        "rai:annotationsPerItem": f"{review.reviewers} of an ad" if by_people else "none by people",
        "rai:dataAnnotationAnalysis": [f"{how}: {ads} ads" for how, ads in facts.decided_by.items()],
        "rai:machineAnnotationTools": [f"{part}: {version}" for part, version in facts.engines.items()],
        "rai:personalSensitiveInformation": [
            "Frames may show people.",
            "Comments are not contained; their authors are keyed hashes outside of the release.",
        ],
        "rai:dataSocialImpact": "Labels are the sentiment of those who comment, who are no sample of an audience.",
        "rai:dataLimitations": [
            "A label says what commenters felt about an ad, not what a frame or its words express.",
            "Frames on which OCR reads few words are left out, so ads without words are missing.",
        ],
        "rai:dataUseCases": ["Training and evaluation of multimodal sentiment analysis; not to identify people."],
        "rai:dataReleaseMaintenancePlan": "An ad that was removed at its source is left out of the next release.",
    }


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
        "field": [_field(split, column) for column in RELEASE.columns],
    }


def _field(split: str, column: Column) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": column.name}}
    if column.name == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        "dataType": "sc:ImageObject" if column.name == "image" else _DATA_TYPES[str(column.type)],
        "source": source,
    }
