"""A run's settings: read from one file, every mistake named with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgmfn.configuration import FgmfnConfig, model_settings
from fgmfn.errors import ConfigError
from fgmfn.settings import load_settings, shipped_configs


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
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_and_a_bad_value_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(_file(tmp_path, text))


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
