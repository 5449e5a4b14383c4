"""Many invitations from one CSV file: all of them or none, each wrong line named, and the links into a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from annotation.assignment import parse_quota
from annotation.errors import AnnotationError
from annotation.interchange.table_files import escaped
from annotation.store.people import ROLES, Guest, Invitation, check_level, check_name

COLUMNS = ("name", "role", "level", "entries", "deadline")
"""Of the file; all but the first two may be missing."""
_SHOWN = 20


def read_guests(path: Path) -> list[Guest]:
    """The people in a file.

    Raises:
        AnnotationError: a column is missing or unknown, or a line cannot be taken; every such line is named.
        OSError: it cannot be read.
    """
    guests: list[Guest] = []
    problems: list[str] = []
    names: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                try:
                    guest = _guest(reader.line_num, row)
                    before = names.setdefault(guest.name.casefold(), guest.line)
                    if before != guest.line:
                        raise AnnotationError(f"{guest.name!r} stands in line {before}, too")
                    guests.append(guest)
                except AnnotationError as error:
                    problems.append(f"line {reader.line_num}: {error}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{path}: no CSV in UTF-8 ({error})") from error
    if not problems and not guests:
        problems.append("it names nobody")
    if problems:
        more = f"; {len(problems) - _SHOWN} more lines are not shown" if len(problems) > _SHOWN else ""
        raise AnnotationError(f"{path}: nobody was invited; " + "; ".join(problems[:_SHOWN]) + more)
    return guests


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A file that was not there and that its owner alone can read; it goes again if the block fails.

    Raises:
        AnnotationError: there is such a file, which may hold links that are nowhere else.
        OSError: it cannot be made.
    """
    try:
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise AnnotationError(f"{path} is there already; name a new file for the links") from None
    try:
        with os.fdopen(opened, "w", encoding="utf-8", newline="") as out:
            yield out
    except BaseException:
        path.unlink()
        raise


def write_links(out: TextIO, invitations: Iterable[Invitation], address: str) -> None:
    """Write names and links as CSV, and see them on the disk."""
    writer = csv.writer(out)
    writer.writerow(("name", "role", "until", "link"))
    for each in invitations:
        person = each.person
        writer.writerow((escaped(person.name), person.role, f"{person.expires_at:%Y-%m-%d}", each.link(address)))
    out.flush()
    os.fsync(out.fileno())


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    columns = list(columns)
    missing, unknown = set(COLUMNS[:2]) - set(columns), set(columns) - set(COLUMNS)
    if missing or unknown:
        said = f"no column {min(missing)}" if missing else f"column {min(unknown)[:40]!r}"
        raise AnnotationError(f"{path}: {said}; expected {', '.join(COLUMNS)}, of which name and role are needed")


def _guest(line: int, row: dict[str, str]) -> Guest:
    if "" in row:
        raise AnnotationError("more cells than columns")
    role = row["role"].strip()
    if role not in ROLES:
        raise AnnotationError(f"role {role[:40]!r}; expected one of {', '.join(ROLES)}")
    entries, deadline = row.get("entries", ""), row.get("deadline", "")
    quota = parse_quota(entries, deadline) if entries.strip() or deadline.strip() else None
    if quota and role != "reviewer":
        raise AnnotationError(f"entries and deadlines are a reviewer's, and this is a {role}")
    return Guest(line, check_name(row["name"]), role, check_level(row.get("level")), quota)
