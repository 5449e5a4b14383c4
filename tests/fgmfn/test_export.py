"""Exports for ONNX Runtime: they answer as the model does, or are refused; an altered one is never used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from fgmfn.baselines.text_cnn import TextCnnForSentiment
from fgmfn.commands.export import app
from fgmfn.data import open_source
from fgmfn.data.pictures import decode
from fgmfn.engines import GRAPH, MANIFEST, OnnxEngine
from fgmfn.errors import ExportError, InputError, WeightsError
from fgmfn.export import TOLERANCE, export_onnx
from fgmfn.inference import Checkpoint, Predictor, load_checkpoint
from fgmfn.predictions import METRICS, file_digest
from fgmfn.settings import SourceSettings
from tests.conftest import Once
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.models import ADS, ad_split, batch_of, build, logits, processor_for


def reading(name: str) -> Checkpoint:
    """A small model that has not been trained."""
    model = build(name).eval()
    return Checkpoint(Path("runs") / name, name, model, processor_for(model), None)


@pytest.fixture(scope="session")
def exported(once: Once) -> Path:
    """TextCNN, which is exported within a second."""
    return once("exported", lambda folder: export_onnx(reading("text_cnn"), folder / "export", ad_split())) / "export"


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """The export, to be altered."""
    return Path(shutil.copytree(exported, tmp_path / "copied"))


def test_an_export_answers_as_the_model_in_batches_and_texts_of_any_size(exported: Path) -> None:
    model = build("text_cnn")
    session = onnxruntime.InferenceSession(exported / GRAPH)
    for numbers, extra in (([0], 0), ([1, 3], 5), ([0, 1, 2, 3], 17)):
        batch = batch_of(model, ad_split(), numbers, extra)
        fields = {one.name: batch[one.name].numpy() for one in session.get_inputs()}
        np.testing.assert_allclose(session.run(None, fields)[0], logits(model, batch), atol=TOLERANCE)
    onnx.checker.check_model(exported / GRAPH)


def test_an_export_says_what_was_measured_and_names_no_file_of_this_machine(exported: Path) -> None:
    manifest = json.loads((exported / MANIFEST).read_text())
    assert manifest["parity"]["rows"] == 4
    assert [1, 1] in manifest["parity"]["shapes"]
    assert [4, 32] in manifest["parity"]["shapes"]
    assert 0 < manifest["parity"]["largest"] <= TOLERANCE
    assert manifest["versions"]["onnxruntime"] == onnxruntime.__version__
    assert onnx.load(exported / GRAPH).opset_import[0].version == manifest["opset"]
    assert set(manifest["files"]) == {file.name for file in exported.iterdir()} - {MANIFEST}
    assert all(file_digest(exported / name) == digest for name, digest in manifest["files"].items())
    content = b"".join(file.read_bytes() for file in exported.iterdir())
    assert str(Path.home()).encode() not in content
    assert b"site-packages" not in content
    assert Path(__file__).parents[2].name.encode() + b"/" not in content


def test_a_predictor_opens_an_export_by_itself(exported: Path) -> None:
    model = reading("text_cnn")
    answers, expected = (one.predict([], ADS) for one in (Predictor.open(exported, batch_size=3), Predictor(model)))
    for own, other in zip(answers, expected, strict=True):
        assert own.label == other.label
        assert own.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    with pytest.raises(WeightsError, match=r"engine = 'torch' computes a run of fgmfn train, and this is none"):
        Predictor.open(exported, engine="torch")


@pytest.mark.parametrize("name", [GRAPH, "config.json", METRICS, "tokenizer.json", "processor_config.json"])
def test_a_file_that_is_altered_or_missing_is_named(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}: its SHA-256 is .* altered or damaged"):
        load_checkpoint(copied)
    (copied / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name}: cannot be read: No such file"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"format": 2}, r"format 2; this version reads 1"),
        ({"class_names": ["bad", "good"]}, r"gives 3 logits a row, but export.json names the classes bad, good"),
        ({"class_names": ["a", "b", "c"]}, r"the class_names \['a', 'b', 'c'\], but config.json"),
        ({"inputs": {"input_ids": ["n"]}}, r"reads input_ids, attention_mask, but export.json says input_ids"),
        ({"inputs": {"input_ids": ["m"], "attention_mask": ["n"]}}, r"names the inputs .* but config.json"),
        ({"model": "fgmfn"}, r"names the model fgmfn, but config.json text_cnn"),
        ({"files": {}}, r"export.json says None"),
        ({"files": None}, r"cannot be read as an export's manifest"),
    ],
)
def test_a_manifest_that_is_of_another_model_is_refused(copied: Path, change: dict[str, Any], refusal: str) -> None:
    manifest = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(WeightsError, match=refusal):
        load_checkpoint(copied)


def test_a_graph_that_is_none_is_refused(copied: Path) -> None:
    (copied / GRAPH).write_bytes(b"no graph")
    manifest = json.loads((copied / MANIFEST).read_text())
    manifest["files"][GRAPH] = file_digest(copied / GRAPH)
    (copied / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match=r"model\.onnx: cannot be opened by ONNX Runtime"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda batch: batch.pop("attention_mask"), r"the batch lacks attention_mask"),
        (lambda batch: batch.update(input_ids=batch["input_ids"].float()), r"cannot compute input_ids .* float32"),
        (lambda batch: batch.update(attention_mask=batch["attention_mask"][:2]), r"cannot compute input_ids"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    exported: Path, change: Callable[[dict[str, torch.Tensor]], object], refusal: str
) -> None:
    batch = batch_of(build("text_cnn"), ad_split(), [0, 1, 2])
    change(batch)
    with pytest.raises(InputError, match=refusal):
        OnnxEngine(exported).logits(batch)


class ExportedOtherwise(TextCnnForSentiment):
    """A model whose graph answers a little otherwise than it does."""

    def forward(self, *fields: Any, **named: Any) -> Any:
        output: Any = super().forward(*fields, **named)
        if torch.compiler.is_compiling():
            output.logits = output.logits + 2 * TOLERANCE
        return output


def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    checkpoint = reading("text_cnn")
    checkpoint.model.__class__ = ExportedOtherwise
    with pytest.raises(
        ExportError, match=r"a logit of the export differs by 0\.0002 from PyTorch's, more than 0\.0001"
    ):
        export_onnx(checkpoint, tmp_path / "exports" / "one", ad_split())
    assert list((tmp_path / "exports").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("bilstm", r"bilstm: PyTorch cannot export this model: "), ("tfidf", r"tfidf is fitted by scikit-learn")],
)
def test_a_model_without_a_graph_is_named(tmp_path: Path, name: str, refusal: str) -> None:
    made = build(name)
    checkpoint = Checkpoint(Path(name), name, made, None if name == "tfidf" else processor_for(made), None)
    with pytest.raises(ExportError, match=refusal):
        export_onnx(checkpoint, tmp_path / "one", ad_split())
    assert list(tmp_path.iterdir()) == []


def test_rows_and_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    checkpoint, rows = reading("text_cnn"), ad_split()
    with pytest.raises(ExportError, match=r"is there already"):
        export_onnx(checkpoint, tmp_path, rows)
    with pytest.raises(ExportError, match=r"1 rows to check the export on; give two or more"):
        export_onnx(checkpoint, tmp_path / "one", rows.take([0]))
    rows.label[2] = -1
    with pytest.raises(ExportError, match=r"give rows whose labels are known"):
        export_onnx(checkpoint, tmp_path / "one", rows, int8=True)


# --- 8 bits, from the command line ---


@pytest.fixture(scope="session")
def rounded(once: Once, finished: Finished) -> Path:
    """FGMFN of a finished training in 8 bits, as the command writes it, and beside it what the command said."""
    folder, trained = finished

    def make(output: Path) -> None:
        given = (trained[0].checkpoint, "--int8", "--release", folder / "releases" / "2026.11.24", "--split", "test")
        said = CliRunner().invoke(app, [*map(str, given), "--output", str(output / "export"), "--json"])
        assert said.exit_code == 0, said.output
        (output / "said.json").write_text(said.stdout)

    return once("rounded", make) / "export"


def test_an_answer_in_8_bits_is_the_same_beside_any_others(rounded: Path, finished: Finished) -> None:
    source = open_source(str(finished[0] / "releases" / "2026.11.24"), SourceSettings())
    rows = source.splits["test"]
    assert rows.pictures is not None
    images = [decode(rows.pictures.read(row), rows.name[row]) for row in range(len(rows))]
    texts = [f"{text} {'now ' * row}" for row, text in enumerate(rows.text)]  # of different lengths
    predictor = Predictor.open(rounded, engine="onnx")
    together = predictor.predict(images, texts)
    assert [predictor.predict([image], [text])[0] for image, text in zip(images, texts, strict=True)] == together
    exact = Predictor.open(finished[1][0].checkpoint, engine="torch").predict(images, texts)
    assert together != exact  # it is rounded
    for own, other in zip(together, exact, strict=True):
        assert own.probabilities == pytest.approx(other.probabilities, abs=0.05)


def test_convolutions_and_linear_layers_are_computed_in_8_bits(rounded: Path) -> None:
    graph = onnx.load(rounded / GRAPH).graph
    weights: Mapping[str, int] = {one.name: one.data_type for one in graph.initializer}
    read = {
        output: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output
    }
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    assert all(weights[read[node.input[1]]] == onnx.TensorProto.INT8 for node in convolutions)
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) >= 6
    assert not [node for node in graph.node if node.op_type == "Gemm" and "logits" not in node.output]


def test_the_command_scores_an_export_as_its_run(rounded: Path, finished: Finished, run: Run) -> None:
    code, said, _ = run("evaluate", rounded, "--release", finished[0] / "releases" / "2026.11.24", "--json")
    assert code == 0
    manifest = json.loads((rounded / MANIFEST).read_text())
    assert json.loads(said)["accuracy"] == manifest["parity"]["accuracy"]
    assert manifest["parity_float32"]["largest"] <= TOLERANCE
    assert manifest["parity"]["largest"] > TOLERANCE


def test_pictures_that_are_no_numbers_are_refused(rounded: Path) -> None:
    fields = {name: torch.ones(2, 8, dtype=torch.long) for name in ("input_ids", "attention_mask", "token_type_ids")}
    pictures = torch.zeros(2, 3, 64, 64)
    pictures[1, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"pixel_values of row 2 of a batch are not finite"):
        OnnxEngine(rounded).logits(fields | {"pixel_values": pictures})


def test_the_command_says_what_the_manifest_does(rounded: Path) -> None:
    said, manifest = (json.loads(file.read_text()) for file in (rounded.parent / "said.json", rounded / MANIFEST))
    assert said.pop("folder").endswith("/export")
    assert said == {name: value for name, value in manifest.items() if name != "files"}
