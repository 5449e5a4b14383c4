"""`fgmfn predict --rows`: every row has a line, answered as it is alone or with its reason, also after a kill."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fgmfn.answering import answer_rows
from fgmfn.inference import Predictor, predict, read_image
from fgmfn.settings import SourceSettings
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.releases import picture

TEXTS = ["new shoes now", "so good\nto be home", "=bad", "", "now or never"]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Five pictures with their words, one that is none, and one without words."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"{number}.jpg").write_bytes(picture((40 * number, 40, 90), seed=number))
        (folder / f"{number}.txt").write_text(text)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "broken.txt").write_text("words")
    (folder / "mute.png").write_bytes(picture((9, 9, 9)))
    return folder


@pytest.fixture
def predictor(finished: Finished) -> Predictor:
    """The trained FGMFN."""
    return Predictor.open(finished[1][0].checkpoint)


def table_of(frames: Path, kind: str) -> Path:
    """The same rows as a file, with one more that cannot be read at all."""
    file = frames.parent / f"rows.{kind}"
    rows = [{"image": f"{number}.jpg", "text": text} for number, text in enumerate(TEXTS)]
    rows += [{"image": "broken.png", "text": "words"}, {"image": "gone.jpg", "text": "words"}]
    with file.open("w", newline="") as lines:
        if kind == "csv":
            writer = csv.DictWriter(lines, ["image", "text"])
            writer.writeheader()
            writer.writerows(rows)
            lines.write("one,two,three\n")
        else:
            lines.writelines([*(json.dumps(row) + "\n" for row in rows), "{half a\n", '"a text"\n', '{"text": 7}\n'])
    return file


def answers(file: Path) -> list[dict[str, Any]]:
    """The output's rows."""
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(newline="") as lines:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(lines)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["folder", "csv", "jsonl"])
def test_each_row_is_answered_as_it_is_alone_or_has_its_reason(
    predictor: Predictor, frames: Path, kind: str, ending: str
) -> None:
    rows = frames if kind == "folder" else table_of(frames, kind)
    output = frames.parent / f"out/answers.{ending}"
    found = answer_rows(predictor, rows, output, SourceSettings(), images=frames, batch_size=3, progress=False)
    unread = {"folder": 2, "csv": 3, "jsonl": 5}[kind]
    assert found == (5 + unread, unread)
    read = answers(output)
    assert [one["reason"] is None for one in read] == [True] * 5 + [False] * unread
    for number, text in enumerate(TEXTS):
        (alone,) = predict(predictor.checkpoint, [read_image(frames / f"{number}.jpg")], [text])
        assert read[number]["label"] == alone.label
        for name, share in alone.probabilities.items():
            assert float(read[number][f"probability_{name}"]) == pytest.approx(share, abs=1e-5)
        assert alone.interval is not None
        assert float(read[number]["low"]) == pytest.approx(alone.interval[0], abs=1e-5)
    assert "cannot be read as a picture" in read[5]["reason"]
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name]


@pytest.mark.parametrize("left", [3, 7])
def test_a_killed_run_is_resumed_and_ends_as_an_undisturbed_one(
    predictor: Predictor, frames: Path, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, asked = table_of(frames, "csv"), []
    once, twice = (frames.parent / name for name in ("once.csv", "twice.csv"))
    answer_rows(predictor, rows, once, SourceSettings(), images=frames, batch_size=1, progress=False)
    own = predictor.predict

    def until(*given: Any) -> Any:
        asked.append(given[1])
        if len(asked) == left:
            raise KeyboardInterrupt
        return own(*given)

    monkeypatch.setattr(predictor, "predict", until)
    if left <= 5:
        with pytest.raises(KeyboardInterrupt):
            answer_rows(predictor, rows, twice, SourceSettings(), images=frames, batch_size=1, progress=False)
        assert not twice.exists()
        with (frames.parent / ".twice.csv.journal").open("a") as journal:
            journal.write('{"row": "3", "ima')  # as a kill leaves it
    answer_rows(predictor, rows, twice, SourceSettings(), images=frames, batch_size=1, progress=False)
    assert twice.read_text() == once.read_text()
    assert len(asked) == (6 if left <= 5 else 5), "what was answered is not asked again"


def test_the_command_says_by_its_exit_code_that_rows_have_no_answer(finished: Finished, frames: Path, run: Run) -> None:
    run_folder, output = finished[1][0].checkpoint, frames.parent / "answers.jsonl"
    code, out, err = run("predict", run_folder, "--rows", frames, "--output", output)
    assert (code, out.strip()) == (1, str(output))
    assert "5 of 7 rows are answered" in err
    (frames / "broken.png").unlink()
    (frames / "mute.txt").write_text("now")
    assert run("predict", run_folder, "--rows", frames, "--output", output)[0] == 0
    assert run("predict", run_folder, "--rows", frames)[0] == 2
    assert run("predict", run_folder, "--rows", frames, "--output", "answers.xlsx")[0] == 1
    assert run("predict", run_folder, "--rows", frames.parent / "gone.csv", "--output", output)[0] == 1
