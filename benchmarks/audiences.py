"""Planted audiences: ads whose comments are real texts that people have rated, with noise of several kinds.

The texts are those of VADER's authors (Hutto and Gilbert, ICWSM 2014): tweets and sentences of product reviews, each
with the mean of about twenty people's ratings from -4 to 4. They lie in the package's source archive:

    pip download --no-deps --no-binary :all: --dest . vaderSentiment==3.3.2

An audience is drawn from them, so that its attitude is known: the sign of the mean of the ratings. Noise replaces a
share of the comments and does not change the attitude. Only the spam is made up here; the texts in other languages are
those of `benchmarks.language`.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmarks.language import is_foreign, read_samples
from flows.sentiment.certainty import LEVEL, labels_of
from flows.sentiment.engines import NativeEngine
from flows.sentiment.labelling import AGGREGATIONS, ScoreGroup, Thresholds, value
from flows.sentiment.language import LanguageIdentifier
from flows.settings import Aggregation

Ints = NDArray[np.int_]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Noise = Literal["off_topic", "foreign", "foreign_counted", "copies", "copies_counted", "spam", "fans", "irony"]

NOISES: tuple[Noise, ...] = get_args(Noise)
SETS = {"tweets": "tweets", "reviews": "amazonReviewSnippets"}
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
OPINION = 0.5
"""A text is positive from this mean rating up, negative from its opposite down, neutral in between."""
FAN = 2.0
NEUTRAL_SHARE = 0.2
"""Share of neutral comments in an audience; among the tweets it is 18 %."""
DRAWS = 2000

SPAM = tuple(
    f"{call} {thing}, {promise}!"
    for call in ("Check out", "Subscribe to", "Come and see", "You will love")
    for thing in ("my new channel", "our great shop", "my free gift cards", "the best crypto group")
    for promise in ("it is amazing", "you can win big", "totally free and safe", "thank me later")
)


@dataclass(frozen=True)
class Texts:
    """Texts with their ratings, and with their values by the engine: NaN where a comment does not count.

    The pools hold positions of texts.
    """

    ratings: Floats
    values: dict[Aggregation, Floats]
    is_foreign: Bools
    """True for texts that the pipeline classifies as foreign and leaves out."""
    positive: Ints
    negative: Ints
    neutral: Ints
    fans: Ints
    foreign: Ints
    spam: Ints


class Audiences(NamedTuple):
    """Comments of many ads, [ads, comments]; `counted` is False where the pipeline leaves one out."""

    texts: Ints
    counted: Bools


class Estimate(NamedTuple):
    """A value with its 95 % interval; all NaN where it has no meaning."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of labels with the planted attitudes; accuracy and Cohen's kappa are over the ads that have a label."""

    accuracy: Estimate
    kappa: Estimate
    unlabelled: Estimate
    positive: float
    """Share of the labels that are positive."""


def read_rated(archive: Path, name: str) -> tuple[list[str], Floats]:
    """Return the texts of one of `SETS` and the mean rating of each."""
    content = archive.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        sys.exit(f"{archive}: sha256 {found}; expected the source archive of vaderSentiment 3.3.2, {SHA256}")
    inner = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    file = f"hutto_ICWSM_2014/{SETS[name]}_GroundTruth.txt"
    with tarfile.open(fileobj=io.BytesIO(content)) as outer, tarfile.open(fileobj=outer.extractfile(inner)) as data:
        read = data.extractfile(file)
        assert read is not None
        lines = read.read().decode("utf-8-sig").splitlines()
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    return [row[2] for row in rows], np.array([float(row[1]) for row in rows])


def read_texts(archive: Path, name: str, engine: NativeEngine, identifier: LanguageIdentifier) -> Texts:
    """Return the rated texts, samples of other languages, and spam, with the pipeline's scores and languages."""
    rated, ratings = read_rated(archive, name)
    foreign = [text for code, text in read_samples() if code != "en"]
    texts = [*rated, *foreign, *SPAM]
    scored = [ScoreGroup(*strength, 1.0, 1) for strength in engine.score(texts)]
    padded = np.concatenate([ratings, np.full(len(foreign) + len(SPAM), np.nan)])
    values = {
        name: np.array([np.nan if (v := value(one, name)) is None else v for one in scored], dtype=np.float64)
        for name in AGGREGATIONS
    }
    return Texts(
        ratings=padded,
        values=values,
        is_foreign=np.array([is_foreign(answer) for answer in identifier.languages(texts)]),
        positive=np.flatnonzero(padded >= OPINION),
        negative=np.flatnonzero(padded <= -OPINION),
        neutral=np.flatnonzero(np.abs(padded) < OPINION),
        fans=np.flatnonzero(padded >= FAN),
        foreign=len(rated) + np.arange(len(foreign)),
        spam=len(rated) + len(foreign) + np.arange(len(SPAM)),
    )


