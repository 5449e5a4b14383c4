"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from docs.generate import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "run python docs/generate.py"


def test_every_setting_and_option_has_a_meaning() -> None:
    bare = [line for name in ("settings.md", "cli.md") for line in PAGES[name]().splitlines() if line.endswith("|  |")]
    assert bare == []
