"""Small sets of data for the model's tests: releases, written with pyarrow alone, and a Twitter set."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("negative", "positive")
LINES = ['1\t2\ta.jpg\t"So good , $T$ !\tAnn', "2\t0\tb.jpg\tno $T$ again\tBob Lee", "3\t1\ta.jpg\t$T$\tC"]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        ("image", IMAGE),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("video_id", pa.string()),
        ("frame_id", pa.string()),
        ("category", pa.string()),
    ]
)


@dataclass(frozen=True)
class Row:
    """One row of a release."""

    image: bytes
    text: str | None
    label: int
    video_id: str
    frame_id: str


def picture(color: tuple[int, int, int], size: tuple[int, int] = (96, 72), seed: int = 0) -> bytes:
    """A noisy JPEG of one colour."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, color)
    for _ in range(12):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        shade = tuple(min(255, max(0, channel + rng.randint(-40, 40))) for channel in color)
        image.paste(shade, (x, y, x + 10, y + 10))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def ad_rows(
    n_ads: int, *, first: int = 0, frames: int = 1, image_sign: bool = True, text_sign: bool = True, seed: int = 0
) -> list[Row]:
    """Ads whose label is text sign XOR image sign; with one sign switched off it is the other sign.

    The image sign is red against blue, the text sign a word of praise against one of blame.
    """
    rng = random.Random(seed)
    rows = []
    for ad in range(first, first + n_ads):
        red = bool(ad % 2) if image_sign else rng.random() < 0.5
        praise = bool(ad // 2 % 2) if text_sign else rng.random() < 0.5
        label = int((praise if text_sign else False) != (red if image_sign else False))
        for frame in range(frames):
            filler = rng.sample(["shoes", "today", "every", "summer", "shop", "now", "store", "friends"], 5)
            word = "wonderful" if praise else "terrible"
            color = (200, 40, 40) if red else (40, 40, 200)
            rows.append(
                Row(
                    image=picture(color, seed=1000 * ad + frame),
                    text=" ".join([*filler[:2], word, *filler[2:]]),
                    label=label,
                    video_id=f"ad{ad}",
                    frame_id=f"ad{ad}:{frame}",
                )
            )
    rng.shuffle(rows)
    return rows


def write_release(
    path: Path,
    splits: Mapping[str, Sequence[Row]],
    *,
    class_names: Sequence[str] = CLASSES,
    synthetic: bool = True,
    row_group: int = 10,
) -> Path:
    """Write a release folder; an empty split gets an empty file."""
    (path / "data").mkdir(parents=True)
    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": list(class_names)}}}}
    schema = SCHEMA.with_metadata({"huggingface": json.dumps(features)})
    digest = hashlib.sha256()
    for split, rows in splits.items():
        table = pa.table(
            {
                "image": pa.array([{"bytes": row.image, "path": None} for row in rows], IMAGE),
                "text": pa.array([row.text for row in rows], pa.string()),
                "label": pa.array([row.label for row in rows], pa.int64()),
                "video_id": pa.array([row.video_id for row in rows], pa.string()),
                "frame_id": pa.array([row.frame_id for row in rows], pa.string()),
                "category": pa.array(["apparel"] * len(rows), pa.string()),
            },
            schema=schema,
        )
        pq.write_table(table, path / "data" / f"{split}-00000-of-00001.parquet", row_group_size=row_group)
        digest.update(repr((split, rows)).encode())
    manifest = {
        "format": 1,
        "version": path.name,
        "synthetic": synthetic,
        "class_names": list(class_names),
        "row_set_hash": digest.hexdigest(),
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def small_release(path: Path, *, train: int = 24, dev: int = 8, test: int = 8, **switches: bool) -> Path:
    """A release of one-frame ads, ad numbers running on from split to split."""
    return write_release(
        path,
        {
            "train": ad_rows(train, first=0, seed=1, **switches),
            "validation": ad_rows(dev, first=train, seed=2, **switches),
            "test": ad_rows(test, first=train + dev, seed=3, **switches),
        },
    )


TINY_TOML = """
[model]
pretrained = false
backbone = "test_resnet"
image_size = 64
hidden_size = 32
heads = 2
dropout = 0.1
cross_attention.layers = 1
itc.projection = 16

[model.text_config]
num_hidden_layers = 1

[data]
max_tokens = 16
vocabulary = 300

[training]
epochs = {epochs}
batch_size = 8
learning_rate = {learning_rate}
"""


def tiny_config(folder: Path, *, epochs: int = 2, learning_rate: float = 1e-3) -> Path:
    """A configuration that trains within seconds."""
    file = folder / "config.toml"
    file.write_text(TINY_TOML.format(epochs=epochs, learning_rate=learning_rate))
    return file


def write_set(folder: Path, lines: list[str] = LINES) -> Path:
    """A Twitter set of the same lines in every split."""
    (folder / "2015").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / "2015" / f"{split}.tsv").write_text("\n".join(["index\t#1 Label", *lines, ""]), encoding="utf-8")
    return folder
