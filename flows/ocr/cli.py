"""`ytb-ads ocr ...`: see what was read on an ad's frames, and what followed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow.dataset as ds
import typer
from rich.markup import escape

from data_catalog.catalog import Catalog
from data_catalog.cli import CatalogDir
from data_catalog.inspect import printable, require_catalog
from flows.console import ConfigFile, out
from flows.errors import OcrError
from flows.settings import load_settings

ocr_app = typer.Typer(name="ocr", no_args_is_help=True, help="What was read on the frames.")


@ocr_app.callback()
def _ocr() -> None:
    """What was read on the frames."""


@ocr_app.command(epilog="Example: ytb-ads ocr show dQw4w9WgXcQ --out words.png")
def show(
    video_id: Annotated[str, typer.Argument(metavar="VIDEO_ID", help="Id of an ad.")],
    catalog: CatalogDir = "./catalog",
    output: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Picture to write; default: VIDEO_ID.ocr.png.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Write one picture of an ad's frames: times, boxes, words, their number, and why each was kept or dropped."""
    from flows.ocr.sheet import draw_sheet

    tables = Catalog(catalog)
    require_catalog(tables)
    of_ad = ds.field("video_id") == video_id
    frames = sorted(tables.read("frames", where=of_ad).to_pylist(), key=lambda frame: frame["timestamp_s"])
    if not frames:
        raise OcrError(
            f"{catalog}: no frame of an ad {printable(video_id)!r}; `ytb-ads catalog show frames` lists them"
        )
    texts = {text["frame_id"]: text for text in tables.read("texts", where=of_ad).to_pylist()}
    drops = {drop["key"]: drop for drop in tables.read("drops", where=of_ad & (ds.field("stage") == "ocr")).to_pylist()}
    more_than = load_settings(config).ocr.more_than_words
    tiles = [_tile(frame, texts.get(frame["frame_id"]), drops.get(frame["frame_id"]), more_than) for frame in frames]
    engines = sorted({f"{text['engine']} {text['engine_version']}" for text in texts.values()})
    sheet = draw_sheet(f"{video_id}   {', '.join(engines) or 'not read yet'}", tiles)
    path = output or Path(f"{_file_name(video_id)}.ocr.png")
    sheet.save(path, format="PNG")
    kept = sum(tile.kept for tile in tiles)
    said = f"{path}: {len(tiles)} frames, {kept} with more than {more_than} words"
    out.print(escape(said), highlight=False, soft_wrap=True)


def _tile(frame: dict[str, Any], text: dict[str, Any] | None, drop: dict[str, Any] | None, more_than: int) -> Any:
    from flows.ocr.sheet import Tile
    from flows.ocr.words import Word

    words = [Word(word["text"], word["confidence"], tuple(word["box"])) for word in text["words"]] if text else []
    kept = len(words) > more_than
    if text is not None and text["upstream_revision"] != frame["image_sha256"]:
        kept, why = False, "read on an earlier picture; build again"
    elif text is not None:
        confidence = f", confidence {text['mean_confidence']:.2f}" if words else ""
        why = f"{len(words)} words{confidence}" + ("" if kept else f"; more than {more_than} are needed")
    else:
        why = f"{drop['reason']}: {drop['detail']}" if drop else "not read yet"
    return Tile(frame["image"]["bytes"] or b"", frame["timestamp_s"], words, kept, why)


def _file_name(video_id: str) -> str:
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in video_id)
