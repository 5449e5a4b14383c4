"""A new model goes in service unless it may be worse, by test ads that neither model has learned from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import read_manifest, write_release
from data_catalog.storage import Place, replace
from fgmfn.training import train_models
from flows.errors import ModelError
from flows.gate import decide
from flows.models import (
    CURRENT,
    HISTORY,
    ModelRun,
    find_run,
    list_runs,
    promote,
    read_history,
    roll_back,
    run_in_service,
    untrained_release,
)
from flows.settings import TrainingSettings
from tests.data_catalog.builders import release_row, release_rows, rows
from tests.flows.conftest import call

WORDS = ("loud broken scam refund waste", "calm lovely gift bright happy")
"""Words of negative and of positive ads."""
RULE = TrainingSettings(models=("tfidf",), min_test_ads=1)

Ads = dict[str, tuple[int, int]]
"""Of each ad its label, and of which label its words are."""


def ads(letter: str, number: int, *, contrary: bool = False) -> Ads:
    return {f"{letter}{at}": (at % 2, (at + contrary) % 2) for at in range(number)}


def write(catalog: Catalog, version: str, train: Ads, test: Ads) -> Path:
    splits = {"train": train, "validation": ads(f"v{version[-1]}", 4), "test": test}
    tables = {
        split: release_rows(
            *(
                release_row(ad, frame, label, text=f"{WORDS[of]} {ad}")
                for ad, (label, of) in some.items()
                for frame in range(2)
            )
        )
        for split, some in splits.items()
    }
    return write_release(
        Path(catalog.root) / "releases", version, tables, {"synthetic": True, "created_at": version.replace(".", "-")}
    )


def trained(catalog: Catalog, release: Path) -> ModelRun:
    [one] = train_models(release, None, Path(catalog.root) / "models" / release.name, ("tfidf",), progress=False)
    return find_run(catalog, f"{release.name}/{one.checkpoint.name}")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


@pytest.fixture
def served(catalog: Catalog) -> ModelRun:
    """The model of a first release, in service."""
    release = write(catalog, "2026.11.02", ads("t", 12), ads("x", 6))
    run = trained(catalog, release)
    assert decide(catalog, run, release, RULE)
    return run


def test_the_first_model_goes_in_service_where_it_beats_the_majority_line(catalog: Catalog, served: ModelRun) -> None:
    [decision] = read_history(catalog)
    assert (decision.action, decision.run, decision.instead_of) == ("promoted", served.name, None)
    # three ads of each class, two rows each: naming one class always has a macro-F1 of (2/3 + 0) / 2
    assert decision.comparison == {"macro_f1": 1.0, "majority_macro_f1": pytest.approx(1 / 3), "rows": 12}
    assert (catalog.models_dir / CURRENT).read_text().strip() == served.name


def test_a_first_model_no_better_than_the_majority_line_does_not_go_in_service(catalog: Catalog) -> None:
    release = write(catalog, "2026.11.02", ads("t", 12), ads("x", 6, contrary=True))
    decision = decide(catalog, trained(catalog, release), release, RULE)
    assert decision
    assert (decision.action, run_in_service(catalog)) == ("refused", None)
    assert "majority line" in decision.reason


def test_a_model_that_is_as_good_replaces_the_one_in_service_and_a_second_decision_changes_nothing(
    catalog: Catalog, served: ModelRun
) -> None:
    release = write(catalog, "2026.11.09", ads("t", 14), ads("x", 8))
    run = trained(catalog, release)
    decision = decide(catalog, run, release, RULE)
    assert decision
    assert decision.comparison
    assert (decision.action, decision.instead_of) == ("promoted", served.name)
    assert tuple(decision.comparison["macro_f1"]) == (0, 0, 0)
    assert (decision.comparison["rows"], decision.comparison["groups"]) == (16, 8)
    # the event of a release may come twice
    assert decide(catalog, run, release, RULE) is None
    assert [each.action for each in read_history(catalog)] == ["promoted", "promoted"]


@pytest.mark.parametrize("written", [0, 1])
def test_a_promotion_that_is_killed_between_its_two_files_is_in_force_after_the_next_try(
    catalog: Catalog, served: ModelRun, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write(catalog, "2026.11.09", ads("t", 14), ads("x", 8))
    run = trained(catalog, release)
    files: list[Place] = []

    def killed(file: Place, data: bytes) -> None:
        if len(files) == written:
            raise KeyboardInterrupt
        files.append(file)
        replace(file, data)

    with monkeypatch.context() as patched:
        patched.setattr("flows.models.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            decide(catalog, run, release, RULE)
    decide(catalog, run, release, RULE)
    assert run_in_service(catalog) == run
    assert roll_back(catalog).run == served.name


def test_a_worse_model_stays_out_and_the_refusal_is_not_decided_again(catalog: Catalog, served: ModelRun) -> None:
    release = write(catalog, "2026.11.09", ads("t", 14, contrary=True), ads("x", 8))
    run = trained(catalog, release)
    decision = decide(catalog, run, release, RULE)
    assert decision
    assert decision.comparison
    assert (decision.action, decision.comparison["macro_f1"][0]) == ("refused", -1)
    assert run_in_service(catalog) == served
    assert decide(catalog, run, release, RULE) is None
    # whoever knows better
    promote(catalog, run, "by hand", by="hand")
    assert run_in_service(catalog) == run


def test_ads_that_the_model_in_service_has_learned_from_are_left_out_and_counted(catalog: Catalog) -> None:
    # the old model has learned contrary labels of w1 and w3 by heart, the new one only knows what words mean
    odd: Ads = {"w1": (1, 0), "w3": (1, 0)}
    first = write(catalog, "2026.11.02", {**ads("t", 12), **odd}, ads("x", 6))
    served = trained(catalog, first)
    decide(catalog, served, first, RULE)
    # w9 is w3 uploaded again
    again = rows("reuploads", *({"video_id": ad, "group_id": "g", "duplicates": []} for ad in ("w3", "w9")))
    catalog.merge("reuploads", again)
    moved: Ads = {**odd, "w9": (1, 0), "v20": (0, 0)}
    release = write(catalog, "2026.11.09", ads("t", 14), {**ads("x", 8), **moved})
    decision = decide(catalog, trained(catalog, release), release, RULE)
    assert decision
    assert decision.comparison
    assert decision.comparison["ads_left_out"] == 4, "w1 and w3, w3's re-upload, and v20, which chose the weights"
    assert decision.comparison["rows"] == 2 * 8
    assert (decision.action, tuple(decision.comparison["macro_f1"])) == ("promoted", (0, 0, 0))
    assert "4 ads left out" in decision.reason


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RULE.model_copy(update={"min_test_ads": 9}), "8 test ads are too few"),
        (RULE.model_copy(update={"promote": "never"}), "training.promote is `never`"),
    ],
)
def test_where_nothing_can_be_said_the_old_model_stays(
    catalog: Catalog, served: ModelRun, rule: TrainingSettings, reason: str
) -> None:
    release = write(catalog, "2026.11.09", ads("t", 14), ads("x", 8))
    decision = decide(catalog, trained(catalog, release), release, rule)
    assert decision
    assert (decision.action, run_in_service(catalog)) == ("refused", served)
    assert reason in decision.reason


def test_a_late_training_of_an_older_release_does_not_push_out_a_newer_model(
    catalog: Catalog, served: ModelRun
) -> None:
    older = write(catalog, "2026.10.26", ads("t", 12), ads("x", 6))
    decision = decide(catalog, trained(catalog, older), older, RULE)
    assert decision
    assert (decision.action, run_in_service(catalog)) == ("refused", served)
    assert "older" in decision.reason


@pytest.mark.parametrize("how", ["gone", "another"])
def test_nothing_is_compared_with_a_model_of_which_nobody_knows_what_it_has_learned_from(
    catalog: Catalog, served: ModelRun, how: str
) -> None:
    first = Path(catalog.root) / "releases" / served.release
    first.rename(Path(catalog.root) / "moved")
    if how == "another":
        write(catalog, served.release, ads("t", 4), ads("x", 6))
    release = write(catalog, "2026.11.09", ads("t", 14), ads("x", 8))
    decision = decide(catalog, trained(catalog, release), release, RULE)
    assert decision
    assert (decision.action, run_in_service(catalog)) == ("refused", served)
    assert "nobody can tell" in decision.reason


def test_going_back_takes_the_one_before_again_and_again_and_the_history_is_kept(
    catalog: Catalog, served: ModelRun
) -> None:
    names = [served.name]
    for version in ("2026.11.09", "2026.11.16"):
        release = write(catalog, version, ads("t", 14), ads("x", 8))
        decide(catalog, run := trained(catalog, release), release, RULE)
        names.append(run.name)
    assert [run.name for run in list_runs(catalog)] == names
    assert [roll_back(catalog).run for _ in range(2)] == [names[1], names[0]]
    with pytest.raises(ModelError, match="first model"):
        roll_back(catalog)
    assert [each.action for each in read_history(catalog)] == ["promoted"] * 3 + ["rolled back"] * 2
    decide(catalog, find_run(catalog, names[2]), Path(catalog.root) / "releases" / "2026.11.16", RULE)
    assert roll_back(catalog).run == names[0], "the one that was in service before, not the newest"


def test_a_line_that_a_killed_process_left_unfinished_counts_for_nothing(catalog: Catalog, served: ModelRun) -> None:
    with (Path(catalog.root) / "models" / HISTORY).open("a") as file:
        file.write('{"at": "2026')
    assert len(read_history(catalog)) == 1
    promote(catalog, served, "again", by="hand")
    assert [each.reason for each in read_history(catalog)][1:] == ["again"]


def test_a_model_in_service_that_is_gone_is_said(catalog: Catalog, served: ModelRun) -> None:
    served.folder.rename(served.folder.with_name("moved"))
    with pytest.raises(ModelError, match="which is gone"):
        run_in_service(catalog)
    with pytest.raises(ModelError, match="no such run"):
        find_run(catalog, served.name)


def test_a_release_is_untrained_until_every_wanted_model_has_been_trained_on_its_rows(catalog: Catalog) -> None:
    assert untrained_release(catalog, RULE) is None, "there is no release"
    release = write(catalog, "2026.11.02", ads("t", 12), ads("x", 6))
    assert untrained_release(catalog, RULE) == release
    run = trained(catalog, release)
    assert untrained_release(catalog, RULE) is None
    assert untrained_release(catalog, RULE.model_copy(update={"models": ("tfidf", "fgmfn")})) == release
    (run.folder / "metrics.json").write_text("{")
    assert untrained_release(catalog, RULE) == release, "a damaged run is none"
    newer = write(catalog, "2026.11.09", ads("t", 14), ads("x", 8))
    assert untrained_release(catalog, RULE) == newer
    assert read_manifest(newer)["row_set_hash"] != run.record["row_set_hash"]


def test_the_command_lists_promotes_and_goes_back(catalog: Catalog, served: ModelRun) -> None:
    release = write(catalog, "2026.11.09", ads("t", 14, contrary=True), ads("x", 8))
    run = trained(catalog, release)
    decide(catalog, run, release, RULE)
    place = ("--catalog", catalog.root)
    listed = json.loads(call("models", *place, "--json").stdout)
    assert listed["in_service"] == served.name
    assert [(each["run"], each["in_service"], each["gain"] and each["gain"][0]) for each in listed["runs"]] == [
        (served.name, True, None),
        (run.name, False, -1),
    ]
    assert "-1.000 (-1.000 to -1.000)" in call("models", *place).stdout
    assert f"in service: {run.name}" in call("models", "promote", run.name, *place).stdout
    assert f"in service: {served.name}" in call("models", "rollback", *place, "--reason", "worse").stdout
    assert read_history(catalog)[-1].reason == "worse"
    refused = call("models", "promote", "2026.11.09/nothing", *place)
    assert (refused.returncode, "no such run" in refused.stderr) == (1, True)


def test_a_misspelt_catalog_does_not_pass_for_one_without_models(tmp_path: Path) -> None:
    refused = call("models", "--catalog", str(tmp_path / "catalgo"))
    assert refused.returncode == 1
    assert "no catalog here" in refused.stderr
