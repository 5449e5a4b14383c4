"""The settings of one training run, from one TOML file: [model], [data] and [training], typed and checked.

A file names what differs from the defaults: Table 3's YTB-ADS column and, where the paper is silent, our own.
Ours are the schedule with its warm-up, the clipping of gradients and the random crops. `[model]` holds
`FgmfnConfig`'s settings, where a dotted table is short for a common prefix: `[model.itc] alpha = 0.5` is
`itc_alpha = 0.5`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fgmfn.errors import ConfigError
from fgmfn.nearest import did_you_mean

CONFIGS = Path(__file__).parent / "configs"


class DataSettings(BaseModel):
    """How rows of a release become batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(default=128, ge=4)
    """Word pieces per text, [CLS] and [SEP] included; what is beyond is cut off."""
    vocabulary: int = Field(default=8000, ge=100)
    """Word pieces to learn from the training texts when nothing is pretrained."""
    min_crop: float = Field(default=0.7, gt=0, le=1)
    """Least share of a training picture that a random crop keeps (ours); 1 turns the crops off."""
    mirror: bool = False
    """Mirror every other training picture. Off: the words on it would be mirrored too."""


class TrainingSettings(BaseModel):
    """How the weights are found: epochs, batch size and learning rate are Table 3's YTB-ADS column.

    The schedule, its warm-up and the clipping of gradients are ours: the paper says nothing about them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=64, ge=2)
    """Rows per step and device."""
    learning_rate: float = Field(default=5e-5, gt=0)
    optimizer: Literal["adamw", "adam"] = "adamw"
    """The paper's text says AdamW with decay 0.01, its Table 3 says Adam, which adds the decay to the gradient."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decay of the weight matrices; biases, norms' gains and the temperature are left alone."""
    schedule: Literal["linear", "constant"] = "linear"
    """`linear` rises over the warm-up and falls to 0 (ours); `constant` stays at `learning_rate` throughout."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the linear schedule rises (ours)."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Longer gradients are scaled down to it (ours)."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    workers: int | None = Field(default=None, ge=0)
    """Processes that decode pictures. Unset: none on a CPU, which training needs itself, up to 8 beside a GPU."""


class RunSettings(BaseModel):
    """One training run: what the file says, before a release adds its classes and its vocabulary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: dict[str, Any] = Field(default_factory=dict)
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load_settings(config: Path | str, *, from_scratch: bool = False, seed: int | None = None) -> RunSettings:
    """Read a settings file, or a shipped one by its name.

    Args:
        config: a path, or one of `shipped_configs()`.
        from_scratch: start the encoders at random, whatever the file says.
        seed: replaces the file's seed.

    Raises:
        ConfigError: There is no such file, or something in it is unknown or out of range.
    """
    path = _locate(config)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    if seed is not None:
        raw.setdefault("training", {})["seed"] = seed
    try:
        settings = RunSettings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}") from error
    model = _flatten(settings.model, path)
    if from_scratch:
        model["pretrained"] = False
    _check_text_config(model, path)
    return settings.model_copy(update={"model": model})


def _locate(config: Path | str) -> Path:
    shipped = CONFIGS / f"{config}.toml"
    if Path(config).is_file():
        return Path(config)
    if isinstance(config, str) and config in shipped_configs():
        return shipped
    raise ConfigError(
        f"{config}: no such configuration file{did_you_mean(str(config), shipped_configs())}; "
        f"shipped with the package: {', '.join(shipped_configs())}"
    )


def _flatten(model: dict[str, Any], path: Path) -> dict[str, Any]:
    """Turn [model]'s nested tables into `FgmfnConfig`'s flat names and refuse names it does not have."""
    # transformers is slow to import and a wrong section name should not wait for it
    from fgmfn.configuration import model_settings

    known = model_settings()
    flat: dict[str, Any] = {}
    for name, value in model.items():
        if isinstance(value, dict) and name not in known:
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        else:
            flat[name] = value
    for name in flat:
        if name not in known:
            raise ConfigError(f"{path}: unknown key [model] {name}{did_you_mean(name, known)}")
    return flat


def _check_text_config(model: dict[str, Any], path: Path) -> None:
    """Refuse a text configuration that would be overruled by a pretrained encoder's, or that nothing reads."""
    from fgmfn.configuration import FgmfnConfig, text_settings

    text_config = model.get("text_config")
    if not text_config or not isinstance(text_config, dict):
        return
    if model.get("pretrained", FgmfnConfig.pretrained):
        raise ConfigError(
            f"{path}: [model.text_config] shapes a text encoder that starts at random, but pretrained = true takes "
            f"text_encoder's own configuration; remove the table or set pretrained = false (--from-scratch)"
        )
    known = text_settings(text_config.get("model_type", "bert"))
    for name in text_config:
        if name not in known:
            raise ConfigError(f"{path}: unknown key [model.text_config] {name}{did_you_mean(name, known)}")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    *section, key = [str(part) for part in fault["loc"]]
    where = f"[{'.'.join(section)}] {key}" if section else f"[{key}]"
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where}{did_you_mean(key, _fields(section))}"
    return f"{where} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _fields(section: list[str]) -> Iterable[str]:
    sections: dict[str, type[BaseModel]] = {"data": DataSettings, "training": TrainingSettings}
    return (sections[section[0]] if section else RunSettings).model_fields
