"""Certainty and sense of the pipeline's labels: comments needed, agreement with planted attitudes, thresholds.

The comments of real ads are ingested, scored and selected as a build does it; draws from them tell how many comments a
stable label needs. Audiences of texts that people have rated (`benchmarks.audiences`) tell how far labels are right:

    python -m benchmarks.labels --data ../shared/data/ads --rated vaderSentiment-3.3.2.tar.gz --output labels

Tables are printed in Markdown, pictures are written. The word lists are the project's open lexicon unless `--lexicon`
names others. Nothing here depends on the machine or the day.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.audiences import (
    NOISES,
    SETS,
    Agreement,
    Audiences,
    Estimate,
    Floats,
    Ints,
    Texts,
    agree,
    attitudes,
    disturb,
    mean_interval,
    means_of,
    plant,
    proportion,
    read_texts,
)
from benchmarks.label_plots import Curve, draw_audiences, draw_comments, draw_noise
from data_catalog.catalog import Catalog
from flows.crawl.folder.folder import scan_folder
from flows.crawl.ingest import ingest
from flows.sentiment.certainty import (
    comments_needed,
    distance_to_threshold,
    expected_stability,
    label_stability,
    labels_of,
    standard_deviation,
)
from flows.sentiment.engines import NativeEngine
from flows.sentiment.labelling import AGGREGATIONS, ScoreGroup, Thresholds, aggregate, quantile_thresholds, value
from flows.sentiment.language import LanguageIdentifier
from flows.sentiment.rows import group_comments, score_comments
from flows.settings import Aggregation, SentimentSettings

Ads = dict[str, list[ScoreGroup]]
"""Comments that count, by ad."""

FIXED = {f"±{size:g}": Thresholds(size, -size) for size in (2.5, 2.0, 1.5, 1.0, 0.5)}
QUANTILES = {"quantile 0.2": 0.2, "terciles": 1 / 3}
SIZES = (5, 10, 20, 30, 50, 75, 100, 150, 200)
LONG = tuple(int(n) for n in np.unique(np.geomspace(1, 5000, 60).round()))
"""Sizes among which the number of comments for a stable label is looked for."""
STABLE = 0.95
MEANS = (2.6, 2.75, 3.0, 3.5, 4.0, 2.4, 2.0, 1.0, -2.6, -3.0, -3.5)
PLANTED_ADS, PLANTED_COMMENTS = 2000, 100
POPULATIONS = ("balanced", "leaning")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ads"), help="folder of ID.info.json")
    parser.add_argument("--rated", type=Path, help="vaderSentiment-3.3.2.tar.gz; without it no audiences are planted")
    parser.add_argument("--lexicon", type=Path, help="word lists; default: the open lexicon")
    parser.add_argument("--output", type=Path, default=Path("labels"), metavar="DIR", help="where pictures go")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = SentimentSettings(lexicon=arguments.lexicon)
    engine, identifier = NativeEngine(settings), LanguageIdentifier()
    ads = read_ads(arguments.data, settings, engine, identifier)
    measure_ads(ads, arguments.output)
    if arguments.rated:
        measure_audiences(
            {name: read_texts(arguments.rated, name, engine, identifier) for name in SETS}, arguments.output
        )


def read_ads(folder: Path, settings: SentimentSettings, engine: NativeEngine, identifier: LanguageIdentifier) -> Ads:
    """Ingest and score a folder of ads in a catalog of their own; ads without comments that count are left out."""
    with tempfile.TemporaryDirectory() as place:
        catalog = Catalog(Path(place) / "catalog")
        ingest(catalog, scan_folder(folder, author_key=b"benchmark"))
        rows, _ = score_comments(catalog.read("comments"), engine, identifier, fingerprint="benchmark")
        catalog.merge("comment_scores", rows)
        grouped = group_comments(catalog, settings, scores_fingerprint="benchmark")
    return {
        ad: comments.counting for ad, comments in sorted(grouped.items()) if aggregate(comments.counting).n_not_neutral
    }


def measure_ads(ads: Ads, output: Path) -> None:
    """Measure the means of real ads, and the number of comments that a stable label needs."""
    counts = [aggregate(comments) for comments in ads.values()]
    n_scored, n_neutral = sum(c.n_scored for c in counts), sum(c.n_neutral for c in counts)
    print(f"{len(ads)} ads, {n_scored:,} comments that count, {n_neutral / n_scored:.0%} of them neutral\n")
    print_means(ads)
    curves = [
        measure_curve(ads, aggregation, name, thresholds)
        for name in ("±2.5", "terciles")
        for aggregation in AGGREGATIONS
        for thresholds in [FIXED.get(name) or quantile_thresholds(means(ads, aggregation), QUANTILES[name])]
    ]
    print_curves(curves)
    needed = [one for curve in curves for one in curve_needs(ads, curve)]
    print_needs(needed)
    print_planted_means(ads)
    draw_comments(curves, [(one.formula, one.measured) for one in needed], output / "labels-comments.png")


def means(ads: Ads, aggregation: Aggregation) -> list[float]:
    """The ads' means."""
    return [mean for comments in ads.values() if (mean := aggregate(comments).by(aggregation)) is not None]


