"""The settings of training runs, from one TOML file: [model], [models.NAME], [source], [data] and [training].

A file names what differs from the defaults: Table 3's YTB-ADS column and, where the paper is silent, our own.
Ours are the schedule with its warm-up, the clipping of gradients and how pictures are shown. Settings in [training]
apply to every model and override a model's own recipe. `[model]` contains `FgmfnConfig`'s settings; a dotted table is
short for a common prefix: `[model.itc] alpha = 0.5` is `itc_alpha = 0.5`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from fgmfn.errors import ConfigError, did_you_mean
from fgmfn.inputs import Words

CONFIGS = Path(__file__).parent / "configs"

Share = Annotated[float, Field(ge=0, le=1)]
Listed = Field(strict=False)
"""TOML has lists for settings that are tuples, and strings for paths; their contents are still checked strictly."""


class Section(BaseModel):
    """A table of settings; unknown names, types that need conversion, infinite values and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Selection = Literal["macro_f1", "accuracy", "loss"]
CHOSEN_BY: dict[Selection, str] = {"macro_f1": "best macro-F1", "accuracy": "best accuracy", "loss": "lowest loss"}


class SourceSettings(Section):
    """Folders and column names of data; a release needs none of them."""

    data_dir: Annotated[Path | None, Listed] = None
    """The folder that holds the Twitter sets' folders 2015 and 2017."""
    images: Annotated[Path | None, Listed] = None
    """The folder of the pictures that a Twitter set or a table names; a table's default is its own folder."""
    image: str = "image"
    text: str = "text"
    label: str = "label"
    labels: dict[str, str] = {}
    """Spellings of labels and the class of each, such as `{pos = "positive"}`: `""` is a missing label on either
    side, and a spelling that stands for itself is a class, whatever it looks like: `{none = "none"}`."""
    quotes: bool | None = None
    """Whether quotation marks enclose cells of CSV and TSV files or belong to the texts. Unset: they enclose
    cells where that is beyond doubt."""
    target: str | None = None
    """Column of the words in the text that the label is about."""
    auxiliary: str | None = None
    """Column of further words that a model may read, such as captions."""
    captions: Annotated[Path | None, Listed] = None
    """File of a Twitter set's captions, relative to the set's folder: a JSON object with a text for each picture's
    name. They are its auxiliary texts. Unset: `captions.json` if `words` requests them."""
    words: Words = "text"
    """Text that models read as a row's sentence: `text`; `auxiliary`, without the target, which belongs to the text;
    `both`, the text followed by `[SEP]` and the auxiliary text."""
    group: str | None = None
    """Column whose rows stay in one split where splits are drawn; unset: rows of equal text do."""
    split: str | None = None
    """Column that names each row's split; unset: files named by their split, or splits that are drawn."""
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    test: float = Field(default=0.1, ge=0, lt=0.5)
    """Shares of the validation and test rows if splits are drawn."""
    draw: bool = False
    """Draw the splits even if a column or files seem to name them."""
    seed: int = Field(default=0, ge=0)
    """Seed for drawing splits; runs with different training seeds share their splits."""


