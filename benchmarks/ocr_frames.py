"""Pictures whose words are known: real cards and streets, advert frames, rendered frames, and frames without text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flows.frames.picture import Picture
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.ocr.words import is_word

DECISION = 5
_MARGIN_S = 0.3
"""A card may fade; moments stay this far from where it begins and ends."""
_PER_AD = 5


@dataclass(frozen=True)
class Shown:
    """A picture and the words on it."""

    name: str
    picture: Picture
    words: tuple[str, ...]
    illegible: int = 0
    """Number of further words that are illegible."""
    group: str = ""
    jpeg: bytes = b""
    """The file that the picture was decoded from, if it was one."""
    unknown: bool = False
    """True if its words were not transcribed."""

    @property
    def decided(self) -> bool:
        """Whether illegible words cannot change the decision."""
        return not len(self.words) <= DECISION < len(self.words) + self.illegible


def cards(data: Path) -> Iterator[Shown]:
    """Advert frames with the exact words laid on them."""
    folder = _ocr_folder(data)
    for row in _rows(folder / "cards.jsonl"):
        yield _file(folder / row["image"], _words(row["text"].split()))


def street(data: Path) -> Iterator[Shown]:
    """Incidental text in streets: much harder than adverts."""
    folder = _ocr_folder(data)
    for row in _rows(folder / "street.jsonl"):
        yield _file(folder / row["image"], tuple(row["words"]), row["illegible"])


def adverts(data: Path) -> Iterator[Shown]:
    """Five frames of each advert that carries cards, while one is shown; the footage's own words are not listed."""
    folder = _ads_folder(data)
    videos = {path.stem: path for path in folder.rglob("*") if path.suffix in {".mp4", ".webm", ".mkv"}}
    for ad in json.loads((folder / "cards.json").read_text("utf-8")):
        spans = [(card["from_s"] + _MARGIN_S, card["to_s"] - _MARGIN_S, card["text"]) for card in ad["cards"]]
        total = sum(end - start for start, end, _ in spans)
        moments = [_moment(spans, (index + 0.5) / _PER_AD * total) for index in range(_PER_AD)]
        pictures = _frames_at(videos[ad["id"]], [moment for moment, _ in moments])
        for (moment, text), picture in zip(moments, pictures, strict=True):
            yield Shown(f"{ad['id']} at {moment:.2f} s", picture, _words(text.split()))


TEXTLESS_CLIPS = {"P9NuAy_MyS5": (0.5, 20.0), "aUmRa1FFYja": (0, 9), "CiO8u5aaOCP": (0, 12), "PUO5qMpbFHT": (0, 7)}
"""Clips, and the seconds between which nothing is written on them."""


def textless(data: Path, number: int = 200, seed: int = 0) -> Iterator[Shown]:
    """Frames of clips while no word is on them, then textures, gradients and noise; `number` in all."""
    left = number
    videos = {path.stem: path for path in _ads_folder(data).rglob("*") if path.stem in TEXTLESS_CLIPS}
    for name, (start, end) in TEXTLESS_CLIPS.items():
        path = next((path for stem, path in videos.items() if stem == name and path.suffix != ".json"), None)
        if path is None:
            continue
        moments = [float(moment) for moment in np.linspace(start, end, 18)]
        for moment, picture in zip(moments, _frames_at(path, moments), strict=True):
            left -= 1
            yield Shown(f"{name} at {moment:.2f} s", picture, (), group="clips")
    draw = random.Random(seed)
    for index in range(max(0, left)):
        kind = ("gradient", "noise", "shapes", "stripes", "leaves")[index % 5]
        yield Shown(f"{kind} {index}", background(draw, kind, (640, 360)), (), group=kind)


SENTENCES = {
    "English": "Fresh bread every morning · Now 25% OFF until Sunday · Save $30 on your first order today · "
    "Free returns within 60 days · Only $9.99 a month · Was $59.99, now $44.99 · Call 555-0142 for a free quote",
    "German": "Jetzt kostenlos testen und sparen · Größte Auswahl für Ihre Küche · Nur heute 20% Rabatt auf alles · "
    "Frisch gebacken, täglich geöffnet · Schönes für draußen ab 19,99 €",
    "French": "Découvrez nos nouveautés dès maintenant · Livraison offerte à partir de 49 € · "
    "Une fraîcheur qui dure toute la journée · Goûtez la différence · Jusqu'à 50% de réduction",
    "Spanish": "Envío gratis en todos los pedidos · El sabor de siempre, más cerca de ti · Ahorra un 30% este año · "
    "Compra hoy y paga mañana · Niños gratis",
    "Polish": "Więcej świeżości każdego dnia · Zamów już dziś i odbierz jutro · Najlepsze ceny w całej Łodzi",
    "Turkish": "Yeni ürünler şimdi mağazalarda · İlk siparişinde %20 indirim · Ücretsiz kargo fırsatını kaçırma",
}
SIZES = ((640, 360), (854, 480), (1280, 720), (360, 640))


