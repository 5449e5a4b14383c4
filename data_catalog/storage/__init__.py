"""Storage of a catalog: a local folder, or a prefix of a bucket. Nothing outside of this package asks which it is."""

from __future__ import annotations

from data_catalog.storage.faults import in_a_line
from data_catalog.storage.locks import Held, lock
from data_catalog.storage.places import (
    PathLike,
    Place,
    StorePath,
    arrow_filesystem,
    as_place,
    create,
    delta_options,
    nearest,
    place_of,
    refusal,
    replace,
    try_writing,
)
from data_catalog.storage.transfer import (
    DRAFT,
    clear_drafts,
    deliver,
    deliver_folder,
    digest,
    drafts,
    fetch,
    fetch_folder,
    file_names,
    folders_of,
    local_copy,
    publish,
    size_of,
    working_folder,
)

__all__ = [
    "DRAFT",
    "Held",
    "PathLike",
    "Place",
    "StorePath",
    "arrow_filesystem",
    "as_place",
    "clear_drafts",
    "create",
    "deliver",
    "deliver_folder",
    "delta_options",
    "digest",
    "drafts",
    "fetch",
    "fetch_folder",
    "file_names",
    "folders_of",
    "in_a_line",
    "local_copy",
    "lock",
    "nearest",
    "place_of",
    "publish",
    "refusal",
    "replace",
    "size_of",
    "try_writing",
    "working_folder",
]
