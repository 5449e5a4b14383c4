"""The common form of all data: splits of rows, with each row's words, target, label and picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from fgmfn.data.pictures import ChosenPictures, GivenPictures, Pictures, check_picture
from fgmfn.errors import BrokenPicturesError, DataError
from fgmfn.inputs import NOWHERE as NOWHERE
from fgmfn.inputs import SEPARATOR, Words, find_target, sentence_read

SPLITS = ("train", "validation", "test")
READ: dict[Words, str] = {
    "auxiliary": "models read the auxiliary texts in place of texts and targets",
    "both": f"models read the auxiliary texts behind the texts and {SEPARATOR}",
}
UNKNOWN = -1
"""Class of a row with a hidden label."""


@dataclass(frozen=True)
class Rows:
    """One split: lists with a value per row, and access to its pictures."""

    name: list[str]
    """Name of the row in errors and predictions."""
    group: list[str]
    """Rows of one group belong together, such as the frames of an ad; no group is in two splits."""
    text: list[str]
    """The sentence, with the target in its place."""
    target: list[str]
    span: list[tuple[int, int]]
    """The target's characters within the text, or `NOWHERE`."""
    label: list[int]
    """Class of each row; `UNKNOWN` in a split with hidden labels, which cannot be scored."""
    picture: list[str]
    """Identity of each picture: its file, frame or content."""
    pictures: Pictures | None
    """None if the pictures are not available."""
    has_targets: bool
    """False if the target is only the ad's category."""
    auxiliary: list[str] | None = None
    """Further words per row that a model may read, such as captions."""
    digests: list[str] | None = None
    """Digest of each picture's bytes, if `picture` is a file name: the file's content may change."""
    words: Words = "text"
    """Words of a row that `text` has now: its text, its auxiliary text or both."""
    cases: list[str] | None = None
    """Description of each row from before `reading` changed its words."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def scorable(self) -> bool:
        """Whether there are rows, and they are labelled."""
        return UNKNOWN not in self.label and len(self) > 0

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over every row's words, target, label and picture, in the order of the rows."""
        return _digest([*self._lines(), *([] if self.words == "text" else [self.words])])

    @property
    def case_checksum(self) -> str:
        """`checksum` of the rows with their original text only: it does not depend on which words are read."""
        return _digest(self._cases())

    def where(self, row: int) -> str:
        """Return the name of a row and its picture, for errors."""
        name, picture = self.name[row], self.picture[row]
        return f"frame {name}" if picture == name else f"{name}, picture {picture}"

    def check_pictures(self, *, progress: bool = True) -> None:
        """Decode every picture once, before a training that would fail at a broken one.

        Raises:
            DataError: Pictures are missing or incomplete; the message names them by row and file.
        """
        if self.pictures is None:
            return
        seen: dict[int, str | None] = {}
        """Fault of each picture; None if it has none."""
        broken: list[str] = []
        bar = tqdm(range(len(self)), desc="pictures", unit="row", leave=False, disable=None if progress else True)
        for row in bar:
            try:
                content = self.pictures.read(row)
            except DataError as error:
                broken.append(f"{self.where(row)}: {error}")
                continue
            if (known := identity(content)) not in seen:
                seen[known] = check_picture(content)
            if seen[known]:
                broken.append(f"{self.where(row)}{seen[known]}")
                refuse_broken(broken, ended=False)
        refuse_broken(broken)

    def take(self, numbers: Sequence[int]) -> Rows:
        """Return some of the rows, by their numbers, in that order."""
        lists: dict[str, Any] = {
            each.name: [getattr(self, each.name)[number] for number in numbers]
            for each in fields(self)
            if isinstance(getattr(self, each.name), list)
        }
        pictures = None if self.pictures is None else ChosenPictures(self.pictures, tuple(numbers))
        return replace(self, pictures=pictures, **lists)

    def reading(self, words: Words) -> Rows:
        """Replace each row's text by the words that models are to read.

        Without its text a row has no target either: the target is a part of the text, and the content of an auxiliary
        text alone would be mixed with knowledge about names.

        Raises:
            DataError: The rows have no auxiliary texts.
        """
        if words == "text":
            return self
        if self.auxiliary is None:
            raise DataError(
                f"words = {words!r} in [source] (--words), but the rows have no auxiliary texts: name their column by "
                f"auxiliary, or a Twitter set's file by captions"
            )
        pairs = zip(self.text, self.auxiliary, strict=True)
        read = replace(
            self,
            text=[sentence_read(text, further, words) for text, further in pairs],
            auxiliary=None,
            words=words,
            cases=self._cases(),
        )
        if words == "both":
            return read
        return replace(read, target=[""] * len(self), span=[NOWHERE] * len(self), has_targets=False)

    def _cases(self) -> list[str]:
        return list(replace(self, auxiliary=None)._lines()) if self.cases is None else self.cases

    def _lines(self) -> Iterator[str]:
        further = self.auxiliary or [""] * len(self)
        pictures = self.picture
        if self.digests is not None:
            pictures = [f"{name} {digest}" for name, digest in zip(self.picture, self.digests, strict=True)]
        rows = zip(self.text, self.target, self.span, self.label, pictures, further, strict=True)
        yield from map(json.dumps, rows)


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


