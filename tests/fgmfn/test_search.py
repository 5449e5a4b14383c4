"""A search: resumed where it was killed, proposed by seed and number, pruned early, chosen by the development rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fgmfn.commands.search import app
from fgmfn.data import open_source
from fgmfn.errors import ConfigError, DataError, WeightsError
from fgmfn.evaluation import REDUCED
from fgmfn.search.report import as_markdown, write_report
from fgmfn.search.running import Outcome, Search, run_search
from fgmfn.search.space import Range, parse_range
from fgmfn.search.study import Claim, SearchStudy, Trial, quiet_optuna
from fgmfn.training import train_models
from tests.fgmfn.releases import small_release, tiny_config

SPACE = {"learning_rate": Range(1e-5, 1e-3, log=True), "dropout": Range(0.0, 0.6)}
EPOCHS = 4
TEXT_CNN = """
[models.text_cnn]
word_size = 8
filters = 4
[models.text_cnn.training]
epochs = {epochs}
batch_size = 8
"""


@pytest.fixture(autouse=True)
def _one_quiet_thread() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


# --- a study by itself, with a function in place of a training ---------------------------------------------------


def _score(values: dict[str, float], epoch: int) -> float:
    """A score that rises over the epochs, towards more for a higher learning rate and a dropout near 0.2."""
    return (values["learning_rate"] * 400 + 0.5 - abs(values["dropout"] - 0.2)) * epoch / EPOCHS


def _study(storage: Path, **settings: object) -> SearchStudy:
    return SearchStudy(storage, "study", SPACE, storage.parent / "running", **({"seed": 7} | settings))  # type: ignore[arg-type]


def _work(study: SearchStudy, trials: int, stop_in: tuple[int, int] | None = None) -> None:
    """Work off a study, going on behind the epochs that a stopped trial has; stop in an epoch as a killed process."""
    while (claim := study.claim(trials)) is not None:
        try:
            for epoch in range(len(claim.reported) + 1, EPOCHS + 1):
                if (claim.number, epoch) == stop_in:
                    return
                claim.report(epoch, _score(claim.values, epoch), last=epoch == EPOCHS)
            study.complete(claim, _score(claim.values, EPOCHS), 1.0)
        except optuna.TrialPruned:
            study.prune(claim)
        finally:
            study.release(claim)


def _outcome(study: SearchStudy) -> list[tuple[object, ...]]:
    return [(one.number, one.state, one.values, one.scores, one.score) for one in study.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_study_ends_as_an_undisturbed_one(sampler: str, tmp_path: Path) -> None:
    undisturbed = _study(tmp_path / "a" / "j", sampler=sampler, startup_trials=3, warmup_epochs=1)
    _work(undisturbed, 16)
    for stop_in in ((2, 3), (5, 2), (14, 2), None):
        stopped = _study(tmp_path / "b" / "j", sampler=sampler, startup_trials=3, warmup_epochs=1)
        _work(stopped, 16, stop_in)
        last = stopped.trials()[-1]
        assert (last.state, last.number, last.epochs + 1) == ("stopped", *stop_in) if stop_in else last.number == 16
    resumed = _study(tmp_path / "b" / "j")
    assert _outcome(resumed) == _outcome(undisturbed)
    assert [one.number for one in resumed.trials()] == list(range(1, 17))
    assert {one.state for one in resumed.trials()} == {"complete", "pruned"}
    assert resumed.importances() == undisturbed.importances()


def test_a_study_survives_being_killed_at_any_byte_of_its_journal(tmp_path: Path) -> None:
    _work(_study(tmp_path / "whole" / "j"), 2)
    journal = (tmp_path / "whole" / "j").read_bytes()
    ends = [place + 1 for place, byte in enumerate(journal) if byte == ord("\n")]
    for cut in [*ends, *(end - 9 for end in ends[1::4])]:
        storage = tmp_path / str(cut) / "j"
        storage.parent.mkdir()
        storage.write_bytes(journal[:cut])
        _work(_study(storage), 2)
        assert _outcome(_study(storage)) == _outcome(_study(tmp_path / "whole" / "j")), journal[:cut][-80:]


def test_a_trial_is_proposed_by_the_seed_and_its_number(tmp_path: Path) -> None:
    for name, seed, trials in (("few", 7, 3), ("many", 7, 6), ("other", 8, 3)):
        _work(_study(tmp_path / name, sampler="random", seed=seed), trials)
    few, many, other = ([one.values for one in _study(tmp_path / name).trials()] for name in ("few", "many", "other"))
    assert few == many[:3]
    assert len({values["dropout"] for values in [*many, *other]}) == 9


def test_more_trials_are_added_and_fewer_leave_all_as_it_is(tmp_path: Path) -> None:
    study = _study(tmp_path / "j")
    for wanted, there in ((2, 2), (5, 5), (3, 5)):
        _work(study, wanted)
        assert len(study.trials()) == there
    _work(study, 7, stop_in=(6, 2))
    _work(study, 3)
    assert [one.state for one in study.trials()] == [*["complete"] * 5, "stopped"]


def test_a_trial_that_another_process_runs_is_not_taken_over_while_it_lives(tmp_path: Path) -> None:
    mine, other = _study(tmp_path / "j", startup_trials=20), _study(tmp_path / "j", startup_trials=20)
    _work(mine, 11)
    claim = mine.claim(15)
    assert claim is not None
    assert claim.number == 12
    _work(other, 15)
    assert [one.state for one in other.trials()[11:]] == ["running", *["complete"] * 3]
    assert other.claim(15) is None
    mine.release(claim)  # as the end of its process does
    assert other.trials()[11].state == "stopped"
    taken = other.claim(15)
    assert taken is not None
    # Its checkpoints lie under its values, although a sampler that knows the later trials would draw others.
    assert (taken.number, taken.values) == (12, claim.values)
    other.release(taken)


def test_a_bad_trial_is_pruned_after_its_warm_up_and_not_at_its_end(tmp_path: Path) -> None:
    study = _study(tmp_path / "j", startup_trials=2, warmup_epochs=2)

    def train(scores: list[float]) -> Trial:
        claim = study.claim(100)
        assert isinstance(claim, Claim)
        try:
            for epoch, score in enumerate(scores, 1):
                claim.report(epoch, score, last=epoch == len(scores))
            study.complete(claim, max(scores), 1.0)
        except optuna.TrialPruned:
            study.prune(claim)
        study.release(claim)
        return study.trials()[-1]

    assert train([0.1, 0.2, 0.3, 0.4]).state == "complete"
    assert train([0.5, 0.6, 0.7, 0.8]).state == "complete"
    pruned = train([0.0, 0.0, 0.0, 0.9])
    assert (pruned.state, pruned.epochs, pruned.score) == ("pruned", 3, 0.0)
    assert train([0.5, 0.5, 0.55, 0.55]).state == "complete"


def test_importances_are_given_once_enough_trials_have_finished(tmp_path: Path) -> None:
    study = _study(tmp_path / "j", sampler="random", startup_trials=100)
    _work(study, 9)
    assert study.importances() == {}
    _work(study, 12)
    assert set(study.importances()) == set(SPACE)
    assert sum(study.importances().values()) == pytest.approx(1)


@pytest.mark.parametrize("content", [b"my only notes", b'{"op_code"\n{"x"\n', b'{"op_code": 0}\n'])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(ConfigError, match=r"journal.*\(--storage\)"):
        _study(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


# --- with trainings ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ads whose label their words decide."""
    return small_release(tmp_path_factory.mktemp("search") / "release", image_sign=False)


