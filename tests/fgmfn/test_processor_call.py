"""A processor is called as others of transformers are: CLIPProcessor with the same parts is the oracle."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx  # as the hub's client does
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPProcessor

from fgmfn.errors import InputError
from fgmfn.images import as_pictures, as_seen
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from tests.fgmfn.models import small_config

TEXTS = ["half the price", "Golden hour, half the price, golden hour"]
LIMIT = 8
OURS = FgmfnProcessor(image_processor(small_config()), train_tokenizer(TEXTS, 200), max_tokens=LIMIT)
CLIP = CLIPProcessor(OURS.image_processor, OURS.tokenizer)
COLOURED = Image.effect_noise((90, 70), 90).convert("RGB")
BYTES = np.asarray(COLOURED)


def same(ours: Any, theirs: Any) -> None:
    """Fields, kinds and values are alike."""
    assert set(ours) == set(theirs)
    for name in ours:
        assert type(ours[name]) is type(theirs[name]), name
        mine, other = (list(map(np.asarray, fields[name])) for fields in (ours, theirs))
        assert len(mine) == len(other)
        assert all(map(np.array_equal, mine, other)), name


@pytest.mark.parametrize("tensors", ["pt", "np", None])
@pytest.mark.parametrize("padding", [True, "longest", "max_length", False])
@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[:1], TEXTS])
def test_texts_become_what_clips_processor_makes_of_them(text: Any, padding: Any, tensors: str | None) -> None:
    if padding is False and text is TEXTS and tensors == "pt":
        with pytest.raises(ValueError, match="padding"):
            OURS(text=text, padding=padding, return_tensors=tensors)
        return
    options = {"padding": padding, "return_tensors": tensors}
    same(OURS(text=text, **options), CLIP(text=text, truncation=True, max_length=LIMIT, **options))


def test_texts_are_padded_cut_and_tensors_where_nothing_else_is_said() -> None:
    clip = CLIP(text=TEXTS, padding=True, truncation=True, max_length=LIMIT, return_tensors="pt")
    same(OURS(text=TEXTS), clip)
    same(
        OURS(text=TEXTS, max_length=6),
        CLIP(text=TEXTS, padding=True, truncation=True, max_length=6, return_tensors="pt"),
    )
    same(OURS(text=TEXTS, truncation=False), CLIP(text=TEXTS, padding=True, return_tensors="pt"))
    padded = {"padding": True, "pad_to_multiple_of": 16, "return_tensors": "pt"}
    same(OURS(text=TEXTS, truncation=False, pad_to_multiple_of=16), CLIP(text=TEXTS, **padded))


PICTURES: dict[str, Any] = {
    "one": COLOURED,
    "list": [COLOURED, COLOURED.resize((40, 200))],
    "tuple": (COLOURED,),
    "array": BYTES,
    "array, channels first": BYTES.transpose(2, 0, 1),
    "tensor": torch.from_numpy(BYTES.transpose(2, 0, 1).copy()),
    "list of arrays": [BYTES, BYTES[:40]],
    "array of arrays": np.stack([BYTES, BYTES[::-1]]),
    "tensor of tensors": torch.from_numpy(np.stack([BYTES, BYTES[::-1]]).transpose(0, 3, 1, 2).copy()),
}


@pytest.mark.parametrize("tensors", ["pt", "np"])
@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_become_what_clips_processor_makes_of_them(kind: str, tensors: str) -> None:
    given = PICTURES[kind]
    same(OURS(images=given, return_tensors=tensors), CLIP(images=given, return_tensors=tensors))


def test_pictures_and_texts_go_together_by_position_and_by_name() -> None:
    clip = CLIP(COLOURED, TEXTS[0], return_tensors="pt", padding=True)
    same(OURS(COLOURED, TEXTS[0]), clip)
    same(OURS(text=TEXTS[0], images=COLOURED, return_tensors="pt", padding=True, truncation=True), clip)


def test_files_and_base64_are_read_as_clips_processor_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "frame.png"
    COLOURED.save(file)
    encoded = base64.b64encode(file.read_bytes()).decode()
    for named in (str(file), [str(file), str(file)], encoded, f"data:image/png;base64,{encoded}"):
        same(OURS(images=named), CLIP(images=named, return_tensors="pt"))
    same(OURS(images=file), CLIP(images=COLOURED, return_tensors="pt"))


class Web(httpx.BaseTransport):
    """Answers with a file's content, or as if there were none."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.host == "unreachable":
            raise httpx.ConnectError("no route to host")
        return httpx.Response(200 if request.url.path == "/frame.png" else 404, content=self._content)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "I;16", "L", "orientation"])
