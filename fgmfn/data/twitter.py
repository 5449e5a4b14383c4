"""Twitter-2015 and Twitter-2017 (Yu and Jiang, 2019): a sentence, a picture and the sentiment towards one target.

A set is a folder `2015` or `2017` with train.tsv, dev.tsv and test.tsv: a header line, then tab-separated
columns index, label, image file, sentence with `$T$`, target. The header of test.tsv lacks a column and a
sentence may hold any quotation mark, so columns count by position and quoting is off.
"""

from __future__ import annotations

from pathlib import Path

from fgmfn.data.overlap import shared_between
from fgmfn.data.pictures import find_pictures
from fgmfn.data.rows import Rows, Source, combined_hash
from fgmfn.errors import DataError
from fgmfn.inputs import MARK as MARK

TWITTER_SETS = {"twitter2015": "2015", "twitter2017": "2017"}
CLASS_NAMES = ("negative", "neutral", "positive")
FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def open_twitter(name: str, data_dir: Path | None, images: Path | None) -> Source:
    """Open a Twitter set.

    Args:
        name: `twitter2015` or `twitter2017`.
        data_dir: the folder that holds `2015` and `2017`.
        images: the folder of its pictures; None where no model looks at them.

    Raises:
        DataError: A file or a picture is missing, or a line is not what it must be.
    """
    if data_dir is None:
        raise DataError(
            f"{name}: give the folder that holds {TWITTER_SETS[name]} (--data-dir, or data_dir in [source])"
        )
    folder = data_dir / TWITTER_SETS[name]
    splits = {split: _read(folder / file, split, images) for split, file in FILES.items()}
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
        group=pictures,  # one tweet, whose targets are rows of their own
        text=[sentence.replace(MARK, target) for _, _, sentence, target in cells],
        target=[target for *_, target in cells],
        span=[(start, start + len(cell[3])) for start, cell in zip(starts, cells, strict=True)],
        label=[label for label, *_ in cells],
        picture=pictures,
        pictures=found,
        has_targets=True,
        digests=None if found is None else found.digests(),
    )


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
