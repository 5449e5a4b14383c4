"""Re-uploads that are found, different ads that are joined by mistake, and the cost of comparing many ads.

With `--data` it copies real videos with ffmpeg, in ways of two kinds: those that the limits in
`flows.frames.reuploads` were chosen on, and others. Of the clips of the test data, too, the limits were chosen on some
families of footage alone (`CHOSEN_ON`). What is found does not depend on `frames.seek`: fingerprints are the same.
With `--many` it compares ads that it draws, all of them and then twenty more.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from flows.console import print_tables, progress
from flows.frames.fingerprint import SIDE, fingerprint_video
from flows.frames.reuploads import AdFingerprint, View, groups_of, same_ads
from flows.frames.video import size_shown

SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
WANTED = 0.95
LONGER_SIDE = 640
NEW_ADS = 20
# adverts over the footage of a crystal, a frog, a pig, Big Buck Bunny and NASA, and a terminal's promo
CHOSEN_ON = frozenset(
    [
        "PIdB4MkHzrb",
        "67X7c4vk1RG",
        "1EqkFZPod4f",
        "868xQKny8Fk",
        "LMxa5MwFgzt",
        "wtZjexwM_e_",
        "P9NuAy_MyS5",
        "0uRmWOLQV-T",
        "BcmfqISqWeY",
        "CiO8u5aaOCP",
        "B6R-C3kgyKs",
        "dpWObOyrEZ5",
        "brOxkNfRZ1g",
    ]
)
X264 = "-c:v libx264 -threads 1 -pix_fmt yuv420p -preset ultrafast"
USUAL = f"{X264} -crf 26"
EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"


@dataclass(frozen=True)
class Copy:
    """Arguments with which ffmpeg makes a copy; `{end}` is the length of the original."""

    suffix: str
    filters: str
    encoder: str
    before: str = ""
    cut_end_s: float = 0.0
    chosen_on: bool = False
    """Whether the limits were chosen on such copies."""


COPIES = {
    "mkv": Copy("mkv", "", "-c copy", chosen_on=True),
    "scale06": Copy("mp4", "scale=trunc(iw*0.3)*2:trunc(ih*0.3)*2", f"{X264} -crf 30 -g 48 -bf 2", chosen_on=True),
    "low": Copy("mp4", EVEN, f"{X264} -crf 38 -g 128", chosen_on=True),
    "fps24": Copy("mp4", f"{EVEN},fps=24", USUAL, chosen_on=True),
    "cut1start": Copy("mp4", EVEN, USUAL, before="-ss 1.0", chosen_on=True),
    "cut1end": Copy("mp4", EVEN, USUAL, cut_end_s=1.0, chosen_on=True),
    "letterbox": Copy("mp4", f"{EVEN},pad=iw:trunc(ih*1.3/2)*2:0:(oh-ih)/2:black", USUAL, chosen_on=True),
    "mirror": Copy("mp4", f"hflip,{EVEN}", USUAL, chosen_on=True),
    "crop2": Copy("mp4", "crop=trunc(iw*0.48)*2:trunc(ih*0.48)*2", USUAL, chosen_on=True),
    "bright": Copy("mp4", f"{EVEN},eq=brightness=0.08:contrast=1.15", USUAL, chosen_on=True),
    "logo": Copy(
        "mp4", f"{EVEN},drawbox=x=iw*0.86:y=ih*0.05:w=iw*0.1:h=ih*0.1:color=white@0.8:t=fill", USUAL, chosen_on=True
    ),
    "ts": Copy("ts", EVEN, USUAL),
    "webm": Copy("webm", "", "-c:v libvpx -threads 1 -deadline realtime -cpu-used 8 -b:v 500k -pix_fmt yuv420p"),
    "scale04": Copy("mp4", "scale=trunc(iw*0.2)*2:trunc(ih*0.2)*2", f"{X264} -crf 36 -g 300"),
    "mpeg4low": Copy("avi", EVEN, "-c:v mpeg4 -threads 1 -q:v 20 -pix_fmt yuv420p"),
    "fps15": Copy("mp4", f"{EVEN},fps=15", USUAL),
    "fps25": Copy("mp4", f"{EVEN},fps=25", USUAL),
    "fps30": Copy("mp4", f"{EVEN},fps=30", USUAL),
    "cut03and07": Copy("mp4", EVEN, USUAL, before="-ss 0.3", cut_end_s=1.0),
    "cut2start": Copy("mp4", EVEN, USUAL, before="-ss 2.0"),
    "cut2end": Copy("mp4", EVEN, USUAL, cut_end_s=2.0),
    "endcard": Copy("mp4", f"{EVEN},tpad=stop_mode=add:stop_duration=2:color=navy", USUAL),
    "pillarblue": Copy("mp4", f"{EVEN},pad=trunc(iw*1.25/2)*2:ih:(ow-iw)/2:0:navy", USUAL),
    "frame_red": Copy("mp4", f"{EVEN},pad=trunc(iw*1.1/2)*2:trunc(ih*1.2/2)*2:(ow-iw)/2:(oh-ih)*0.3:red", USUAL),
    "mirror_low": Copy("mp4", "hflip,scale=trunc(iw*0.3)*2:trunc(ih*0.3)*2", f"{X264} -crf 32 -g 90"),
    "crop3": Copy("mp4", "crop=trunc(iw*0.485)*2:trunc(ih*0.485)*2:0:0", USUAL),
    "dark_sat": Copy("mp4", f"{EVEN},eq=gamma=0.8:saturation=1.5:brightness=-0.05", USUAL),
    "logo_bl": Copy("mp4", f"{EVEN},drawtext=text='KANAL':fontsize=h/14:fontcolor=yellow:x=w*0.03:y=h*0.9", USUAL),
    "mix": Copy(
        "mp4",
        "scale=trunc(iw*0.35)*2:trunc(ih*0.35)*2,fps=25,pad=iw:trunc(ih*1.25/2)*2:0:(oh-ih)/2:black",
        f"{X264} -crf 31",
        before="-ss 0.7",
    ),
}


def main() -> None:
    """Copy, fingerprint, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of videos, searched through")
    parser.add_argument(
        "--copies", type=Path, metavar="DIR", help="where copies are kept; those that are there are used"
    )
    parser.add_argument("--many", type=int, metavar="N", help="compare so many ads that are drawn")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    arguments = parser.parse_args()
    told: dict[str, Any] = {}
    if arguments.data:
        originals = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not originals:
            raise SystemExit(f"error: {arguments.data} holds no video ({', '.join(SUFFIXES)})")
        with tempfile.TemporaryDirectory() as folder:
            told["copies"] = find_copies(originals, arguments.copies or Path(folder))
    if arguments.many:
        told["many"] = compare_many(arguments.many)
    if arguments.json:
        print(json.dumps(told, indent=1))
    else:
        print_tables(*tables(told))


