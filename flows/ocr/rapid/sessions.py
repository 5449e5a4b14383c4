"""ONNX Runtime sessions that compute on the thread that calls them, so that threads can share one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.errors import OcrError

_INITIALIZER_OF_GRAPH, _GRAPH_OF_MODEL, _TYPE_OF_TENSOR, _RAW_OF_TENSOR = 5, 7, 2, 9
"""Numbers of fields in onnx.proto."""
_FLOAT = 1
"""Number of the type float in onnx.proto."""
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
"""Wire types of protobuf fields."""


def open_session(model: Path, threads: int = 1) -> Any:
    """Load a network for the processor.

    Raises:
        OcrError: the file is missing or no model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        weights = flush_subnormals(model.read_bytes())
        return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own that share no base
        raise OcrError(f"{model}: cannot be loaded as an ONNX model: {error}") from error


def run(session: Any, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a network with one input.

    Raises:
        OcrError: the network cannot work on this input.
    """
    try:
        return session.run(None, {session.get_inputs()[0].name: blob})
    except Exception as error:  # as above
        raise OcrError(f"the network failed on an input of shape {blob.shape}: {error}") from error


def flush_subnormals(model: bytes) -> bytes:
    """The ONNX model with zeros for weights below the smallest normal float, 1.2e-38, which change no answer.

    The detector of PP-OCRv6 has a quarter of a million of them, and processors multiply them a hundred times more
    slowly. Flushing them by the processor's mode, as ONNX Runtime offers, holds for the thread that makes the session.
    """
    flushed = bytearray(model)
    for graph in _values(memoryview(flushed), _GRAPH_OF_MODEL):
        for tensor in map(dict, map(_fields, _values(graph, _INITIALIZER_OF_GRAPH))):
            if tensor.get(_TYPE_OF_TENSOR) == _FLOAT and _RAW_OF_TENSOR in tensor:
                weights = np.frombuffer(tensor[_RAW_OF_TENSOR], "<f4")
                weights[np.abs(weights) < np.finfo(np.float32).tiny] = 0
    return bytes(flushed)


def _values(message: memoryview, number: int) -> Iterator[memoryview]:
    return (value for found, value in _fields(message) if found == number)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message: an integer or the bytes, which can be written to."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = divmod(key, 8)
        if kind in (_VARINT, _COUNTED):
            value, at = _varint(message, at)
            yield number, value if kind == _VARINT else message[at : at + value]
            at += value if kind == _COUNTED else 0
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {at}: a field of kind {kind}; expected a protobuf message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer written seven bits a byte, lowest first, and where the next field begins."""
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at