def plant(texts: Texts, leans: Floats, n_comments: int, chance: np.random.Generator) -> Ints:
    """Comments of an ad for every lean, [ads, comments].

    Args:
        texts: to draw from.
        leans: share of positive ones among an ad's comments that are not neutral, [ads].
        n_comments: of each ad.
        chance: of the draws.
    """
    shape = len(leans), n_comments
    opinions = np.where(
        chance.random(shape) < leans[:, None],
        chance.choice(texts.positive, shape),
        chance.choice(texts.negative, shape),
    )
    return np.where(chance.random(shape) < NEUTRAL_SHARE, chance.choice(texts.neutral, shape), opinions)


def attitudes(texts: Texts, planted: Ints) -> Ints:
    """The sign of the mean rating of each audience, [ads]."""
    return np.where(texts.ratings[planted].mean(axis=1) > 0, 1, -1)


def disturb(texts: Texts, planted: Ints, noise: Noise, share: float, chance: np.random.Generator) -> Audiences:
    """The same ads with noise in the place of a share of the comments, of each ad another one: from 0 to twice `share`.

    `off_topic` are neutral texts. `foreign` ones are in other languages and are left out where the pipeline sees it,
    `foreign_counted` count all. `copies` are one spam text of the ad's own, of which the first counts, or all
    (`copies_counted`); `spam` differs from comment to comment. `fans` write positive texts, whatever the audience
    thinks. `irony` says the opposite of what is meant: texts of the other sign.
    """
    shape = planted.shape
    amounts = np.rint(chance.uniform(0, 2 * share, (shape[0], 1)) * shape[1])
    taken = np.arange(shape[1]) < amounts
    if noise == "irony":
        ratings = texts.ratings[planted]
        opposite = np.where(ratings > 0, chance.choice(texts.negative, shape), chance.choice(texts.positive, shape))
        written = np.where(np.abs(ratings) < OPINION, planted, opposite)
    elif noise in ("copies", "copies_counted"):
        written = np.broadcast_to(chance.choice(texts.spam, (shape[0], 1)), shape)
    else:
        pools = {"off_topic": texts.neutral, "spam": texts.spam, "fans": texts.fans}
        written = chance.choice(pools.get(noise, texts.foreign), shape)
    disturbed = np.where(taken, written, planted)
    counted = ~texts.is_foreign[disturbed]
    if noise == "foreign_counted":
        counted |= taken
    if noise == "copies":
        counted[:, 1:] &= ~taken[:, 1:]
    return Audiences(disturbed, counted)


def means_of(texts: Texts, audiences: Audiences, aggregation: Aggregation) -> Floats:
    """The ads' means, NaN where no comment counts, [ads]."""
    values = np.where(audiences.counted, texts.values[aggregation][audiences.texts], np.nan)
    counts = (~np.isnan(values)).sum(axis=1)
    return np.divide(np.nansum(values, axis=1), counts, out=np.full(len(values), np.nan), where=counts > 0)


def agree(planted: Ints, means: Floats, thresholds: Thresholds, seed: int = 0) -> Agreement:
    """Return how far the labels of these means agree with the planted attitudes, 1 or -1; no mean gives no label.

    Intervals of shares are Wilson's, that of kappa the bootstrap's over ads.
    """
    labels = labels_of(means, thresholds)
    cells = np.array([[np.sum((planted == a) & (labels == b)) for b in (1, 0, -1)] for a in (1, -1)])
    labelled = cells[:, [0, 2]]
    drawn = np.random.default_rng(seed).multinomial(cells.sum(), cells.ravel() / cells.sum(), size=DRAWS)
    every = np.concatenate([labelled[None], drawn.reshape(-1, 2, 3)[:, :, [0, 2]]])
    return Agreement(
        accuracy=proportion(int(np.trace(labelled)), int(labelled.sum())),
        kappa=_estimate(kappas(every)),
        unlabelled=proportion(int(cells[:, 1].sum()), int(cells.sum())),
        positive=proportion(int(labelled[:, 0].sum()), int(labelled.sum())).value,
    )


def kappas(tables: Ints) -> Floats:
    """Cohen's kappa of many tables of counts, [tables, classes, classes]; NaN where it has no meaning."""
    with np.errstate(invalid="ignore"):
        shares = tables / tables.sum(axis=(1, 2), keepdims=True)
        chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
        return (np.trace(shares, axis1=1, axis2=2) - chance) / (1 - chance)


def proportion(count: int, of: int) -> Estimate:
    """Return `count` / `of` with Wilson's interval; NaN if `of` is 0."""
    if not of:
        return Estimate(np.nan, np.nan, np.nan)
    interval = binomtest(count, of).proportion_ci(method="wilson")
    return Estimate(count / of, float(interval.low), float(interval.high))


def _estimate(values: Floats) -> Estimate:
    """The first value, with the interval of those after it that have a meaning."""
    known = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not known.size:
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values[0]), float(low), float(high))


def mean_interval(values: Sequence[float] | Floats, seed: int = 0) -> Estimate:
    """Mean over ads, with the interval of the bootstrap over them."""
    array = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(array), size=(DRAWS, len(array)))
    return _estimate(np.concatenate([[array.mean()], array[drawn].mean(axis=1)]))
