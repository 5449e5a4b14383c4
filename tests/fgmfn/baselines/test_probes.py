"""The probes on CLIP and SigLIP: what is encoded, what is fitted, and that a probe needs nothing but its folder."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgmfn.baselines import model_class
from fgmfn.baselines.fitted import Regression, choose_regression, fit_regression
from fgmfn.baselines.probes import ENCODERS, Probe
from fgmfn.errors import ConfigError, DataError, WeightsError
from fgmfn.evaluation import score
from tests.fgmfn.models import TINY, ad_split, tweet_split

PROBES = ("clip_probe", "siglip_probe")


def build(name: str, **settings: Any) -> Probe:
    kind = model_class(name)
    probe: Probe = kind(kind.config_class(**TINY[name].settings | settings, num_labels=3))
    return probe


@pytest.fixture(scope="module", params=PROBES)
def probe(request: pytest.FixtureRequest) -> Probe:
    """A small probe, fitted to the tweets."""
    fitted = build(request.param)
    fitted.fit(tweet_split(), tweet_split(), seed=0)
    return fitted


def test_both_vectors_have_length_one_and_the_declared_width(probe: Probe) -> None:
    features = probe.features(tweet_split())
    assert features.shape == (4, probe.feature_count(probe._encoders.config))
    halves = np.split(features, 2, axis=1)
    assert np.allclose([np.linalg.norm(half, axis=1) for half in halves], 1.0, atol=1e-5)


def test_the_company_of_rows_does_not_change_their_features(probe: Probe) -> None:
    long = tweet_split(texts=["$T$ !", "so " * 40, "", "\0\ud800 \u202e $T$"])
    alone = tweet_split(texts=["$T$ !"], targets=["Tom"])
    assert np.allclose(probe.features(long)[0], probe.features(alone)[0], atol=1e-5)
    assert np.isfinite(probe.features(long)).all()


def test_the_target_is_read_however_long_its_sentence_is(probe: Probe) -> None:
    texts = ["good " * 100 + "$T$"] * 2
    features = probe.features(tweet_split(texts=texts, targets=["Tom", "Ann Lee"]))
    words = np.split(features, 2, axis=1)[1]
    assert not np.allclose(words[0], words[1], atol=1e-4)


def test_the_picture_and_the_words_are_read_apart(probe: Probe) -> None:
    one, other = (np.split(probe.features(rows), 2, axis=1) for rows in (tweet_split(), tweet_split(texts=["bad"] * 4)))
    assert np.allclose(one[0], other[0], atol=1e-6)
    assert not np.allclose(one[1], other[1], atol=1e-3)
    assert not np.allclose(one[0][0], one[0][1], atol=1e-3)


def test_an_ads_category_is_not_read(probe: Probe) -> None:
    ads = ad_split()
    assert np.array_equal(probe.features(ads), probe.features(replace(ads, target=["film"] * 4)))


def test_the_same_seed_draws_the_same_encoders() -> None:
    said = []
    for _ in range(2):
        drawn = build("clip_probe")
        drawn.fit(tweet_split(), tweet_split(), seed=3)
        said.append(drawn.probabilities(tweet_split()))
    assert np.array_equal(said[0], said[1])


def test_without_pictures_nothing_is_fitted() -> None:
    with pytest.raises(DataError, match="pictures"):
        build("clip_probe").fit(replace(tweet_split(), pictures=None), tweet_split(), seed=0)


def local_pair(probe: Probe, folder: Path) -> str:
    probe.save_weights(folder)
    probe._processor.tokenizer.save_pretrained(folder / ENCODERS)
    return str(folder / ENCODERS)


def test_pretrained_encoders_are_read_from_a_folder_and_left_as_they_are(probe: Probe, tmp_path: Path) -> None:
    tuned = build(f"{probe.config.family}_probe", pretrained=True, text_config={}, vision_config={})
    tuned.config.encoders = local_pair(probe, tmp_path)
    tuned.fit(tweet_split(), tweet_split(), seed=0)
    assert np.allclose(tuned.features(tweet_split()), probe.features(tweet_split()), atol=1e-6)
    assert not any(weight.requires_grad for weight in tuned._encoders.parameters())
    counts = tuned.parameter_counts()
    assert counts is not None
    assert counts[1] == tuned._regression.weights.size + tuned._regression.bias.size


def test_the_other_pair_is_refused(probe: Probe, tmp_path: Path) -> None:
    wrong = build("siglip_probe" if probe.config.family == "clip" else "clip_probe", pretrained=True)
    wrong.config.encoders = local_pair(probe, tmp_path)
    with pytest.raises(ConfigError, match=probe.config.family):
        wrong.fit(tweet_split(), tweet_split(), seed=0)


def test_encoders_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        build("clip_probe", pretrained=True, encoders=str(tmp_path / "nowhere")).fit(tweet_split(), tweet_split(), 0)


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_where_progress_is_wanted(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    for progress in (False, True):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        probe.probabilities(tweet_split(), progress=progress)
        assert ("encodes" in terminal.getvalue()) == progress


def test_a_regression_says_of_raw_features_what_it_learned_of_scaled_ones() -> None:
    rng = np.random.default_rng(0)
    raw, mean, spread = rng.normal(3, 2, (6, 4)), rng.normal(size=4), rng.uniform(1, 2, 4)
    scaled = Regression(rng.normal(size=(3, 4)), rng.normal(size=3))
    assert np.allclose(
        scaled.before_scaling(mean, spread).probabilities(raw), scaled.probabilities((raw - mean) / spread)
    )


@pytest.mark.parametrize("labels", [[0, 0, 2, 2], [1, 2, 2, 1]])
def test_a_class_without_training_rows_is_never_predicted(labels: list[int]) -> None:
    features = np.array([[0.0], [0.1], [1.0], [1.1]]) if labels[0] == 0 else np.array([[0.0], [1.0], [1.1], [0.1]])
    fitted = fit_regression(features, labels, 3, 100.0, seed=0)
    assert fitted.probabilities(features).argmax(axis=1).tolist() == labels
    assert fitted.probabilities(features)[:, ({0, 1, 2} - set(labels)).pop()].max() == 0.0


def test_the_strength_that_dev_likes_best_is_chosen_and_the_first_without_dev() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(40, 2)), [0] * 34 + [1] * 6
    features[34:] += 1.5
    strengths = (1e-6, 10.0)
    chosen, record = choose_regression((features, labels), (features, labels), 2, strengths, seed=0)
    assert record["inverse_strength"] == 10.0
    predicted = chosen.probabilities(features).argmax(axis=1).tolist()
    assert record["dev_macro_f1"]["10.0"] == score(labels, predicted, 2).macro_f1
    assert choose_regression((features, labels), None, 2, strengths, seed=0)[1] == {"inverse_strength": 1e-6}


def test_rows_of_one_class_teach_nothing() -> None:
    with pytest.raises(DataError, match="one class"):
        fit_regression(np.zeros((3, 2)), [1, 1, 1], 2, 1.0, seed=0)


def test_balanced_classes_are_weighed_by_their_rarity() -> None:
    features, labels = np.array([[0.0]] * 9 + [[1.0]]), [0] * 9 + [1]
    plain, balanced = (fit_regression(features, labels, 2, 0.1, seed=0, balanced=given) for given in (False, True))
    rare = np.array([[1.0]])
    assert plain.probabilities(rare)[0, 1] < 0.5 < balanced.probabilities(rare)[0, 1]


def test_counted_words_of_one_class_teach_nothing_either() -> None:
    kind = model_class("tfidf")
    rows = replace(tweet_split(), label=[1] * 4)
    with pytest.raises(DataError, match="one class"):
        kind(kind.config_class(num_labels=3)).fit(rows, rows, seed=0)