def find_copies(originals: list[Path], folder: Path) -> dict[str, Any]:
    """Return the copies joined with their original, the different ads joined, and the cost of fingerprints."""
    ads = [(path.stem, "original", path) for path in originals]
    for original, (kind, copy) in itertools.product(originals, COPIES.items()):
        target = folder / kind / f"{original.stem}.{copy.suffix}"
        if not target.exists():
            make_copy(original, copy, target)
        ads.append((original.stem, kind, target))
    fingerprints: list[AdFingerprint] = []
    cpu_s: dict[str, float] = {}
    with progress("fingerprints", len(ads)) as advance:
        for stem, kind, path in ads:
            start = time.process_time()
            row = fingerprint_video(path).row(stem)
            cpu_s.setdefault(stem, time.process_time() - start)  # of the original, which comes first
            fingerprints.append(AdFingerprint.of_row(row, f"{stem}/{kind}"))
            advance(1)
    # copies with each other would be many, and are what no catalog holds
    pairs = same_ads(fingerprints, {f"{path.stem}/original" for path in originals})
    # with its original itself: two copies of one ad that are joined by a third are not counted
    joined = {one if other.endswith("/original") else other for one, other in pairs if one[:11] == other[:11]}
    found = {
        kind: {
            part: [sum(f"{stem}/{kind}" in joined for stem in stems), len(stems)]
            for part, stems in parts([path.stem for path in originals], copy.chosen_on).items()
        }
        for kind, copy in COPIES.items()
    }
    groups = groups_of(pairs)
    return {
        "found": found,
        "different_ads_joined": sorted(
            {tuple(sorted({name.split("/")[0] for name in group})) for group in groups}
            - {(path.stem,) for path in originals}
        ),
        "median_cpu_ms": round(1000 * float(np.median(list(cpu_s.values())))),
    }


def parts(stems: Iterable[str], kind_chosen_on: bool) -> dict[str, list[str]]:
    """Clips by whether the limits were chosen on their copies of a kind."""
    split: dict[str, list[str]] = {"chosen on": [], "held out": []}
    for stem in stems:
        split["chosen on" if kind_chosen_on and stem in CHOSEN_ON else "held out"].append(stem)
    return split


