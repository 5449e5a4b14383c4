"""The rows of the comparison, one line per model: FGMFN, the baselines of Table 4 and rows beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fgmfn.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Row:
    """One model of the comparison: the title of its table row, its class and its source."""

    title: str
    module: str
    class_name: str
    modalities: tuple[str, ...]
    source: str
    """Authors, year and venue."""


TEXT, IMAGE, BOTH = ("text",), ("image",), ("text", "image")
HERE = "fgmfn.baselines"

# fmt: off
MODELS: dict[str, Row] = {
    "res_target": Row("Res-Target", f"{HERE}.res_target", "ResTargetForSentiment", BOTH, "Yu and Jiang 2019, IJCAI"),
    "vgg16": Row("VGG16", f"{HERE}.vgg16", "Vgg16ForSentiment", IMAGE, "Simonyan and Zisserman 2015, ICLR"),
    "bilstm": Row("BiLSTM", f"{HERE}.bilstm", "BiLstmForSentiment", TEXT, "Zhou et al. 2016, ACL"),
    "text_cnn": Row("TextCNN", f"{HERE}.text_cnn", "TextCnnForSentiment", TEXT, "Kim 2014, EMNLP"),
    "roberta": Row("RoBERTa", f"{HERE}.roberta", "RobertaForSentiment", TEXT, "Liu et al. 2019, arXiv"),
    "mimn": Row("MIMN", f"{HERE}.mimn", "MimnForSentiment", BOTH, "Xu et al. 2019, AAAI"),
    "esafn": Row("ESAFN", f"{HERE}.esafn", "EsafnForSentiment", BOTH, "Yu et al. 2020, IEEE/ACM TASLP"),
    "vilbert": Row("ViLBERT", f"{HERE}.vilbert", "VilbertForSentiment", BOTH, "Lu et al. 2019, NeurIPS"),
    "tombert": Row("TomBERT", f"{HERE}.tombert", "TomBertForSentiment", BOTH, "Yu and Jiang 2019, IJCAI"),
    "lxmert_mmsa": Row(
        "LXMERT-MMSA", f"{HERE}.lxmert_mmsa", "LxmertMmsaForSentiment", BOTH, "Tan and Bansal 2019, EMNLP"
    ),
    "arfn": Row("ARFN", f"{HERE}.arfn", "ArfnForSentiment", BOTH, "Jia et al. 2023, IEEE TETC"),
    "aom": Row("AoM", f"{HERE}.aom", "AomForSentiment", BOTH, "Zhou et al. 2023, Findings of ACL"),
    "mtvaf": Row("MTVAF", f"{HERE}.mtvaf", "MtvafForSentiment", BOTH, "Li et al. 2024, Artificial Intelligence Review"),
    "fgmfn": Row("FGMFN", "fgmfn.modeling", "FgmfnForSentiment", BOTH, "FGMFN 2025, IEEE Access"),
    "text_only": Row("text only", f"{HERE}.single_modality", "TextOnlyForSentiment", TEXT, "Devlin et al. 2019, NAACL"),
    "image_only": Row("image only", f"{HERE}.single_modality", "ImageOnlyForSentiment", IMAGE, "He et al. 2016, CVPR"),
    "own_late_fusion": Row(
        "late fusion, own encoders", f"{HERE}.controls", "OwnLateFusionForSentiment", BOTH, "this comparison"
    ),
    "picture_branch": Row(
        "picture branch", f"{HERE}.controls", "PictureBranchForSentiment", IMAGE, "this comparison"
    ),
    "shuffled_pictures": Row(
        "FGMFN, shuffled pictures", f"{HERE}.controls", "ShuffledPicturesForSentiment", BOTH, "this comparison"
    ),
    "late_fusion": Row("late fusion", f"{HERE}.late_fusion", "LateFusionForSentiment", BOTH, "this comparison"),
    "clip_probe": Row("CLIP probe", f"{HERE}.probes", "ClipProbeForSentiment", BOTH, "Radford et al. 2021, ICML"),
    "siglip_probe": Row(
        "SigLIP probe", f"{HERE}.probes", "SiglipProbeForSentiment", BOTH, "Zhai et al. 2023, ICCV"
    ),
    "tfidf": Row("TF-IDF", f"{HERE}.tfidf", "TfidfForSentiment", TEXT, "Sparck Jones 1972, J. Documentation"),
}
# fmt: on


def check_models(names: Sequence[str]) -> list[str]:
    """Return the names without repetition.

    Raises:
        ConfigError: A name is not in the registry, or there is none.
    """
    if isinstance(names, str):
        raise ConfigError(f"models = {names!r}; expected a list of names, [{names!r}]")
    for name in names:
        if name not in MODELS:
            raise ConfigError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}")
    if not names:
        raise ConfigError(f"no model to train; known: {', '.join(MODELS)}")
    return list(dict.fromkeys(names))


CONTROLS = ("text_only", "image_only", "own_late_fusion", "shuffled_pictures")
"""Controls of FGMFN: each encoder alone, both without the fusion, and FGMFN with the pictures of other ads."""


def unproven(names: Iterable[str]) -> str | None:
    """Say which controls are missing from a table with FGMFN or another model of pictures and words.

    Args:
        names: of the rows of a table.
    """
    shown = list(names)
    if "fgmfn" in shown:
        missing = [name for name in CONTROLS if name not in shown]
        whose, what = MODELS["fgmfn"].title, f"its matched controls {', '.join(missing)}"
    else:
        rows = [MODELS[name] for name in shown if name in MODELS]
        whose = next((row.title for row in rows if row.modalities == BOTH), "")
        missing = ["text_only"] if whose and not any(row.modalities == TEXT for row in rows) else []
        what = "a text-only row"
    if not missing:
        return None
    return f"Without {what} beside it {whose}'s row proves nothing: add --model {','.join(missing)}"


def model_class(name: str) -> Any:
    """Import and return the class of a registered model: a `SentimentModel`, or a `FittedModel` without steps."""
    row = MODELS[check_models([name])[0]]
    return getattr(import_module(row.module), row.class_name)


def model_of_class(class_name: str) -> str | None:
    """Return the registered name of a class that config.json names as its architecture."""
    return next((name for name, row in MODELS.items() if row.class_name == class_name), None)
