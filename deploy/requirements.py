"""Print the requirements of the project and of some extras, for an image with a layer of its own for libraries.

python3 deploy/requirements.py postgres,ray
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print one requirement a line; an unknown extra ends with 1."""
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [name for name in (sys.argv[1] if len(sys.argv) > 1 else "").split(",") if name]
    if unknown := [name for name in wanted if name not in extras]:
        sys.exit(f"no extra {', '.join(unknown)}; there are {', '.join(extras)}")
    needed = [*project["dependencies"], *(each for name in wanted for each in extras[name])]
    sys.stdout.writelines(f"{requirement}\n" for requirement in needed)


if __name__ == "__main__":
    main()
