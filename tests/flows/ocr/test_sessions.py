"""Networks are loaded without weights that are too small to change an answer and that processors multiply slowly."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ocr.rapid.engine import model_file
from flows.ocr.rapid.sessions import flush_subnormals, open_session

LEAST_NORMAL = 2.0**-126
FLOAT, INT64 = 1, 7
BITS = st.integers(0, 2**32 - 1).map(lambda bits: bits.to_bytes(4, "little"))
WEIGHTS = st.lists(BITS | st.integers(0, 2**23).map(lambda bits: bits.to_bytes(4, "little")), max_size=9).map(b"".join)


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def counted(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def model_of(tensors: list[tuple[int, bytes, str]]) -> bytes:
    """A model with these initializers: type, raw values, name; and with fields that are none of our business."""
    initializers = [
        counted(1, varint(len(raw))) + varint(2 << 3) + varint(kind) + counted(8, name.encode()) + counted(9, raw)
        for kind, raw, name in tensors
    ]
    node = counted(1, b"\x01\x00\x00\x00") + varint(9 << 3 | 5) + b"\x01\0\0\0" + varint(3 << 3 | 1) + bytes(8)
    graph = counted(1, node) + b"".join(counted(5, one) for one in initializers) + counted(2, b"\x01\0\0\0")
    return varint(1 << 3) + varint(300) + counted(2, b"\x05\x00\x00\x00") + counted(7, graph)


@given(st.lists(st.tuples(st.sampled_from([FLOAT, INT64]), WEIGHTS, st.text(max_size=3)), max_size=4))
def test_subnormal_weights_become_zero_and_nothing_else_changes(tensors: list[tuple[int, bytes, str]]) -> None:
    def flushed(kind: int, raw: bytes) -> bytes:
        values = [raw[at : at + 4] for at in range(0, len(raw), 4)]
        subnormal = [abs(float(np.frombuffer(value, "<f4")[0])) < LEAST_NORMAL for value in values]
        return b"".join(b"\0\0\0\0" if small else value for value, small in zip(values, subnormal, strict=True))

    expected = [(kind, flushed(kind, raw) if kind == FLOAT else raw, name) for kind, raw, name in tensors]

    assert flush_subnormals(model_of(tensors)) == model_of(expected)


@pytest.mark.parametrize(("kind", "shape"), [("det", (1, 3, 64, 96)), ("rec", (1, 3, 48, 80))])
def test_the_networks_answer_bit_for_bit_as_their_files_do(kind: str, shape: tuple[int, ...]) -> None:
    path = model_file(kind)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    as_they_are, ours = (
        session.run(None, {session.get_inputs()[0].name: noise})[0]
        for session in (onnxruntime.InferenceSession(str(path)), open_session(path))
    )

    assert np.array_equal(as_they_are, ours)


def test_a_quarter_of_a_million_weights_of_the_detector_are_flushed() -> None:
    model = model_file("det").read_bytes()

    changed = np.frombuffer(model, np.uint8) != np.frombuffer(flush_subnormals(model), np.uint8)

    assert changed.sum() > 600_000  # two or three bytes of each