BROKEN_NAMED = 20
"""Most broken pictures that a message names; data with more have another fault than single pictures."""


def refuse_broken(broken: Sequence[str], *, ended: bool = True) -> None:
    """Refuse pictures that cannot be read, all at once.

    Args:
        broken: a line for each.
        ended: all pictures have been checked; before that, only too many are refused.

    Raises:
        BrokenPicturesError: There are some.
    """
    if len(broken) >= BROKEN_NAMED or (ended and broken):
        raise BrokenPicturesError(broken, ended=ended)


def look_at_all(splits: Iterable[Rows], look: Callable[[Rows], object]) -> None:
    """Apply a check to the pictures of all splits, then refuse all that cannot be read.

    Raises:
        DataError: There are some.
    """
    broken: list[str] = []
    for rows in splits:
        try:
            look(rows)
        except BrokenPicturesError as error:
            broken += error.broken
            refuse_broken(broken, ended=False)
    refuse_broken(broken)


@dataclass(frozen=True)
class Source:
    """Data to train on, of any origin."""

    name: str
    """Name in reports: a release's version, `twitter2015`, a folder's name."""
    path: Path
    row_set_hash: str
    """Hash of all rows of all splits; part of a run's key."""
    class_names: tuple[str, ...]
    splits: dict[str, Rows]
    synthetic: bool = False
    row_names: tuple[str, str] = ("row", "group")
    """Columns of a predictions file for a row's name and its group."""
    dataset: str | None = None
    """Published dataset of these rows: twitter2015, twitter2017 or ytb_ads; None: none."""
    notes: tuple[str, ...] = ()
    """Notes that belong to any score on these rows."""
    _checked: set[str] = field(default_factory=set, compare=False, repr=False)

    def check_pictures(self, *, progress: bool = True) -> None:
        """Decode all pictures once for all models that are trained on them; see `Rows.check_pictures`."""
        if "pictures" not in self._checked:
            look_at_all(self.splits.values(), lambda rows: rows.check_pictures(progress=progress))
            self._checked.add("pictures")

    @property
    def checksums(self) -> dict[str, str]:
        """Checksum of each split that has rows."""
        return {split: rows.checksum for split, rows in self.splits.items() if len(rows)}

    @property
    def case_checksums(self) -> dict[str, str]:
        """`case_checksum` of each split that has rows: `fgmfn compare` identifies rows by it."""
        return {split: rows.case_checksum for split, rows in self.splits.items() if len(rows)}

    def reading(self, words: Words) -> Source:
        """Replace each row's text by the words that models are to read; see `Rows.reading`."""
        if words == "text":
            return self
        splits = {split: rows.reading(words) for split, rows in self.splits.items()}
        empty = sum(not text.strip() for rows in self.splits.values() for text in rows.auxiliary or ())
        lacking = f"; {empty} of {sum(map(len, splits.values()))} rows have none" if empty else ""
        note = f"{READ[words]}{lacking}: what is printed for these data does not compare"
        key = combined_hash(self.class_names, splits)
        return replace(self, splits=splits, row_set_hash=key, notes=(*self.notes, note))


def combined_hash(class_names: tuple[str, ...], splits: dict[str, Rows]) -> str:
    """Return the hash of a source's rows, if the source itself has none."""
    parts = [list(class_names), {split: rows.checksum for split, rows in splits.items()}]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(value: str | bytes) -> int:
    """Return a 63-bit number that identifies a text, ad or picture."""
    content = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def shuffled(groups: Sequence[str]) -> list[int]:
    """Draw for each row the number of a row of another group, each row once; the same for the same groups.

    A single row, such as an ad that is predicted alone, keeps its own number.

    Raises:
        DataError: One group has more than half of the rows.
    """
    names, numbers, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    most, rows = int(sizes.max(initial=0)), len(groups)
    if 2 * most > rows > 1:
        raise DataError(f"{rows} rows, {most} of them of one group: not every one can have the picture of another")
    # groups in random order, each in one piece: a shift by the length of the largest leads out of every group
    order = np.argsort(np.random.default_rng(0).permutation(len(names))[numbers], kind="stable")
    drawn = np.empty(rows, dtype=int)
    drawn[order] = np.roll(order, -most)
    return [int(row) for row in drawn]


def given_rows(
    images: Sequence[Image.Image],
    texts: Sequence[str],
    targets: Sequence[str] | None,
    auxiliary: Sequence[str] | None,
    *,
    has_targets: bool,
) -> Rows:
    """Make rows of pictures and texts; their labels are placeholders.

    Args:
        images: one picture per text, or none.
        texts: the words.
        targets: the target of each text, or an ad's category; None: none.
        auxiliary: further words per text.
        has_targets: False if the targets are categories, which are not looked up in the text.
    """
    about = list(targets or [""] * len(texts))
    names = [str(number) for number in range(len(texts))]
    return Rows(
        name=names,
        group=names,
        text=list(texts),
        target=about,
        span=[find_target(text, target) if has_targets else NOWHERE for text, target in zip(texts, about, strict=True)],
        label=[0] * len(texts),
        picture=names,
        pictures=GivenPictures(images) if len(images) else None,
        has_targets=has_targets,
        auxiliary=None if auxiliary is None else list(auxiliary),
    )