def test_a_pictures_content_is_seen_alike_wherever_it_comes_from(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "frame.png"
    image = COLOURED.convert("L") if kind == "orientation" else COLOURED.convert("L").convert(kind)
    options: dict[str, Any] = {"transparency": 3} if kind == "P" else {}
    if kind == "orientation":
        exif = Image.Exif()
        exif[274] = 6
        options = {"exif": exif}
    elif kind == "I;16":
        image = Image.fromarray(BYTES[..., 0].astype(np.uint16) * 257)
    elif image.mode in ("RGBA", "LA"):
        image.putalpha(0)  # black or coloured, and not seen at all
    image.save(file, **options)
    content = file.read_bytes()
    encoded = base64.b64encode(content).decode()
    client = httpx.Client(transport=Web(content))
    monkeypatch.setattr(httpx, "get", lambda address, **_: client.get(address))
    folded = "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    given: list[Any] = [str(file), encoded, folded, f"data:image/png;base64,{encoded}", "http://host/frame.png"]
    given += [content, bytearray(content), BytesIO(content), {"bytes": content, "path": None}]
    given += [{"bytes": None, "path": str(file)}, {"path": file}, [file], (BytesIO(content),)]
    expected = as_seen(Image.open(file))
    for pictures in (given, tuple(given), iter(given), pd.Series(given)):
        for number, seen in enumerate(as_pictures(pictures)):
            assert seen == expected, number
            if isinstance(given[number], BytesIO):
                given[number].seek(0)
        given[-1][0].seek(0)
    if kind in ("RGBA", "LA"):
        assert expected.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("address", ["http://host/none.png", "https://unreachable/frame.png", "http://", "http://[x"])
def test_an_address_that_gives_no_picture_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = httpx.Client(transport=Web(b""))
    monkeypatch.setattr(httpx, "get", lambda address, **_: client.get(address))
    with pytest.raises(InputError, match=re.escape(f"picture 2 '{address}' cannot be read")):
        OURS(images=[COLOURED, address])


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16", "F", "1"])
def test_a_picture_of_any_mode_is_seen_as_a_viewer_shows_it(mode: str) -> None:
    image = COLOURED.convert("L").convert(mode) if mode != "F" else Image.fromarray(BYTES[..., 0] / np.float32(255))
    if mode == "RGBA":
        image.putalpha(90)
    same(OURS(images=image), OURS(images=as_seen(image)))


SIDES = st.integers(4, 9)


@settings(max_examples=40)
@given(
    st.sampled_from(["uint8", "int64", "uint16", "float32", "bfloat16"]),
    st.integers(4, 9),
    st.integers(4, 9),
    st.data(),
)
def test_a_picture_is_the_same_whatever_numbers_it_is_given_in(kind: str, height: int, width: int, data: Any) -> None:
    values = data.draw(st.lists(st.integers(0, 255), min_size=height * width * 3, max_size=height * width * 3))
    true = np.array(values, dtype=np.uint8).reshape(height, width, 3)
    given: Any = true.astype(kind) if kind in ("uint8", "int64") else true
    if kind == "uint16":
        true[0, 0, 0] = 255  # so that it is plain that there are more than eight bits
        given = true.astype(np.uint16) * 257
    elif kind == "float32":
        given = true / np.float32(255)
    elif kind == "bfloat16":
        given = torch.from_numpy(true / np.float32(255)).bfloat16()
    seen = np.asarray(as_pictures([given])[0]).astype(int)
    assert np.abs(seen - true).max() <= (1 if kind == "bfloat16" else 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "neither images nor text"),
        ({"images": []}, "images is empty"),
        ({"text": []}, "text is empty"),
        ({"text": ["x", None]}, "text 2 is a NoneType"),
        ({"text": [["x"]]}, "text 1 is a list"),
        ({"text": 5}, "text is a int"),
        ({"text": b"x"}, "text is a bytes"),
        ({"text": {"x": "y"}}, "text is a dict"),
        ({"text": "x", "targets": "y"}, "saved for no model"),
        ({"text": ["x"], "text_pair": [3]}, "text_pair 1 is a int"),
        ({"images": [COLOURED, 3]}, "picture 2 is a int"),
        ({"images": [[COLOURED, COLOURED], [COLOURED]]}, "picture 1 is a list of 2"),
        ({"images": "no such file.png"}, "picture 1 'no such file.png' cannot be read"),
        ({"images": Path("no such file.png")}, "picture 1 'no such file.png' cannot be read"),
        ({"images": b"bytes"}, "picture 1 cannot be read: no picture"),
        ({"images": np.zeros((5, 5, 7))}, r"shape \(5, 5, 7\)"),
        ({"images": np.zeros((0, 5, 3), np.uint8)}, "shape"),
        ({"images": np.full((5, 5, 3), -1.2)}, "not normalised"),
        ({"images": np.full((5, 5, 3), np.nan)}, "not normalised"),
    ],
)
def test_what_is_no_picture_or_text_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        OURS(**wrong)