def print_means(ads: Ads) -> None:
    """Range, quantiles and labels of the ads' means by every aggregation."""
    rows = []
    for aggregation in AGGREGATIONS:
        found = means(ads, aggregation)
        values = [
            v
            for groups in ads.values()
            for g in groups
            for v in [value(g, aggregation)] * g.n_comments
            if v is not None
        ]
        labelled = np.array([sum(mean > 2.5 for mean in found), sum(mean <= -2.5 for mean in found)])
        rows.append(
            [
                aggregation,
                f"{min(values)} to {max(values)}",
                f"{np.mean(np.abs(values) > 2.5):.0%}",
                f"{np.median([standard_deviation(groups, aggregation) for groups in ads.values()]):.2f}",
                *(f"{q:.2f}" for q in np.quantile(found, [0, 1 / 3, 0.5, 2 / 3, 1])),
                f"{labelled[0]} / {labelled[1]} / {len(found) - labelled.sum()}",
            ]
        )
    print_table(
        "Means of the ads",
        [
            "aggregation",
            "comments",
            "beyond ±2.5",
            "sd",
            "lowest",
            "1/3",
            "median",
            "2/3",
            "highest",
            "±2.5: pos / neg / none",
        ],
        rows,
    )


def measure_curve(ads: Ads, aggregation: Aggregation, name: str, thresholds: Thresholds) -> Curve:
    """Share of draws with the ad's label by the number of comments drawn, mean over ads."""
    found = np.array([label_stability(ads[ad], aggregation, thresholds, SIZES, seed=ad) for ad in ads])
    return Curve(aggregation, name, thresholds, SIZES, tuple(mean_interval(column) for column in found.T))


def print_curves(curves: Iterable[Curve]) -> None:
    """The learning curves."""
    shown = [SIZES.index(n) for n in (5, 10, 20, 30, 50, 100, 200)]
    rows = [[c.aggregation, c.name, *(cell(c.stability[at]) for at in shown)] for c in curves]
    print_table(
        "Share of draws of n comments with the ad's label",
        ["aggregation", "thresholds", *(str(SIZES[at]) for at in shown)],
        rows,
    )


@dataclass(frozen=True)
class Need:
    """Comments that one ad's label needs to be the same in 95 % of the draws."""

    aggregation: str
    thresholds: str
    distance: float
    sd: float
    formula: float
    measured: float


def curve_needs(ads: Ads, curve: Curve) -> list[Need]:
    """For every ad whose mean lies within 2 of a threshold; further away a handful is enough."""
    needs = []
    for ad, comments in ads.items():
        mean = aggregate(comments).by(curve.aggregation)
        assert mean is not None
        distance = distance_to_threshold(mean, curve.thresholds)
        sd = standard_deviation(comments, curve.aggregation)
        if 0.05 <= distance < 2:
            stability = label_stability(comments, curve.aggregation, curve.thresholds, LONG, seed=ad)
            formula = comments_needed(distance, sd, STABLE)
            needs.append(Need(curve.aggregation, curve.name, distance, sd, formula, first_stable(LONG, stability)))
    return needs


def first_stable(sizes: Sequence[int], stability: Floats) -> float:
    """The smallest size from which on all are stable; infinite if the last is not."""
    unstable = np.flatnonzero(stability < STABLE)
    if not unstable.size:
        return sizes[0]
    return sizes[unstable[-1] + 1] if unstable[-1] + 1 < len(sizes) else np.inf