class DataSettings(Section):
    """Settings of batches: lengths, vocabulary, pictures."""

    max_tokens: int | None = Field(default=None, ge=4)
    """Maximum number of tokens per text, special ones included; the rest is cut off, and counted on the model card.
    Unset: enough for 99 of 100 training texts, rounded up to a multiple of 8, within the encoder's limit."""
    max_target_tokens: int = Field(default=16, ge=4)
    """Maximum number of tokens per target, for models that read the target alone."""
    vocabulary: int = Field(default=8000, ge=100)
    """Number of word pieces to learn from the training texts if nothing is pretrained."""
    min_word_count: int = Field(default=1, ge=1)
    """Fewest occurrences of a word in the training texts; rarer words become unknown. For models that read words."""
    fit: Literal["letterbox", "squash", "crop"] | None = None
    """Method of fitting a picture into the model's square: `letterbox` shows it whole on a background of the mean
    colour, `squash` whole and stretched, `crop` its middle. Unset: `crop` for the Twitter sets, `letterbox` for all
    others, since the words of ads are at their edges."""
    crop_share: float | None = Field(default=None, gt=0, le=1)
    """Share of the shorter side that `crop` shows. Unset: as the backbone's card says."""
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] | None = None
    """Filter that shrinks pictures. Unset: as the backbone's card says."""
    image_mean: Annotated[tuple[Share, Share, Share] | None, Listed] = None
    """Mean of the colours, from 0 to 1, for the normalisation. Unset: as the backbone's card says."""
    image_std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None, Listed] = None
    """Standard deviation of the colours, above 0, for the normalisation. Unset: as the backbone's card says."""
    min_crop: float = Field(default=1.0, gt=0, le=1)
    """Smallest share of the area shown in evaluation that a random crop keeps (ours); 1: no crops, which cut words."""
    augment: bool = True
    """Place training pictures at random in each epoch, cropped and mirrored as the other settings say. False: as in
    evaluation, so that the outputs of frozen encoders are computed once."""
    mirror: bool = False
    """Mirror half of the training pictures, at random. Off by default: mirroring also mirrors the words."""
    cache: Annotated[Path | None, Listed] = None
    """Folder of prepared rows. Unset: `$FGMFN_CACHE`, or `fgmfn` in the user's cache."""
    cache_gb: float = Field(default=50.0, ge=0)
    """Maximum size of that folder in GB; beyond it the least recently used rows are removed. 0: no rows are kept, and
    pictures are decoded in every epoch."""
    cache_encoded: bool = True
    """Also cache the outputs of frozen encoders, for rows that are the same in every epoch."""
    cache_days: float = Field(default=30.0, gt=0)
    """Days without use after which prepared rows are removed."""


class TrainingSettings(Section):
    """Settings of training: epochs, batch size and learning rate are Table 3's YTB-ADS column.

    The schedule, its warm-up and the clipping of gradients are ours: the paper says nothing about them.
    """

    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=64, ge=2)
    """Rows per step, shared evenly by the devices that train."""
    learning_rate: float = Field(default=5e-5, gt=0)
    optimizer: Literal["adamw", "adam"] = "adamw"
    """The paper's text says AdamW with decay 0.01, its Table 3 says Adam, which adds the decay to the gradient."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decay of the weight matrices; biases, norms' gains and the temperature are left alone."""
    schedule: Literal["linear", "constant"] = "linear"
    """`linear` rises over the warm-up and falls to 0 (ours); `constant` stays at `learning_rate` throughout."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the linear schedule rises (ours)."""
    learning_rates: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Learning rates of parts of the model, by prefixes of their parameters' names, in place of `learning_rate`; the
    longest prefix counts: `{ text_encoder = 2e-5, head = 1e-3 }`."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor by which the learning rate falls from each layer of the text encoder to the one below; 1: no decay."""
    freeze: Annotated[tuple[str, ...], Listed] = ()
    """Parts that are not trained, by prefixes of their parameters' names."""
    freeze_epochs: int | None = Field(default=None, ge=1)
    """Train the parts in `freeze` after this many epochs. Unset: never."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes in the loss: `balanced` gives rare classes of the training rows a higher weight."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights per step, such as 0.999; the average is scored and saved in
    place of the weights. 0: no average."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradient; longer gradients are scaled down to it (ours)."""
    selection: Selection = "macro_f1"
    """Score on the development rows that chooses the epoch: the metric that the data's paper reports, or the lowest
    loss. Ties go to the lower loss, then to the earlier epoch. Models without epochs use macro-F1."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without improvement, by `selection`, after which training ends. Unset: it never ends early."""
    accumulation: int = Field(default=1, ge=1)
    """Number of parts into which the rows of a step are split; they go through the model one after the other, which
    needs less memory. The contrastive loss and batch statistics are computed within one part."""
    by_length: bool = False
    """Form batches of texts of similar length, which need less padding."""
    gradient_checkpointing: bool = False
    """Recompute the text encoder's layers for the gradients instead of keeping them: less memory, slower."""
    compile: bool = False
    """Compile the model with `torch.compile`, which takes minutes at the start."""
    tf32: bool = False
    """Use TF32 for the remaining float32 computations on GPUs that support it."""
    report_to: Annotated[tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...], Listed] = ()
    """Trackers that receive losses and scores, through the package of the same name; none by default."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    workers: int | None = Field(default=None, ge=0)
    """Number of processes that decode pictures. Unset: 0 on a CPU, which training needs itself; up to 8 with a GPU."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.freeze_epochs and not self.freeze:
            raise ValueError(f"freeze_epochs = {self.freeze_epochs}, and freeze names nothing to thaw after them")
        if self.accumulation > self.batch_size:
            raise ValueError(f"accumulation = {self.accumulation} parts of batch_size = {self.batch_size} rows")
        return self


