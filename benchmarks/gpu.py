"""Training at full size on a GPU, as a table for docs/results.md: steps a second, MFU, waiting for rows, memory.

    python -m benchmarks.gpu [--batch 32] [--tokens 64] [--seconds 20] [--dry-run]

FGMFN, its text-only row and TomBERT train in bfloat16 from random weights, with and without `torch.compile`, on rows of
64 tokens and pictures of noise that processes decode beside the GPU. Then FGMFN's step is set against a bare loop's
over the same encoders (`benchmarks.step`) at that batch and a four times larger one. Nothing is downloaded.
`--dry-run` does all of it at a tiny size, on a CPU too. `--seconds` bounds each of the six trainings; compiling comes
on top.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.step import Bare, by_turns, make_batch, stepping
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Collator, SplitDataset
from fgmfn.flops import peak_flops, training_flops
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.paper.meters import finish, forget_peak, peak_bytes
from fgmfn.paper.specimens import VOCABULARY, build_specimen, made_up_rows
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer

MODELS = ("fgmfn", "text_only", "tombert")
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "heads": 2,
    "image_size": 64,
    "backbone": "test_resnet",
    "text_config": {"num_hidden_layers": 1},
}
WARM_UP = 3


@dataclass(frozen=True)
class Figures:
    """Figures of one model's training."""

    steps_per_s: float
    mfu: float | None
    waiting: float
    """Share of the time spent waiting for the next rows."""
    peak: int | None
    """Bytes."""


def loader(network: Any, rows: int, batch: int, tokens: int, workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end, of rows that are prepared by other processes."""
    made = made_up_rows(rows, tokens)
    processor = FgmfnProcessor(
        image_processor(network.config), train_tokenizer(made.text, VOCABULARY), max_tokens=tokens, max_target_tokens=4
    )
    batches: DataLoader[Any] = DataLoader(
        SplitDataset(made, processor, network.inputs),
        batch,
        shuffle=True,
        drop_last=True,
        collate_fn=Collator(processor, network.inputs, normalize=False),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    while True:
        for one in batches:
            moved = {name: values.to(network.device, non_blocking=True) for name, values in one.items()}
            if "pixel_values" in moved:
                moved["pixel_values"] = processor.normalize(moved["pixel_values"])
            yield moved


def measure(name: str, settings: dict[str, Any], options: argparse.Namespace, *, compiled: bool) -> Figures:
    """Train a model for some seconds."""
    device = torch.device(options.device)
    specimen = build_specimen(name, settings | {"pretrained": False}, options.tokens, device)
    assert specimen is not None
    network: Any = specimen.network.train()
    flops = training_flops(network, {key: one[:1] for key, one in specimen.make_batch(2).items() if key != "labels"})
    model = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    batches = loader(network, 4 * options.batch, options.batch, options.tokens, options.workers)
    forget_peak(device)
    steps, waited, begun, end = 0, 0.0, 0.0, float("inf")
    while time.perf_counter() < end:
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        if steps == WARM_UP:
            finish(device)
            begun, waited = time.perf_counter(), 0.0
            end = begun + options.seconds
        elif steps % 10 == 0:  # or a fast host would queue steps beyond the end
            finish(device)
    finish(device)
    took = time.perf_counter() - begun
    per_s = max(1, steps - WARM_UP) / took
    peak = peak_flops(torch.cuda.get_device_name(), "bf16") if device.type == "cuda" else None
    return Figures(per_s, per_s * options.batch * flops / peak if peak else None, waited / took, peak_bytes(device))


def ratio(settings: dict[str, Any], batch: int, options: argparse.Namespace) -> float:
    """Seconds of a bare loop's step over those of FGMFN's."""
    device, config = torch.device(options.device), FgmfnConfig(**settings, pretrained=False)
    rows = make_batch(config, batch, options.tokens, device)
    models: dict[str, torch.nn.Module] = {"bare": Bare(config), "whole": FgmfnForSentiment(config)}
    seconds = by_turns({name: stepping(model, rows, device) for name, model in models.items()}, options.repeats, device)
    return statistics.median(seconds["bare"]) / statistics.median(seconds["whole"])


def place(device: torch.device) -> str:
    """Name the device and what drives it."""
    if device.type != "cuda":
        return f"CPU, PyTorch {torch.__version__}"
    asked = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    )
    driver = (asked.stdout.split() or ["unknown"])[0]
    return f"{torch.cuda.get_device_name()}, driver {driver}, PyTorch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    said = f"python -m benchmarks.gpu --batch {options.batch} --tokens {options.tokens} --seconds {options.seconds:g}"
    settings: dict[str, Any] = {}
    if options.dry_run:
        settings, said = TINY, f"{said} --dry-run"
        options.batch, options.tokens, options.seconds, options.repeats, options.workers = 4, 16, 0.1, 1, 0
    print(f"```sh\n{said}\n```\n")
    print(f"{datetime.datetime.now(datetime.UTC).date()}, {place(torch.device(options.device))}\n")
    print("| model | compiled | steps/s | rows/s | MFU | waiting for rows | peak memory (GB) |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in MODELS:
        for compiled in (False,) if options.dry_run else (False, True):
            found = measure(name, settings, options, compiled=compiled)
            mfu = "-" if found.mfu is None else f"{100 * found.mfu:.1f} %"
            peak = "-" if found.peak is None else f"{found.peak / 1e9:.2f}"
            rates = f"{found.steps_per_s:.2f} | {found.steps_per_s * options.batch:.0f}"
            print(
                f"| {name} | {'yes' if compiled else 'no'} | {rates} | {mfu} | {found.waiting:.1%} | {peak} |",
                flush=True,
            )
    print("\n| batch | bare loop's step / FGMFN's |\n| ---: | ---: |")
    for batch in (options.batch, 4 * options.batch):
        print(f"| {batch} | {ratio(settings, batch, options):.2f} |", flush=True)


if __name__ == "__main__":
    main()