def _search(folder: Path, release: Path, **settings: object) -> Search:
    folder.mkdir(exist_ok=True)
    config = folder / "config.toml"
    if not config.exists():
        config.write_text(TEXT_CNN.format(epochs=2))
    given = {"model": "text_cnn", "trials": 2, "config": config, "sampler": "random"} | settings
    return Search(source=open_source(release), storage=folder / "j", runs=folder / "runs", **given)  # type: ignore[arg-type]


def _told(outcome: Outcome) -> list[tuple[object, ...]]:
    return [(one.number, one.state, one.values, one.scores, one.score, one.reason) for one in outcome.trials]


def test_the_best_trials_configuration_trains_the_same_run(release: Path, tmp_path: Path) -> None:
    tiny_config(tmp_path, epochs=1)
    with (tmp_path / "config.toml").open("a") as file:
        file.write('[source]\ntext = "text"\n')
    outcome = run_search(_search(tmp_path, release, model="fgmfn", trials=2), progress=False)
    assert list(outcome.space) == ["learning_rate", "itc_alpha", "mi_beta", "dropout"]
    best, *_ = write_report(outcome)
    (again,) = train_models(release, best, tmp_path / "runs", ("fgmfn",), progress=False)
    assert again.already_trained
    assert again.checkpoint == _run_of(outcome)
    assert outcome.best is not None
    assert again.dev is not None
    assert again.dev.macro_f1 == outcome.best.score == max(one.score or 0 for one in outcome.trials)


