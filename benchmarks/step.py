"""A training step of FGMFN beside one of a bare loop over the same two encoders with the same optimizer, interleaved.

    python -m benchmarks.step [--size small|full] [--batch 16] [--tokens 32] [--repeats 20] [--device cpu] [--profile]

Both run in one process on the same batch, by turns, so that other load meets both. The bare loop has the
encoders, a linear layer and cross-entropy; FGMFN has its fusion, three losses, clipping and what the trainer
does after a step. The ratio is the bare loop's median over FGMFN's, of CPU seconds on a CPU, else of seconds. A step of
FGMFN without one of its parts says what that part costs, "a look" what is recorded once per epoch costs for as many
rows (`fgmfn/recording.py`); `--profile` prints the operations that cost most.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgmfn.configuration import FgmfnConfig
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.recording import look_inside

SMALL = {
    "hidden_size": 128,
    "heads": 4,
    "image_size": 96,
    "backbone": "resnet10t",
    "text_config": {"num_hidden_layers": 2},
}
PARTS: dict[str, dict[str, object]] = {
    "whole": {},
    "without contrast": {"itc_alpha": 0.0},
    "without mutual information": {"mi_beta": 0.0},
    "without multiscale features": {"msvf_enabled": False},
    "one layer of fusion": {"cross_attention_layers": 1},
}
Step = Callable[[], object]


class Bare(nn.Module):
    """Both encoders and a linear layer."""

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        whole = FgmfnForSentiment(config)
        self.text_encoder, self.image_encoder = whole.text_encoder, whole.image_encoder
        self.classifier = nn.Linear(config.hidden_size + whole.image_encoder.channels[-1], config.num_labels)

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, groups: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the loss."""
        text = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        image = self.image_encoder(pixel_values)[-1].mean(dim=(2, 3))
        return F.cross_entropy(self.classifier(torch.cat([text, image], dim=-1)), labels)


def make_batch(config: FgmfnConfig, rows: int, tokens: int, device: torch.device) -> dict[str, Tensor]:
    """Random rows whose inputs lie on the device."""
    draw = torch.Generator().manual_seed(0)
    side = config.image_size
    batch = {
        "pixel_values": torch.randn(rows, 3, side, side, generator=draw),
        "input_ids": torch.randint(5, 1000, (rows, tokens), generator=draw),
        "attention_mask": torch.ones(rows, tokens, dtype=torch.long),
        "groups": torch.randint(rows, (rows, 3), generator=draw),
        "labels": torch.randint(config.num_labels, (rows,), generator=draw),
    }
    return {name: values.to(device) for name, values in batch.items()}


def stepping(model: nn.Module, batch: dict[str, Tensor], device: torch.device) -> Step:
    """A step of a model's training with fused AdamW, in bfloat16 on a GPU, as the trainer does it."""
    model.train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    weights = list(model.parameters())

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            found = model(**batch)
        loss = found if isinstance(found, Tensor) else found.loss
        loss.backward()
        if isinstance(model, FgmfnForSentiment):
            nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if isinstance(model, FgmfnForSentiment):
            model.after_step()

    return step


def clock(device: torch.device) -> float:
    """CPU seconds of this process, or seconds once a GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def by_turns(steps: dict[str, Step], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each step, all of them in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 2):
        for name, step in steps.items():
            begin = clock(device)
            step()
            if repeat >= 2:  # the first ones warm up
                seconds[name].append(clock(device) - begin)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other, spinning, would count as work
    device, size = torch.device(arguments.device), SMALL if arguments.size == "small" else {}

    def config(**changes: object) -> FgmfnConfig:
        return FgmfnConfig(**size | {"pretrained": False} | changes)

    batch = make_batch(config(), arguments.batch, arguments.tokens, device)
    variants = {name: FgmfnForSentiment(config(**changes)) for name, changes in PARTS.items()}
    models: dict[str, nn.Module] = {"bare loop": Bare(config()), **variants}
    steps = {name: stepping(model, batch, device) for name, model in models.items()}
    models["a look"] = whole = variants["whole"]
    steps["a look"] = lambda: look_inside(whole, batch)
    seconds = by_turns(steps, arguments.repeats, device)
    bare = statistics.median(seconds["bare loop"])
    for name, found in seconds.items():
        weights = sum(weight.numel() for weight in models[name].parameters()) / 1e6
        ratios = [first / second for first, second in zip(seconds["bare loop"], found, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:28} {1000 * statistics.median(found):8.1f} ms  {weights:6.1f} M weights  "
            f"ratio {bare / statistics.median(found):.2f} (quartiles {low:.2f} to {high:.2f})"
        )
    if arguments.profile:
        with torch.profiler.profile() as profile:
            steps["whole"]()
        key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=key, row_limit=25))


if __name__ == "__main__":
    main()
