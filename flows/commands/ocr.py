"""`ytb-ads ocr ...`: see what was read on an ad's frames, and what followed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.catalog import CatalogDir
from flows.console import ConfigFile, VideoId

ocr_app = typer.Typer(name="ocr", no_args_is_help=True, help="What was read on the frames of an ad.")


@ocr_app.callback()
def _group() -> None:
    """Keep `show` a command of its own though it is the only one."""


@ocr_app.command(epilog="Example: ytb-ads ocr show dQw4w9WgXcQ --catalog catalog --out words.png")
def show(
    video_id: VideoId,
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG to write; default: VIDEO_ID-words.png.")
    ] = None,
) -> None:
    """Write one picture of all an ad's frames with a box round every word, the words, and what they decide.

    A green frame has more than `ocr.more_than_words` words, a red one fewer. Nothing in the catalog changes.
    """
    from flows.commands.show import show_ad

    show_ad(catalog, video_id, config, out_file, "words")