def print_needs(needs: list[Need]) -> None:
    """By distance of the mean from the threshold, over all aggregations and both thresholds."""
    rows = []
    for low, high in ((0.05, 0.15), (0.15, 0.3), (0.3, 0.5), (0.5, 1.0), (1.0, 2.0)):
        found = [need for need in needs if low <= need.distance < high]
        if found:
            ratio = np.array([need.measured / need.formula for need in found if np.isfinite(need.measured)])
            measured = sorted(need.measured for need in found)
            rows.append(
                [
                    f"{low:g} to {high:g}",
                    len(found),
                    f"{np.median([need.sd for need in found]):.2f}",
                    f"{np.median([need.formula for need in found]):.0f}",
                    f"{measured[len(measured) // 2]:.0f} ({measured[0]:.0f} to {measured[-1]:.0f})",
                    f"{np.median(ratio):.2f}",
                ]
            )
    print_table(
        "Comments for a label that is the same in 95 % of the draws",
        ["distance", "ads", "sd", "formula", "measured: median (range)", "measured / formula"],
        rows,
    )


def print_planted_means(ads: Ads) -> None:
    """Comments that an ad with a given dominant mean needs: the comments of all ads, tilted to have this mean."""
    pooled = [group for groups in ads.values() for group in groups]
    rows = []
    for mean in MEANS:
        comments = tilted(pooled, mean)
        sd = standard_deviation(comments, "dominant")
        distance = distance_to_threshold(mean, FIXED["±2.5"])
        stability = label_stability(comments, "dominant", FIXED["±2.5"], LONG, seed="planted", draws=4000)
        at = (10, 30, 100)
        drawn = label_stability(comments, "dominant", FIXED["±2.5"], at, seed="planted", draws=4000)
        expected = [expected_stability(mean, sd / np.sqrt(n), FIXED["±2.5"]) for n in at]
        rows.append(
            [
                f"{mean:g}",
                f"{sd:.2f}",
                *(f"{found:.0%} ({normal:.0%})" for found, normal in zip(drawn, expected, strict=True)),
                f"{comments_needed(distance, sd, 0.8):.0f}",
                f"{comments_needed(distance, sd, STABLE):.0f}",
                f"{first_stable(LONG, stability):.0f}",
            ]
        )
    print_table(
        "An ad with a known mean (dominant, ±2.5): share of draws with its label, in brackets by the formula",
        ["mean", "sd", *(f"{n} comments" for n in at), "for 80 %", "for 95 %", "measured for 95 %"],
        rows,
    )


def tilted(pooled: Sequence[ScoreGroup], mean: float) -> list[ScoreGroup]:
    """The comments weighed by exp(t * pole), with t such that their dominant mean is this one."""
    poles = [value(group, "dominant") for group in pooled]
    values = np.array([v for v in poles if v is not None])
    counts = np.array([group.n_comments for group, v in zip(pooled, poles, strict=True) if v is not None])
    low, high = -5.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        weights = counts * np.exp(middle * values)
        low, high = (middle, high) if np.average(values, weights=weights) < mean else (low, middle)
    shares = {v: weights[values == v].sum() / weights.sum() for v in np.unique(values)}
    return [ScoreGroup(max(v, 1), min(v, -1), 1.0, round(share * 10**9)) for v, share in shares.items()]


def measure_audiences(sets: Mapping[str, Texts], output: Path) -> None:
    """Measure agreement of labels with planted attitudes: by thresholds, by the number of comments, and under noise."""
    for name, texts in sets.items():
        print_texts(name, texts)
    print_thresholds(sets)
    print_sizes(sets)
    noise = {name: measure_noise(texts) for name, texts in sets.items()}
    for name, found in noise.items():
        print_noise(name, found)
    draw_noise({name: noise[name] for name in noise}, SHARES, output / "labels-noise.png")
    draw_audiences(measure_leans(sets), output / "labels-audiences.png")


