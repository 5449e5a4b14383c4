"""A picture with its words through FGMFN: by PyTorch, compiled or not, and by ONNX Runtime in float32 and in 8 bits.

    python -m benchmarks.exports [--size full|small] [--threads 2] [--tokens 16] [--batch 1] [--repeats 30] [--profile]

Full size is BERT-base with ResNet-18 at 224 pixels, with random weights, which cost the same as trained ones. All
engines answer the same rows in one process, in turn, so that other load affects all of them. Each ratio is the median
over the turns of an engine's time over PyTorch's in the same turn. `--profile` adds ONNX Runtime's most expensive
operations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from benchmarks.step import SMALL
from fgmfn.configuration import FgmfnConfig
from fgmfn.engines import open_session
from fgmfn.export import quantize, write_graph
from fgmfn.modeling import FgmfnForSentiment

Answer = Callable[[], np.ndarray]
RANGES = 8
"""Rows for the ranges of 8-bit convolutions."""


def random_rows(config: FgmfnConfig, rows: int, tokens: int, seed: int) -> dict[str, Tensor]:
    """Rows of random pictures and word pieces."""
    draw, side = torch.Generator().manual_seed(seed), config.image_size
    return {
        "pixel_values": torch.randn(rows, 3, side, side, generator=draw),
        "input_ids": torch.randint(5, 1000, (rows, tokens), generator=draw),
        "attention_mask": torch.ones(rows, tokens, dtype=torch.long),
        "token_type_ids": torch.zeros(rows, tokens, dtype=torch.long),
    }


def by_pytorch(model: Any, batch: Mapping[str, Tensor]) -> Answer:
    """Answer by a model, or by one that is compiled."""

    @torch.inference_mode()
    def answer() -> np.ndarray:
        logits: np.ndarray = model(**batch).logits.numpy()
        return logits

    return answer


def by_onnx(session: Any, batch: Mapping[str, Tensor], *, apart: bool) -> Answer:
    """Answer by a graph, for one row after the other where they are apart."""
    fields = {name: values.numpy() for name, values in batch.items()}
    rows = len(batch["input_ids"])
    parts = [{name: own[row : row + 1] for name, own in fields.items()} for row in range(rows)] if apart else [fields]
    return lambda: np.concatenate([session.run(None, part)[0] for part in parts])


def by_turns(answers: Mapping[str, Answer], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and CPU seconds of each answer, all of them in turn; the first turns warm up."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in answers}
    for turn in range(repeats + 3):
        for name, answer in answers.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            answer()
            if turn >= 3:
                spent[name].append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    return spent


def profile(graph: Path, fields: Mapping[str, Tensor], threads: int, folder: Path) -> str:
    """Return milliseconds by kind of operation: the minimum of several runs for each of the graph's nodes, summed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = threads, True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    for _ in range(10):
        session.run(None, {name: values[:1].numpy() for name, values in fields.items()})
    least: dict[tuple[str, str], float] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = event["args"]["op_name"], event["name"]
            least[key] = min(event["dur"] / 1000, least.get(key, float("inf")))
    spent: dict[str, float] = {}
    for (kind, _), milliseconds in least.items():
        spent[kind] = spent.get(kind, 0) + milliseconds
    most = sorted(spent.items(), key=lambda one: -one[1])[:8]
    return ", ".join(f"{kind} {milliseconds:.1f}" for kind, milliseconds in most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--not-compiled", action="store_true", help="leave torch.compile out, which takes a minute")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    size: dict[str, Any] = SMALL if arguments.size == "small" else {}
    config = FgmfnConfig(**size | {"pretrained": False, "num_labels": 3})
    model = FgmfnForSentiment(config).eval()
    batch = random_rows(config, arguments.batch, arguments.tokens, seed=0)
    with TemporaryDirectory() as folder:
        exact, rounded = Path(folder) / "exact.onnx", Path(folder) / "rounded.onnx"
        write_graph(model, random_rows(config, 2, arguments.tokens, seed=1), exact, name="fgmfn")
        rounded.write_bytes(exact.read_bytes())
        quantize(rounded, (random_rows(config, 1, arguments.tokens, seed=2 + row) for row in range(RANGES)))
        answers = {"PyTorch": by_pytorch(model, batch)}
        if not arguments.not_compiled:
            answers["PyTorch, compiled"] = by_pytorch(torch.compile(model), batch)
        answers["ONNX Runtime"] = by_onnx(open_session(exact), batch, apart=False)
        answers["ONNX Runtime, 8 bits"] = by_onnx(open_session(rounded), batch, apart=True)
        logits = {name: answer() for name, answer in answers.items()}
        spent = by_turns(answers, arguments.repeats)
        print(f"{arguments.batch} rows of {arguments.tokens} tokens and {config.image_size} pixels")
        for name, turns in spent.items():
            wall, cpu = (statistics.median(turn[kind] for turn in turns) for kind in (0, 1))
            ratios = [
                statistics.median(own[kind] / first[kind] for own, first in zip(turns, spent["PyTorch"], strict=True))
                for kind in (0, 1)
            ]
            print(
                f"{name:22} {1000 * wall:7.1f} ms, least {1000 * min(turns)[0]:7.1f}, CPU {1000 * cpu:7.1f} ms, "
                f"ratio {ratios[0]:.2f}, of CPU {ratios[1]:.2f}, "
                f"largest difference {np.abs(logits[name] - logits['PyTorch']).max():.1g}"
            )
        for name, file in (("float32", exact), ("8 bits", rounded)) if arguments.profile else ():
            print(f"{name}, ms: {profile(file, batch, arguments.threads, Path(folder))}")


if __name__ == "__main__":
    main()
