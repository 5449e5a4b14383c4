"""The reproduction kit: what is missing is named before anything is trained, and one report says what came of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import accuracy_score

from fgmfn.data import Source
from fgmfn.errors import WeightsError
from fgmfn.evaluation import REDUCED
from fgmfn.pages import render_page
from fgmfn.paper import needs, report
from fgmfn.paper.experiments import Recipe
from fgmfn.paper.needs import Hub as HubFiles
from fgmfn.paper.needs import Need, Part, find_part
from fgmfn.paper.published import ROWS, SHA256
from fgmfn.paper.report import FinishedRun
from fgmfn.settings import SourceSettings
from fgmfn.training import train_run
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.hub import COMMIT, Hub
from tests.fgmfn.releases import LINES, small_release, write_set

SMALL_CNN = """
[models.text_cnn]
word_size = 8
filters = 4
[models.text_cnn.training]
epochs = 3
batch_size = 8
"""


@pytest.fixture
def kit(finished: Finished, run: Run, tmp_path: Path) -> Run:
    """Reproduce on a release whose models are trained already, with one seed."""
    folder, _ = finished
    given = ("--data", folder / "releases", "--config", folder / "config.toml", "--runs", folder / "runs", "--seeds", 1)

    def call(*more: object) -> tuple[int, str, str]:
        return run("paper", "reproduce", *given, "--output", tmp_path / "out", *more)

    return call


class Page(HTMLParser):
    """What a page loads and says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what it refers to."""
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "srcset") and value]


def test_the_report_holds_every_part_and_needs_nothing_beside_it(kit: Run, finished: Finished, tmp_path: Path) -> None:
    only = ("--only", "table4,figure3", "--model", "fgmfn,text_only,image_only")
    code, printed, talk = kit(*only)
    assert code == 0, talk
    assert "table4: 3 of 3 results" in printed
    text = (tmp_path / "out" / "reproduction.md").read_text()
    sections = re.findall(r"^## (.+)$", text, re.M)
    assert sections[:3] == ["In short", "Table 4: every model", "Figure 3: which class is taken for which"]
    assert sections[3:] == [
        *("Training curves", "Data", "What was needed", "What has not run", "First weights", "Cost", "Environment"),
        "Commands",
    ]
    assert "All 4 results are there" in text
    assert "Every row ran with every seed." in text
    trained = finished[1][0]
    predictions = pq.read_table(trained.checkpoint / "predictions" / "test.parquet")
    accuracy = accuracy_score(predictions["label"].to_pylist(), predictions["predicted"].to_pylist())
    assert re.search(rf"^\| FGMFN \| text and image \|.* \| {100 * accuracy:.1f}{REDUCED} \[", text, re.M)
    assert f"FGMFN reaches accuracy {100 * accuracy:.1f}{REDUCED} [" in text
    assert f"torch {torch.__version__}" in text
    assert all(checksum in text for checksum in trained.checksums.values())
    assert f"fgmfn paper reproduce --data {finished[0] / 'releases'}" in text
    assert "fgmfn paper table4 --data" in text
    page = Page((tmp_path / "out" / "reproduction.html").read_text())
    outside = [place for place in page.loaded if not place.startswith(("data:image/png;base64,", "#"))]
    assert outside == []
    pictures = [place for place in page.loaded if place.startswith("data:")]
    assert len(pictures) == 3
    assert all(base64.b64decode(place.partition(",")[2]).startswith(b"\x89PNG") for place in pictures)
    assert "script" not in page.tags
    assert page.tags.count("h2") == len(sections)


def test_only_what_has_finished_is_reported_and_nothing_is_trained(
    kit: Run, finished: Finished, tmp_path: Path
) -> None:
    before = sorted((finished[0] / "runs").iterdir())
    code, _, talk = kit("--only", "table4", "--model", "fgmfn,vilbert", "--only-finished")
    assert code == 0, talk
    text = (tmp_path / "out" / "reproduction.md").read_text()
    assert "**Incomplete:** 1 of 2 results are there" in text
    assert re.search(r"^- weights are missing: .*: ViLBERT on 2026\\.11\\.24 \\\(Table 4\\\)\.$", text, re.M)
    assert sorted((finished[0] / "runs").iterdir()) == before


def test_nothing_missing_ends_a_check_with_0_and_writes_nothing(kit: Run, run: Run, tmp_path: Path) -> None:
    code, printed, _ = kit("--check", "--only", "table4", "--model", "fgmfn,tfidf")
    assert code == 0, printed
    assert not (tmp_path / "out").exists()
    assert "missing" not in printed
    code, printed, _ = kit("--check", "--only", "table4", "--model", "fgmfn,tfidf", "--json")
    said = json.loads(printed)
    assert (code, said["complete"]) == (0, True)
    assert {need["kind"] for need in said["needs"]} == {"data", "pictures", "memory", "disk", "device"}


def test_a_check_names_all_that_is_missing_at_once(
    run: Run, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.reachable = False
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path / "twitter", LINES)
    data = ("--data", "twitter2015", "--data", "twitter2017", "--data", tmp_path / "none.csv", "--data-dir")
    options = ("--model", "tfidf,roberta,bilstm", "--runs", tmp_path / "runs", "--only", "table4", "--seeds", 1)
    code, printed, _ = run("paper", "reproduce", *data, tmp_path / "twitter", *options, "--check", "--json")
    said = json.loads(printed)
    assert (code, said["complete"]) == (1, False)
    lacking = {need["what"]: need for need in said["needs"] if need["state"] != "found"}
    assert {"Twitter-2015, train.tsv", "Twitter-2017, train.tsv", "Twitter-2017", str(tmp_path / "none.csv")} < {
        *lacking
    }
    assert lacking["Twitter-2015, train.tsv"]["state"] == "differs"
    assert SHA256["twitter2015"]["train.tsv"] in lacking["Twitter-2015, train.tsv"]["found"]
    assert "Yu and Jiang" in lacking["pictures of Twitter-2015"]["todo"]
    weights = lacking["text encoder roberta-base"]
    assert weights["rows"] == ["RoBERTa"]
    assert "the hub does not answer" in weights["found"]
    assert "hf download roberta-base" in weights["todo"]
    assert not (tmp_path / "runs").exists()


def test_a_row_without_weights_is_left_out_and_said_and_the_others_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path / "twitter", LINES)
    data = ("--data", "twitter2015", "--data", "twitter2017", "--data-dir", tmp_path / "twitter")
    options = ("--model", "tfidf,roberta", "--runs", tmp_path / "runs", "--only", "table4", "--seeds", 1)
    code, printed, talk = run("paper", "reproduce", *data, *options, "--output", tmp_path / "out")
    assert code == 0, talk
    assert "table4: 1 of 2 results" in printed
    text = (tmp_path / "out" / "reproduction.md").read_text()
    left_out = next(line for line in text.splitlines() if line.startswith("- weights are missing"))
    assert "RoBERTa on twitter2015" in left_out
    assert "HF\\_HUB\\_OFFLINE is set" in left_out
    assert "**missing** | Twitter\\-2017 |" in text
    assert [folder.name.partition("-")[0] for folder in (tmp_path / "runs").iterdir()] == ["tfidf"]


def test_nothing_is_trained_without_any_data(run: Run, tmp_path: Path) -> None:
    code, _, talk = run("paper", "reproduce", "--data", tmp_path / "none.csv", "--model", "tfidf", "--output", tmp_path)
    assert code == 1
    assert "no data could be opened" in talk
    code, _, talk = run("paper", "reproduce", "--only", "tabel4")
    assert code == 1
    assert "did you mean 'table4'" in talk


# --- killed and resumed ---


def reproduced(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.chdir(folder)
    options = ("--data", "release", "--config", "config.toml", "--model", "text_cnn", "--only", "table4", "--seeds", 2)
    return run("paper", "reproduce", *options, "--output", "out")


def killed_in_the_second_run(go: Callable[[], object]) -> int:
    """Call something in a process that dies by SIGKILL in the last epoch of its second training; return its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    begun: list[object] = []

    def train(run: Any, **options: Any) -> object:
        begun.append(run)

        def told(epoch: Any) -> None:
            if (len(begun), epoch.number) == (2, 3):
                os.kill(os.getpid(), signal.SIGKILL)

        return train_run(run, on_epoch=told, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fgmfn.paper.experiments.train_run", train)
        try:
            go()
        finally:
            os._exit(0)


def test_a_killed_reproduction_goes_on_and_ends_in_the_same_report(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("killed", "undisturbed"):
        small_release(tmp_path / name / "release", image_sign=False)
        (tmp_path / name / "config.toml").write_text(SMALL_CNN)
    assert reproduced(tmp_path / "undisturbed", run, monkeypatch)[0] == 0
    status = killed_in_the_second_run(lambda: reproduced(tmp_path / "killed", run, monkeypatch))
    assert os.WTERMSIG(status) == signal.SIGKILL
    runs = tmp_path / "killed" / "runs"
    finished = [json.loads(file.read_text())["finished"] for file in runs.glob("*/metrics.json")]
    assert sorted(finished) == [False, True]
    code, printed, talk = reproduced(tmp_path / "killed", run, monkeypatch)
    assert (code, "table4: 2 of 2 results" in printed) == (0, True)
    assert "goes on from checkpoint-" in talk
    reports = [without_time(tmp_path / name / "out") for name in ("killed", "undisturbed")]
    assert reports[0] == reports[1]
    for name in ("table4.png", "table4.md"):
        assert len({(tmp_path / folder / "out" / name).read_bytes() for folder in ("killed", "undisturbed")}) == 1


def without_time(folder: Path) -> str:
    """A report without what took how long, and without the room that was left."""
    text = (folder / "reproduction.md").read_text()
    text = re.sub(r"(?s)^## Cost\n.*?(?=^## )", "", text, flags=re.M)
    return re.sub(r"^\| found \| (memory|disk) of .*$", "", text, flags=re.M)


# --- data, weights, room ---


def test_the_published_files_are_known_by_their_checksums_whatever_their_ends_of_lines(
    shared_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(shared_data / "twitter" / "2015", tmp_path / "2015", copy_function=shutil.copyfile)
    file = tmp_path / "2015" / "dev.tsv"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    sources, found = needs.open_all({"twitter2015": SourceSettings(data_dir=tmp_path)})
    assert {need.what: need.state for need in found if need.kind == "data"} == {
        "Twitter-2015, train.tsv": "found",
        "Twitter-2015, dev.tsv": "found",
        "Twitter-2015, test.tsv": "found",
        "rows of twitter2015": "found",
    }
    assert "other ends of lines" in next(need.found for need in found if need.what.endswith("dev.tsv"))
    assert [need.found for need in found if need.kind == "pictures"] == ["no folder was named"]
    file.write_bytes(file.read_bytes().replace(b"\t0\t", b"\t1\t", 1))
    _, changed = needs.open_all({"twitter2015": SourceSettings(data_dir=tmp_path)})
    assert [need.what for need in changed if need.state == "differs"] == ["Twitter-2015, dev.tsv"]
    assert [len(sources[0].splits[split]) for split in ("train", "validation", "test")] == [3179, 1122, 1037]


def test_missing_and_broken_pictures_are_named_and_the_rows_are_opened_without_them(tmp_path: Path) -> None:
    write_set(tmp_path, LINES)
    (tmp_path / "pictures").mkdir()
    settings = SourceSettings(data_dir=tmp_path, images=tmp_path / "pictures")
    (source,), found = needs.open_all({"twitter2015": settings}, progress=False)
    (missing,) = [need for need in found if need.kind == "pictures"]
    assert "2 of 2 pictures are missing" in missing.found
    assert "a.jpg, b.jpg" in missing.found
    assert source.splits["train"].pictures is None
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "pictures" / name).write_bytes(b"<html>gone</html>")
    _, found = needs.open_all({"twitter2015": settings}, progress=False)
    (broken,) = [need for need in found if need.kind == "pictures"]
    assert broken.state == "missing"
    assert "a page in HTML" in broken.found


def test_weights_are_fetched_once_and_named_by_revision_and_checksum(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.files["pytorch_model.bin"] = b"weights"
    part, asking = Part("backbone", "resnet18"), HubFiles()
    digest = hashlib.sha256(b"weights").hexdigest()
    said = f"timm/resnet18.a1_in1k, revision {COMMIT}, pytorch_model.bin, SHA-256 {digest}"
    assert find_part(part, asking) == said
    hub.reachable = False
    assert find_part(part, asking) == said  # from the cache
    with pytest.raises(WeightsError, match="and the hub does not answer"):
        find_part(Part("backbone", "resnet50"), asking)
    asked = len(hub.seen)
    with pytest.raises(WeightsError, match=r"model\.safetensors or pytorch_model\.bin: none in the hub's cache here"):
        find_part(Part("text encoder", "bert-base-uncased"), asking)
    assert len(hub.seen) == asked  # it is not asked again


def test_a_repository_without_weights_is_no_find(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    hub.files["config.json"] = b"{}"
    with pytest.raises(WeightsError, match="the repository has none"):
        find_part(Part("backbone", "resnet18"), HubFiles())
    assert hub.seen


def test_a_lack_of_memory_and_of_disk_is_said_beforehand(kit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "free_bytes", lambda: 1000)
    monkeypatch.setattr(needs.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    code, printed, _ = kit("--check", "--only", "table4", "--model", "bilstm", "--first-seed", 5, "--json")
    missing = [need for need in json.loads(printed)["needs"] if need["state"] == "missing"]
    assert (code, [need["kind"] for need in missing]) == (1, ["memory", "disk"])
    assert missing[0]["rows"] == ["BiLSTM"]
    # 4,446,003 weights by four bytes, six times while it is trained
    assert "1 runs that are not finished take about 0.1 GB" in missing[1]["found"]


# --- what the report says ---


@pytest.mark.parametrize(
    ("low", "high", "where"), [(0.70, 0.79, "above"), (0.79, 0.81, "within"), (0.81, 0.9, "below")]
)
def test_the_papers_figure_is_held_against_the_interval(
    low: float, high: float, where: str, tweets: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = {"departures": [], "paper_accuracy": 79.92, "paper_macro_f1": None}
    row |= {
        f"test_{name}_{end}": value
        for name in ("accuracy", "macro_f1")
        for end, value in (("low", low), ("high", high))
    }
    work = report.Reproduction((), [tweets], Recipe((1,), Path("runs")))
    assert report._beside_the_paper(work, tweets, row) == "The paper has no figures of these rows."
    counts = tuple(len(tweets.splits[split]) for split in ("train", "validation", "test"))
    monkeypatch.setitem(ROWS, "twitter2015", (counts[0], counts[1], counts[2]))
    said = report._beside_the_paper(work, tweets, row)
    assert said == f"The paper's accuracy of 79.92 lies {where} our interval."
    assert "nothing printed compares" in report._beside_the_paper(work, tweets, row | {"departures": ["small"]})
    work.needs = [Need("data", "Twitter-2015, test.tsv", "differs")]
    assert "not the published files" in report._beside_the_paper(work, tweets, row)


def test_runs_of_one_row_that_started_from_different_weights_are_called_out() -> None:
    def started(digest: str, seed: int) -> FinishedRun:
        loaded = {"part": "text encoder", "source": "bert", "tensors": 3, "of": 3, "sha256": digest, "unit": "tensors"}
        return FinishedRun("FGMFN", "ads", seed, {"loaded": [loaded], "seconds": 1})

    same = report._weights([started("a" * 64, 1), started("a" * 64, 2)])
    assert not any("different weights" in line for line in same)
    other = report._weights([started("a" * 64, 1), started("b" * 64, 2)])
    assert other[0] == "**Runs of one row started from different weights: FGMFN on ads, text encoder.**"


def test_hours_are_added_up_by_device_and_a_run_is_counted_once() -> None:
    def took(seconds: float, **machine: Any) -> FinishedRun:
        return FinishedRun("FGMFN", "ads", 1, {"seconds": seconds, "environment": machine, "devices": {"count": 2}})

    gpu = {"device": "cuda", "device_name": "H200"}
    text = "\n".join(report._cost([took(3600, **gpu), took(7200, **gpu), took(1800)]))
    assert "Together 6.00 GPU hours, 1.00 hours on devices that older runs do not name, in 3 runs" in text
    assert "| FGMFN | ads | 2 x H200 | 2 | 5,400.0 ± 2,545.6 | 3.00 |" in text


def test_a_run_keeps_the_environment_that_it_was_trained_in(finished: Finished) -> None:
    record = json.loads((finished[1][0].checkpoint / "metrics.json").read_text())
    machine = record["environment"]
    assert machine["versions"]["torch"] == torch.__version__
    assert machine["memory_bytes"] == psutil.virtual_memory().total
    assert machine["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert machine["flags"]["deterministic algorithms"] is False


def test_an_interval_stands_below_its_figure_and_the_mark_of_a_note_beside_its_name(tmp_path: Path) -> None:
    table = "| model | score |\n| --- | ---: |\n| RoBERTa [1] | +1.5 [+0.2, +2.8] ** |"
    page = render_page(f"# T\n\n## A\n\n{table}\n", tmp_path)
    assert '+1.5 <span class="interval">[+0.2, +2.8] **</span>' in page
    assert ">RoBERTa [1]<" in page


def test_markup_of_strangers_stays_text_on_the_page(tmp_path: Path) -> None:
    needed = [Need("data", "<b>|x|</b>", "missing", "<script>1</script> `code`", "[a](http://b)")]
    page = render_page("# T\n\n## A\n\n<script>1</script>\n\n" + "\n".join(report._needs(needed)), tmp_path)
    assert {"script", "b", "code"}.isdisjoint(Page(page).tags)
    assert [place for place in Page(page).loaded if not place.startswith("#")] == []