def print_texts(name: str, texts: Texts) -> None:
    """Print how the engine scores single texts with a known rating."""
    rows = []
    for kind, pool in (("positive", texts.positive), ("neutral", texts.neutral), ("negative", texts.negative)):
        values = texts.values["dominant"][pool]
        shares = (np.mean(values > 0), np.mean(np.isnan(values)), np.mean(values < 0))
        rows.append([kind, f"{len(pool):,}", *(f"{share:.0%}" for share in shares), f"{np.nanmean(values):+.2f}"])
    rated = ~np.isnan(texts.ratings)
    correlation = spearmanr(np.nan_to_num(texts.values["dominant"])[rated], texts.ratings[rated])[0]
    print_table(
        f"{name}: the engine beside people, Spearman of pole and rating {correlation:.2f}",
        ["people", "texts", "engine: positive", "neutral", "negative", "mean pole"],
        rows,
    )


def leans(population: str, chance: np.random.Generator) -> Floats:
    """Shares of positive comments, of many ads: every share as likely, or 0.8 on average."""
    return chance.random(PLANTED_ADS) if population == "balanced" else chance.beta(4, 1, PLANTED_ADS)


def planted(texts: Texts, population: str, n_comments: int = PLANTED_COMMENTS) -> tuple[Ints, np.random.Generator]:
    """The comments of a population of ads, and the generator for what comes after them."""
    chance = np.random.default_rng(20)
    return plant(texts, leans(population, chance), n_comments, chance), chance


def thresholds_by_name(found: Floats) -> dict[str, Thresholds]:
    """Every kind of thresholds; quantiles are those of these means."""
    known = found[~np.isnan(found)].tolist()
    return {**FIXED, **{name: quantile_thresholds(known, share) for name, share in QUANTILES.items()}}


def print_thresholds(sets: Mapping[str, Texts]) -> None:
    """Agreement and yield of every kind of thresholds; of the other aggregations a few.

    Zero is the mean at which balanced audiences are neither liked nor disliked, by a line through their means.
    """
    rows = []
    for aggregation in AGGREGATIONS:
        for name, texts in sets.items():
            for population in POPULATIONS:
                ads, _ = planted(texts, population)
                found = means_of(texts, Audiences(ads, ~texts.is_foreign[ads]), aggregation)
                ratings, truth = texts.ratings[ads].mean(axis=1), attitudes(texts, ads)
                if population == "balanced":
                    zero = float(np.polyfit(ratings, found, 1)[1])
                about_zero = {"±1 about zero": Thresholds(zero + 1, zero - 1)}
                told = population, f"{np.mean(truth > 0):.0%}", f"{spearmanr(found, ratings)[0]:.2f}"
                for kind, thresholds in (thresholds_by_name(found) | about_zero).items():
                    if aggregation == "dominant" or kind in ("±2.5", "±1", "terciles"):
                        at = f"{thresholds.positive:.2f} / {thresholds.negative:.2f}"
                        cells = agreement_cells(agree(truth, found, thresholds))
                        rows.append([aggregation, name, *told, kind, at, *cells])
    print_table(
        f"{PLANTED_ADS:,} planted ads of {PLANTED_COMMENTS} comments",
        [
            "aggregation",
            "texts",
            "audiences",
            "liked",
            "Spearman",
            "thresholds",
            "at",
            "no label",
            "positive",
            "accuracy",
            "kappa",
        ],
        rows,
    )


def agreement_cells(found: Agreement) -> list[str]:
    """Share without a label, share of positive among labels, accuracy, kappa."""
    positive = "-" if np.isnan(found.positive) else f"{found.positive:.0%}"
    return [cell(found.unlabelled), positive, cell(found.accuracy), cell(found.kappa)]


def print_sizes(sets: Mapping[str, Texts]) -> None:
    """The same audiences with few and with many comments: agreement, and the label that many comments give."""
    rows = []
    for name, texts in sets.items():
        ads, _ = planted(texts, "balanced", 1000)
        truth = attitudes(texts, ads)
        every = means_of(texts, Audiences(ads, ~texts.is_foreign[ads]), "dominant")
        for n in (5, 10, 20, 30, 50, 100, 200):
            few = ads[:, :n]
            found = means_of(texts, Audiences(few, ~texts.is_foreign[few]), "dominant")
            opinionated = np.mean(~np.isnan(texts.values["dominant"][few])) * n
            cells: list[str] = []
            for kind in ("±2.5", "±1"):
                agreed = agree(truth, found, FIXED[kind])
                label = labels_of(found, FIXED[kind])
                kept = (label == labels_of(every, FIXED[kind]))[label != 0]
                cells += [cell(agreed.unlabelled), cell(agreed.accuracy), cell(proportion(kept.sum(), kept.size))]
            rows.append([name, n, f"{opinionated:.0f}", *cells])
    print_table(
        "Planted ads with n comments; kept: of the labels, those that 1,000 comments give, too",
        ["texts", "n", "not neutral", "±2.5: no label", "accuracy", "kept", "±1: no label", "accuracy", "kept"],
        rows,
    )