def make_copy(original: Path, copy: Copy, target: Path) -> None:
    """Encode a copy; of large videos from a smaller one, since that takes seconds instead of minutes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = original
    if size_shown(original)[0] > LONGER_SIDE and copy.encoder != "-c copy":
        source = target.parent.parent / "base" / f"{original.stem}.mp4"
        if not source.exists():
            source.parent.mkdir(exist_ok=True)
            ffmpeg("-i", str(original), "-vf", f"scale={LONGER_SIDE}:-2", *f"{X264} -crf 14".split(), str(source))
    arguments = [*copy.before.split(), "-i", str(source), "-map", "0:v:0"]
    if copy.cut_end_s:
        arguments += ["-t", f"{fingerprint_video(source).duration_s - copy.cut_end_s:.3f}"]
    filters = ["-vf", copy.filters] if copy.filters else []
    ffmpeg(*arguments, *filters, *copy.encoder.split(), str(target))


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg; its complaints go to the standard error."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], check=True)


def compare_many(count: int) -> dict[str, Any]:
    """CPU seconds of comparing ads that are drawn, a tenth of them copies, and then of twenty new ones."""
    ads = list(itertools.islice(drawn_ads(), count + NEW_ADS))
    first, new = ads[:count], {ad.name for ad in ads[count:]}
    pairs, all_s = timed(lambda: same_ads(first))
    more, new_s = timed(lambda: same_ads(ads, new))
    right = all(one[:-1] == other[:-1] for one, other in [*pairs, *more])
    copies = sum(ad.name.endswith("b") for ad in first)
    return {"ads": count, "copies": copies, "found": len(pairs), "right": right, "all_s": all_s, "new_s": new_s}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result and the CPU seconds it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def drawn_ads() -> Iterator[AdFingerprint]:
    """Ads of 6 to 60 s: scenes of soft shapes that drift; every tenth is followed by a noisy copy without its start."""
    draw = np.random.default_rng(0)
    for number in itertools.count():
        steps = int(draw.integers(12, 120))
        pictures: list[Any] = []
        while len(pictures) < steps:
            scene = cv2.resize(draw.normal(size=(7, 9)), (2 * SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            length = int(draw.integers(3, 12))
            pictures += [scene[:, shift : shift + SIDE] for shift in range(length)]
        shown = np.clip(np.array(pictures[:steps]) * 10 + 32, 0, 63)
        yield AdFingerprint(f"{number:06d}a", steps / 2, (View(np.arange(steps), shown.astype(np.uint8)),))
        if number % 10 == 0:
            noisy = np.clip(shown[2:] + draw.normal(size=(steps - 2, SIDE, SIDE)), 0, 63).astype(np.uint8)
            yield AdFingerprint(f"{number:06d}b", (steps - 2) / 2, (View(np.arange(steps - 2), noisy),))


def tables(told: dict[str, Any]) -> Iterator[Table]:
    """Yield the results as tables for people."""
    if copies := told.get("copies"):
        table = Table(title=f"Copies that are found, in either mode (wanted: {WANTED:.0%})")
        for column in ("copy", "chosen on", "held out"):
            table.add_column(column, justify="left" if column == "copy" else "right")
        sums = {"chosen on": [0, 0], "held out": [0, 0]}
        for kind, by_part in copies["found"].items():
            table.add_row(kind, *(f"{got} of {of}" if of else "" for got, of in by_part.values()))
            for part, (got, of) in by_part.items():
                sums[part] = [sums[part][0] + got, sums[part][1] + of]
        table.add_row("all", *(f"{got} of {of}, {got / max(of, 1):.1%}" for got, of in sums.values()))
        yield table
        other = Table("different ads joined", "CPU ms of a fingerprint, median")
        joined = "; ".join(" and ".join(pair) for pair in copies["different_ads_joined"])
        other.add_row(joined or "none", str(copies["median_cpu_ms"]))
        yield other
    if many := told.get("many"):
        table = Table(title=f"{many['ads']:,} ads that are drawn")
        for column in ("copies", "pairs found", "all right", "CPU s, all", f"CPU s, {NEW_ADS} new"):
            table.add_column(column, justify="right")
        values = (many["copies"], many["found"], many["right"], f"{many['all_s']:.1f}", f"{many['new_s']:.1f}")
        table.add_row(*map(str, values))
        yield table


if __name__ == "__main__":
    main()
