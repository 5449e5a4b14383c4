"""Three small problems with a known solution, which show what models that start at random learn.

In `words` one word of the sentence decides, in `picture` its colour. In `both` a row is positive or negative where the
two agree and neutral where they do not, of which each modality alone can know half. Each problem is a folder of tables
that `fgmfn paper table4` reads:

    python -m benchmarks.planted --output planted
    fgmfn paper table4 --data planted/words --data planted/picture --data planted/both --images planted/pictures \\
        --config benchmarks/planted.toml --from-scratch --seeds 3
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

from PIL import Image, ImageDraw

GOOD, BAD = ("great", "lovely", "brilliant"), ("awful", "dreadful", "dismal")
FILLERS = ("today", "we", "saw", "the", "new", "one", "again", "and", "it", "was", "here", "now", "with", "all")
NAMES = ("Ann", "Bob", "Tom Lee", "Kim", "New York", "Oslo")
WARM, COLD = (205, 90, 55), (55, 95, 205)
SPLITS = {"train": 400, "dev": 100, "test": 200}
PROBLEMS = ("words", "picture", "both")
SIDE = 64


def sentence(draw: random.Random, good: bool) -> tuple[str, str]:
    """A sentence that holds one telling word and the name that it is about; return both."""
    name = draw.choice(NAMES)
    words = draw.choices(FILLERS, k=draw.randint(4, 9))
    words.insert(draw.randint(0, len(words)), draw.choice(GOOD if good else BAD))
    words.insert(draw.randint(0, len(words)), name)
    return " ".join(words), name


def picture(draw: random.Random, warm: bool) -> Image.Image:
    """A picture of rectangles in shades of one colour."""
    base = WARM if warm else COLD
    image = Image.new("RGB", (SIDE, SIDE), shade(draw, base))
    canvas = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = draw.randint(0, SIDE - 12), draw.randint(0, SIDE - 12)
        canvas.rectangle((left, top, left + draw.randint(6, 30), top + draw.randint(6, 30)), fill=shade(draw, base))
    return image


def shade(draw: random.Random, base: tuple[int, int, int]) -> tuple[int, int, int]:
    """A colour near another one."""
    red, green, blue = (min(255, max(0, value + draw.randint(-40, 40))) for value in base)
    return red, green, blue


def label(problem: str, good: bool, warm: bool) -> str:
    """The class of a row."""
    if problem == "both" and good != warm:
        return "neutral"
    return "positive" if (warm if problem == "picture" else good) else "negative"


def write(output: Path, seed: int) -> None:
    """Write the pictures once and the three problems' tables, each pair of signs equally often."""
    draw = random.Random(seed)
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    for split, count in SPLITS.items():
        signs = [(number % 2 == 0, number % 4 < 2) for number in range(count)]
        draw.shuffle(signs)
        rows = []
        for number, (good, warm) in enumerate(signs):
            name = f"{split}-{number:03d}.png"
            picture(draw, warm).save(output / "pictures" / name)
            rows.append((name, *sentence(draw, good), good, warm))
        for problem in PROBLEMS:
            (output / problem).mkdir(exist_ok=True)
            with (output / problem / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(("image", "text", "target", "label"))
                table.writerows(
                    (name, text, about, label(problem, good, warm)) for name, text, about, good, warm in rows
                )


def main() -> None:
    """Read the options, write the problems."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--output", type=Path, required=True, metavar="DIR")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    write(given.output, given.seed)
    print(f"{', '.join(str(given.output / problem) for problem in PROBLEMS)}: {SPLITS} rows each")


if __name__ == "__main__":
    main()
