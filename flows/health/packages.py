"""Versions of the libraries in use, compared with those that the package declares to work with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from flows.checks import Check

_NAME = "libraries"


def check_packages(requirements: Iterable[str] | None = None) -> Check:
    """Check that every library is there in a version that is declared; extras are looked at where they are installed.

    Args:
        requirements: by default those of the installed package.
    """
    try:
        declared = list(requirements if requirements is not None else requires("ytb-ads") or ())
    except PackageNotFoundError:
        return Check(_NAME, None, "ytb-ads runs from files that are not installed", "pip install -c constraints.txt .")
    unmet = sorted(set(_unmet(map(Requirement, declared))))
    if unmet:
        return Check(_NAME, False, "; ".join(unmet), "pip install -c constraints.txt ytb-ads, in this environment")
    return Check(_NAME, True, f"{len(declared)} requirements met")


def _unmet(requirements: Iterable[Requirement]) -> Iterator[str]:
    for needed in requirements:
        is_extra = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            if not is_extra:
                yield f"{needed.name} is missing"
            continue
        if not needed.specifier.contains(found, prereleases=True):
            yield f"{needed.name} {found}, expected {needed.specifier}"