@pytest.fixture(scope="module")
def finished(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A search of two trials."""
    return run_search(_search(tmp_path_factory.mktemp("finished"), release), progress=False)


def test_the_report_holds_every_trial_and_no_test_score(finished: Outcome) -> None:
    paths = write_report(finished)
    assert {path.name for path in paths} == {"best.toml", "trials.md", "trials.parquet", "trials.png"}
    table = pq.read_table(finished.folder / "trials.parquet")
    assert table.column_names == [
        *("trial", "state", "learning_rate", "dropout", "epochs", "best_dev_macro_f1", "seconds", "reason"),
        "departures",
    ]
    drawn = "its word vectors started at random"
    assert table["departures"].to_pylist() == [[drawn, "word_size 8 in place of 300", "filters 4 in place of 100"]] * 2
    assert f"# {REDUCED} TextCNN: {drawn}" in (finished.folder / "best.toml").read_text()
    assert table["trial"].to_pylist() == [1, 2]
    assert table["epochs"].to_pylist() == [2, 2]
    assert all(rate and 1e-5 <= rate <= 1e-3 for rate in table["learning_rate"].to_pylist())
    markdown = as_markdown(finished)
    assert f"{REDUCED} TextCNN: {drawn}" in markdown
    assert [f"{100 * (one.score or 0):.1f}{REDUCED} |" in markdown for one in finished.trials] == [True, True]
    assert "No test score stands here" in markdown
    assert all(checksum[:12] in markdown for checksum in finished.search.source.checksums.values())
    assert "synthetic" in markdown


def test_a_finished_search_trains_nothing_and_trained_runs_are_found_again(finished: Outcome) -> None:
    search = finished.search
    trained = {file: file.stat().st_mtime_ns for file in search.runs.glob("*/metrics.json")}
    assert len(trained) == 2
    assert _told(run_search(search, progress=False)) == _told(finished)
    # The study is lost, its runs are not.
    assert _told(run_search(replace(search, storage=search.runs / "new"), progress=False)) == _told(finished)
    assert {file: file.stat().st_mtime_ns for file in search.runs.glob("*/metrics.json")} == trained


def test_a_pruned_trial_leaves_no_checkpoints_behind(release: Path, tmp_path: Path) -> None:
    search = _search(tmp_path, release, trials=1, startup_trials=2, warmup_epochs=0)
    first = run_search(search, progress=False)
    others = SearchStudy(search.storage, first.study, first.space, first.folder / "running", seed=first.seed)
    for _ in range(2):
        claim = others.claim(3)
        assert claim is not None
        for epoch in (1, 2):
            claim.report(epoch, 2.0, last=True)  # which no training beats
        others.complete(claim, 2.0, 1.0)
        others.release(claim)
    outcome = run_search(replace(search, trials=4), progress=False)
    assert [one.state for one in outcome.trials] == ["complete", "complete", "complete", "pruned"]
    assert outcome.trials[-1].epochs == 1
    assert list(search.runs.iterdir()) == [_run_of(first)]
    assert "| 4 | pruned |" in as_markdown(outcome)


def _run_of(outcome: Outcome) -> Path:
    assert outcome.best_run is not None
    return outcome.best_run.folder


def test_trials_of_other_settings_are_another_study(release: Path, tmp_path: Path) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"seed": 3},
        {"epochs": 3},
        {"sampler": "tpe"},
        {"ranges": {"dropout": Range(0.0, 0.5)}},
    ]
    studies = {run_search(_search(tmp_path, release, trials=0, **change), progress=False).study for change in changes}
    assert len(studies) == len(changes)
    assert len(list(tmp_path.glob("j-text_cnn-*"))) == len(changes)


def test_a_missing_file_ends_the_search_and_its_trial_is_taken_up_again(release: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    text = TEXT_CNN.format(epochs=1).replace("word_size", f"word_vectors = {json.dumps(str(vectors))}\nword_size")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(WeightsError, match=r"vectors\.txt"):
        run_search(_search(tmp_path, release, trials=1), progress=False)
    vectors.write_text("wonderful " + " ".join(["0.5"] * 8) + "\n")
    outcome = run_search(_search(tmp_path, release, trials=1), progress=False)
    assert [(one.number, one.state) for one in outcome.trials] == [(1, "complete")]


def test_a_trial_that_runs_out_of_memory_says_so_and_the_search_goes_on(release: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        TEXT_CNN.format(epochs=1).replace("word_size = 8", "word_size = 1000000000000")
    )
    outcome = run_search(_search(tmp_path, release, trials=2), progress=False)
    assert [one.state for one in outcome.trials] == ["failed", "failed"]
    assert all("memory ran out" in (one.reason or "") for one in outcome.trials)
    assert list((tmp_path / "runs").iterdir()) == []
    assert (outcome.best, [path.suffix for path in write_report(outcome)]) == (None, [".md", ".parquet", ".png"])
    assert "Trial 1 failed: memory ran out" in as_markdown(outcome)


@pytest.mark.parametrize("text", ["", "fast", "1e-3:1e-5", "0:1e-3", "-1:1", "1e-5:nan", "1e-5:inf", "1:2:3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        parse_range(text, "learning_rate")


def test_a_single_number_holds_a_parameter_fixed(tmp_path: Path) -> None:
    space = {"learning_rate": parse_range("1e-4:1e-2", "learning_rate"), "dropout": parse_range("0.25", "dropout")}
    study = SearchStudy(tmp_path / "j", "study", space, tmp_path / "running", startup_trials=20)
    _work(study, 14)
    assert {one.values["dropout"] for one in study.trials()} == {0.25}
    assert len({one.values["learning_rate"] for one in study.trials()}) == 14
    assert study.importances() == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "tfidf"}, "tfidf is fitted in one go"),
        ({"model": "clip_probe"}, "clip_probe is fitted in one go"),
        ({"model": "text_cn"}, "did you mean 'text_cnn'"),
        ({"ranges": {"itc_alpha": Range(0, 1)}}, "text_cnn has no itc_alpha to be searched"),
        ({"model": "text_only", "ranges": {"mi_beta": Range(0, 1)}}, "text_only has no mi_beta"),
        ({"ranges": {"dropout": Range(0, 1)}}, r"dropout = 1; expected in \[0, 1\)"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_trained(
    settings: dict[str, object], message: str, release: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_search(_search(tmp_path, release, **settings), progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"config.toml"}


def test_data_without_development_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no development rows"):
        run_search(_search(tmp_path, small_release(tmp_path / "release", dev=0)), progress=False)


def test_one_search_over_several_processes_of_torchrun_is_refused(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="once per GPU"):
        run_search(_search(tmp_path, release), progress=False)


def test_the_command_prints_results_to_standard_output_alone(release: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TEXT_CNN.format(epochs=1))
    options = ["--model", "text_cnn", "--data", release, "--config", tmp_path / "config.toml", "--trials", 1]
    options += ["--storage", tmp_path / "s" / "search.journal", "--runs", tmp_path / "runs", "--seed", 5]
    printed = CliRunner().invoke(app, [str(option) for option in options])
    assert printed.exit_code == 0
    paths = [Path(line) for line in printed.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert [path.name for path in paths] == ["best.toml", "trials.md", "trials.parquet", "trials.png"]
    assert all(path.is_file() for path in paths)
    told = json.loads(CliRunner().invoke(app, [str(option) for option in [*options, "--json"]]).stdout)
    assert [one["trial"] for one in told["trials"]] == [1]
    assert told["best"]["trial"] == 1
    assert not any("test" in key for one in told["trials"] for key in one)
    assert CliRunner().invoke(app, ["--trials", "0"]).exit_code == 2


def search_and_be_killed(folder: str, release: str) -> None:
    """Search in a process that is killed in the second epoch of its second trial."""
    report = Claim.report

    def reported(claim: Claim, epoch: int, score: float, *, last: bool) -> None:
        report(claim, epoch, score, last=last)
        if (claim.number, epoch) == (2, 2):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Claim, "report", reported)
        run_search(_search(Path(folder), Path(release), trials=3), progress=False)


@pytest.mark.slow
def test_a_killed_search_goes_on_from_its_checkpoints_and_ends_as_an_undisturbed_one(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.toml").write_text(TEXT_CNN.format(epochs=3))
    shutil.copytree(tmp_path, tmp_path / "killed")
    undisturbed = run_search(_search(tmp_path, release, trials=3), progress=False)
    program = "import sys; from tests.fgmfn.test_search import search_and_be_killed as run; run(*sys.argv[1:])"
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "killed", release], check=False)
    assert killed.returncode == -signal.SIGKILL
    runs = tmp_path / "killed" / "runs"
    assert (len(list(runs.iterdir())), len(list(runs.glob("*/checkpoints/*/trainer_state.json")))) == (2, 1)
    with caplog.at_level("INFO", logger="fgmfn"):
        resumed = run_search(_search(tmp_path / "killed", release, trials=3), progress=False)
    assert caplog.text.count("goes on from checkpoint-") == 1
    assert _told(resumed) == _told(undisturbed)
    assert len(list(runs.iterdir())) == 3


def test_optuna_is_as_talkative_after_a_search_as_before() -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    with quiet_optuna():
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
