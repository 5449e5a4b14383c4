"""`ytb-ads frames ...`: look at the frames of an ad."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.catalog import CatalogDir
from flows.console import ConfigFile, VideoId

frames_app = typer.Typer(name="frames", no_args_is_help=True, help="What was sampled of an ad, and what became of it.")


@frames_app.callback()
def _group() -> None:
    """Keep `show` a command of its own though it is the only one."""


@frames_app.command(epilog="Example: ytb-ads frames show dQw4w9WgXcQ --catalog catalog --out frames.png")
def show(
    video_id: VideoId,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG to write; default: VIDEO_ID-frames.png.")
    ] = None,
) -> None:
    """Write one picture of all an ad's frames: the moments asked for, when each picture came up, and its fate.

    A green frame is kept, a red one dropped, one without colour not read yet. Nothing in the catalog changes.
    """
    from flows.commands.show import show_ad

    show_ad(catalog, video_id, config, out_file, "frames")
