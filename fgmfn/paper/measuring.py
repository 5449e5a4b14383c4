"""Size and speed of models at full size: each measured once, in a process of its own, and found again.

One row goes through a model in evaluation, in float32; a batch of the recipe's size is trained on, in bfloat16 where
a GPU has it, as a training does. Inputs lie on the device already: reading, cutting and resizing are not in any
figure.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fgmfn.baselines import check_models, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.configuration import FgmfnConfig, model_settings
from fgmfn.console import quiet_libraries
from fgmfn.encoders import pretrained_text_config
from fgmfn.environment import processor_name
from fgmfn.errors import ConfigError, FgmfnError, WeightsError
from fgmfn.flops import count_flops
from fgmfn.paper.meters import Repeats, Timing, forget_peak, peak_bytes, time_runs
from fgmfn.paper.processes import run_apart, start_method
from fgmfn.paper.specimens import CLASS_NAMES, Batch, Specimen, build_specimen
from fgmfn.planning import code_version, departures_of
from fgmfn.settings import ModelSettings, TrainingSettings, load_settings, model_settings_for
from fgmfn.sizes import out_of_memory
from fgmfn.trainer import OPTIMIZERS

log = logging.getLogger(__name__)

METHOD = 1
"""Raise it when the meaning of a figure changes: older measurements are then repeated."""
MEASUREMENTS = "measurements"
"""Folder beside the runs that keeps what has been measured."""
WITHOUT_PARSER = {"aom": {"parser": ""}}
"""Parsing belongs to the preparation of rows, which is in no figure."""
PRELOADED = ["fgmfn.paper.measuring"]
ENCODERS = {"text_encoder", "encoders"}
SIZES = {"text_config", "vision_config", "hidden_size", "heads"}
"""Settings that name pretrained encoders, and those that shape what starts at random in their place."""
AS_IF_LOADED = {"pretrained": True, "word_vectors": "any"}
INFERENCE, TRAINING = Repeats(warm_up=10, runs=50, most_s=3), Repeats(warm_up=3, runs=10, most_s=15)


@dataclass(frozen=True)
class MeasureOptions:
    """The models' inputs, settings and device."""

    text_length: int = 64
    """Tokens per sentence, all of them real."""
    batch_size: int | None = None
    """Rows per training step; unset: each model's own."""
    device: str | None = None
    """`cpu` or `cuda`; unset: a GPU where there is one."""
    config: Path | str | None = None
    """As `fgmfn train` takes it; unset: every model's own recipe."""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings by model that go before the configuration's, as [models.NAME]."""
    inference: Repeats = INFERENCE
    training: Repeats = TRAINING


@dataclass(frozen=True)
class Place:
    """The machine on which figures were measured."""

    device: str
    """`cpu` or `cuda`."""
    name: str
    """Name of the processor or the GPU."""
    threads: int
    torch: str
    """PyTorch's version."""
    bfloat16: bool = False
    """Whether a training computes in bfloat16."""


@dataclass(frozen=True)
class Measured:
    """One model's figures; None where there is none, such as a training step of what is not trained in steps."""

    model: str
    place: Place
    text_length: int
    parameters: int | None = None
    trainable_parameters: int | None = None
    flops: int | None = None
    """Of one row."""
    latency: Timing | None = None
    """Of one row."""
    inference_bytes: int | None = None
    batch_size: int | None = None
    epochs: int | None = None
    """The recipe's."""
    step: Timing | None = None
    """One step of training: forward, backward, clipping and the optimizer's step."""
    training_bytes: int | None = None
    missing: str | None = None
    """Reason for missing figures."""
    departures: tuple[str, ...] = ()
    """Differences from the model's paper except its weights; from the settings, not kept with the figures."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Measured:
        """Read what `dataclasses.asdict` made of one."""
        timings = {name: record[name] and Timing(**record[name]) for name in ("latency", "step")}
        return cls(**{**record, "place": Place(**record["place"]), **timings, "departures": ()})


@dataclass(frozen=True)
class Job:
    """One model to measure: everything its figures depend on, beside the code."""

    model: str
    settings: ModelSettings
    place: Place
    text_length: int
    inference: Repeats
    training: Repeats

    def __str__(self) -> str:
        return self.model

    @property
    def departures(self) -> tuple[str, ...]:
        """In what the model is not its paper's: its weights are random by design, which changes no figure here."""
        kind, settings = model_class(self.model), dict(self.settings.model)
        known = model_settings(kind.config_class)
        others = {name for name in ENCODERS & settings.keys() if settings[name] != getattr(kind.config_class, name)}
        has_text = ENCODERS & known.keys() and "text" in kind.modalities
        sizes = {name for name in SIZES & settings.keys() if has_text and not others}
        settings = {name: value for name, value in settings.items() if name not in sizes}
        settings |= {name: value for name, value in AS_IF_LOADED.items() if name in known}
        resized = ("encoders of other sizes",) if sizes else ()
        return (*departures_of(self.model, settings, CLASS_NAMES), *resized)

    @property
    def key(self) -> str:
        """Names the figures that would come of it."""
        parts = asdict(self) | {"settings": self.settings.as_key(), "code": code_version(self.model), "method": METHOD}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:10]


