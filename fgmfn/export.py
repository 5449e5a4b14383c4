"""A trained model as an ONNX graph, with all that a prediction needs beside it, checked on real rows when it is made.

An export is a folder: `model.onnx`, the configuration, the processor, what the run's record says of its rows and its
calibration, and `export.json`, which names the SHA-256 of each of them, the versions and the parity as measured.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fgmfn.baselines.fitted import FittedModel
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.engines import FORMAT, GRAPH, MANIFEST, OnnxEngine, TorchEngine
from fgmfn.errors import ExportError
from fgmfn.inputs import Inputs
from fgmfn.predictions import METRICS, file_digest
from fgmfn.processing import FgmfnProcessor

if TYPE_CHECKING:
    from fgmfn.inference import Checkpoint
    from fgmfn.modeling import SentimentModel

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference of a float32 export's logit from PyTorch's."""
LOSS = 0.005
"""Share of the rows that an export of 8 bits may get wrong beyond PyTorch's; one row is always allowed."""
CHECKED, AT_ONCE, CALIBRATED = 2000, 32, 64
"""Rows that are checked at most, and at once; rows whose activations give the ranges of 8-bit convolutions."""
LIBRARIES = ("torch", "transformers", "timm", "onnx", "onnxscript", "onnxruntime")
RECORDED = ("model", "has_targets", "words", "row_set_hash", "class_names", "departures", "calibration")
"""Entries of the run's record that an export keeps."""
OF_PICTURES = {"Conv", "Relu", "Clip", "MaxPool", "AveragePool", "Add"}
"""Operations that compute in 8 bits between 8-bit convolutions, and these."""


@dataclass(frozen=True)
class Parity:
    """Agreement of an export's answers with PyTorch's on the same rows."""

    rows: int
    shapes: list[list[int]]
    """Rows and tokens of the batches that were compared beside those of the rows."""
    largest: float
    """Largest difference of a logit."""
    mean: float
    agreement: float
    """Share of the rows with the same likeliest class."""
    accuracy: float | None
    """None where labels are hidden."""
    accuracy_of_model: float | None


