"""`frames show` and `ocr show`: an ad's contact sheet, written where it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.markup import escape

from data_catalog.catalog import Catalog
from data_catalog.printing import printable
from flows.console import out
from flows.look.ad import tell_ad
from flows.look.sheet import contact_sheet, save_sheet, summary
from flows.settings import load_settings


def show_ad(
    catalog: str, video_id: str, config: Path | None, path: Path | None, what: Literal["frames", "words"]
) -> None:
    """Draw an ad's sheet, and say where it lies and what is on it.

    Raises:
        CatalogError: there is no catalog, or no such ad in it.
        SettingsError: the settings cannot be read.
        SheetError: the picture cannot be written.
    """
    settings = load_settings(config)
    ad = tell_ad(Catalog(catalog), video_id, more_than_words=settings.ocr.more_than_words)
    tiles = [frame.sampling_tile() if what == "frames" else frame.reading_tile() for frame in ad.frames]
    # an id may hold whatever a file's name may
    named = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in video_id)
    path = path or Path(f"{named}-{what}.png")
    save_sheet(contact_sheet(ad.head, tiles), path)
    out.print(f"{escape(printable(str(path)))}: {summary(tiles)}", highlight=False, soft_wrap=True)