VOCABULARY = tuple(word for word in f"{SENTENCES['English']} {SENTENCES['German']}".split() if word.isalpha())


def rendered(data: Path, number: int = 200, seed: int = 0) -> Iterator[Shown]:
    """Sentences in many fonts, sizes, colours and languages over many backgrounds; the group is the language."""
    draw = random.Random(seed)
    languages = list(SENTENCES)
    for index in range(number):
        language = languages[index % len(languages)]
        lines = draw.sample(SENTENCES[language].split(" · "), draw.randint(1, 3))
        size = draw.choice(SIZES)
        base = background(draw, draw.choice(("gradient", "noise", "shapes", "stripes", "leaves")), size)
        font_file = draw.choice(_fonts())
        picture, placed = _write(base, lines, font_file, draw)
        words = _words(word for line in placed for word in line.split())
        yield Shown(f"{index} {language} {font_file.stem} {size[0]}x{size[1]}", picture, words, group=language)


SCREENS = {
    "phone": (0.030, 0.36),
    "terminal": (0.026, 0.96),
    "table": (0.030, 0.9),
    "map": (0.028, 0.9),
    "terms": (0.021, 0.8),
}
"""Kinds of dense screens: height of their letters as a share of the picture's, and its share across that they fill."""
COLUMNS = {"table": 4, "map": 3}
"""Those of which the lines stand side by side."""


def screens(number: int = 60, seed: int = 0) -> Iterator[Shown]:
    """Dense screens as adverts show them: telephones, terminals, tables, maps, and a headline above its terms."""
    draw = random.Random(seed)
    for index in range(number):
        kind = list(SCREENS)[index % len(SCREENS)]
        width, height = draw.choice(((1280, 720), (1280, 720), (854, 480), (720, 1280)))
        picture, words = _screen(draw, kind, width, height)
        yield Shown(f"{kind} {index} {width}x{height}", picture, _words(words), group=kind)


def ads(data: Path) -> Iterator[Shown]:
    """The frames that the pipeline samples from every advert; nobody wrote down what stands on them."""
    for path in sorted(_ads_folder(data).rglob("*")):
        if path.suffix in {".mp4", ".webm", ".mkv"}:
            for frame in sample_frames(path, path.stem).frames:
                yield Shown(frame.frame_id, decode_jpeg(frame.jpeg), (), jpeg=frame.jpeg, unknown=True)


def dense(data: Path) -> Iterator[Shown]:
    """For the speed: a dense screen after every fourth frame of `ads`."""
    others = screens()
    for index, one in enumerate(ads(data)):
        yield replace(one, group="ads")
        if index % 4 == 3:
            yield replace(next(others), group="screens")


