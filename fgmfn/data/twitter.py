"""Twitter-2015 and Twitter-2017 (Yu and Jiang, 2019): a sentence, a picture and the sentiment towards one target.

A set is a folder `2015` or `2017` with train.tsv, dev.tsv and test.tsv: a header line, then tab-separated
columns index, label, image file, sentence with `$T$`, target. The header of test.tsv lacks a column, and a sentence
may contain any quotation mark, so columns are read by position and quoting is off. captions.json in the same folder
has a text for each picture's name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgmfn.data.overlap import shared_between
from fgmfn.data.pictures import find_pictures
from fgmfn.data.rows import BROKEN_NAMED, Rows, Source, combined_hash
from fgmfn.errors import DataError
from fgmfn.inputs import MARK as MARK
from fgmfn.settings import SourceSettings

TWITTER_SETS = {"twitter2015": "2015", "twitter2017": "2017"}
CLASS_NAMES = ("negative", "neutral", "positive")
CAPTIONS = "captions.json"
FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def open_twitter(name: str, settings: SourceSettings) -> Source:
    """Open a Twitter set.

    Args:
        name: `twitter2015` or `twitter2017`.
        settings: `data_dir` contains `2015` and `2017`; `images` contains the pictures and is None if no model reads
            them; `captions` and `words` request captions.

    Raises:
        DataError: A file, a picture or a caption is missing, or a line is invalid.
    """
    if settings.data_dir is None:
        raise DataError(
            f"{name}: give the folder that holds {TWITTER_SETS[name]} (--data-dir, or data_dir in [source])"
        )
    folder = settings.data_dir / TWITTER_SETS[name]
    splits = {split: _read(folder / file, split, settings.images) for split, file in FILES.items()}
    if settings.captions or settings.words != "text":
        splits = _with_captions(folder / (settings.captions or CAPTIONS), splits)
    key, notes = combined_hash(CLASS_NAMES, splits), tuple(shared_between(splits))
    return Source(name, folder, key, CLASS_NAMES, splits, dataset=name, notes=notes)


def _read(file: Path, split: str, images: Path | None) -> Rows:
    try:
        lines = file.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    cells = [
        _cells(file, number, line.removesuffix("\r")) for number, line in enumerate(lines, 1) if number > 1 and line
    ]
    pictures = [picture for _, picture, _, _ in cells]
    starts = [sentence.index(MARK) for _, _, sentence, _ in cells]
    found = None if images is None else find_pictures(images, pictures)
    return Rows(
        name=[f"{split}:{number}" for number in range(len(cells))],
        group=pictures,  # one tweet; each of its targets is a row
        text=[sentence.replace(MARK, target) for _, _, sentence, target in cells],
        target=[target for *_, target in cells],
        span=[(start, start + len(cell[3])) for start, cell in zip(starts, cells, strict=True)],
        label=[label for label, *_ in cells],
        picture=pictures,
        pictures=found,
        has_targets=True,
        digests=None if found is None else found.digests(),
    )


def _with_captions(file: Path, splits: dict[str, Rows]) -> dict[str, Rows]:
    """Give each row the caption of its picture as auxiliary text.

    Raises:
        DataError: The file cannot be read, or it lacks captions of some rows, which the message names.
    """
    try:
        captions = json.loads(file.read_bytes().decode("utf-8"), object_pairs_hook=_unambiguous)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as captions: {error}") from error
    if not isinstance(captions, dict) or not all(isinstance(caption, str) for caption in captions.values()):
        raise DataError(f"{file}: expected a JSON object with a text for each picture's name")
    missing = [
        f"{FILES[split]} row {number} ({picture})"
        for split, rows in splits.items()
        for number, picture in enumerate(rows.picture, 1)
        if picture not in captions
    ]
    if missing:
        named = f"{', '.join(missing[:BROKEN_NAMED])}{', ...' if len(missing) > BROKEN_NAMED else ''}"
        raise DataError(
            f"{file}: {len(missing)} of {sum(map(len, splits.values()))} rows have no caption: {named}; "
            f"give them, or an empty text where there is none"
        )
    return {
        split: replace(rows, auxiliary=[captions[picture] for picture in rows.picture])
        for split, rows in splits.items()
    }


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that occurs twice with different values; json would keep the last one silently."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError(f"{name} occurs twice, with different texts")
    return found


def _cells(file: Path, number: int, line: str) -> tuple[int, str, str, str]:
    cells = line.split("\t")
    if len(cells) != 5:
        raise DataError(
            f"{file}: line {number} has {len(cells)} columns; expected index, label, image, sentence, target"
        )
    _, label, picture, sentence, target = cells
    if label not in ("0", "1", "2"):
        raise DataError(f"{file}: label {label!r} in line {number}; expected 0, 1 or 2: {', '.join(CLASS_NAMES)}")
    if sentence.count(MARK) != 1:
        raise DataError(f"{file}: line {number} has {sentence.count(MARK)} marks {MARK}; expected one, for its target")
    return int(label), picture, sentence, target
