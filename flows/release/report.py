"""report.html: a release to look at, in one file that asks nothing of the network and runs no script."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from data_catalog.schemas import LABELS, SPLITS
from flows.release.charts import Bar, Mark, bar_chart, even_edges, histogram
from flows.release.facts import ExampleRow, FunnelStep, ReleaseFacts, readable, total

TEMPLATES = Path(__file__).parent / "templates"
_THUMBNAIL = (320, 240)
_LARGEST_PICTURE = 40_000_000  # pixels; a frame of 8K video has 33 million


def report_html(facts: ReleaseFacts, manifest: Mapping[str, Any]) -> str:
    """The report as one page.

    Args:
        facts: what the release says about itself.
        manifest: the release's manifest, for its files and its row-set hash.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"readable": readable, "thousands": lambda number: f"{number:,}"}
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        facts=facts,
        manifest=manifest,
        style=Markup(style),  # noqa: S704 - our own file
        # the style sheet is allowed by its hash, so that no text of a stranger can bring another
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        labels=tuple(reversed(LABELS)),
        splits=SPLITS,
        total=total,
        charts=_charts(facts),
        examples=[(example, thumbnail(example)) for example in facts.examples],
        settings=json.dumps(dict(facts.settings), indent=2, sort_keys=True, default=str),
        drops=_drops(facts),
    )


def thumbnail(example: ExampleRow) -> str | None:
    """A small JPEG of a row's picture as a data URL; None if the bytes are no picture."""
    try:
        with Image.open(io.BytesIO(example.image)) as picture:
            if picture.width * picture.height > _LARGEST_PICTURE:
                return None
            small = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail(_THUMBNAIL)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _charts(facts: ReleaseFacts) -> dict[str, Markup]:
    limits = facts.thresholds
    return {
        "funnel": bar_chart([_stage(step) for step in facts.funnel], "What is left after every stage"),
        "drops": bar_chart(
            [Bar(reason, count, f"{count:,} at {stage}", "out") for stage, reason, count in _drops(facts)],
            "What was dropped, by reason",
        ),
        "balance": bar_chart(_balance(facts), "Rows by split and class, before and after resampling"),
        "scores": histogram(
            facts.ad_means,
            even_edges(-5, 5, 40),
            "Mean score of the ads",
            ticks=range(-5, 6),
            marks=[
                Mark(limits.negative, f"negative: ≤ {limits.negative:.3g}"),
                Mark(limits.positive, f"positive: > {limits.positive:.3g}"),
            ],
        ),
        "words": _words_histogram(facts),
    }


def _words_histogram(facts: ReleaseFacts) -> Markup:
    longest = max(facts.words_per_frame, default=0)
    limit = facts.min_words + 0.5
    width = max(1, math.ceil(max(longest, 20) / 24))
    # one edge lies at the limit, so that no bar mixes kept and dropped frames
    first = limit % width - width
    bins = math.ceil((max(longest, 20) + 0.5 - first) / width)
    return histogram(
        [float(count) for count in facts.words_per_frame],
        [first + width * number for number in range(bins + 1)],
        "Words per frame",
        ticks=range(0, max(longest, 20) + 1, 5 * math.ceil(width / 2)),
        marks=[Mark(limit, f"kept: more than {facts.min_words} words")],
    )


def _stage(step: FunnelStep) -> Bar:
    dropped = sum(step.drops.values())
    return Bar(
        readable(step.name), step.rows_out, f"{step.rows_out:,} {step.unit}" + (f" (−{dropped:,})" if dropped else "")
    )


def _drops(facts: ReleaseFacts) -> list[tuple[str, str, int]]:
    """Stage, reason and count of everything dropped, in the order of the stages, most first."""
    return [
        (readable(step.name), readable(reason), count)
        for step in facts.funnel
        for reason, count in sorted(step.drops.items(), key=lambda drop: (-drop[1], drop[0]))
    ]


def _balance(facts: ReleaseFacts) -> list[Bar]:
    bars: list[Bar] = []
    for split in SPLITS:
        for label in reversed(LABELS):
            before, after = facts.before[split][label], facts.after[split][label]
            note = f"{after.rows:,} rows of {after.frames:,} frames, {after.ads:,} ads"
            if before.rows != after.rows:
                bars.append(Bar(f"{split}, {label}, before", before.rows, f"{before.rows:,} rows", f"{label} faint"))
            bars.append(Bar(f"{split}, {label}", after.rows, note, label))
    return bars
