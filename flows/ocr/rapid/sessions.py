"""ONNX Runtime sessions that compute on the thread that calls them, so that threads can share one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.errors import OcrError


def open_session(model: Path, threads: int = 1) -> Any:
    """Load a network for the processor.

    Raises:
        OcrError: the file is missing or no model.
    """
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
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
