"""The one shape that every source of data takes: splits of rows, each row's words, target, label and picture."""

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
"""The class of a row whose label is hidden."""


@dataclass(frozen=True)
class Rows:
    """One split: a value per row, and how to open its pictures."""

    name: list[str]
    """Name of the row in errors and predictions."""
    group: list[str]
    """Rows of one group belong together, such as the frames of an ad; no group stands in two splits."""
    text: list[str]
    """The sentence, with the target in its place."""
    target: list[str]
    span: list[tuple[int, int]]
    """The target's characters within the text, or `NOWHERE`."""
    label: list[int]
    """Class of each row; `UNKNOWN` in a split whose labels are hidden, which cannot be scored."""
    picture: list[str]
    """Identity of each picture: its file, frame or content."""
    pictures: Pictures | None
    """None where the pictures are not at hand."""
    has_targets: bool
    """False where the target is only the ad's category."""
    auxiliary: list[str] | None = None
    """Further words per row that a model may read, such as captions."""
    digests: list[str] | None = None
    """Of each picture's bytes, where `picture` is the name of a file, whose content may change."""
    words: Words = "text"
    """What of a row's words stands in `text` now."""
    cases: list[str] | None = None
    """What each row was before `reading` changed its words."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def scorable(self) -> bool:
        """Whether there are rows, and they are labelled."""
        return UNKNOWN not in self.label and len(self) > 0

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over every row's words, target, label and picture, in their order."""
        return _digest([*self._lines(), *([] if self.words == "text" else [self.words])])

    @property
    def case_checksum(self) -> str:
        """`checksum` of the rows with their own text and nothing else: the same whatever of their words is read."""
        return _digest(self._cases())

    def where(self, row: int) -> str:
        """Name a row and its picture, for errors."""
        name, picture = self.name[row], self.picture[row]
        return f"frame {name}" if picture == name else f"{name}, picture {picture}"

    def check_pictures(self, *, progress: bool = True) -> None:
        """Decode every picture once, before a training begins that would end at it.

        Raises:
            DataError: Pictures are missing or not whole ones; they are named by row and file.
        """
        if self.pictures is None:
            return
        seen: dict[int, str | None] = {}
        """What is wrong with a picture."""
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
        """Put what models shall read in the place of each row's text.

        Without its text a row has no target either: that is a part of the text, and what an auxiliary text says alone
        would be mixed up with what is known of names.

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
"""Pictures that are named at most; a set with more of them has another fault than single pictures."""


def refuse_broken(broken: Sequence[str], *, ended: bool = True) -> None:
    """Refuse pictures that cannot be read, all at once.

    Args:
        broken: a line for each.
        ended: all pictures have been looked at; before, only too many are refused.

    Raises:
        BrokenPicturesError: There are some.
    """
    if len(broken) >= BROKEN_NAMED or (ended and broken):
        raise BrokenPicturesError(broken, ended=ended)


def look_at_all(splits: Iterable[Rows], look: Callable[[Rows], object]) -> None:
    """Look at the pictures of all splits, and then refuse those of any that cannot be read.

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
    """Data that can be trained on, wherever it comes from."""

    name: str
    """Name in reports: a release's version, `twitter2015`, a folder's name."""
    path: Path
    row_set_hash: str
    """Names all rows of all splits; part of a run's key."""
    class_names: tuple[str, ...]
    splits: dict[str, Rows]
    synthetic: bool = False
    row_names: tuple[str, str] = ("row", "group")
    """Columns of a predictions file for a row's name and its group."""
    dataset: str | None = None
    """Published set that these rows are: twitter2015, twitter2017, ytb_ads; None: none."""
    notes: tuple[str, ...] = ()
    """Notes for a reader of any score on these rows."""
    _checked: set[str] = field(default_factory=set, compare=False, repr=False)

    def check_pictures(self, *, progress: bool = True) -> None:
        """Decode all pictures once for all models that are trained on them, as `Rows.check_pictures`."""
        if "pictures" not in self._checked:
            look_at_all(self.splits.values(), lambda rows: rows.check_pictures(progress=progress))
            self._checked.add("pictures")

    @property
    def checksums(self) -> dict[str, str]:
        """Checksum of each split that has rows."""
        return {split: rows.checksum for split, rows in self.splits.items() if len(rows)}

    @property
    def case_checksums(self) -> dict[str, str]:
        """`case_checksum` of each split that has rows: what `fgmfn compare` takes for the same rows."""
        return {split: rows.case_checksum for split, rows in self.splits.items() if len(rows)}

    def reading(self, words: Words) -> Source:
        """Put what models shall read in the place of each row's text, as `Rows.reading`."""
        if words == "text":
            return self
        splits = {split: rows.reading(words) for split, rows in self.splits.items()}
        empty = sum(not text.strip() for rows in self.splits.values() for text in rows.auxiliary or ())
        lacking = f"; {empty} of {sum(map(len, splits.values()))} rows have none" if empty else ""
        note = f"{READ[words]}{lacking}: what is printed for these data does not compare"
        key = combined_hash(self.class_names, splits)
        return replace(self, splits=splits, row_set_hash=key, notes=(*self.notes, note))


def combined_hash(class_names: tuple[str, ...], splits: dict[str, Rows]) -> str:
    """Name a source that brings no name of its rows with it."""
    parts = [list(class_names), {split: rows.checksum for split, rows in splits.items()}]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(value: str | bytes) -> int:
    """A 63-bit number that equal texts, ads or pictures share and others do not."""
    content = value.encode(errors="surrogatepass") if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def shuffled(groups: Sequence[str]) -> list[int]:
    """Draw for each row the number of a row of another group, each once; the same for the same groups.

    A row that is alone, as an ad that is predicted by itself, keeps its own.

    Raises:
        DataError: One group has more than half of the rows.
    """
    names, numbers, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    most, rows = int(sizes.max(initial=0)), len(groups)
    if 2 * most > rows > 1:
        raise DataError(f"{rows} rows, {most} of them of one group: not every one can have the picture of another")
    # groups in a drawn order, each in one piece: a step as long as the longest one leads out of every group
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
    """Make rows of what is given; their labels say nothing.

    Args:
        images: one picture per text, or none.
        texts: the words.
        targets: what each text is about, or an ad's category; None: nothing.
        auxiliary: further words per text.
        has_targets: False where the targets are categories, which have no place in the text whatever it says.
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