@pytest.mark.parametrize("pair", [None, TEXTS[:1]])
@pytest.mark.parametrize("length", range(1, 12))
def test_a_text_is_never_longer_than_max_length(pair: Any, length: int) -> None:
    if length < (2 if pair is None else 3):
        with pytest.raises(InputError, match=f"max_length = {length}; expected .* or more"):
            OURS(text=TEXTS[1:], text_pair=pair, max_length=length)
    else:
        assert OURS(text=TEXTS[1:], text_pair=pair, max_length=length)["input_ids"].shape[1] <= length


@pytest.mark.parametrize("length", [0, -3, True, 2.5, "8", 10**30])
def test_a_max_length_that_is_none_is_refused(length: Any) -> None:
    if length == 10**30:
        assert OURS(text=TEXTS[0], max_length=length)["input_ids"].shape[1] < 12
        return
    with pytest.raises(InputError, match=r"max_length = .*; expected a whole number, 1 or more"):
        OURS(text=TEXTS[0], max_length=length)


@pytest.mark.parametrize("given", [{"images": [COLOURED], "text": TEXTS}, {"images": 2 * [COLOURED], "text": TEXTS[0]}])
def test_pictures_and_texts_of_different_numbers_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"[12] text, [12] images; as many of each"):
        OURS(**given)


def test_arguments_may_be_grouped_as_other_processors_take_them() -> None:
    plain = OURS(images=COLOURED, text=TEXTS[1], max_length=6, padding="max_length", return_tensors="np")
    grouped = OURS(
        images=COLOURED,
        text=TEXTS[1],
        text_kwargs={"max_length": 6, "padding": "max_length"},
        images_kwargs={},
        common_kwargs={"return_tensors": "np"},
        videos=None,
        audio=None,
        device=None,
    )
    same(grouped, plain)
    assert OURS(images=COLOURED, text=TEXTS[0], device="meta")["pixel_values"].is_meta
    with pytest.raises(TypeError, match="do_resize"):
        OURS(images=COLOURED, images_kwargs={"do_resize": False})
    with pytest.raises(InputError, match="videos"):
        OURS(images=COLOURED, videos=[COLOURED])  # type: ignore[arg-type]


@pytest.mark.parametrize("several", [tuple, pd.Series, np.array, iter])
def test_texts_may_come_in_anything_that_gives_them_one_by_one(several: Any) -> None:
    same(OURS(text=several(TEXTS)), OURS(text=TEXTS))


def test_an_option_that_does_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="do_resize"):
        OURS(images=COLOURED, do_resize=False)  # type: ignore[call-arg]


def test_tokens_are_read_back_and_the_tokenizer_is_at_hand() -> None:
    ids = OURS(text=TEXTS[0])["input_ids"]
    assert OURS.batch_decode(ids, skip_special_tokens=True) == [TEXTS[0]]
    assert OURS.decode(ids[0], skip_special_tokens=True) == TEXTS[0]
    assert {"input_ids", "attention_mask", "pixel_values"} <= set(OURS.model_input_names)