class RunSettings(Section):
    """Settings of one file, before the data add their classes and vocabulary."""

    model: dict[str, Any] = Field(default_factory=dict)
    """FGMFN's own settings, which the single-modality rows beside it share."""
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of other models by name; a table `training` within replaces [training] for that model."""
    source: SourceSettings = SourceSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()


@dataclass(frozen=True)
class ModelSettings:
    """Everything that one model's training depends on, beside its rows."""

    model: dict[str, Any]
    """Settings for the model's configuration class."""
    data: DataSettings
    training: TrainingSettings

    def as_key(self) -> dict[str, Any]:
        """Return the settings that a result depends on, for the run's key."""
        settled = self.as_json()
        for table, names in WITHOUT_EFFECT.items():
            settled[table] = {name: value for name, value in settled[table].items() if name not in names}
        return settled

    def as_json(self) -> dict[str, Any]:
        """Return plain values for metrics.json."""
        parts = {"data": self.data, "training": self.training}
        return {"model": self.model} | {name: part.model_dump(mode="json") for name, part in parts.items()}


WITHOUT_EFFECT = {"data": ("cache", "cache_encoded", "cache_gb", "cache_days"), "training": ("workers", "report_to")}
"""Settings, by table, that say where and how a training runs and change none of its results."""


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load_settings(config: Path | str | None, *, from_scratch: bool = False, seed: int | None = None) -> RunSettings:
    """Read a settings file, or a shipped one by its name.

    Args:
        config: a path, one of `shipped_configs()`, or None for the defaults.
        from_scratch: start the encoders at random, whatever the file says.
        seed: replaces the file's seed.

    Raises:
        ConfigError: There is no such file, or something in it is unknown or out of range.
    """
    path = Path("defaults") if config is None else _locate(config)
    try:
        raw = {} if config is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    if seed is not None:
        raw.setdefault("training", {})["seed"] = seed
    try:
        settings = RunSettings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error, RunSettings)}") from error
    models = import_module("fgmfn.baselines").MODELS  # by name: the models themselves import this module
    for name in settings.models:
        if name not in models:
            raise ConfigError(f"{path}: [models.{name}]: unknown model {name!r}{did_you_mean(name, models)}")
    # transformers is slow to import and a wrong section name should not wait for it
    from fgmfn.configuration import FgmfnConfig

    model = _checked(settings.model, FgmfnConfig, (str(path), "model"), from_scratch)
    return settings.model_copy(update={"model": model})


