"""The model card: model, data, scores and usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fgmfn.calibration import Calibration
from fgmfn.evaluation import Metrics, surety_lines
from fgmfn.history import RELIABILITY
from fgmfn.settings import CHOSEN_BY


def model_card(record: Mapping[str, Any], title: str) -> str:
    """Write the README.md of a trained model from its metrics record."""
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "tags: [sentiment-analysis, advertising, multimodal, fgmfn]",
            "---",
            f"# {title} on {record['release']}",
            "",
            *_synthetic(record),
            _summary(record),
            "",
            "| split | rows | accuracy | macro-F1 | checksum of the rows |",
            "|---|---:|---:|---:|---|",
            *(
                _score_line(split, record["rows"][split], record[key], record["checksums"])
                for split, key in (("validation", "dev"), ("test", "test"))
            ),
            "",
            *(f"- {note}" for note in record["notes"]),
            "",
            *_surety(record),
            *_calibration(record),
            *_origins(record),
            *confusion_lines(record),
            f"The weights are those of {_chosen(record)}; the test split was read once.",
            f"Rows: `{record['row_set_hash']}`. Every setting is in `metrics.json`.",
            "",
            "```python",
            "from pathlib import Path",
            "",
            "from fgmfn import load_checkpoint, predict, read_image",
            "",
            'checkpoint = load_checkpoint(Path("."))',
            'predict(checkpoint, [read_image(Path("frame.jpg"))], ["Golden hour, half the price"])',
            "```",
            "",
        ]
    )


def _summary(record: Mapping[str, Any]) -> str:
    sizes = record["parameters"]
    size = (
        f"{sizes['total'] / 1e6:.1f} M parameters, {sizes['trainable'] / 1e6:.1f} M of them trained, " if sizes else ""
    )
    return (
        f"Sentiment of image-text advertisements: {', '.join(record['class_names'])}. {size}"
        f"seed {record['seed']}, {record['seconds']:.0f} s."
    )


def _synthetic(record: Mapping[str, Any]) -> list[str]:
    if not record["synthetic"]:
        return []
    return ["> **Synthetic data.** This model has seen rendered samples only. Do not use it for anything real.", ""]


def _chosen(record: Mapping[str, Any]) -> str:
    if record["dev"] is None:
        return "the last epoch"
    if not record["epochs"]:
        return f"the settings with the {CHOSEN_BY['macro_f1']} on the validation split"
    chosen = CHOSEN_BY[record["settings"]["training"].get("selection", "macro_f1")]
    return f"the epoch with the {chosen} on the validation split"


def _origins(record: Mapping[str, Any]) -> list[str]:
    if not record["loaded"]:
        return ["Before training all weights were drawn at random.", ""]
    return [
        "First weights of its parts; all others were drawn at random:",
        "",
        *(
            f"- {part['part']} from `{part['source']}`: {part['tensors']} of {part['of']} {part['unit']} loaded, "
            f"SHA-256 `{part['sha256']}`"
            for part in record["loaded"]
        ),
        "",
    ]


def _score_line(split: str, rows: int, metrics: Mapping[str, Any] | None, checksums: Mapping[str, str]) -> str:
    if metrics is None:
        return f"| {split} | {rows} | - | - | - |"
    figures = f"{rows} | {_with_interval(metrics, 'accuracy')} | {_with_interval(metrics, 'macro_f1')}"
    return f"| {split} | {figures} | `{checksums[split][:12]}` |"


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    interval = metrics.get(f"{name}_interval")
    return f"{metrics[name]:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _surety(record: Mapping[str, Any]) -> list[str]:
    """Return lines on the certainty of the test rows' scores, or else of the validation rows'."""
    split, metrics = ("test", record["test"]) if record["test"] else ("validation", record["dev"])
    if metrics is None:
        return []
    lines = surety_lines(Metrics.from_json(metrics))
    picture = ["", f"![How often it is right, by how sure it is]({RELIABILITY})"] if metrics.get("calibration") else []
    return [f"On the {split} rows, this one seed:", "", *(f"- {line}" for line in lines), *picture, ""] if lines else []


def _calibration(record: Mapping[str, Any]) -> list[str]:
    """Return lines on the calibration; none for an older run or one without development rows."""
    found = record.get("calibration")
    if not found:
        return []
    return ["Its probabilities:", "", *(f"- {line}" for line in Calibration.from_json(found).lines()), ""]


def class_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return lines of Markdown with each class's scores; none for an older run without them."""
    known = metrics.get("per_class")
    if not known:
        return []
    rows = (
        f"| {name} | {one['precision']:.1%} | {one['recall']:.1%} | {one['f1']:.1%} | {one['rows']} |"
        for name, one in known.items()
    )
    return ["| class | precision | recall | F1 | rows |", "|---|---:|---:|---:|---:|", *rows, ""]


def confusion_lines(record: Mapping[str, Any]) -> list[str]:
    """Return lines of Markdown with the test rows' confusion matrix and classes; none if nothing was tested."""
    if record["test"] is None:
        return []
    names = record["class_names"]
    return [
        "Test rows by true class (down) and predicted class (across):",
        "",
        f"| | {' | '.join(names)} |",
        f"|---|{'---:|' * len(names)}",
        *(
            f"| {name} | {' | '.join(map(str, counts))} |"
            for name, counts in zip(names, record["test"]["confusion"], strict=True)
        ),
        "",
        *class_lines(record["test"]),
    ]
