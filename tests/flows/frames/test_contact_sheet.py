"""A person sees on one sheet what was sampled of an ad and what became of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from data_catalog.catalog import Catalog, Drop
from data_catalog.errors import CatalogError
from data_catalog.schemas import TABLES
from flows.cli import app
from flows.frames.contact_sheet import contact_sheet
from flows.frames.sampling import sample_frames
from flows.frames.story import tell_ad
from tests.flows.frames.clips import steady, write_video

HOSTILE = "\x1b[31mBuy\x00 \u202enow\n\U0001f600 " + "W" * 5000


def put(catalog: Catalog, table: str, *rows: dict[str, object]) -> None:
    catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """An ad of three pictures: one with many words, one with few, two moments without a picture."""
    catalog = Catalog(tmp_path / "catalog")
    sampled = sample_frames(write_video(tmp_path / "a.mp4", steady(3)), "a")
    put(catalog, "ads", {"video_id": "a", "title": HOSTILE, "width": 128, "height": 64, "duration_s": 0.3})
    put(catalog, "frames", *(frame.row() for frame in sampled.frames))
    put(
        catalog,
        "texts",
        {"frame_id": "a:0", "video_id": "a", "text": "now 25% off until this Sunday", "n_words": 6},
        {"frame_id": "a:1", "video_id": "a", "text": HOSTILE, "n_words": 2},
    )
    late = Drop("release", "a:0", "a", "filtered", "reupload_of", "the ad is a re-upload of b")
    catalog.replace_drops("frames", sampled.drops)
    catalog.replace_drops("release", [late])
    put(catalog, "reuploads", {"video_id": "a", "group_id": "g", "duplicates": ["b"]})
    return catalog


def test_every_moment_has_its_times_and_what_became_of_it(catalog: Catalog) -> None:
    ad = tell_ad(catalog, "a", more_than_words=5)

    assert [frame.index for frame in ad.frames] == list(range(5))
    told = ["\n".join(frame.lines) for frame in ad.frames]
    assert "kept: now 25% off" in told[0]
    assert "dropped by release: reupload_of" in told[0]
    assert "too few, more than 5 are needed" in told[1]
    assert sum("dropped by frames: no_picture" in lines for lines in told) == 2
    assert all("asked" in lines or "dropped" in lines for lines in told)
    assert any("the same ad as b" in line for line in ad.lines)


def test_the_sheet_holds_every_tile_and_takes_what_strangers_wrote(catalog: Catalog) -> None:
    sheet = contact_sheet(tell_ad(catalog, "a", more_than_words=5))

    assert sheet.width > 3 * 420
    assert 500 < sheet.height < 3000


def test_an_ad_that_gave_nothing_has_a_sheet_with_its_reason(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, "ads", {"video_id": "x"})
    catalog.replace_drops("frames", [Drop("frames", "x", "x", "failed", "decoder_timeout", "x.mp4: stopped")])

    ad = tell_ad(catalog, "x", more_than_words=5)

    assert "dropped by frames: decoder_timeout x.mp4: stopped" in ad.lines
    assert contact_sheet(ad).height > 50


def test_an_unknown_ad_is_refused(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="has no ad nobody"):
        tell_ad(catalog, "nobody", more_than_words=5)


def test_the_command_writes_a_png(catalog: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"

    done = CliRunner().invoke(app, ["frames", "show", "a", "--catalog", catalog.root, "--out", str(target)])

    assert (done.exit_code, "contact sheet" in done.output) == (0, True)
    with Image.open(target) as sheet:
        assert sheet.format == "PNG"
