"""`ytb-ads frames ...`: look at the frames of an ad."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from data_catalog.catalog import Catalog
from data_catalog.cli import CatalogDir
from flows.console import ConfigFile, out
from flows.settings import load_settings

frames_app = typer.Typer(name="frames", no_args_is_help=True, help="What was sampled of an ad, and what became of it.")


@frames_app.callback()
def _group() -> None:
    """Keep `show` a command of its own though it is the only one."""


@frames_app.command(epilog="Example: ytb-ads frames show dQw4w9WgXcQ --out sheet.png")
def show(
    video_id: Annotated[str, typer.Argument(metavar="VIDEO_ID", help="The ad.")],
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG to write; default: VIDEO_ID-frames.png.")
    ] = None,
) -> None:
    """Write one picture of all the ad's frames: asked and actual times, which are the same, and what became of each."""
    from flows.frames.contact_sheet import contact_sheet
    from flows.frames.story import tell_ad

    settings = load_settings(config)
    ad = tell_ad(Catalog(catalog), video_id, more_than_words=settings.ocr.more_than_words)
    # an id may hold whatever a file's name may
    path = out_file or Path(f"{''.join(c if c.isalnum() or c in '_-' else '_' for c in video_id)}-frames.png")
    contact_sheet(ad).save(path, format="PNG")
    out.print(f"contact sheet: {escape(str(path))}", highlight=False, soft_wrap=True)
