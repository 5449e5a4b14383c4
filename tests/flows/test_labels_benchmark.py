"""The benchmark of labels: planted audiences, noise, and agreement with what was planted."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from benchmarks import audiences, labels
from benchmarks.audiences import (
    NOISES,
    Audiences,
    Noise,
    Texts,
    agree,
    attitudes,
    disturb,
    kappas,
    means_of,
    plant,
    proportion,
)
from benchmarks.labels import first_stable, tilted
from flows.sentiment.certainty import standard_deviation
from flows.sentiment.engines import NativeEngine
from flows.sentiment.labelling import AGGREGATIONS, ScoreGroup, Thresholds, aggregate
from flows.sentiment.language import LanguageIdentifier
from flows.settings import SentimentSettings

ADS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ads"
ONE = Thresholds(1.0, -1.0)

# texts 0..9 are positive, 10..19 negative, 20..24 neutral, 25..29 foreign, 30..34 spam
RATINGS = np.array([3.0] * 10 + [-2.0] * 10 + [0.0] * 5 + [np.nan] * 10)
POLES = np.array([4.0] * 10 + [-3.0] * 10 + [np.nan] * 5 + [-5.0] * 5 + [5.0] * 5)
TEXTS = Texts(
    ratings=RATINGS,
    values=dict.fromkeys(AGGREGATIONS, POLES),
    is_foreign=np.isin(np.arange(35), [25, 26, 27, 28]),
    positive=np.arange(10),
    negative=np.arange(10, 20),
    neutral=np.arange(20, 25),
    fans=np.arange(5),
    foreign=np.arange(25, 30),
    spam=np.arange(30, 35),
)


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([-2.0, 0.0, np.nan, 2.0])), min_size=1, max_size=60))
@settings(max_examples=60)
def test_agreement_is_that_of_scikit_learn_over_the_ads_with_a_label(ads: list[tuple[bool, float]]) -> None:
    planted = np.where([is_liked for is_liked, _ in ads], 1, -1)
    means = np.array([mean for _, mean in ads])
    found = agree(planted, means, ONE)
    labelled = np.abs(means) > 1
    assert found.unlabelled.value == pytest.approx(1 - labelled.mean())
    assume(labelled.any())
    labels_given = np.sign(means[labelled])
    assert found.accuracy.value == pytest.approx(np.mean(labels_given == planted[labelled]))
    assert found.positive == pytest.approx(np.mean(labels_given > 0))
    if len({*planted[labelled], *labels_given}) > 1:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(planted[labelled], labels_given))
    else:
        assert np.isnan(found.kappa.value), "one class alone has no chance agreement to compare with"


def test_kappa_by_hand() -> None:
    # the example of Cohen 1960 in two classes: 0.7 agreement, 0.5 by chance
    assert kappas(np.array([[[20, 5], [10, 15]]]))[0] == pytest.approx(0.4)


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_share_has_wilsons_interval(count: int, of: int) -> None:
    assume(count <= of)
    found = proportion(count, of)
    z, p = stats.norm.ppf(0.975), count / of
    centre, half = p + z**2 / (2 * of), z * np.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    assert found == pytest.approx((p, (centre - half) / (1 + z**2 / of), (centre + half) / (1 + z**2 / of)), abs=1e-9)


def test_an_audience_has_its_lean_and_its_attitude() -> None:
    ads = plant(TEXTS, np.array([0.0, 0.3, 1.0]), 4000, chance())
    ratings = RATINGS[ads]
    shares = (ratings > 0).sum(axis=1) / (ratings != 0).sum(axis=1)
    assert shares == pytest.approx([0, 0.3, 1], abs=0.03)
    assert (ratings == 0).mean() == pytest.approx(0.2, abs=0.01)
    # of three positive and seven negative: 3 * 3 - 7 * 2 < 0
    assert attitudes(TEXTS, ads).tolist() == [-1, -1, 1]


def test_the_mean_is_of_the_comments_that_count() -> None:
    ads = np.array([[0, 10, 20, 25], [20, 21, 22, 23]])
    counted = np.array([[True, True, True, False], [True] * 4])
    found = means_of(TEXTS, Audiences(ads, counted), "dominant")
    assert found[0] == 0.5
    assert np.isnan(found[1])


@pytest.mark.parametrize("noise", NOISES)
def test_without_noise_nothing_changes_and_with_it_the_share_is_kept(noise: Noise) -> None:
    ads = plant(TEXTS, np.full(3000, 0.5), 40, chance())
    planted = ads.copy()
    same, counted = disturb(TEXTS, ads, noise, 0.0, chance())
    assert (same == ads).all()
    assert counted.all()
    disturbed, _ = disturb(TEXTS, ads, noise, 0.3, chance())
    assert (ads == planted).all()
    if noise in ("spam", "copies", "copies_counted", "foreign", "foreign_counted"):
        pool = TEXTS.spam if noise in ("spam", "copies", "copies_counted") else TEXTS.foreign
        assert np.isin(disturbed, pool).mean() == pytest.approx(0.3, abs=0.01)
        assert np.isin(disturbed, pool).mean(axis=1).max() == pytest.approx(0.6, abs=0.02)


def test_each_noise_writes_what_its_name_says() -> None:
    ads = plant(TEXTS, np.full(200, 0.5), 40, chance())

    # noise in half of the comments; texts that are as they were do not tell
    noisy = {noise: disturb(TEXTS, ads, noise, 0.5, chance()) for noise in NOISES}
    changed = {noise: set(found.texts[found.texts != ads].tolist()) for noise, found in noisy.items()}
    assert changed["off_topic"] == {*range(20, 25)}
    assert changed["spam"] == changed["copies"] == changed["copies_counted"] == {*range(30, 35)}
    assert changed["foreign"] == changed["foreign_counted"] == {*range(25, 30)}
    assert changed["fans"] == {*range(5)}
    signs = np.sign(RATINGS[ads]).ravel(), np.sign(RATINGS[noisy["irony"].texts]).ravel()
    assert {*zip(*signs, strict=True)} == {(1, 1), (-1, -1), (0, 0), (1, -1), (-1, 1)}
    foreign = noisy["foreign"]
    assert (foreign.counted == ~np.isin(foreign.texts, [25, 26, 27, 28])).all()
    assert all(noisy[noise].counted.all() for noise in ("foreign_counted", "copies_counted", "spam"))
    for written, counted in zip(*noisy["copies"], strict=True):
        spam = np.isin(written, TEXTS.spam)
        assert len(set(written[spam])) <= 1
        assert counted[spam].sum() == min(1, spam.sum())
        assert counted[~spam].all()


@given(st.floats(-4.5, 4.5))
@settings(max_examples=30)
def test_tilted_comments_have_the_mean_that_was_asked_for(mean: float) -> None:
    pooled = [ScoreGroup(p, n, 1.0, 7) for p in range(1, 6) for n in range(-5, 0)]
    comments = tilted(pooled, mean)
    assert aggregate(comments).dominant == pytest.approx(mean, abs=1e-4)
    assert 0 < standard_deviation(comments, "dominant") < 5


def test_a_size_is_stable_when_all_that_follow_are() -> None:
    sizes = (1, 2, 3, 4)
    assert first_stable(sizes, np.array([0.96, 0.9, 0.95, 0.99])) == 3
    assert first_stable(sizes, np.array([0.9, 0.96, 0.9, 0.99])) == 4
    assert first_stable(sizes, np.array([0.96, 0.95, 0.95, 0.99])) == 1
    assert first_stable(sizes, np.array([0.96, 0.95, 0.95, 0.9])) == np.inf


def archive(folder: Path, ratings: str) -> Path:
    """A source archive as that of vaderSentiment, with these ratings of tweets."""
    inner, outer = folder / "inner.tar.gz", folder / "outer.tar.gz"
    (folder / "ratings").write_text(ratings, "utf-8")
    with tarfile.open(inner, "w:gz") as file:
        file.add(folder / "ratings", "hutto_ICWSM_2014/tweets_GroundTruth.txt")
    with tarfile.open(outer, "w:gz") as file:
        file.add(inner, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
    return outer


def test_rated_texts_are_read_from_the_archive_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, "\ufeff1\t2.5\tso good\n2\t-1.25\ttab\tbad\n\n")
    with pytest.raises(SystemExit, match="expected the source archive of vaderSentiment"):
        audiences.read_rated(path, "tweets")
    monkeypatch.setattr(audiences, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    texts, ratings = audiences.read_rated(path, "tweets")
    assert texts == ["so good", "tab\tbad"]
    assert ratings.tolist() == [2.5, -1.25]


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # no neutral text of these has a pole
def test_audiences_are_measured_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labels, "PLANTED_ADS", 60)
    monkeypatch.setattr(labels, "SHARES", (0.0, 0.2, 0.4))
    labels.measure_audiences({"tweets": TEXTS}, tmp_path)
    tables = capsys.readouterr().out
    # a positive text has a pole of 4, a negative one of -3: the mean is 7 p - 3, beyond 2.5 from p = 0.786 on and up to
    # 0.071, beyond 1 from 0.571 on and up to 0.286, and 0 at 0.429; p goes up in steps of 0.02
    assert "| tweets | ±2.5 | 80% | 6% | 100% | 100% |" in tables
    assert "| tweets | ±1 | 58% | 28% | 100% | 100% |" in tables
    assert "the mean of tweets is 0 at 43% positive comments" in tables
    assert all((tmp_path / f"labels-{name}.png").stat().st_size > 10_000 for name in ("noise", "audiences"))


@pytest.mark.skipif(not ADS.is_dir(), reason="the shared adverts are not here")
def test_real_ads_are_measured_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ads = labels.read_ads(ADS / "healthcare", SentimentSettings(), NativeEngine(), LanguageIdentifier())
    labels.measure_ads(ads, tmp_path)
    said = capsys.readouterr().out
    assert f"{len(ads)} ads" in said
    assert "| dominant | ±2.5 |" in said
    assert (tmp_path / "labels-comments.png").stat().st_size > 10_000