def _screen(draw: random.Random, kind: str, width: int, height: int) -> tuple[Picture, list[str]]:
    """A dense screen and its words."""
    tall, across = SCREENS[kind]
    size = max(11, round(tall * draw.uniform(0.8, 1.3) * min(height, 900)))
    named = "Mono" if kind == "terminal" else "Sans"
    fonts = [path for path in _fonts() if named in path.stem and "Oblique" not in path.stem] or list(_fonts())
    font = ImageFont.truetype(draw.choice(fonts), size)
    dark = kind == "terminal" or draw.random() < 0.3
    paper, ink = ((18, 20, 28), (225, 225, 215)) if dark else ((246, 246, 242), (40, 40, 48))
    image = Image.fromarray(cv2.cvtColor(background(draw, "gradient", (width, height)), cv2.COLOR_BGR2RGB))
    canvas = ImageDraw.Draw(image)
    left, right = (0.5 - across / 2) * width, (0.5 + across / 2) * width
    canvas.rectangle((left - 8, 0.03 * height, right + 8, 0.97 * height), fill=paper)
    top, words = 0.06 * height, list[str]()
    if kind in ("phone", "terms"):
        headline = " ".join(draw.choices(VOCABULARY, k=2))
        large = ImageFont.truetype(font.path, size)
        while canvas.textlength(headline, large) < 0.8 * (right - left) and large.size < height / 8:
            large = large.font_variant(size=large.size + 1)
        canvas.text((left, top), headline, ink, large)
        words, top = headline.split(), top + 1.6 * large.size
    while top + 1.5 * size < 0.95 * height:
        columns = COLUMNS.get(kind, 1)
        step = (right - left) / columns
        for column in range(columns):
            line = _fill(draw, canvas, font, (step - 3 * size) * (1 if columns > 1 else draw.uniform(0.3, 1.0)))
            off = (draw.uniform(0, step / 3), draw.uniform(0, size)) if kind == "map" else (0, 0)
            canvas.text((left + column * step + off[0], top + off[1]), line, ink, font)
            words += line.split()
        top += {"map": 3.2, "table": 2.2}.get(kind, 1.5) * size
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR).astype(np.uint8), words