def measure_noise(texts: Texts) -> dict[tuple[str, float, str], Agreement]:
    """Agreement by kind of noise, share of noise and thresholds; the quantiles are those of the disturbed means."""
    found: dict[tuple[str, float, str], Agreement] = {}
    for noise in NOISES:
        for share in SHARES:
            ads, chance = planted(texts, "balanced")
            disturbed = means_of(texts, disturb(texts, ads, noise, share, chance), "dominant")
            for kind, thresholds in thresholds_by_name(disturbed).items():
                found[noise, share, kind] = agree(attitudes(texts, ads), disturbed, thresholds)
    return found


def print_noise(name: str, found: Mapping[tuple[str, float, str], Agreement]) -> None:
    """A row for every kind and share of noise."""
    rows = []
    for noise in NOISES:
        for share in (0.0, 0.2, 0.4):
            if share or noise == NOISES[0]:
                paper, one, thirds = (found[noise, share, kind] for kind in ("±2.5", "±1", "terciles"))
                rows.append(
                    [
                        noise.replace("_", " ") if share else "none", f"{share:.0%}", cell(paper.unlabelled),
                        *agreement_cells(one), cell(thirds.accuracy), cell(thirds.kappa),
                    ]
                )  # fmt: skip
    print_table(
        f"{name}: noise in {PLANTED_ADS:,} planted ads of {PLANTED_COMMENTS} comments (balanced, dominant)",
        [
            "noise",
            "share",
            "±2.5: no label",
            "±1: no label",
            "positive",
            "accuracy",
            "kappa",
            "terciles: accuracy",
            "kappa",
        ],
        rows,
    )


def measure_leans(sets: Mapping[str, Texts]) -> dict[str, dict[str, Floats]]:
    """Share of ads of each label by the audience's share of positive comments; where half of the ads get a label."""
    grid = np.linspace(0, 1, 51)
    lines: dict[str, dict[str, Floats]] = {}
    bends, zeros = [], {}
    for name, texts in sets.items():
        chance = np.random.default_rng(20)
        ads = plant(texts, np.repeat(grid, 400), PLANTED_COMMENTS, chance)
        found = means_of(texts, Audiences(ads, ~texts.is_foreign[ads]), "dominant").reshape(len(grid), -1)
        lines[name] = {"share": grid}
        for kind in ("±2.5", "±1"):
            positive = (found > FIXED[kind].positive).mean(axis=1)
            negative = (found <= FIXED[kind].negative).mean(axis=1)
            lines[name] |= {f"{kind} positive": positive, f"{kind} negative": negative}
            above, below = grid[positive >= 0.5], grid[negative >= 0.5]
            begin = f"{above[0]:.0%}" if above.size else "never", f"{below[-1]:.0%}" if below.size else "never"
            bends.append([name, kind, *begin, f"{positive[-1]:.0%}", f"{negative[0]:.0%}"])
        zeros[name] = float(np.interp(0, found.mean(axis=1), grid))
    print_bends(bends, zeros)
    return lines


def print_bends(rows: list[list[Any]], zeros: Mapping[str, float]) -> None:
    """Print the shares of positive comments at which half of the ads get a label, and labelled shares at the ends."""
    print_table(
        "Share of positive comments, among those that are not neutral to people, at which half of the ads get a label",
        ["texts", "thresholds", "positive from", "negative up to", "of all-positive ads", "of all-negative ads"],
        rows,
    )
    print(", ".join(f"the mean of {name} is 0 at {zero:.0%} positive comments" for name, zero in zeros.items()))


def cell(found: Estimate) -> str:
    """A value with its interval."""
    return "-" if np.isnan(found.value) else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Markdown on standard output."""
    lines = [columns, ["---"] * len(columns), *rows]
    print(f"{title}:\n")
    print("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n", flush=True)


if __name__ == "__main__":
    main()