def model_settings_for(
    name: str,
    settings: RunSettings,
    model_class: type[Any],
    *,
    from_scratch: bool = False,
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> ModelSettings:
    """Return one model's settings: its recipe, then the file's [training], then its own [models.NAME.training].

    Args:
        name: the model's name in the registry.
        settings: the file's.
        model_class: has a `config_class`, or None for it, and a `recipe`.
        from_scratch: start the encoders at random, whatever the file says.
        seed: the training's, whatever the file says.
        changes: as [models.NAME], and before it.

    Raises:
        ConfigError: The model does not know a setting.
    """
    from fgmfn.configuration import FgmfnConfig

    table = f"models.{name}"
    own, changes = dict(settings.models.get(name, {})), dict(changes or {})
    said = model_class.recipe | settings.training.model_dump(exclude_unset=True) | own.pop("training", {})
    said |= changes.pop("training", {})
    said |= {} if seed is None else {"seed": seed}
    try:
        training = TrainingSettings.model_validate(said)
    except ValidationError as error:
        raise ConfigError(f"[{table}.training]: {_first_fault(error, TrainingSettings)}") from error
    shared = settings.model if issubclass(model_class.config_class, FgmfnConfig) else {}
    model = shared | _checked(own, model_class.config_class, ("settings", table), from_scratch)
    model |= _checked(changes, model_class.config_class, ("changes", table), from_scratch)
    return ModelSettings(model, settings.data, training)


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


def _checked(
    model: dict[str, Any], config_class: type[Any], where: tuple[str, str], from_scratch: bool
) -> dict[str, Any]:
    """Turn a table's nested tables into a configuration's flat names and refuse names it does not have.

    `where` are the file and the table's name, for errors.
    """
    from fgmfn.configuration import finite, model_settings

    file, table = where
    known = model_settings(config_class)
    flat: dict[str, Any] = {}
    for name, value in model.items():
        if isinstance(value, dict) and name not in known:
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        else:
            flat[name] = value
    for name, value in flat.items():
        if name not in known:
            raise ConfigError(f"{file}: unknown key [{table}] {name}{did_you_mean(name, known)}")
        if not finite(value):
            raise ConfigError(f"{file}: [{table}] {name} = {value!r}: expected finite numbers")
    if from_scratch and "pretrained" in known:
        flat["pretrained"] = False
    _check_text_config(flat, config_class, where)
    return flat


def _check_text_config(model: dict[str, Any], config_class: type[Any], where: tuple[str, str]) -> None:
    """Refuse a text configuration that would be overruled by a pretrained encoder's, or that nothing reads."""
    from fgmfn.configuration import text_settings

    text_config = model.get("text_config")
    if not text_config or not isinstance(text_config, dict):
        return
    file, table = where
    if model.get("pretrained", config_class.pretrained):
        raise ConfigError(
            f"{file}: [{table}.text_config] shapes a text encoder that starts at random, but pretrained = true takes "
            f"text_encoder's own configuration; remove the table or set pretrained = false (--from-scratch)"
        )
    known = text_settings(text_config.get("model_type", config_class.text_defaults["model_type"]))
    for name in text_config:
        if name not in known:
            raise ConfigError(f"{file}: unknown key [{table}.text_config] {name}{did_you_mean(name, known)}")


def _first_fault(error: ValidationError, kind: type[BaseModel]) -> str:
    """Say where the first fault in a table of this kind lies, and what is expected there."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "value_error":  # of several settings of a table
        return f"{''.join(f'[{part}] ' for part in fault['loc'])}{fault['ctx']['error']}"
    *section, key = [str(part) for part in fault["loc"]]
    where = f"[{'.'.join(section)}] {key}" if section else f"[{key}]"
    if fault["type"] == "extra_forbidden":
        known: Any = kind
        for name in section:
            known = known.model_fields[name].annotation
        return f"unknown key {where}{did_you_mean(key, known.model_fields)}"
    if fault["type"] == "tuple_type" and isinstance(fault["input"], str):
        return f"{where} = {fault['input']!r}: expected a list, [{json.dumps(fault['input'])}]"
    return f"{where} = {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
