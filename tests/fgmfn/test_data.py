"""A release is checked when it is opened, and its pictures when they are read."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgmfn.baselines.single_modality import TextOnlyForSentiment
from fgmfn.data import Collator, SplitDataset, find_release, identity, open_release
from fgmfn.data.pictures import CACHED_ROW_GROUPS, check_picture, decode
from fgmfn.errors import DataError, InputError, ReleaseDataError
from fgmfn.images import as_pictures
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.processing import Augmentation, FgmfnProcessor, image_processor, train_tokenizer
from tests.fgmfn.models import small_config
from tests.fgmfn.releases import Row, ad_rows, picture, small_release, write_release


def _processor(texts: list[str]) -> FgmfnProcessor:
    tokenizer = train_tokenizer(texts, 200)
    return FgmfnProcessor(image_processor(small_config()), tokenizer, max_tokens=12, fit="letterbox")


def _one_split(path: Path, rows: list[Row], **settings: Any) -> Path:
    return write_release(path, {"train": rows, "validation": [], "test": []}, **settings)


def test_a_release_is_read_without_its_pictures(tmp_path: Path) -> None:
    release = open_release(small_release(tmp_path / "2026.11.24"))
    assert release.class_names == ("negative", "positive")
    assert release.synthetic
    assert {split: len(rows) for split, rows in release.splits.items()} == {"train": 24, "validation": 8, "test": 8}


def test_every_row_finds_its_own_picture_across_row_groups(tmp_path: Path) -> None:
    rows = ad_rows(10 * CACHED_ROW_GROUPS, frames=2)
    pictures = open_release(_one_split(tmp_path / "r", rows, row_group=7)).splits["train"].pictures
    assert pictures is not None
    backwards = range(len(rows) - 1, -1, -1)
    assert [pictures.read(row) for row in backwards] == [rows[row].image for row in backwards]


def test_pictures_can_be_read_in_another_process(tmp_path: Path) -> None:
    rows = ad_rows(4)
    pictures = open_release(_one_split(tmp_path / "r", rows)).splits["train"].pictures
    assert pictures is not None
    pictures.read(0)
    assert pickle.loads(pickle.dumps(pictures)).read(3) == rows[3].image  # noqa: S301  our own bytes


def test_the_newest_release_of_a_folder_is_found(tmp_path: Path) -> None:
    for version in ("2026.9.30", "2026.11.24", "2026.11.24.1", ".2026.12.1"):
        small_release(tmp_path / version)
    assert find_release(tmp_path).name == "2026.11.24.1"
    assert find_release(tmp_path / "2026.9.30").name == "2026.9.30"


def test_a_folder_without_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseDataError, match="neither a release folder nor a folder of releases"):
        find_release(tmp_path)


ROWS = ad_rows(8)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            [*ROWS[:4], replace(ROWS[4], label=7)],
            [],
            rf"train-00000.*label 7 in row 4 \({ROWS[4].frame_id}\); expected 0 to 1",
        ),
        ([*ROWS[:2], replace(ROWS[2], text=None)], [], r"train-00000.*row 2 has no text"),
        (ROWS, ad_rows(1, first=7), "ad7 stands in train and in test"),
        ([row for row in ROWS if row.label == 1], [], r"4 rows of 1 class \(positive\)"),
        ([], [], "0 rows of 0 class"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_named(
    tmp_path: Path, train: list[Row], test: list[Row], message: str
) -> None:
    path = write_release(tmp_path / "r", {"train": train, "validation": [], "test": test})
    with pytest.raises(ReleaseDataError, match=message):
        open_release(path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no row_set_hash"),
        (
            json.dumps({"row_set_hash": "x", "class_names": ["bad", "good"]}),
            r"but manifest\.json says \['bad', 'good'\]",
        ),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, manifest: str, message: str) -> None:
    path = small_release(tmp_path / "r")
    (path / "manifest.json").write_text(manifest)
    with pytest.raises(ReleaseDataError, match=message):
        open_release(path)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = small_release(tmp_path / "r")
    (path / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 no longer")
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet: cannot be read as Parquet"):
        open_release(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture at all", "cannot be decoded"),
        (b"", "has no picture"),
        # cut off: the decoder would fill the rest with grey
        (picture((9, 9, 9), size=(300, 200))[:900], "cannot be decoded"),
    ],
)
def test_an_unreadable_picture_names_its_frame(tmp_path: Path, content: bytes, message: str) -> None:
    rows = ad_rows(4)
    rows[1] = replace(rows[1], image=content)
    split = open_release(_one_split(tmp_path / "r", rows)).splits["train"]
    dataset = SplitDataset(split, _processor(split.text), FgmfnForSentiment.inputs)
    assert dataset[0]["labels"] == rows[0].label
    with pytest.raises(DataError, match=f"frame {rows[1].frame_id}.*{message}"):
        dataset[1]


def test_a_batch_is_padded_and_carries_the_identities_of_its_rows(tmp_path: Path) -> None:
    rows = ad_rows(3, frames=2)
    split = open_release(_one_split(tmp_path / "r", rows)).splits["train"]
    processor = _processor(split.text)
    dataset = SplitDataset(split, processor, FgmfnForSentiment.inputs)
    batch = Collator(processor, FgmfnForSentiment.inputs)([dataset[row] for row in range(4)])
    assert batch["pixel_values"].shape == (4, 3, 64, 64)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["groups"].tolist() == [
        [identity(row.text or ""), identity(row.video_id), identity(row.image)] for row in rows[:4]
    ]
    assert batch["labels"].tolist() == [row.label for row in rows[:4]]


def test_a_model_that_looks_at_no_picture_reads_none(tmp_path: Path) -> None:
    rows = [replace(row, image=b"not a picture") for row in ad_rows(4)]
    split = open_release(_one_split(tmp_path / "r", rows)).splits["train"]
    assert "pixel_values" not in SplitDataset(split, _processor(split.text), TextOnlyForSentiment.inputs)[0]


def test_crops_differ_from_epoch_to_epoch_and_repeat_with_seed_epoch_and_row(tmp_path: Path) -> None:
    split = open_release(small_release(tmp_path / "r")).splits["train"]

    def views(seed: int) -> list[bytes]:
        augmentation = Augmentation(min_crop=0.3, mirror=False, seed=seed)
        dataset = SplitDataset(split, _processor(split.text), FgmfnForSentiment.inputs, augmentation=augmentation)
        found = []
        for epoch in (0, 1, 0):
            dataset.set_epoch(epoch)
            found.append(dataset[0]["pixel_values"].numpy().tobytes())
        return found

    first, second, again = views(1)
    assert first == again
    assert first != second
    assert views(1) == [first, second, again]
    assert views(2)[0] != first


def test_a_release_that_has_lost_rows_is_refused(tmp_path: Path) -> None:
    folder = small_release(tmp_path / "2026.11.24")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["splits"] = {"test": {"rows": 8}}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    open_release(folder)
    [lost] = (folder / "data").glob("test-*")
    lost.unlink()
    with pytest.raises(ReleaseDataError, match="test has 0 rows, its manifest counts 8"):
        open_release(folder)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


RAMP = np.tile(np.linspace(0, 1, 96), (48, 1))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((65535 * RAMP).astype(np.uint16), "PNG"),
        ((65535 * RAMP).astype(np.uint16), "TIFF"),
        ((65535 * RAMP).astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        ((255 * RAMP).astype(np.uint8), "PNG"),
    ],
)
def test_greys_of_any_depth_are_a_ramp_from_black_to_white(values: np.ndarray, kind: str) -> None:
    seen = np.asarray(decode(_encoded(Image.fromarray(values), kind), "ramp"))
    assert np.abs(seen[..., 0] - 255 * RAMP).max() <= 1
    assert (seen[..., 0] == seen[..., 2]).all()


@pytest.mark.parametrize("most", [1, 200, 255, 256, 4095, 65535])
def test_16_bits_are_scaled_by_their_depth_and_not_by_the_brightest_of_them(most: int) -> None:
    values = (most * RAMP).astype(np.uint16)
    for seen in (decode(_encoded(Image.fromarray(values), "PNG"), "ramp"), as_pictures(values)[0]):
        assert np.abs(np.asarray(seen)[..., 0] - values / 257).max() <= 0.5


@pytest.mark.parametrize("most", [1, 2, 200, 255])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.uint32])
def test_whole_numbers_of_other_types_are_bytes(most: int, kind: type) -> None:
    values: np.ndarray = (most * RAMP).astype(kind)
    assert (np.asarray(as_pictures(values)[0])[..., 0] == values).all()


def test_false_and_true_are_black_and_white() -> None:
    assert (np.asarray(as_pictures(RAMP > 0.5)[0])[..., 0] == 255 * (RAMP > 0.5)).all()


@pytest.mark.parametrize("most", [0.002, 0.5, 1.0])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_are_0_to_1_however_dark(most: float, kind: type) -> None:
    values: np.ndarray = (most * RAMP).astype(kind)
    assert np.abs(np.asarray(as_pictures(values)[0])[..., 0] - 255 * values.astype(float)).max() <= 0.5


@pytest.mark.parametrize(
    "values",
    [
        1.02 * RAMP,
        2.6 * RAMP,
        255 * RAMP,
        2 * RAMP - 1,
        np.where(RAMP > 0.5, np.inf, RAMP),
        np.where(RAMP > 0.5, np.nan, RAMP),
    ],
)
def test_floats_beyond_0_to_1_are_refused_in_arrays_and_files(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="not normalised"):
        as_pictures(values)
    content = _encoded(Image.fromarray(values.astype(np.float32)), "TIFF")
    with pytest.raises(DataError, match="not normalised"):
        decode(content, "ramp")
    assert "not normalised" in str(check_picture(content))


@pytest.mark.parametrize("values", [256 * RAMP.astype(np.int64), -1 * RAMP.round().astype(np.int16)])
def test_whole_numbers_beyond_bytes_are_refused(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="not normalised"):
        as_pictures(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n<!DOCTYPE html><html>not found</html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"RADIANCE", "no known format begins with b'RADIANCE'"),
    ],
)
def test_bytes_that_are_no_picture_say_what_they_are(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        decode(content, "row 7")
    assert "BytesIO" not in str(refused.value)
    assert message in str(check_picture(content))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    logo = np.zeros((48, 96, 4), np.uint8)
    logo[16:32, 16:80, 3] = 255  # a black bar on nothing
    image = Image.fromarray(logo)
    content = _encoded(image.quantize(4) if mode == "P" else image.convert(mode), "PNG")
    seen = np.asarray(decode(content, "logo"))
    assert (seen[0, 0].tolist(), seen[24, 48].tolist()) == ([255] * 3, [0] * 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation: int) -> None:
    upright = Image.new("RGB", (96, 48), (0, 0, 255))
    upright.paste((255, 0, 0), (0, 0, 48, 24))  # red at the left top
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Image.Transpose, what undoes the orientation
    turned = upright.transpose(Image.Transpose(stored[orientation])) if orientation in stored else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = decode(_encoded(turned, "JPEG", exif=exif, quality=95), "photo")
    red, _, blue = np.asarray(seen)[12, 24].tolist()
    assert (seen.size, red > 200, blue < 60) == ((96, 48), True, True)
