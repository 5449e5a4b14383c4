"""Models of every kind are trained on the same tweets by the same command, by their own recipes or the user's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgmfn.baselines import MODELS, model_class
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Source
from fgmfn.errors import ConfigError, DataError
from fgmfn.inference import load_checkpoint, predict
from fgmfn.scoring import evaluate_split
from fgmfn.settings import TrainingSettings, load_settings, model_settings_for
from fgmfn.training import train_models

SMALL = """
[models.bilstm]
word_size = 8
hidden_size = 6
[models.bilstm.training]
epochs = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a small BiLSTM."""
    file = tmp_path / "run.toml"
    file.write_text(SMALL)
    return file


def test_trained_and_fitted_models_give_the_same_report(tweets: Source, config: Path, tmp_path: Path) -> None:
    trained = train_models(tweets, config, tmp_path / "runs", ("tfidf", "bilstm"), progress=False)
    for one in trained:
        record = json.loads((one.checkpoint / "metrics.json").read_text())
        assert record["checksums"] == one.checksums == tweets.checksums
        assert tweets.checksums["test"][:12] in (one.checkpoint / "README.md").read_text()
        loaded = load_checkpoint(one.checkpoint)
        assert evaluate_split(loaded, tweets, "test", progress=False) == one.test
        (said,) = predict(loaded, [], ["so good , Ann !"], ["Ann"])
        assert set(said.probabilities) == set(tweets.class_names)
    again = train_models(tweets, config, tmp_path / "runs", ("tfidf", "bilstm"), progress=False)
    assert [one.already_trained for one in again] == [True, True]


def test_a_model_that_looks_at_pictures_asks_for_them_before_training(tweets: Source, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"res_target looks at pictures; name their folder \(--images DIR\)"):
        train_models(tweets, None, tmp_path / "runs", ("tfidf", "res_target"), progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_users_setting_goes_before_the_recipe_and_a_models_own_before_that(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"

    def rate(text: str) -> float:
        file.write_text(text)
        kind = model_class("bilstm")
        return model_settings_for("bilstm", load_settings(file), kind).training.learning_rate

    own = "[models.bilstm.training]\nlearning_rate = 3e-3\n"
    assert rate("") == 1e-3
    assert rate("[training]\nlearning_rate = 2e-3\n") == 2e-3
    assert rate("[training]\nlearning_rate = 2e-3\n" + own) == 3e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.bilstm]\nword_sise = 3", r"\[models\.bilstm\] word_sise; did you mean 'word_size'"),
        ("[models.bilstm]\nbackbone = 'resnet18'", r"unknown key \[models\.bilstm\] backbone"),
        ("[models.bilstm.training]\nepoch = 3", r"\[models\.bilstm\.training\].*epoch"),
        ("[models.bilsm]\nword_size = 3", "unknown model 'bilsm'; did you mean 'bilstm'"),
        ("[models.bilstm]\nword_size = 0", "word_size = 0; expected 1 or more"),
    ],
)
def test_an_unknown_key_of_a_models_table_is_refused(tweets: Source, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        train_models(tweets, file, tmp_path / "runs", ("bilstm",), progress=False)


# --- recipes: a model trains by its own, or by Table 3's column for these data ---

TABLE_3 = {"twitter2015": (100, 32, 2e-5, 0.1, 0.8, 0.05), "twitter2017": (20, 64, 2e-5, 0.2, 0.1, 0.05)}
FAMILY = ("fgmfn", "text_only", "image_only", "own_late_fusion", "picture_branch", "shuffled_pictures")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("data", TABLE_3)
def test_fgmfn_its_halves_and_its_controls_train_by_the_column_of_these_data(data: str, name: str) -> None:
    settings = model_settings_for(name, load_settings(data), model_class(name))
    config, training = FgmfnConfig(**settings.model), settings.training
    told = (training.epochs, training.batch_size, training.learning_rate)
    assert (*told, config.dropout, config.itc_alpha, config.mi_beta) == TABLE_3[data]
    assert (config.itc_temperature, training.optimizer, training.weight_decay) == (0.1, "adamw", 0.01)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in FAMILY])
@pytest.mark.parametrize("data", TABLE_3)
def test_any_other_model_keeps_its_recipe_beside_them(data: str, name: str) -> None:
    kind = model_class(name)
    assert model_settings_for(name, load_settings(data), kind) == model_settings_for(name, load_settings(None), kind)


@pytest.mark.parametrize("name", MODELS)
def test_every_recipe_is_one_of_settings_that_exist(name: str) -> None:
    TrainingSettings.model_validate(model_class(name).recipe)
