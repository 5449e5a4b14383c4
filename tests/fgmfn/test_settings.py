"""A run's settings: read from one file, every mistake named with what was probably meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fgmfn.baselines import MODELS, model_class
from fgmfn.configuration import FgmfnConfig, model_settings
from fgmfn.errors import ConfigError
from fgmfn.settings import (
    DataSettings,
    SourceSettings,
    TrainingSettings,
    load_settings,
    model_settings_for,
    shipped_configs,
)


def _file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepoch = 3", r"unknown key \[training\] epoch; did you mean 'epochs'\?"),
        ("[trainin]\nepochs = 3", r"unknown key \[trainin\]; did you mean 'training'\?"),
        ("[model]\nhiden_size = 3", r"unknown key \[model\] hiden_size; did you mean 'hidden_size'\?"),
        ("[model.itc]\nalfa = 3", r"unknown key \[model\] itc_alfa; did you mean 'itc_alpha'\?"),
        ("[data]\nmax_token = 3", r"did you mean 'max_tokens'\?"),
        (
            "[model]\npretrained = false\n[model.text_config]\nnum_hiden_layers = 2",
            r"unknown key \[model\.text_config\] num_hiden_layers; did you mean 'num_hidden_layers'\?",
        ),
        ("[training]\nepochs = 0", r"\[training\] epochs = 0: .*greater than or equal to 1"),
        ("[training]\nlearning_rate = 'fast'", r"\[training\] learning_rate = 'fast'"),
        ("[training]\noptimizer = 'sgd'", r"\[training\] optimizer = 'sgd': .*'adamw' or 'adam'"),
        ("[training]\nschedule = 'cosine'", r"\[training\] schedule = 'cosine': .*'linear' or 'constant'"),
        ("[model]\npretrained = false\ntext_config.model_type = 'brt'", r"text_config\.model_type = 'brt'"),
        ("[training", "cannot be read as TOML"),
        ("[models.fgmf]\nheads = 2", r"\[models\.fgmf\]: unknown model 'fgmf'; did you mean 'fgmfn'\?"),
        ("[training]\nfreeze = 'image_encoder'", r"freeze = 'image_encoder': expected a list, \[\"image_encoder\"\]"),
        ("[training]\nreport_to = 'wandb'", r"report_to = 'wandb': expected a list, \[\"wandb\"\]"),
        ("[training]\nfreeze_epochs = 2", "freeze_epochs = 2, and freeze names nothing"),
        ("[training]\naccumulation = 65", "accumulation = 65 parts of batch_size = 64"),
        ("[training]\nlearning_rates.text_encoder = -1.0", r"learning_rates\] text_encoder = -1.0.*greater than 0"),
        ("[data]\nimage_std = [0.5, 0.5, 0]", "image_std.* 0: .*greater than 0"),
        ("[data]\nimage_mean = [0.5, 127, 0.5]", "image_mean.* 127: .*less than or equal to 1"),
        ("[model]\nitc.alpha = inf", r"\[model\] itc_alpha = inf: expected finite numbers"),
        ("[models.aom]\nword_values = { good = nan }\ndropout = 0.1\n[model]\nheads = nan", r"\[model\] heads = nan"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_and_a_bad_value_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(_file(tmp_path, text))


def _numbers(kind: type[BaseModel]) -> Iterator[tuple[str, Callable[[object], object]]]:
    """Name each setting that holds numbers, and how to give it a value in place of its first number."""
    for name, field in kind.model_fields.items():
        said = str(field.annotation)
        if "dict[str, float]" in said or "dict[str, Annotated" in said:
            yield name, lambda value: {"part": value}
        elif "tuple[" in said and "float" in said:
            yield name, lambda value: [value, 0.5, 0.5]
        elif "float" in said or "int" in said:
            yield name, lambda value: value


SECTIONS = (SourceSettings, DataSettings, TrainingSettings)
PLACES = [(kind, name, made) for kind in SECTIONS for name, made in _numbers(kind)]


@pytest.mark.parametrize(("kind", "name", "made"), PLACES, ids=[f"{kind.__name__}.{name}" for kind, name, _ in PLACES])
def test_no_number_of_any_section_may_be_infinite_none_negative_or_of_another_type(
    kind: type[BaseModel], name: str, made: Callable[[object], object]
) -> None:
    for wrong in (math.nan, math.inf, -math.inf, -1, -0.5, True, "3", "0.5", [1]):
        with pytest.raises(ValidationError):
            kind.model_validate({name: made(wrong)})


def test_the_sections_numbers_are_found() -> None:
    names = {name for _, name, _ in PLACES}
    assert {"learning_rate", "learning_rates", "epochs", "image_std", "image_mean", "max_tokens", "seed"} <= names
    assert len(PLACES) >= 25


CONFIGS: set[Any] = {model_class(name).config_class for name in MODELS}


@pytest.mark.parametrize("kind", sorted(CONFIGS, key=str))
def test_no_number_of_a_models_configuration_may_be_infinite_none_negative_or_of_another_type(kind: Any) -> None:
    for name, type_ in model_settings(kind).items():
        for wrong in (math.nan, math.inf, -math.inf, -1, True, "3") if type_ in (int, float | int) else ():
            with pytest.raises(ConfigError, match=name):
                kind(**{name: wrong})


def test_a_models_own_training_names_the_nearest_setting_of_a_training(tmp_path: Path) -> None:
    settings = load_settings(_file(tmp_path, "[models.fgmfn.training]\nlerning_rate = 1"))
    with pytest.raises(ConfigError, match=r"lerning_rate\]; did you mean 'learning_rate'"):
        model_settings_for("fgmfn", settings, model_class("fgmfn"))


def test_whole_numbers_lists_and_paths_of_toml_are_what_they_stand_for(tmp_path: Path) -> None:
    text = "[training]\nlearning_rate = 1\nfreeze = ['head']\nlearning_rates = { head = 1 }\n[data]\ncache = 'rows'"
    settings = load_settings(_file(tmp_path, text + "\nimage_std = [1, 1, 1]"))
    assert (settings.training.learning_rate, settings.training.freeze) == (1.0, ("head",))
    assert (settings.data.cache, settings.data.image_std) == (Path("rows"), (1.0, 1.0, 1.0))


def test_a_missing_file_lists_the_shipped_configurations() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'tiny'.*tiny, .*ytb_ads"):
        load_settings("tinny")


def test_a_dotted_table_is_short_for_a_common_prefix(tmp_path: Path) -> None:
    settings = load_settings(_file(tmp_path, "[model]\nmi.beta = 0.2\n[model.cross_attention]\nlayers = 3"))
    assert settings.model == {"mi_beta": 0.2, "cross_attention_layers": 3}


@pytest.mark.parametrize("model", ["", "[model]\npretrained = true\n"])
def test_a_text_config_that_a_pretrained_encoder_would_overrule_is_refused(tmp_path: Path, model: str) -> None:
    path = _file(tmp_path, f"{model}[model.text_config]\nnum_hidden_layers = 2")
    with pytest.raises(ConfigError, match=r"\[model\.text_config\].*pretrained = true takes text_encoder's own"):
        load_settings(path)
    assert load_settings(path, from_scratch=True).model["text_config"] == {"num_hidden_layers": 2}


def test_a_text_config_may_use_any_name_of_its_encoders_type(tmp_path: Path) -> None:
    path = _file(tmp_path, "[model]\ntext_config = {model_type = 'distilbert', num_hidden_layers = 2, hidden_dim = 64}")
    assert load_settings(path, from_scratch=True).model["text_config"]["hidden_dim"] == 64


def test_the_command_lines_seed_and_scratch_win_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[model]\npretrained = true\n[training]\nseed = 1")
    settings = load_settings(path, seed=7, from_scratch=True)
    assert (settings.training.seed, settings.model["pretrained"]) == (7, False)


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_makes_a_model_configuration(name: str) -> None:
    assert FgmfnConfig(**load_settings(name).model).num_labels == 2


def test_ytb_ads_is_table_3s_third_column() -> None:
    settings = load_settings("ytb_ads")
    config, training = FgmfnConfig(**settings.model), settings.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (100, 64, 5e-5)
    assert (config.dropout, config.itc_alpha, config.mi_beta, config.itc_temperature) == (0.5, 0.5, 0.05, 0.1)
    assert training.weight_decay == 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "linear"}, "head = 'linear'; expected one of mlp, paper"),
        ({"mi_direction": "up"}, "mi_direction = 'up'"),
        ({"heads": 7}, "hidden_size = 768; expected a multiple of heads=7"),
        ({"image_size": 100}, "image_size = 100; expected a multiple of 32"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"itc_temperature": 0.9}, "itc_temperature = 0.9.*itc_temperature_max=0.5"),
        ({"hidden_size": 1024, "heads": 16, "text_config": {"hidden_size": 768}}, "hidden_size = 1024; expected 768"),
        ({"itc_alpha": -1}, "itc_alpha = -1"),
        ({"num_labels": 1}, "num_labels = 1"),
    ],
)
def test_the_model_refuses_a_setting_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FgmfnConfig(**settings)


def test_every_model_setting_survives_saving(tmp_path: Path) -> None:
    config = FgmfnConfig(
        mi_direction="symmetric", itc_alpha=0.1, msvf_global_gate=False, id2label={0: "bad", 1: "fair", 2: "good"}
    )
    config.save_pretrained(tmp_path)
    loaded = FgmfnConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in model_settings(FgmfnConfig)} == {
        name: getattr(config, name) for name in model_settings(FgmfnConfig)
    }
    assert loaded.id2label == {0: "bad", 1: "fair", 2: "good"}
