"""Settings of the documentation site: `make docs` builds it into docs/_build/html, warnings are errors."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

project = "YTB-ADS and FGMFN"
version = release = _PROJECT["version"]
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
html_theme = "furo"
html_title = f"YTB-ADS and FGMFN {version}"
html_copy_source = False