def _fill(draw: random.Random, canvas: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Words one after another, as many as there is room for."""
    line = draw.choice(VOCABULARY)
    while canvas.textlength(longer := f"{line} {draw.choice(VOCABULARY)}", font) < room:
        line = longer
    return line if canvas.textlength(line, font) < room else ""


def mixed(data: Path) -> Iterator[Shown]:
    """For the speed: the advert frames and as many without text, all 640x360, in turn."""
    without = textless(data, number=1_000)
    for one, other in zip(adverts(data), without, strict=False):
        yield replace(one, picture=_scaled(one.picture), group="adverts")
        yield replace(other, picture=_scaled(other.picture), group="textless")


SETS = {
    "cards": cards,
    "street": street,
    "adverts": adverts,
    "rendered": rendered,
    "textless": textless,
    "mixed": mixed,
    "ads": ads,
    "screens": lambda data: screens(),
    "dense": dense,
}


def background(draw: random.Random, kind: str, size: tuple[int, int]) -> Picture:
    """A picture without any text, [height, width, 3]."""
    width, height = size
    noise = np.random.default_rng(draw.getrandbits(32))
    colours = noise.integers(0, 256, (2, 3)).astype(np.float32)
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    mixed = (across + down) / 2 * colours[0] + (1 - (across + down) / 2) * colours[1]
    if kind == "noise":
        coarse = noise.normal(0, 40, (height // draw.choice((2, 6, 20)), width // draw.choice((2, 6, 20)), 3))
        mixed = mixed + cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    elif kind == "stripes":
        period, angle = draw.uniform(6, 60), draw.uniform(0, np.pi)
        phase = across * width * np.cos(angle) + down * height * np.sin(angle)
        mixed = mixed + 50 * np.sign(np.sin(2 * np.pi * phase / period))
    picture = np.clip(mixed, 0, 255).astype(np.uint8)
    if kind == "shapes":
        for _ in range(draw.randint(3, 12)):
            centre = (draw.randrange(width), draw.randrange(height))
            colour = tuple(draw.randrange(256) for _ in range(3))
            if draw.random() < 0.5:
                cv2.circle(picture, centre, draw.randint(8, height // 3), colour, draw.choice((-1, 3, 8)), cv2.LINE_AA)
            else:
                corner = (draw.randrange(width), draw.randrange(height))
                cv2.rectangle(picture, centre, corner, colour, draw.choice((-1, 3, 8)), cv2.LINE_AA)
    elif kind == "leaves":
        for _ in range(1200):
            centre = (draw.randrange(width), draw.randrange(height))
            axes = (draw.randint(3, 22), draw.randint(1, 7))
            colour = (draw.randrange(20, 90), draw.randrange(60, 220), draw.randrange(20, 120))
            cv2.ellipse(picture, centre, axes, draw.randrange(360), 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def _write(base: Picture, lines: list[str], font_file: Path, draw: random.Random) -> tuple[Picture, list[str]]:
    """Lay lines on a picture, each on a plate or with an outline; what does not fit is left out."""
    image = Image.fromarray(cv2.cvtColor(base, cv2.COLOR_BGR2RGB))
    canvas = ImageDraw.Draw(image)
    short = min(image.size)
    size = draw.randint(max(12, short // 24), short // 9)
    light = draw.random() < 0.5
    ink, edge = ((255, 255, 255), (0, 0, 0)) if light else ((10, 10, 40), (255, 255, 255))
    plate = draw.random() < 0.5
    top, placed = draw.uniform(0.05, 0.25) * image.height, []
    for line in lines:
        font = ImageFont.truetype(font_file, size)
        while size > 10 and canvas.textlength(line, font) > 0.92 * image.width:
            size -= 1
            font = ImageFont.truetype(font_file, size)
        left = draw.uniform(0.03, 0.97 - canvas.textlength(line, font) / image.width) * image.width
        if top + 1.6 * size > image.height or left < 0:
            break
        around = canvas.textbbox((left, top), line, font)
        if plate:
            canvas.rectangle((around[0] - 6, around[1] - 4, around[2] + 6, around[3] + 4), fill=edge)
        canvas.text((left, top), line, ink, font, stroke_width=0 if plate else max(1, size // 12), stroke_fill=edge)
        placed.append(line)
        top += 1.7 * size
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR).astype(np.uint8), placed


@lru_cache(maxsize=1)
def _fonts() -> tuple[Path, ...]:
    """Fonts of the system and of Matplotlib, where it is installed, that have all letters."""
    package = find_spec("matplotlib")
    folders = [Path(str(package.origin)).parent / "mpl-data" / "fonts"] if package else []
    folders.append(Path("/usr/share/fonts"))
    usable = fonts_with("".join(SENTENCES.values()), folders)
    if not usable:
        raise SystemExit(f"no font in {', '.join(map(str, folders))} has the letters of {', '.join(SENTENCES)}")
    return tuple(usable)


def fonts_with(letters: str, folders: Iterable[Path]) -> list[Path]:
    """Files of fonts below some folders that have all these letters, by name."""
    files = {path.name: path for folder in folders for path in sorted(folder.rglob("*.[to]t[fc]"))}
    return [path for _, path in sorted(files.items()) if _draws_all(path, letters)]


def _draws_all(path: Path, text: str) -> bool:
    """A glyph that a font lacks is drawn as the one for a character that no font has; some fonts hold no other."""
    try:
        font = ImageFont.truetype(path, 20)
    except OSError:  # a font of bitmaps in one size, as those of coloured emoji are
        return False
    missing = bytes(font.getmask("\U0010fffe"))
    drawn = {character: bytes(font.getmask(character)) for character in set(text) if character.isalnum()}
    return missing not in drawn.values() and len(set(drawn.values())) > len(drawn) / 2


def _scaled(picture: Picture) -> Picture:
    return cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _moment(spans: list[tuple[float, float, str]], at: float) -> tuple[float, str]:
    """The moment that lies `at` seconds into the cards, were they shown one right after another."""
    for start, end, text in spans:
        if at <= end - start:
            return start + at, text
        at -= end - start
    return spans[-1][1], spans[-1][2]


def _frames_at(path: Path, moments: list[float]) -> list[Picture]:
    """The pictures on the screen at ascending moments: the file is decoded once from its start."""
    found: list[Picture] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = ((float(frame.pts * stream.time_base), frame) for frame in container.decode(stream))
        for (_, shown), (until, _) in pairwise(frames):
            while len(found) < len(moments) and until > moments[len(found)]:
                found.append(shown.to_ndarray(format="bgr24"))
            if len(found) == len(moments):
                return found
    raise SystemExit(f"{path}: ends before {moments[len(found)]:.2f} s")


def _words(tokens: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(token for token in tokens if is_word(token))


def _ocr_folder(data: Path) -> Path:
    return next((folder for folder in (data, data / "ocr") if (folder / "cards.jsonl").is_file()), data)


def _ads_folder(data: Path) -> Path:
    candidates = (data, data / "ads", data.parent / "ads")
    for folder in candidates:
        if (folder / "cards.json").is_file():
            return folder
    raise SystemExit(f"no cards.json in {', '.join(map(str, candidates))}; --data names the folder of the test data")


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise SystemExit(f"{path} is missing; --data names the folder that holds it")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _file(path: Path, words: tuple[str, ...], illegible: int = 0) -> Shown:
    jpeg = path.read_bytes()
    return Shown(path.name, decode_jpeg(jpeg), words, illegible, jpeg=jpeg)