def measure_models(
    names: Sequence[str], options: MeasureOptions, cache: Path, *, progress: bool = True, only_finished: bool = False
) -> list[Measured]:
    """Measure models one after the other; what was measured before in the same way is only read.

    A model that cannot be measured here says why in its `missing`, and is tried again the next time.

    Args:
        names: models of the registry.
        options: what is measured, and on what.
        cache: the folder of what was measured, a file per model.
        progress: show a bar on standard error, if that is a terminal.
        only_finished: measure nothing, read what there is.

    Raises:
        ConfigError: A setting or a model's name is wrong, or there is no such device.
        FgmfnError: A file in the cache is damaged, or a model failed for another reason than memory.
    """
    place = _place(options.device)
    with quiet_libraries():
        jobs = [_plan_or_say(name, options, place) for name in check_models(list(names))]
    context, measured = None, []
    for job in tqdm(jobs, desc="measures", unit="model", disable=None if progress else True):
        if isinstance(job, Measured):
            measured.append(job)
            continue
        file = cache / f"{job.model}-{job.key}.json"
        found = _read(file)
        if found is None and only_finished:
            found = Measured(job.model, place, job.text_length, missing="not measured yet")
        if found is None:
            context = context or start_method(torch.device(place.device), PRELOADED)
            found = _measure_apart(context, job)
            if found.missing is None:
                _write(file, found)
            else:
                log.info("%s: %s", job.model, found.missing)
        measured.append(replace(found, departures=job.departures))
    return measured


def _place(device: str | None) -> Place:
    has_gpu = torch.cuda.is_available()
    kind = device or ("cuda" if has_gpu else "cpu")
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"device {kind!r}; expected cpu or cuda")
    if kind == "cuda" and not has_gpu:
        raise ConfigError("device cuda: PyTorch finds no GPU here; measure on the cpu, or leave the device out")
    name = torch.cuda.get_device_name() if kind == "cuda" else processor_name()
    bfloat16 = kind == "cuda" and torch.cuda.is_bf16_supported()  # as the trainer decides
    return Place(kind, name, torch.get_num_threads(), torch.__version__, bfloat16)


def _plan_or_say(name: str, options: MeasureOptions, place: Place) -> Job | Measured:
    """Plan a measurement, or say that the sizes of its text encoder cannot be had."""
    try:
        return _plan(name, options, place)
    except WeightsError as error:
        return Measured(name, place, options.text_length, missing=str(error))


def _plan(name: str, options: MeasureOptions, place: Place) -> Job:
    kind, config = model_class(name), options.config
    if config is None and issubclass(kind.config_class, FgmfnConfig):
        config = "ytb_ads"  # as `fgmfn train` does
    changes = dict(options.changes.get(name, {}))
    if options.batch_size is not None:
        changes["training"] = changes.get("training", {}) | {"batch_size": options.batch_size}
    run_settings = load_settings(config, from_scratch=True)
    settings = model_settings_for(name, run_settings, kind, from_scratch=True, changes=changes)
    encoder = settings.model.get("text_encoder", "")
    is_other = encoder and "text" in kind.modalities and encoder != kind.config_class.text_encoder
    if is_other and "text_config" not in settings.model:  # its sizes are measured, not those of the default
        settings.model["text_config"] = pretrained_text_config(encoder)
    return Job(name, settings, place, options.text_length, options.inference, options.training)


def _read(file: Path) -> Measured | None:
    if not file.is_file():
        return None
    try:
        return Measured.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise FgmfnError(f"{file}: damaged ({error!r}); remove it to measure again") from error


def _write(file: Path, measured: Measured) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}")
    beside.write_text(json.dumps(asdict(measured), indent=2) + "\n", encoding="utf-8")
    beside.replace(file)


def _measure_apart(context: Any, job: Job) -> Measured:
    outcome = run_apart(context, measure, job)
    last = outcome.last or Measured(job.model, job.place, job.text_length)
    return replace(last, missing="killed by the system, probably for memory") if outcome.killed else last


def measure(job: Job) -> Iterator[Measured]:
    """Measure a model in this process: tell its figures of inference, then those of training, too."""
    torch.set_num_threads(job.place.threads)
    blank = told = Measured(job.model, job.place, job.text_length)
    try:
        with quiet_libraries():
            for told in _measure(job, blank):
                yield told
    except FgmfnError as error:
        yield replace(told, missing=str(error))
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error) is None:
            raise
        during = "training" if told.latency else "inference"
        yield replace(told, missing=f"the memory of {job.place.name} ran out in {during}")


def _measure(job: Job, blank: Measured) -> Iterator[Measured]:
    device, training = torch.device(job.place.device), job.settings.training
    specimen = build_specimen(job.model, job.settings.model, job.text_length, device)
    if specimen is None:
        yield blank
        return
    total, trainable = specimen.parameters
    inference = _measure_inference(specimen, job.inference, device)
    measured = replace(blank, parameters=total, trainable_parameters=trainable, **inference)
    yield measured
    if issubclass(model_class(job.model), FittedModel):
        return
    batch = specimen.make_batch(training.batch_size)
    forget_peak(device)
    run = _training_step(specimen.network, batch, training, bfloat16=job.place.bfloat16)
    step = time_runs(run, job.training, device)
    yield replace(
        measured,
        batch_size=training.batch_size,
        epochs=training.epochs,
        step=step,
        training_bytes=peak_bytes(device),
    )


def _measure_inference(specimen: Specimen, repeats: Repeats, device: torch.device) -> dict[str, Any]:
    fields = specimen.make_batch(1)
    batch = {name: values for name, values in fields.items() if name not in ("labels", "groups")}
    forget_peak(device)
    with torch.inference_mode():
        latency = time_runs(lambda: specimen.network(**batch), repeats, device)
    held = peak_bytes(device)  # counting takes memory of its own
    return {"latency": latency, "inference_bytes": held, "flops": count_flops(specimen.network, batch)}


def _training_step(network: Any, batch: Batch, settings: TrainingSettings, *, bfloat16: bool) -> Callable[[], None]:
    """Return what the trainer does once per batch."""
    network.train()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = OPTIMIZERS[settings.optimizer](weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def step() -> None:
        with torch.autocast(network.device.type, torch.bfloat16, enabled=bfloat16):
            loss = network(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        network.after_step()

    return step
