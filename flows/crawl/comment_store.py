"""Write comments to the catalog: whole ads at a time, and an ad's own row last.

A row of `comment_fetches` records the progress of an ad. It is written after the comments, so
that a killed run at worst reads some pages again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import Fault
from flows.crawl.data_api.parsing import CommentPage
from flows.crawl.ingest import own_comments
from flows.crawl.records import AdToRead, Fetch
from flows.stages import COMMENT_PAGES, COMMENTS

BATCH_COMMENTS = 20_000
"""Comments in memory before they are written."""

_COMMENTS = TABLES["comments"].schema
_FETCHES = TABLES["comment_fetches"].schema
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass
class _Buffer:
    """Pages of one ad that are not written yet."""

    pages: list[pa.RecordBatch] = field(default_factory=list)
    drops: dict[str, Drop] = field(default_factory=dict)
    last: CommentPage | None = None
    units: int = 0
    fault: Fault | None = None

    @property
    def n_comments(self) -> int:
        return sum(page.num_rows for page in self.pages)

    @property
    def is_over(self) -> bool:
        return self.fault is not None or (self.last is not None and self.last.ended_by is not None)


class CommentStore:
    """Takes pages in and writes them, some thousands of comments at a time.

    Args:
        catalog: the tables.
        ads: the ads that are being read, with the rows of `comment_fetches` that are to be continued.
        earlier: rows of `comment_fetches` that are held, by id; of ads that are read anew too.
        started_at: when this reading of an ad that is not continued began: older comments of it that do not
            come again are gone.
        fingerprint: of the settings that the comments are read under.
        passed_over: whether an author's comments are not to be kept.
    """

    def __init__(
        self,
        catalog: Catalog,
        ads: Iterable[AdToRead],
        *,
        earlier: dict[str, Fetch],
        started_at: datetime,
        fingerprint: str,
        passed_over: Callable[[str], bool] = lambda author_hash: False,
        batch_comments: int = BATCH_COMMENTS,
    ) -> None:
        self.catalog = catalog
        self.count = COMMENT_PAGES.count()
        self.n_comments = 0
        self._continued = {ad.video_id for ad in ads if ad.is_begun}
        self._earlier = earlier
        self._started_at = started_at
        self._fingerprint = fingerprint
        self._passed_over = passed_over
        self._batch_comments = batch_comments
        self._buffers: dict[str, _Buffer] = {}
        self._buffered = 0
        self._dropped_now: set[str] = set()

    def take(self, page: CommentPage) -> None:
        """Take in a page."""
        buffer = self._buffers.setdefault(page.video_id, _Buffer())
        buffer.fault = page.fault
        if not page.fault:
            kept = (c for c in page.comments.values() if not (c.author_hash and self._passed_over(c.author_hash)))
            rows = [vars(comment) for comment in kept]
            # as columns they take a tenth of the memory
            buffer.pages.append(pa.RecordBatch.from_pylist(rows, schema=_COMMENTS))
            buffer.drops.update((drop.key, drop) for drop in page.drops)
            buffer.last, buffer.units = page, buffer.units + page.units
            self._buffered += len(rows)
        if self._buffered >= self._batch_comments:
            over = {video_id for video_id, found in self._buffers.items() if found.is_over}
            # one ad alone may have more comments than a batch: then what there is of it is written
            enough = sum(self._buffers[video_id].n_comments for video_id in over) >= self._batch_comments // 2
            self._write(over if enough else set(self._buffers))

    def close(self) -> None:
        """Write everything that is left, of ads in the middle too."""
        self._write(set(self._buffers))

    def _write(self, video_ids: set[str]) -> None:
        if not video_ids:
            return
        batch = {video_id: self._buffers.pop(video_id) for video_id in sorted(video_ids)}
        self._buffered = sum(buffer.n_comments for buffer in self._buffers.values())
        n_held = self._write_comments(batch)
        self._write_comment_drops(batch)
        drops = [
            buffer.fault.drop(COMMENT_PAGES.name, video_id, video_id, fingerprint=self._fingerprint)
            for video_id, buffer in batch.items()
            if buffer.fault
        ]
        fetches = [
            self._fetch(video_id, buffer, buffer.last, n_held[video_id])
            for video_id, buffer in batch.items()
            if buffer.last is not None
        ]
        self._earlier.update((fetch.video_id, fetch) for fetch in fetches)
        self._continued.update(fetch.video_id for fetch in fetches)
        over = [video_id for video_id, buffer in batch.items() if buffer.is_over]
        self.catalog.commit(
            "comment_fetches",
            pa.Table.from_pylist([asdict(fetch) for fetch in fetches], schema=_FETCHES),
            stage=COMMENT_PAGES.name,
            drops=drops,
            done=over,
        )
        self.count.add(COMMENT_PAGES.count(rows_in=len(over), rows_out=len(over) - len(drops), drops=drops))

    def _write_comments(self, batch: dict[str, _Buffer]) -> Counter[str]:
        """Write the comments of these ads; returns how many of each there are now."""
        last = {video_id: buffer.last for video_id, buffer in batch.items() if buffer.last is not None}
        pages = [page for video_id in last for page in batch[video_id].pages]
        fresh, taken = own_comments(self.catalog, pa.Table.from_batches(pages, schema=_COMMENTS))
        for drop in taken:
            batch[str(drop.video_id)].drops[drop.key] = drop
        self.n_comments += fresh.num_rows
        whole = pa.concat_tables([self._that_stay(last, fresh), fresh])
        self.catalog.replace_groups("comments", whole, column="video_id", values=list(last))
        counts = whole.group_by("video_id").aggregate([([], "count_all")]).to_pylist()
        return Counter({row["video_id"]: row["count_all"] for row in counts})

    def _that_stay(self, last: dict[str, CommentPage], fresh: pa.Table) -> pa.Table:
        """Earlier rows that stay: those not received again; once an ad was read to its end, only the younger ones.

        A comment that a complete reading did not return was deleted at YouTube.
        """
        known = [video_id for video_id in last if video_id in self._earlier]
        if not known:
            return fresh.slice(0, 0)
        held = self.catalog.read("comments", where=pc.field("video_id").isin(pa.array(known, pa.string())))
        again = set(fresh["comment_id"].to_pylist())
        oldest = {id_: self._began(id_) if page.ended_by else _LONG_AGO for id_, page in last.items()}
        columns = (held[name].to_pylist() for name in ("comment_id", "video_id", "fetched_at"))
        stays = [id_ not in again and at >= oldest[of] for id_, of, at in zip(*columns, strict=True)]
        return held.filter(pa.array(stays, pa.bool_()))

    def _write_comment_drops(self, batch: dict[str, _Buffer]) -> None:
        drops = [drop for buffer in batch.values() for drop in buffer.drops.values()]
        held: list[str] = []
        if ended := [id_ for id_, buffer in batch.items() if buffer.last is not None and buffer.last.ended_by]:
            of_ads = pc.field("video_id").isin(pa.array(ended, pa.string()))
            held = self.catalog.values("drops", "key", where=(pc.field("stage") == COMMENTS.name) & of_ads)
            held = [key for key in held if key not in self._dropped_now]
        self._dropped_now.update(drop.key for drop in drops)
        self.catalog.commit("comments", _COMMENTS.empty_table(), stage=COMMENTS.name, drops=drops, done=held)

    def _fetch(self, video_id: str, buffer: _Buffer, page: CommentPage, n_comments: int) -> Fetch:
        earlier = self._earlier.get(video_id)
        continued = earlier if video_id in self._continued else None
        return Fetch(
            video_id=video_id,
            state="complete" if page.ended_by else "open",
            ended_by=page.ended_by,
            next_page_token=page.next_page_token,
            pages=page.pages,
            units=buffer.units + (continued.units if continued else 0),
            n_comments=n_comments,
            fingerprint=self._fingerprint,
            started_at=self._began(video_id),
            fetched_at=page.fetched_at,
            completed_at=page.fetched_at if page.ended_by else (earlier.completed_at if earlier else None),
        )

    def _began(self, video_id: str) -> datetime:
        earlier = self._earlier.get(video_id) if video_id in self._continued else None
        return earlier.started_at if earlier else self._started_at
