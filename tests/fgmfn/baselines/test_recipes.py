"""What each model trains with where the user says nothing: its own recipe, or Table 3's column for these data."""

from __future__ import annotations

import pytest

from fgmfn.baselines import MODELS, model_class
from fgmfn.configuration import FgmfnConfig
from fgmfn.settings import TrainingSettings, load_settings, model_settings_for

TABLE_3 = {"twitter2015": (100, 32, 2e-5, 0.1, 0.8, 0.05), "twitter2017": (20, 64, 2e-5, 0.2, 0.1, 0.05)}
FAMILY = ("fgmfn", "text_only", "image_only")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("data", TABLE_3)
def test_fgmfn_and_its_halves_train_by_the_column_of_these_data(data: str, name: str) -> None:
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
