"""croissant.json: valid by the reference library, with the sha256 of every data file, readable row by row."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import mlcroissant
import pytest

from flows.release.croissant import croissant_json
from flows.release.facts import ReleaseFacts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


def test_the_reference_library_finds_no_fault_and_prints_no_warning(
    release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("absl").addHandler(caplog.handler)  # it does not propagate
    dataset = mlcroissant.Dataset(str(release / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    logging.getLogger("absl").removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_is_told_how_labels_came_about_and_who_made_them(facts: ReleaseFacts, real_facts: ReleaseFacts) -> None:
    metadata = json.loads(croissant_json(facts, {"files": {}}))
    read = mlcroissant.Metadata.from_json(ctx=mlcroissant.Context(), json_=metadata)
    assert "No person has judged an ad" in str(read.data_annotation_protocol)
    assert "ocr: rapidocr 3.10.0" in str(read.machine_annotation_tools)
    assert "Ads were read from a folder of files." in str(read.data_collection)
    assert "youtube" not in metadata["license"]
    judged = replace(real_facts, agreement=0.875)
    metadata = json.loads(croissant_json(judged, {"files": {}}))
    assert "Mean agreement 0.875" in metadata["rai:dataAnnotationProtocol"]
    assert metadata["rai:dataAnnotationPlatform"] == ["ytb-ads annotate"]
    assert metadata["license"] == "https://www.youtube.com/t/terms"


def test_every_data_file_is_named_with_its_sha256(release: Path) -> None:
    distribution = json.loads((release / "croissant.json").read_text())["distribution"]
    named = {entry["contentUrl"]: entry["sha256"] for entry in distribution if "sha256" in entry}
    found = {
        path.relative_to(release).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (release / "data").iterdir()
    }
    assert named == found


def test_rows_can_be_read_by_it_wherever_the_folder_lies(release: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(release, tmp_path / "moved")
    dataset = mlcroissant.Dataset(str(moved / "croissant.json"))
    (row,) = itertools.islice(dataset.records("validation"), 1)
    assert row["validation/text"] == b"six words stand on this frame"
    assert row["validation/image"].size == (64, 40)


def test_a_split_without_files_has_no_record_set(facts: ReleaseFacts) -> None:
    manifest = {"files": {"data/train-00000-of-00001.parquet": {"sha256": "f00", "size_bytes": 1, "rows": 1}}}
    metadata = json.loads(croissant_json(facts, manifest))
    assert [record_set["name"] for record_set in metadata["recordSet"]] == ["train"]


@pytest.mark.parametrize(("synthetic", "said"), [(True, True), (False, False)])
def test_synthetic_is_said(facts: ReleaseFacts, real_facts: ReleaseFacts, synthetic: bool, said: bool) -> None:
    metadata = json.loads(croissant_json(facts if synthetic else real_facts, {"files": {}}))
    assert metadata["description"].startswith("SYNTHETIC") is said
    assert ("synthetic" in metadata["keywords"]) is said
