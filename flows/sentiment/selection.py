"""Selection of the comments that count: none in another language, said twice, copied, or with nothing but links.

Every comment is scored; those left out do not count in the ad's mean, and the ad's row has their number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.sentiment.sentistrength.reading import ADDRESS, may_hold_address
from flows.settings import LeftOut

if TYPE_CHECKING:
    import pyarrow as pa


SELECTION_VERSION = "2"
"""Changes whenever the facts below might."""

REPEAT_WORDS = 5
"""Two people may both say "I love this ad"; from so many words on it is a copy."""

ANY_LANGUAGE = "any"

SCORE_COLUMNS = ("comment_id", "video_id", "positive", "negative", "language", "n_words", "words_digest", "only_links")
COMMENT_COLUMNS = ("comment_id", "author_hash", "like_count", "published_at")
"""Columns of `comment_scores` and of `comments` that decide it."""

_LINK = re.compile(rf"[(<\[\"*]{{0,3}}(?:{ADDRESS.pattern})[)>\]\"*.,;:!?\u2026]*+", re.IGNORECASE)
"""An address with the brackets and marks that it stands in."""
_WORD = re.compile(r"[^\W_]+")
_REPEATED = re.compile(r"([^\W\d_])\1+")


@dataclass(frozen=True, slots=True)
class Wording:
    """Facts of a comment's text that decide whether it counts."""

    n_words: int
    digest: int
    """Equal for texts of the same words: capitals, marks, spaces and letters held for emphasis aside."""
    only_links: bool


def wording(text: str) -> Wording:
    """The facts of one comment; a text without a word, such as emoji, is compared as it stands."""
    said = _LINK.sub(" ", text) if may_hold_address(text) else text
    words = _WORD.findall(_REPEATED.sub(r"\1", said.casefold()))
    essence = " ".join(words) or "".join(said.split())
    digest = hashlib.blake2b(essence.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return Wording(
        n_words=len(words),
        digest=int.from_bytes(digest, signed=True),
        only_links=len(said) != len(text) and not essence,
    )


_EARLIER = "row_number() OVER (PARTITION BY {} ORDER BY published_at, comment_id) > 1"
_CONDITIONS = {
    LeftOut.ONLY_LINKS: "only_links",
    LeftOut.OTHER_LANGUAGE: f"$language <> '{ANY_LANGUAGE}' AND scores.language <> $language",
    LeftOut.DUPLICATE: f"author_hash IS NOT NULL AND {_EARLIER.format('video_id, words_digest, author_hash')}",
    LeftOut.REPEAT: f"n_words >= {REPEAT_WORDS} AND {_EARLIER.format('video_id, words_digest')}",
}


def with_reasons(scores: pa.Table, comments: pa.Table, *, language: str, leave_out: Collection[str]) -> pa.Table:
    """Every score with the reason why its comment does not count in column `left_out`, null where it counts.

    Args:
        scores: rows of `comment_scores` with `SCORE_COLUMNS`.
        comments: their rows of `comments` with `COMMENT_COLUMNS`; more columns of either do not matter.
        language: of the word lists, as the identifier names it; `any` leaves no language out.
        leave_out: the reasons that hold, of `LeftOut`.

    Returns:
        comment_id, video_id, positive, negative, likes, left_out; in no order.
    """
    from data_catalog.tables.duck import connect_duckdb

    query, params = reasons_query(language, leave_out)
    with connect_duckdb() as connection:
        connection.register("scores", scores.select(SCORE_COLUMNS))
        connection.register("comments", comments.select(COMMENT_COLUMNS))
        return connection.sql(f"{query} FROM scores JOIN comments USING (comment_id)", params=params).to_arrow_table()


def reasons_query(language: str, leave_out: Collection[str]) -> tuple[str, dict[str, str]]:
    """The query of `with_reasons` up to its FROM, which joins `scores` and `comments`, and its parameters."""
    cases = " ".join(f"WHEN {_CONDITIONS[reason]} THEN '{reason}'" for reason in LeftOut if reason in leave_out)
    left_out = f"CASE {cases} END" if cases else "CAST(NULL AS VARCHAR)"
    query = (
        "SELECT comment_id, video_id, positive, negative, greatest(coalesce(like_count, 0), 0) AS likes, "
        f"{left_out} AS left_out"
    )
    return query, {"language": language} if "$language" in cases else {}
