"""`ytb-ads frames show` and `ytb-ads ocr show`: one picture of all frames of an ad."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.console import CatalogDir, ConfigFile, VideoId, say

app = typer.Typer()
frames_app = typer.Typer(name="frames", no_args_is_help=True, help="Look at the frames sampled from an ad.")
ocr_app = typer.Typer(name="ocr", no_args_is_help=True, help="Look at the text read on the frames of an ad.")
app.add_typer(frames_app)
app.add_typer(ocr_app)


@frames_app.callback()
@ocr_app.callback()
def _group() -> None:
    """Keep `show` a command of its own although it is the only one."""


@frames_app.command("show", epilog="Example: ytb-ads frames show dQw4w9WgXcQ --catalog catalog --out frames.png")
def show_frames(
    video_id: VideoId,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG to write; default: VIDEO_ID-frames.png.")
    ] = None,
) -> None:
    """Write one picture of all frames of an ad, with requested and actual timestamps and the reasons of drops.

    Green frames are kept, red ones dropped, frames without colour not read yet. Nothing in the catalog changes.
    """
    _show(catalog, video_id, config, out_file, "frames")


@ocr_app.command("show", epilog="Example: ytb-ads ocr show dQw4w9WgXcQ --catalog catalog --out words.png")
def show_words(
    video_id: VideoId,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG to write; default: VIDEO_ID-words.png.")
    ] = None,
) -> None:
    """Write one picture of all frames of an ad with a box around every word.

    A green frame has more than `ocr.more_than_words` words, a red one does not. Nothing in the catalog changes.
    """
    _show(catalog, video_id, config, out_file, "words")


def _show(
    catalog: str, video_id: str, config: Path | None, path: Path | None, what: Literal["frames", "words"]
) -> None:
    from data_catalog.catalog import Catalog
    from flows.look.ad import summarize_ad
    from flows.look.sheet import contact_sheet, count_tiles, save_sheet
    from flows.settings import load_settings

    settings = load_settings(config)
    ad = summarize_ad(Catalog(catalog), video_id, more_than_words=settings.ocr.more_than_words)
    tiles = [frame.sampling_tile() if what == "frames" else frame.reading_tile() for frame in ad.frames]
    # an id may hold any character that a file name may
    named = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in video_id)
    path = path or Path(f"{named}-{what}.png")
    save_sheet(contact_sheet(ad.head, tiles), path)
    say(f"{path}: {count_tiles(tiles)}")
