"""The programs that docs/catalog.md shows read a real catalog, and see what the catalog itself sees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from data_catalog import TABLES, Catalog
from data_catalog.releases import newest_release

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("import ")[1].split()[0])
def test_a_block_runs_where_a_catalog_is(
    block: str, seeded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "catalog").symlink_to(seeded)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    version = newest_release(seeded / "releases").name
    found: dict[str, Any] = {}
    exec(re.sub(r"releases/[\d.]+", f"releases/{version}", block), found)  # noqa: S102 - our own documentation


def test_other_readers_see_the_same_rows_and_what_columns_mean(seeded: Path) -> None:
    import polars

    catalog = Catalog(seeded)
    for info in catalog.tables():
        table = DeltaTable(f"{catalog.root}/tables/{info.name}")
        assert table.protocol().min_reader_version == 1
        assert table.schema().to_arrow().field(0).metadata is not None
        key = list(TABLES[info.name].key)
        theirs = polars.read_delta(f"{catalog.root}/tables/{info.name}").select(key).sort(key)
        assert (
            theirs.to_arrow().to_pylist()
            == catalog.read(info.name, key).sort_by([(k, "ascending") for k in key]).to_pylist()
        )
