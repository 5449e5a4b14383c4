"""README.md: the dataset card, with contents, origin, licence and limits of a release."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_catalog.printing import counted, readable
from data_catalog.releases.shards import hf_dtype, split_of
from data_catalog.schemas import LABELS, RELEASE, SPLITS
from flows.release.facts import NAMED, ReleaseFacts, first_of, sum_counts
from flows.templates import render

_TEMPLATES = Path(__file__).parent / "templates"
_SIGNS = re.compile(r"([\\`*_{}\[\]#|~$^=!])")
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|javascript|data):(?=\S)|\b(www)\.(?=\S)")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(facts: ReleaseFacts, manifest: Mapping[str, Any]) -> str:
    """The card as Markdown with the front matter of a Hugging Face dataset.

    Args:
        facts: what the release says about itself.
        manifest: the release's manifest, for its files and its row-set hash.
    """
    rows = sum_counts(facts.after).rows
    # Markdown, in which all untrusted text goes through `plain`
    return render(
        _TEMPLATES / "card.md",
        {"plain": plain, "thousands": lambda number: f"{number:,}", "counted": counted},
        facts=facts,
        manifest=manifest,
        labels=tuple(reversed(LABELS)),
        class_names=LABELS,
        splits=SPLITS,
        filled_splits=[split for split in SPLITS if sum_counts(facts.after, split=split).rows],
        total=sum_counts,
        shown=first_of,
        at_most=NAMED,
        size=next((name for limit, name in _SIZES if rows < limit), "n>1M"),
        columns=RELEASE.columns,
        hf_dtype=hf_dtype,
        sizes=_bytes_by_split(manifest),
        settings=_json(facts.published_settings()),
    )


def _bytes_by_split(manifest: Mapping[str, Any]) -> Counter[str]:
    """Size of each split's files."""
    sizes: Counter[str] = Counter()
    for name, file in manifest["files"].items():
        if split := split_of(name):
            sizes[split] += file["size_bytes"]
    return sizes


def plain(text: object, limit: int = 280) -> str:
    """Untrusted text for Markdown: one line that is shown as it stands, without markup, HTML or live links."""
    line = _LINK.sub(lambda link: f"{link[1]}: " if link[1] else f"{link[2]} .", readable(str(text), limit))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SIGNS.sub(r"\\\1", line)


def _json(settings: Mapping[str, Any]) -> str:
    """Settings as JSON that can close neither its code block nor an HTML tag."""
    text = json.dumps(settings, indent=2, sort_keys=True)
    return text.replace("<", "\\u003c").replace("`", "\\u0060")
