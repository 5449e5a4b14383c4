"""Comments to rows of `comment_scores`: strengths, and what decides whether a comment counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from data_catalog.catalog import Drop
from data_catalog.schemas import TABLES
from flows.sentiment.engines import SentimentEngine, Unscored
from flows.sentiment.language import LanguageIdentifier
from flows.sentiment.selection import wording

SCORING = "scores"


def score_comments(
    comments: pa.Table, engine: SentimentEngine, identifier: LanguageIdentifier, *, fingerprint: str
) -> tuple[pa.Table, list[Drop]]:
    """A row for every comment that the engine scored, a drop for every one it failed on.

    Args:
        comments: comment_id, video_id, text and text_sha256.
        engine: what scores.
        identifier: what tells languages.
        fingerprint: of engine, identifier and settings.
    """
    read: dict[str, list[Any]] = comments.to_pydict()
    texts: list[str] = read["text"]
    rows: list[dict[str, Any]] = []
    drops: list[Drop] = []
    answers = zip(engine.score(texts), identifier.languages(texts), strict=True)
    for at, (answer, language) in enumerate(answers):
        if isinstance(answer, Unscored):
            drops.append(_drop(read, at, answer, fingerprint))
            continue
        said = wording(texts[at])
        rows.append(
            {
                "comment_id": read["comment_id"][at],
                "video_id": read["video_id"][at],
                "positive": answer.positive,
                "negative": answer.negative,
                "language": language,
                "n_words": said.n_words,
                "words_digest": said.digest,
                "only_links": said.only_links,
                "engine": engine.name,
                "fingerprint": fingerprint,
                "upstream_revision": read["text_sha256"][at],
            }
        )
    return pa.Table.from_pylist(rows, schema=TABLES["comment_scores"].schema), drops


def _drop(read: Mapping[str, Sequence[Any]], at: int, unscored: Unscored, fingerprint: str) -> Drop:
    return Drop(
        stage=SCORING,
        key=read["comment_id"][at],
        video_id=read["video_id"][at],
        kind="failed",
        reason=unscored.reason,
        detail=unscored.detail,
        fingerprint=fingerprint,
        upstream_revision=read["text_sha256"][at],
    )
