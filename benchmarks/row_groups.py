"""Size of a release's row groups: its cost for engines that scan and for readers of single pictures.

    python -m benchmarks.row_groups [--rows 2000] [--groups 1 10 25 50 100 400]

The same rows, with a picture of 27 kB each, are written with groups of each size. Times are of the processor, the best
of three: scans by DuckDB, Polars and pyarrow over the narrow columns, one by DuckDB over the pictures, and single
pictures through the reader that training uses, in the order of the file and shuffled.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from benchmarks.scale import picture
from data_catalog.releases.shards import ROW_GROUP_ROWS, write_split
from data_catalog.schemas import RELEASE_SCHEMA
from fgmfn.data.pictures import ParquetPictures, open_parquet, row_places
from flows.console import print_tables

SIZES = (1, 10, 25, 50, 100, 400)
NARROW = [name for name in RELEASE_SCHEMA.names if name != "image"]
SINGLE = 500
"""Pictures that are read one by one."""


class Cost(NamedTuple):
    """Of one size of row groups."""

    group: int
    megabytes: float
    footer_kb: float
    open_ms: float
    duckdb_ms: float
    polars_ms: float
    pyarrow_ms: float
    with_pictures_ms: float
    sequential_ms: float
    """Of one picture."""
    shuffled_ms: float
    """Of one picture."""


def made_rows(count: int) -> pa.Table:
    """Rows of a release, each with a picture of its own."""
    draw = random.Random(0)
    rows = [
        {
            "image": {"bytes": picture(f"{number}"), "path": f"{number}.jpg"},
            "text": " ".join(draw.choices(("buy", "now", "the", "new", "red", "car", "of", "year"), k=10)),
            "label": number % 2,
            "video_id": f"v{number // 5:010d}",
            "frame_id": f"v{number // 5:010d}:{number % 5}",
            "category": draw.choice(("cars", "food", "games")),
            "timestamp_s": draw.random() * 30,
            "mean_score": draw.uniform(-5, 5),
            "mean_low": -1.0,
            "mean_high": 1.0,
            "n_words": 10,
            "draw": 0,
        }
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=RELEASE_SCHEMA)


def measure(folder: Path, rows: pa.Table, group: int) -> Cost:
    """Write the rows with groups of this size, and read them in every way."""
    [name], _ = write_split(folder, "train", rows, row_group_rows=group, shard_bytes=2 * rows.nbytes)
    file = folder / name
    parquet = open_parquet(file)
    pictures = ParquetPictures([file], row_places(parquet, 0), [""] * rows.num_rows)
    some = range(min(SINGLE, rows.num_rows))
    shuffled = random.Random(0).sample(range(rows.num_rows), len(some))
    query = f"SELECT label, avg(n_words), sum(length(text)), avg(mean_score) FROM '{file}' GROUP BY 1"  # noqa: S608
    return Cost(
        group=group,
        megabytes=file.stat().st_size / 1e6,
        footer_kb=parquet.metadata.serialized_size / 1000,
        open_ms=cpu_ms(lambda: open_parquet(file)),
        duckdb_ms=cpu_ms(lambda: duckdb.sql(query).fetchall()),
        polars_ms=cpu_ms(lambda: pl.scan_parquet(file).select(NARROW).collect()),
        pyarrow_ms=cpu_ms(lambda: pq.read_table(file, columns=NARROW)),
        with_pictures_ms=cpu_ms(lambda: duckdb.sql(f"SELECT sum(octet_length(image.bytes)) FROM '{file}'").fetchall()),  # noqa: S608
        sequential_ms=cpu_ms(lambda: [pictures.read(row) for row in some]) / len(some),
        shuffled_ms=cpu_ms(lambda: [pictures.read(row) for row in shuffled]) / len(some),
    )


def cpu_ms(work: Callable[[], object]) -> float:
    """Milliseconds of the processor, the best of three."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1000 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--groups", type=int, nargs="+", default=list(SIZES), help="rows in a row group")
    arguments = parser.parse_args()
    rows = made_rows(arguments.rows)
    table = Table(title=f"{rows.num_rows:,} rows; releases are written with {ROW_GROUP_ROWS} rows in a group")
    names = ("rows", "MB", "footer kB", "open", "DuckDB", "Polars", "pyarrow", "pictures", "one", "one, shuffled")
    for name in names:
        table.add_column(name, justify="right")
    for group in arguments.groups:
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(Path(folder), rows, group)
        table.add_row(
            str(cost.group),
            f"{cost.megabytes:.2f}",
            f"{cost.footer_kb:,.0f}",
            *(f"{milliseconds:.1f} ms" for milliseconds in cost[3:8]),
            *(f"{milliseconds:.2f} ms" for milliseconds in cost[8:]),
        )
    print_tables(table)


if __name__ == "__main__":
    main()
