"""Words that can still be read of a picture in the square that a model sees: letterboxed, squashed or cropped.

python -m benchmarks.picture_fit --data ../shared/data --number 150

RapidOCR reads the square, enlarged threefold as its detector expects, and a word counts if every letter of it was read.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.ocr import _plain
from benchmarks.ocr_frames import SETS, Shown
from fgmfn.configuration import FgmfnConfig
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from flows.ocr.engine import OcrEngine
from flows.ocr.registry import ocr_engine
from flows.settings import OcrSettings

FITS = ("letterbox", "squash", "crop")
ENLARGED = 3


def main() -> None:
    """Print the share of words by shape of picture, set and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--number", type=int, help="at most so many pictures of each set")
    parser.add_argument("--side", type=int, default=224)
    arguments = parser.parse_args()
    engine = ocr_engine(OcrSettings())
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for name in ("cards", "rendered"):
        for shown in islice(SETS[name](arguments.data), arguments.number):
            height, width = shown.picture.shape[:2]
            counts = found[name, "wide" if width > height else "tall"]
            counts |= {"pictures": counts["pictures"] + 1, "words": counts["words"] + _plain(shown.words).total()}
            for fit in FITS:
                counts[fit] += words_read(shown, fit, arguments.side, engine)
    table = Table("set", "shape", "pictures", "words", *FITS)
    for (name, shape), counts in found.items():
        shares = [f"{counts[fit] / counts['words']:.1%}" for fit in FITS]
        table.add_row(name, shape, str(counts["pictures"]), str(counts["words"]), *shares)
    Console().print(table)


def words_read(shown: Shown, fit: str, side: int, engine: OcrEngine) -> int:
    """Number of a picture's words that are read in the square."""
    config = FgmfnConfig(image_size=side, pretrained=False)
    processor = FgmfnProcessor(image_processor(config), train_tokenizer(["words"], 100), fit=fit, crop_share=224 / 256)
    square = processor.square(Image.fromarray(cv2.cvtColor(shown.picture, cv2.COLOR_BGR2RGB)))
    large = square.resize((ENLARGED * side, ENLARGED * side), Image.Resampling.BICUBIC)
    [words] = engine.read([cv2.cvtColor(np.asarray(large), cv2.COLOR_RGB2BGR)])
    return (_plain(shown.words) & _plain(word.text for word in words)).total()


if __name__ == "__main__":
    main()
