"""Renders a sample: encoded videos and their info.json, in the layout that yt-dlp leaves, marked as synthetic."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation

from flows.errors import SampleError
from flows.sample.drawing import FRAMES_PER_SECOND, HEIGHT, WIDTH, draw_frames
from flows.sample.storyboard import Storyboard, write_comments, write_storyboards

README = "README.txt"
_HEADING = "Synthetic ads"
# raise it when the same seed gives other files
_VERSION = 1
_FETCHED_AT = 1_767_225_600  # 2026-01-01: a fixed day, so that the same seed gives the same bytes
_DAY_S = 86_400
_CORRUPT_BYTES = 20_000
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# one thread: x264 divides its work among threads, and the bytes depend on how
_X264 = {"preset": "veryfast", "crf": "23", "threads": "1", "g": "24"}


@dataclass(frozen=True)
class SampleSummary:
    """Contents of a sample, and how many ads this run rendered."""

    directory: Path
    ads: int
    rendered: int
    kinds: dict[str, int]

    @property
    def kept(self) -> int:
        """Ads that were there already."""
        return self.ads - self.rendered

    def __str__(self) -> str:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.kinds.items()))
        return f"{self.ads} synthetic ads in {self.directory} ({self.rendered} rendered, {self.kept} kept): {kinds}"


def render_sample(
    directory: Path,
    *,
    ads: int = 24,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> SampleSummary:
    """Render a sample, or what is missing of it.

    The same number and seed give byte-identical files. From eight ads on one file is corrupt and one ad has no
    comments; from twelve on one has too few words, one is nearly static and one divides opinion.

    Args:
        directory: folder to render into; made if missing.
        ads: number of ads.
        seed: another seed renders other ads.
        progress: called with 1 after every ad.

    Raises:
        SampleError: the folder holds something else or another sample, or cannot be written.
    """
    if ads < 1:
        raise SampleError(f"{ads} ads asked for; a sample has at least 1")
    boards = write_storyboards(ads, seed)
    try:
        _claim(directory, ads, seed)
        rendered = 0
        for board in boards:
            rendered += _render(directory / board.category, board)
            progress(1)
    except OSError as error:
        raise SampleError(f"{error.filename or directory}: {error.strerror}; choose another folder") from error
    kinds: Counter[str] = Counter(board.mood if board.kind == "ordinary" else board.kind for board in boards)
    return SampleSummary(directory, ads, rendered, dict(kinds))


def _claim(directory: Path, ads: int, seed: int) -> None:
    """Make the folder ours by its README, or make sure that it already is."""
    if directory.exists() and not directory.is_dir():
        raise SampleError(f"{directory}: not a folder; choose another one")
    directory.mkdir(parents=True, exist_ok=True)
    readme = directory / README
    if not any(directory.iterdir()):
        _write(readme, _readme(ads, seed).encode())
    held = readme.read_text("utf-8", errors="replace").partition("\n")[0] if readme.is_file() else ""
    if held != _heading(ads, seed):
        what = f"another sample ({held})" if held.startswith(_HEADING) else "something that is no sample"
        raise SampleError(f"{directory}: holds {what}; choose an empty or a new folder")


def _render(folder: Path, board: Storyboard) -> bool:
    """Write the two files of an ad unless they are there; tell whether there was anything to do."""
    media, info = folder / f"{board.video_id}.mp4", folder / f"{board.video_id}.info.json"
    if media.is_file() and info.is_file():
        return False
    folder.mkdir(exist_ok=True)
    if board.kind == "corrupt":
        _write(media, _corrupt(board))
    else:
        _encode(media, board)
    _write(info, (json.dumps(_info(board), indent=1, ensure_ascii=False) + "\n").encode())
    return True


def _encode(path: Path, board: Storyboard) -> None:
    unfinished = _unfinished(path)
    with av.open(str(unfinished), "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_X264)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in draw_frames(board):
            frame = av.VideoFrame.from_image(picture).reformat(format="yuv420p", interpolation=_EXACT)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    unfinished.replace(path)


def _corrupt(board: Storyboard) -> bytes:
    """A file that begins like an mp4 and continues with noise."""
    noise = random.Random(board.seed).randbytes(_CORRUPT_BYTES)  # noqa: S311  # noise, not secrets
    return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + noise


def _info(board: Storyboard) -> dict[str, Any]:
    draw = random.Random(board.seed)  # noqa: S311  # invented numbers, not secrets
    published_at = _FETCHED_AT - draw.randint(30, 700) * _DAY_S
    comments = write_comments(board.mood, board.product, board.n_comments, draw, published_at)
    return {
        "id": board.video_id,
        "synthetic": True,
        "title": board.title,
        "description": "Rendered by `ytb-ads sample`. Product, words and comments are invented.",
        "duration": board.duration_s,
        "width": WIDTH,
        "height": HEIGHT,
        "channel": f"Synthetic {board.brand}",
        "channel_id": f"synthetic-channel-{board.brand.lower()}",
        "timestamp": published_at,
        "epoch": _FETCHED_AT,
        "view_count": draw.randint(1_000, 1_000_000),
        "like_count": draw.randint(10, 10_000),
        "comment_count": len(comments),
        "categories": [board.category],
        "language": "en",
        "extractor": "ytb-ads sample",
        "extractor_key": "YtbAdsSample",
        "ext": "mp4",
        "_type": "video",
        "comments": comments,
    }


def _heading(ads: int, seed: int) -> str:
    return f"{_HEADING}: ads={ads} seed={seed} version={_VERSION}"


def _readme(ads: int, seed: int) -> str:
    return (
        f"{_heading(ads, seed)}\n\n"
        "Everything here was rendered by `ytb-ads sample`: the pictures, the words on them, the products and the\n"
        "comments are invented. It is for trying the pipeline; nothing learned from it says anything about real\n"
        "advertisements. From eight ads on, one file is corrupt and one ad has no comments, on purpose.\n"
    )


def _write(path: Path, content: bytes) -> None:
    unfinished = _unfinished(path)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _unfinished(path: Path) -> Path:
    # a hidden name: what a killed run leaves behind is nobody's ad
    return path.with_name(f".{path.name}.part")
