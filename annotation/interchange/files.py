"""Votes from a file of whatever tool, told apart by its name and by what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from annotation.interchange.argilla import file_time, is_argilla, read_records
from annotation.interchange.label_studio import read_json, tasks_of
from annotation.interchange.prodigy import read_lines
from annotation.interchange.table_files import read_votes
from annotation.interchange.votes import Row


def read_file(path: Path, *, people: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The votes of a file: `.csv` and `.parquet`, Prodigy's `.jsonl`, Label Studio's or Argilla's `.json`.

    Args:
        path: which file.
        people: reviewers by what the tool calls them.

    Raises:
        AnnotationError: it is none of these, or damaged.
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".jsonl":
        return read_lines(path, people=people)
    if path.suffix.lower() != ".json":
        return read_votes(path)
    held = read_json(path)
    return read_records(held, file_time(path), people=people) if is_argilla(held) else tasks_of(held, people=people)
