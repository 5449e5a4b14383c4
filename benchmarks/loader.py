"""Cost of training's loader with and without prepared rows: rows per CPU second, and memory.

    python -m benchmarks.loader [--rows 25000] [--fit letterbox] [--uncached 1000]

Writes a table with pictures of 27 kB each, prepares it, and draws one epoch of batches as training does, in one
process without threads. Memory is that of this process, without and with the pages of mapped files.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader

from benchmarks.processes import peak_mb
from benchmarks.scale import picture
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Collator, SplitDataset, open_source
from fgmfn.data.prepared import Cache
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.processing import Augmentation, FgmfnProcessor, image_processor, train_tokenizer
from fgmfn.settings import SourceSettings

WORDS = ("buy", "now", "the", "new", "red", "car", "of", "this", "year", "half", "price", "never", "again")
BATCH = 64


def write_table(folder: Path, rows: int) -> None:
    """A Parquet file with a picture of its own in each row, written a part at a time."""
    draw = random.Random(0)
    with pq.ParquetWriter(folder / "train.parquet", SCHEMA) as writer:
        for first in range(0, rows, 500):
            numbers = range(first, min(rows, first + 500))
            columns: dict[str, list[object]] = {
                "image": [{"bytes": picture(str(number)), "path": f"{number}.jpg"} for number in numbers],
                "text": [" ".join(draw.choices(WORDS, k=12)) for _ in numbers],
                "label": [number % 2 for number in numbers],
            }
            writer.write_table(pa.table(columns, SCHEMA), row_group_size=100)


SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("text", pa.string()),
        ("label", pa.int64()),
    ]
)


def memory() -> str:
    """Memory of this process now, and at its peak."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, whole = (int(status[name].split()[0]) / 1000 for name in ("RssAnon", "VmRSS"))
    return f"own {own:,.0f} MB, resident {whole:,.0f} MB, peak {peak_mb(Path('/proc/self')):,.0f} MB"


def cpu_s() -> float:
    """Seconds of the processor that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def epoch(dataset: SplitDataset, collate: Collator, most: int) -> Iterator[int]:
    """Draw batches in a drawn order; yield their sizes."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()[:most]
    for batch in DataLoader(dataset, BATCH, sampler=order, collate_fn=collate):
        yield len(batch["labels"])


def measure(name: str, dataset: SplitDataset, collate: Collator, most: int) -> None:
    """Print what an epoch costs."""
    for _ in epoch(dataset, collate, 2 * BATCH):
        pass
    before, wall = cpu_s(), time.perf_counter()
    rows = sum(epoch(dataset, collate, most))
    took, waited = cpu_s() - before, time.perf_counter() - wall
    print(f"{name}: {rows / took:,.0f} rows per CPU second ({rows:,} rows, {waited:.1f} s); {memory()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--fit", default="letterbox", choices=("letterbox", "squash", "crop"))
    parser.add_argument("--uncached", type=int, default=1_000, help="rows that are read without a cache")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), arguments.rows)
        source = open_source(folder, SourceSettings(test=0))
        rows, inputs = source.splits["train"], FgmfnForSentiment.inputs
        tokenizer = train_tokenizer(rows.text[:1000], 500)
        processor = FgmfnProcessor(image_processor(FgmfnConfig()), tokenizer, 32, fit=arguments.fit)
        augmentation, cache = Augmentation(1.0, False, 0), Cache(Path(folder) / "cache", 1e12, 1e9, "benchmark")
        print(f"{len(rows):,} rows opened; {memory()}", flush=True)
        as_bytes, as_floats = (Collator(processor, inputs, normalize=normalize) for normalize in (False, True))
        fresh = SplitDataset(rows, processor, inputs, augmentation=augmentation)
        measure("decoded each time", fresh, as_floats, arguments.uncached)
        before = cpu_s()
        cached = SplitDataset(rows, processor, inputs, augmentation=augmentation, cache=cache, name="benchmark")
        size = sum(entry.size_bytes for entry in cache.entries()) / 1e9
        print(f"prepared: {len(rows) / (cpu_s() - before):,.0f} rows per CPU second, {size:.2f} GB; {memory()}")
        del fresh
        before = cpu_s()
        cached = SplitDataset(rows, processor, inputs, augmentation=augmentation, cache=cache, name="benchmark")
        print(f"opened again: {cpu_s() - before:.1f} CPU seconds; {memory()}")
        for most in (len(rows) // 10, len(rows)):
            measure("from the cache", cached, as_bytes, most)
        measure("from the cache, normalised here", cached, as_floats, len(rows) // 5)


if __name__ == "__main__":
    main()
