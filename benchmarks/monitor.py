"""Power and false alarms of `ytb-ads monitor` for audiences that turn, and its cost on a large catalog.

    python -m benchmarks.monitor [--audiences 200]        # power and false alarms
    python -m benchmarks.monitor --scale 5000 [--since 30d]   # a catalog of so many ads with 200 comments each

Audiences are drawn: a share of the comments is positive, the strengths are 2 to 4, twenty comments a week that are not
neutral. A year goes by, the share changes, and the report is made at the end of each of the weeks that follow.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.table import Table

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.console import print_tables
from flows.monitor.audience import read_audiences
from flows.monitor.period import DAY_US, parse_period
from flows.monitor.turning import LOOKS, Threads, find_changes
from flows.settings import Settings
from flows.stages import SCORES

WEEKLY = 20
BEFORE = 0.9
AFTER = (0.9, 0.7, 0.5, 0.3)
"""Shares of positive comments; the first is no change."""
WEEKS = (1, 2, 4, 8)
OTHERS = 9
"""Ads of the same catalog whose audiences do not change."""
COMMENTS, AT_ONCE = 200, 500
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def power(audiences: int) -> Table:
    """Share of audiences that are named so many weeks after a change, in a catalog of ads of which no other changed."""
    chance = np.random.default_rng(0)
    others = [_audience(chance, (LOOKS * WEEKLY, BEFORE)) for _ in range(OTHERS)]
    table = Table("positive after", "change of the mean", *(f"{weeks} weeks" for weeks in WEEKS), "others named")
    for after in AFTER:
        named, others_named = [], 0
        for weeks in WEEKS:
            found = 0
            for _ in range(audiences):
                ad = _audience(chance, (LOOKS * WEEKLY, BEFORE), (weeks * WEEKLY, after))
                change, *of_others = find_changes([ad, *others], least=1, seeds=["ad"] * (1 + OTHERS))
                found += change is not None and change.turned
                others_named += sum(other is not None for other in of_others)
            named.append(f"{found / audiences:.0%}")
        table.add_row(f"{after:.0%}", f"{6 * (after - BEFORE):+.1f}", *named, str(others_named))
    return table


def false_alarms(audiences: int) -> str:
    """Audiences that never change and are named in any of a year's weekly looks."""
    chance, named = np.random.default_rng(1), 0
    for _ in range(audiences):
        ad = _audience(chance, ((LOOKS + 4) * WEEKLY, 0.7))
        looks = (find_changes([ad[: (4 + look) * WEEKLY]], least=0, seeds=["ad"])[0] for look in range(1, LOOKS + 1))
        named += any(looks)
    return f"named in any of {LOOKS} weekly looks although nothing changed: {named} of {audiences} audiences"


def _audience(chance: np.random.Generator, *parts: tuple[int, float]) -> Threads:
    drawn = [np.where(chance.random(size) < liking, 1, -1) * chance.integers(2, 5, size) for size, liking in parts]
    values = np.concatenate(drawn).astype(np.float64)
    at = (np.arange(len(values)) * 7 * DAY_US) // WEEKLY
    return Threads(at, values, np.ones(len(values)), np.ones(len(values), dtype=np.int64))


def make(catalog: Catalog, ads: int, days: int = 365) -> None:
    """Write ads, comments at random times of so many days, and scores."""
    chance, fingerprint = np.random.default_rng(0), SCORES.fingerprint(Settings())
    ids = [f"v{hashlib.sha256(str(number).encode()).hexdigest()[:10]}" for number in range(ads)]
    same = {"title": "Ad", "description": "", "category": "cars", "source": "folder", "synthetic": True}
    _merge(
        catalog, "ads", ads, {**same, "media_status": "present", "files_stamp": "", "fetched_at": NOW, "video_id": ids}
    )
    for begin in range(0, ads, AT_ONCE):
        some = ids[begin : begin + AT_ONCE]
        n = len(some) * COMMENTS
        keys = {
            "comment_id": [f"{ad}.{number}" for ad in some for number in range(COMMENTS)],
            "video_id": [ad for ad in some for _ in range(COMMENTS)],
        }
        digests = [hashlib.sha256(key.encode()).hexdigest() for key in keys["comment_id"]]
        ago = chance.integers(0, days * DAY_US, n)
        comments = {
            "text": [f"text of the comment {key}" for key in keys["comment_id"]],
            "text_sha256": digests,
            "published_at": [NOW - timedelta(microseconds=int(us)) for us in ago],
            "author_hash": [f"author-{number}" for number in chance.integers(0, 100_000, n)],
        }
        _merge(catalog, "comments", n, {**keys, **comments, "by_uploader": False, "fetched_at": NOW})
        mood = chance.random(n)
        scores = {
            "positive": np.where(mood < 0.5, chance.integers(2, 5, n), 1),
            "negative": np.where((mood >= 0.5) & (mood < 0.75), -chance.integers(2, 5, n), -1),
            "words_digest": chance.integers(0, 2**60, n),
            "upstream_revision": digests,
        }
        facts = {"language": "en", "n_words": 6, "only_links": False, "engine": "native", "fingerprint": fingerprint}
        _merge(catalog, "comment_scores", n, {**keys, **scores, **facts})


def _merge(catalog: Catalog, table: str, n: int, values: dict[str, Any]) -> None:
    schema = TABLES[table].schema
    columns = []
    for field in schema:
        value: Any = values.get(field.name)
        each: Any = value if isinstance(value, list | np.ndarray) else [value] * n
        columns.append(pa.array(each, field.type))
    catalog.merge(table, pa.Table.from_arrays(columns, schema=schema))


def cost(catalog: Catalog, since: str) -> str:
    """CPU seconds and memory of the audiences and their changes."""
    settings, period = Settings(), parse_period(since, NOW)
    begun = time.process_time()
    found = read_audiences(
        catalog, settings.sentiment, period, scores_fingerprint=SCORES.fingerprint(settings), least=1.0
    )
    cpu_s, peak_mb = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    changed = sum(ad.change is not None for ad in found.ads)
    weeks = sum(len(ad.weeks) for ad in found.ads)
    return f"{since}: {len(found.ads):,} ads, {weeks:,} weeks: {cpu_s:.1f} s CPU, {peak_mb:,.0f} MB; {changed} changes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audiences", type=int, default=200)
    parser.add_argument("--scale", type=int, metavar="ADS", help="measure the cost of a catalog instead")
    parser.add_argument("--since", default="30d")
    arguments = parser.parse_args()
    if not arguments.scale:
        print_tables(power(arguments.audiences))
        print(false_alarms(arguments.audiences))
        return
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(Path(folder) / "catalog")
        make(catalog, arguments.scale)
        print(cost(catalog, arguments.since))


if __name__ == "__main__":
    main()
