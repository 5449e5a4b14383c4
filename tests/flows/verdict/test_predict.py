"""`ytb-ads predict`: one verdict an ad in every form of output, and a reason for each that has none."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_catalog.catalog import Catalog
from data_catalog.tables.forgotten import Forgotten, digest_of_ad
from tests.flows.conftest import Built, Done
from tests.flows.verdict.conftest import DAMAGED, FEW, FULL, HALF, OTHER, Predict, video_of
from tests.youtube_sandbox import Fault, SandboxSettings, serve
from tests.youtube_sandbox.sample_world import world_of_folder

HOSTILE = "=cmd|'&<img src=x onerror=alert(1)>\n\x1b[31m\u202e.mp4"


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_form_of_output_says_the_same_and_what_the_model_says_of_the_catalogs_rows(
    predict: Predict, ads: Path, sample: Path, built: Built, models: Path, quick: Path, tmp_path: Path
) -> None:
    from fgmfn.inference import Predictor
    from flows.verdict.ads import SeenFrame

    shutil.copy(video_of(sample, DAMAGED), ads / HOSTILE)
    (ads / "notes.txt").write_text("no ad")
    (ads / f"{OTHER}.mp4").unlink()
    (ads / f"{OTHER}.info.json").unlink()
    shutil.copy(video_of(sample, FEW), ads)
    shutil.copy(video_of(sample, HALF), ads)
    table, page = tmp_path / "verdicts.parquet", tmp_path / "verdicts.html"
    journal = tmp_path / "verdicts.jsonl"
    done = predict(ads, "--json", "--parquet", table, "--html", page, "--journal", journal, config=quick)
    assert done.returncode == 1, done.stderr
    found = {record["video_id"]: record for record in records(done.stdout)}
    assert found.keys() == {FULL, HALF, FEW, HOSTILE.removesuffix(".mp4")}
    assert {str(video_id): (record["failure"] or {}).get("reason") for video_id, record in found.items()} == {
        FULL: None,
        HALF: None,
        FEW: "no_frame_with_enough_words",
        HOSTILE.removesuffix(".mp4"): "unreadable_video",
    }
    assert [len(found[FULL]["frames"]), len(found[HALF]["frames"])] == [3, 3]
    assert sum(frame["kept"] for frame in found[HALF]["frames"]) == 1
    assert [drop["reason"] for drop in found[HALF]["left_out"]] == ["too_few_words"] * 2

    tables, model = Catalog(built.catalog), Predictor.open(models / "models" / "2026.11.02" / "fgmfn-0")
    for video_id in (FULL, HALF):
        stored = {
            row["frame_index"]: row for row in tables.read("frames", where=f"video_id = '{video_id}'").to_pylist()
        }
        texts = {row["frame_id"]: row for row in tables.read("texts", where=f"video_id = '{video_id}'").to_pylist()}
        shares = []
        for frame in found[video_id]["frames"]:
            row = stored[frame["index"]]
            text = texts[row["frame_id"]]
            assert (frame["text"], frame["kept"]) == (text["text"], text["n_words"] > 5)
            if frame["kept"]:
                picture = SeenFrame(0, 0, 0, 0, row["image"]["bytes"], "", (), kept=True).image()
                [alone] = model.predict([picture], [text["text"]])
                assert frame["label"] == alone.label
                assert frame["probabilities"] == pytest.approx(alone.probabilities, abs=1e-5)
                shares.append(alone.probabilities["positive"])
        assert found[video_id]["probabilities"]["positive"] == pytest.approx(sum(shares) / len(shares), abs=1e-5)

    rows = pq.read_table(table).to_pylist(maps_as_pydicts="strict")
    for row, record in zip(rows, records(done.stdout), strict=True):
        assert row == {name: value for name, value in record.items() if name != "why"}

    tags = Tags(page.read_text("utf-8"))
    assert not {tag for tag, _ in tags.tags} & {"script", "img", "link", "iframe"}
    values = [value or "" for _, attributes in tags.tags for value in attributes.values()]
    assert not [value for value in values if "//" in value and not value.startswith("data:image/jpeg;base64,")]
    assert not [name for _, of in tags.tags for name in of if name.startswith("on") or name == "style"]
    assert "<img src=x onerror=alert(1)>" in tags.text
    assert "\x1b" not in tags.text
    assert sum(tag == "image" for tag, _ in tags.tags) == 3 * 3

    lines = predict(ads, "--journal", journal, config=quick)
    assert [line.split("  ")[0].strip() for line in lines.stdout.splitlines()] == [
        record["verdict"] or "no verdict" for record in records(done.stdout)
    ]
    assert "\x1b" not in lines.stdout
    as_csv = list(csv.DictReader(io.StringIO(predict(ads, "--csv", "--journal", journal, config=quick).stdout)))
    assert [row["verdict"] for row in as_csv] == [record["verdict"] or "" for record in records(done.stdout)]
    assert not [value for row in as_csv for value in row.values() if value.startswith(("=", "+", "@"))]


def test_what_an_answer_rests_on_stands_on_the_page_and_in_json(predict: Predict, ads: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    done = predict(ads, "--why", "--json", "--html", page)
    explained = [record for record in records(done.stdout) if record["verdict"]]
    assert explained
    for record in explained:
        why = record["why"]
        assert why["probabilities"] == pytest.approx(record["probabilities"])
        assert [one["text"] for one in why["explanations"]] == [
            frame["text"] for frame in record["frames"] if frame["label"]
        ]
        assert why["passes"] > 40
    assert not [record for record in records(done.stdout) if not record["verdict"] and record["why"]]
    tags = Tags(page.read_text("utf-8"))
    assert sum(of.get("class") == "why" for _, of in tags.tags) == len(explained)
    assert not [name for _, of in tags.tags for name in of if name.startswith("on") or name == "style"]
    again = predict(ads, "--json", "--html", tmp_path / "again.html", "--journal", f"{page}.jsonl", "--why")
    assert again.stdout == done.stdout
    assert f"{len(records(done.stdout))} of them from an earlier run" in again.stderr
    assert (tmp_path / "again.html").read_text("utf-8") == page.read_text("utf-8")


def test_a_journal_of_a_stranger_brings_no_markup_into_the_page_and_no_traceback(
    predict: Predict, ads: Path, tmp_path: Path
) -> None:
    video, page = ads / f"{FULL}.mp4", tmp_path / "why.html"
    predict(video, "--why", "--html", page)
    [written] = records(Path(f"{page}.jsonl").read_text("utf-8"))
    why, [frame] = written["why"], written["frames"]

    def again(record: dict[str, Any]) -> Done:
        journal = tmp_path / "stranger.jsonl"
        journal.write_text(json.dumps(record) + "\n")
        return predict(video, "--why", "--journal", journal, "--html", tmp_path / "again.html")

    evil = '"><script>alert(1)</script>'
    neighbour = {"name": evil, "group": evil, "label": evil, "similarity": 1, "row": 0}
    texts = {"section": evil, "text": evil, "explained": evil, "left_out": {evil: evil}, "neighbours": [neighbour]}
    changed = why | texts | {"explanations": [why["explanations"][0] | texts]}
    done = again(written | {"title": evil, "verdict": evil, "why": changed})
    assert "1 of them from an earlier run" in done.stderr
    found = Tags((tmp_path / "again.html").read_text("utf-8"))
    assert evil in found.text
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "img"})

    for damaged in (
        {"why": {"section": "<p>"}},
        {"why": why | {"explanations": []}},
        {"why": why | {"passes": [], "words": [{"text": 1, "points": "high"}]}},
        {"frames": [frame | {"picture": "AAAA"}]},
        {"frames": [frame | {"words": [{"text": "a", "box": [1]}]}]},
        {"frames": 3},
        {"probability": "high"},
        {"failure": {"kind": 3}},
    ):
        refused = again(written | damaged)
        assert refused.returncode == 1, damaged
        assert "damaged" in refused.stderr, damaged
        assert "Traceback" not in refused.stderr


def test_files_that_cannot_all_be_written_are_refused_before_any_ad_is_read(
    predict: Predict, ads: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    for named in (
        ("--html", ads),
        ("--parquet", ads),
        ("--html", page, "--parquet", page),
        ("--html", page, "--journal", page),
    ):
        refused = predict(ads, *named)
        assert (refused.returncode, refused.stdout) == (2, "")
    assert not page.exists()


def test_an_ad_that_was_forgotten_is_no_neighbour_under_any_name_of_its_group() -> None:
    from fgmfn.neighbours import Index, Placed
    from flows.commands.predict import _groups_with

    placed = Placed(np.zeros((3, 2)), ["0", "1", "2"])
    index = Index("key", placed, ["first:0", "again:1", "other:0"], ["first", "first", "other"], ["positive"] * 3)
    for ad in ("first", "again"):
        assert _groups_with(Forgotten(ads=frozenset({digest_of_ad(ad)})), index) == {"first"}
    assert _groups_with(Forgotten(), index) == set()


def test_a_run_goes_on_where_it_was_and_takes_nothing_from_what_has_changed(
    predict: Predict, ads: Path, sample: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    first = predict(ads, "--json", "--journal", journal)
    assert "earlier run" not in first.stderr
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])  # killed amid the last line
    again = predict(ads, "--json", "--journal", journal)
    assert "1 of them from an earlier run" in again.stderr
    assert again.stdout == first.stdout
    assert journal.read_bytes() == whole
    assert "2 of them" in predict(ads, "--journal", journal).stderr
    assert "earlier run" not in predict(ads, "--journal", journal, "--model", "fgmfn-1").stderr

    shutil.copy(video_of(sample, HALF), ads / f"{FULL}.mp4")
    changed = predict(ads, "--json", "--journal", journal)
    assert "1 of them from an earlier run" in changed.stderr
    before, after = ({one["video_id"]: one for one in records(done.stdout)} for done in (first, changed))
    assert before[OTHER] == after[OTHER]
    assert before[FULL]["frames"] != after[FULL]["frames"]

    journal.write_text('{"a": "list of something else"}\n')
    refused = predict(ads, "--journal", journal)
    assert refused.returncode == 1
    assert "none of a journal" in refused.stderr
    assert refused.stdout == ""


def test_a_fault_that_may_be_cured_is_tried_again(predict: Predict, ads: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow.toml"
    slow.write_text("[frames]\ntimeout_s = 0.001\n")
    for _ in range(2):
        done = predict(ads / f"{FULL}.mp4", "--json", "--journal", tmp_path / "journal.jsonl", config=slow)
        assert [record["failure"]["reason"] for record in records(done.stdout)] == ["decoder_timeout"]
        assert "earlier run" not in done.stderr
        assert done.returncode == 1


def test_what_is_named_twice_is_answered_once_and_what_is_none_has_a_reason(
    predict: Predict, ads: Path, tmp_path: Path
) -> None:
    (ads / "loop").symlink_to(ads)
    (ads / "again.mp4").symlink_to(ads / f"{FULL}.mp4")
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe.mp4")
    unnamed = os.fsencode(tmp_path) + b"/\xff.mp4"
    Path(os.fsdecode(unnamed)).touch()
    named = (ads, ads / f"{FULL}.mp4", ads / ".." / "ads" / f"{OTHER}.mp4", tmp_path / "empty", tmp_path / "circle")
    done = predict("--json", *named, tmp_path / "gone.mp4", tmp_path / "pipe.mp4", os.fsdecode(unnamed))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    answers = [(Path(one["ad"]).name, (one["failure"] or {}).get("reason")) for one in records(done.stdout)]
    assert sorted(name for name, reason in answers if reason is None) in (
        [f"{FULL}.mp4", f"{OTHER}.mp4"],
        ["again.mp4", f"{OTHER}.mp4"],
    )
    assert [answer for answer in answers if answer[1]] == [
        ("empty", "no_video"),
        ("circle", "unreadable"),
        ("gone.mp4", "video_gone"),
        ("pipe.mp4", "not_a_file"),
        ("\ufffd.mp4", "unusable_name"),
    ]


def test_an_address_is_fetched_only_if_that_is_allowed(
    predict: Predict, sample: Path, tmp_path: Path, one_frame: Path
) -> None:
    with serve(world_of_folder(sample), SandboxSettings()) as sandbox:
        sandbox.faults.add(Fault("private", when={"v": OTHER}, times=None))
        config = tmp_path / "ytb_ads.toml"
        config.write_text(
            one_frame.read_text("utf-8")
            + f'[crawl]\nsite = "{sandbox.url}"\n[media]\nrequest_pause_s = 0\npause_s = [0, 0]\n'
        )
        address = f"{sandbox.url}/watch?v={FULL}"
        refused = predict(address, config=config)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "--fetch" in refused.stderr
        assert not sandbox.media_requests
        named = (address, f"{sandbox.url}/watch?v={OTHER}", f"https://example.org/watch?v={FULL}", "file:///etc/x")
        done = predict("--fetch", "--json", *named, config=config)
    found = records(done.stdout)
    assert [one["ad"] for one in found] == list(named)
    assert [one["verdict"] is not None for one in found] == [True, False, False, False]
    assert [one["failure"]["reason"] for one in found[1:]] == ["private", "unusable_id", "unusable_id"]


def test_a_model_is_a_folder_a_name_or_the_one_in_service(
    predict: Predict, models: Path, ads: Path, tmp_path: Path
) -> None:
    video = ads / f"{OTHER}.mp4"
    said = {
        name: predict(video, "--model", name, "--json").stdout
        for name in ("CURRENT", "fgmfn-0", "2026.11.02/fgmfn-1", models / "models" / "2026.11.02" / "fgmfn-1")
    }
    current, first, second, folder = said.values()
    assert current == first
    assert second == folder
    assert records(first)[0]["probabilities"] != records(second)[0]["probabilities"]
    for name, why in (("fgmfn-9", "no such run"), (str(tmp_path), "config.json")):
        refused = predict(video, "--model", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert why in refused.stderr
    nothing = predict(video, catalog=tmp_path / "nothing")
    assert nothing.returncode == 1
    assert "no model is in service" in nothing.stderr
    assert not (tmp_path / "nothing").exists()