def export_onnx(
    checkpoint: Checkpoint,
    output: Path,
    rows: Rows,
    *,
    int8: bool = False,
    calibration: Rows | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Write a trained model into a new folder that ONNX Runtime can answer from; refused, it leaves none behind.

    With `int8`, linear layers compute in 8 bits by ranges found while they compute, and the convolutions that see
    pictures by ranges of some rows; both by a scale per output channel.

    Args:
        checkpoint: the model; it is brought to the CPU.
        output: the folder, which must not exist.
        rows: real ones that the export must answer as the model does, such as its development rows.
        int8: compute in 8 bits.
        calibration: rows for the convolutions' ranges, such as training rows; None: `rows`.
        progress: show bars on standard error, if that is a terminal.

    Returns:
        The manifest.

    Raises:
        ExportError: The folder exists, the model cannot be exported, a library for it is missing, there are too few
            rows, or the export does not answer as the model does.
        DataError: The model looks at pictures, and the rows have none.
    """
    model = checkpoint.model
    if isinstance(model, FittedModel):
        raise ExportError(f"{checkpoint.path}: {checkpoint.name} is fitted by scikit-learn and has no graph to export")
    if output.exists():
        raise ExportError(f"{output}: is there already; name a folder that is not")
    if len(rows) < 2:
        raise ExportError(f"{len(rows)} rows to check the export on; give two or more")
    if int8 and not rows.scorable:
        raise ExportError("an export of 8 bits is checked by its accuracy: give rows whose labels are known")
    processor = cast(FgmfnProcessor, checkpoint.processor)
    model.cpu().eval()
    checked = _Batches(rows, model.inputs, processor, limit=CHECKED)
    wanted = np.concatenate([TorchEngine(model).logits(batch) for batch in checked.bar("PyTorch", progress)])
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as beside:
        folder = Path(beside) / "export"
        folder.mkdir()
        axes = {name: list(own) for name, own in model.inputs.varying.items()}
        write_graph(model, checked.first(2), folder / GRAPH, name=checkpoint.name)
        _write_companions(checkpoint, processor, folder)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "model": checkpoint.name,
            "class_names": list(checkpoint.class_names),
            "precision": "int8" if int8 else "float32",
            "inputs": axes,
            "rows_apart": False,
            "opset": OPSET,
            "versions": {name: version(name) for name in LIBRARIES},
        }
        _write_manifest(folder, manifest)
        exact = measure_parity(model, OnnxEngine(folder), checked, wanted, progress=progress)
        if not exact.largest <= TOLERANCE:  # so that a NaN is refused, too
            raise ExportError(
                f"{checkpoint.path}: a logit of the export differs by {exact.largest:.2g} from PyTorch's, more than "
                f"{TOLERANCE:g}, over {exact.rows} rows and batches of {exact.shapes} rows and tokens; nothing is left"
            )
        manifest["parity"] = asdict(exact)
        if int8:
            shown = _Batches(calibration or rows, model.inputs, processor, limit=CALIBRATED, at_once=1)
            quantize(folder / GRAPH, shown.bar("ranges", progress))
            _write_manifest(folder, manifest | {"rows_apart": True})
            rounded = measure_parity(model, OnnxEngine(folder), checked, wanted, progress=progress)
            _refuse_losses(checkpoint, rounded)
            manifest |= {"rows_apart": True, "parity_float32": asdict(exact), "parity": asdict(rounded)}
        _write_manifest(folder, manifest)
        folder.rename(output)
    return manifest


def _refuse_losses(checkpoint: Checkpoint, found: Parity) -> None:
    lost = round(found.rows * (cast(float, found.accuracy_of_model) - cast(float, found.accuracy)))
    if lost > max(1, LOSS * found.rows):
        raise ExportError(
            f"{checkpoint.path}: in 8 bits {found.accuracy:.1%} of {found.rows} rows are right, and "
            f"{found.accuracy_of_model:.1%} before: more than {LOSS:.1%} are lost; export it without --int8"
        )


# --- what is checked ---


class _Batches:
    """Rows as a model's batches; of many rows some, evenly spread."""

    def __init__(
        self, rows: Rows, inputs: Inputs, processor: FgmfnProcessor, *, limit: int, at_once: int = AT_ONCE
    ) -> None:
        self.rows = rows.take(np.linspace(0, len(rows) - 1, min(limit, len(rows))).round().astype(int).tolist())
        self.inputs, self.processor, self._at_once = inputs, processor, at_once
        self._dataset = SplitDataset(self.rows, processor, inputs)
        self._collate = Collator(processor, inputs)

    def first(self, rows: int, start: int = 0) -> dict[str, Tensor]:
        """Return a batch of some rows."""
        examples = [self._dataset[row] for row in range(start, min(start + rows, len(self.rows)))]
        return {name: values for name, values in self._collate(examples).items() if name in self.inputs.varying}

    def bar(self, title: str, progress: bool) -> Iterator[dict[str, Tensor]]:
        """Yield all batches."""
        starts = range(0, len(self.rows), self._at_once)
        for start in tqdm(starts, desc=title, unit="batch", leave=False, disable=None if progress else True):
            yield self.first(self._at_once, start)

    def of_sizes(self) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Yield batches of one row and several, of sentences and targets from one token to as long as any may be."""
        longest = {"n": self.processor.max_tokens, "m": self.processor.max_target_tokens}
        worded = any(self.inputs.varying.values())
        for rows in (1, 2, 5):
            for share in (0, 0.3, 1) if worded else (1,):
                lengths = {axis: max(1, round(share * most)) for axis, most in longest.items()}
                batch = self.first(rows)
                shape = [len(next(iter(batch.values()))), *([lengths["n"]] if worded else [])]
                yield shape, _resized(batch, self.inputs, lengths, self.processor)


def _resized(
    batch: Mapping[str, Tensor], inputs: Inputs, lengths: Mapping[str, int], processor: FgmfnProcessor
) -> dict[str, Tensor]:
    """Cut or pad a batch to other lengths of sentences and targets."""
    found = dict(batch)
    for name, axes in inputs.varying.items():
        values = found[name]
        fill = cast(int, processor.tokenizer.pad_token_id) if name in ("input_ids", "target_ids") else 0
        for place, length in ((at, lengths[axis]) for at, axis in enumerate(axes, 1) if axis in lengths):
            values = values.narrow(place, 0, min(length, values.shape[place]))
            missing = list(values.shape)
            missing[place] = length - values.shape[place]
            values = torch.cat([values, values.new_full(missing, fill)], dim=place)
        found[name] = values
    if "target_span" in found:
        found["target_span"] = found["target_span"] * (found["target_span"][:, 1:] <= lengths["n"])
    return found


def measure_parity(
    model: SentimentModel, engine: OnnxEngine, checked: _Batches, wanted: np.ndarray, *, progress: bool
) -> Parity:
    """Compare an export with PyTorch, on rows whose logits, [rows, C], are known, and on batches of other sizes."""
    given = np.concatenate([engine.logits(batch) for batch in checked.bar("ONNX Runtime", progress)])
    differences, shapes = [np.abs(given - wanted)], []
    for shape, batch in checked.of_sizes():
        differences.append(np.abs(engine.logits(batch) - TorchEngine(model).logits(batch)))
        shapes.append(shape)
    right = [float((logits.argmax(axis=1) == checked.rows.label).mean()) for logits in (given, wanted)]
    accuracy, of_model = right if checked.rows.scorable else (None, None)
    return Parity(
        len(wanted),
        shapes,
        float(max(one.max() for one in differences)),
        float(differences[0].mean()),
        float((given.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        accuracy,
        of_model,
    )


# --- the graph ---


class _Logits(nn.Module):
    """A model's logits of fields in their order."""

    def __init__(self, model: SentimentModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *fields: Tensor) -> Tensor:
        """Return the logits, [B, C]."""
        named: Any = dict(zip(self.names, fields, strict=True))
        return self.model.forward(**named).logits


def write_graph(model: SentimentModel, batch: Mapping[str, Tensor], file: Path, *, name: str) -> None:
    """Write a model's graph for any number of rows and any lengths.

    Args:
        model: in evaluation, on the CPU.
        batch: two rows, or more, as an example.
        file: to write.
        name: of the model, for errors.

    Raises:
        ExportError: PyTorch cannot export it, or not for any number of rows and any lengths.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  PyTorch's exporter asks for it
    except ImportError as error:
        raise ExportError(
            f"an export needs onnx and onnxscript: run pip install 'ytb-ads[export]' ({error})"
        ) from error
    axes = model.inputs.varying
    varying = {field: dict.fromkeys(range(1 + len(axes[field])), torch.export.Dim.DYNAMIC) for field in batch}
    with _quietly():
        try:
            program = torch.onnx.export(
                _Logits(model, list(batch)),
                tuple(batch.values()),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                dynamic_shapes=(tuple(varying.values()),),
                input_names=list(batch),
                output_names=["logits"],
            )
        except Exception as error:  # its exceptions share no base with those of the model's own code
            reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"{name}: PyTorch cannot export this model: {reason}") from error
    graph = cast(Any, program).model_proto
    if fixed := _fixed(graph, axes):
        raise ExportError(f"{name}: the exported graph takes only {', '.join(fixed)}")
    _strip(graph)
    onnx.save(graph, file)


def _fixed(graph: Any, axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Name axes of a graph's inputs that should vary and do not."""
    return [
        f"{one.name} of size {size.dim_value} along {'rows' if at == 0 else axes[one.name][at - 1]}"
        for one in graph.graph.input
        for at, size in enumerate(one.type.tensor_type.shape.dim)
        if at <= len(axes[one.name]) and not size.dim_param
    ]


def _strip(graph: Any) -> None:
    """Remove the source locations of operations from a graph."""
    del graph.metadata_props[:], graph.graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.initializer, *graph.graph.input, *graph.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for part in graph.graph.value_info:
        del part.metadata_props[:]
    for function in graph.functions:
        del function.metadata_props[:]
        for part in function.node:
            del part.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the messages of the exporter and the quantiser: the result is checked afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# --- 8 bits ---


def quantize(file: Path, batches: Iterator[Mapping[str, Tensor]]) -> None:
    """Let a graph compute its linear layers, and the convolutions that see nothing but pictures, in 8 bits.

    Args:
        file: of the graph, which is replaced.
        batches: single rows, for the ranges of what convolutions read and write.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else {name: values.numpy() for name, values in batch.items()}

    channels = {"per_channel": True, "weight_type": QuantType.QInt8}
    with _quietly(), TemporaryDirectory(dir=file.parent) as folder:
        folded, static = Path(folder) / "folded.onnx", Path(folder) / "static.onnx"
        quant_pre_process(file, folded, skip_symbolic_shape=True)
        graph = onnx.load(folded).graph
        if nodes := _seeing_pictures(graph):
            quantize_static(
                folded,
                static,
                Shown(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=sorted(OF_PICTURES),
                nodes_to_quantize=nodes,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,
                **channels,
            )
        last = [node.name for node in graph.node if set(node.output) & {one.name for one in graph.output}]
        quantize_dynamic(
            static if nodes else folded,
            file,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=last,
            extra_options={"MatMulConstBOnly": True},
            **channels,
        )


def _seeing_pictures(graph: Any) -> list[str]:
    """Names of the convolutions that depend on pictures alone, and of the operations between them."""
    constant = {one.name for one in graph.initializer} | {""}
    seen, names, convolved = {"pixel_values"}, [], {"pixel_values"}
    for node in graph.node:
        read = [name for name in node.input if name not in constant]
        if not read or not seen.issuperset(read):
            continue
        seen.update(node.output)
        if node.op_type == "Conv" or (node.op_type in OF_PICTURES and convolved.issuperset(read)):
            convolved.update(node.output)
            names.append(node.name)
    return names


# --- the folder ---


def _write_companions(checkpoint: Checkpoint, processor: FgmfnProcessor, folder: Path) -> None:
    config = deepcopy(checkpoint.model.config)
    config.architectures = [type(checkpoint.model).__name__]  # which only the weights' saving notes otherwise
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    record = checkpoint.path / METRICS
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    kept = {name: known[name] for name in RECORDED if name in known}
    (folder / METRICS).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    content = {**manifest, "files": {name: file_digest(folder / name) for name in files}}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
