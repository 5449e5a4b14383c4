"""Pretrained weights are all loaded and counted, or refused: none is left at random in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, BertConfig, BertModel, LxmertConfig, LxmertModel

from fgmfn.baselines.vgg16 import Vgg16Config, Vgg16ForSentiment
from fgmfn.data import open_source
from fgmfn.encoders import ImageEncoder, PictureVector, from_pretrained, load_text_encoder
from fgmfn.errors import WeightsError
from fgmfn.inference import load_checkpoint
from fgmfn.planning import plan_run
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import TINY, small_config

State = dict[str, Tensor]


def prefixed(state: State) -> State:
    """As a larger model saves its part; DataParallel's prefix `module.` would be taken off by timm itself."""
    return {f"backbone.{name}": tensor for name, tensor in state.items()}


def partial(state: State) -> State:
    """All but one matrix."""
    lost = next(name for name in reversed(state) if state[name].ndim >= 2 and not name.startswith(("fc", "head")))
    return {name: tensor for name, tensor in state.items() if name != lost}


def foreign(state: State) -> State:
    """Another model's."""
    return {f"encoder.{number}.weight": torch.zeros(3, 3) for number in range(len(state))}


SPOILED: tuple[Callable[[State], State], ...] = (prefixed, partial, foreign)


def drawn(name: str, **arguments: Any) -> State:
    """Weights of a timm model that are its own."""
    torch.manual_seed(5)
    return timm.create_model(name, **arguments).state_dict()


def image_encoder(file: Path) -> Any:
    """FGMFN's backbone with the weights of a file."""
    config = small_config(pretrained=True, backbone_weights=str(file))
    encoder = ImageEncoder(config)
    encoder.load_pretrained(config)
    return encoder.backbone


def picture_vector(file: Path) -> Any:
    """Late fusion's."""
    config = small_config(pretrained=True, backbone="test_vit", backbone_weights=str(file), image_size=160)
    encoder = PictureVector(config)
    encoder.load_pretrained(config)
    return encoder.backbone


def vgg(file: Path) -> Any:
    """The VGG row, whose last layer starts at random."""
    settings = TINY["vgg16"].settings | {"pretrained": True, "backbone_weights": str(file)}
    model = Vgg16ForSentiment(Vgg16Config(**settings, num_labels=3))
    model.load_pretrained(None)
    return model.network


BACKBONES: list[tuple[Callable[[Path], Any], str, dict[str, Any]]] = [
    (image_encoder, "test_resnet", {}),
    (picture_vector, "test_vit", {}),
    (vgg, "vgg11", {"mlp_ratio": 8 / 4096}),
]


@pytest.mark.parametrize(("load", "name", "arguments"), BACKBONES)
def test_a_backbone_has_every_tensor_of_its_file(
    tmp_path: Path, load: Callable[[Path], Any], name: str, arguments: dict[str, Any]
) -> None:
    file, state = tmp_path / "weights.pth", drawn(name, **arguments)
    torch.save(state, file)
    loaded = load(file)
    classifier = {
        key for key in state if key.startswith(("fc.", "head.fc.")) or (name == "test_vit" and "head." in key)
    }
    own = {key: tensor for key, tensor in loaded.state_dict().items() if key not in classifier}
    assert all(torch.equal(tensor, state[key]) for key, tensor in own.items())
    assert (loaded.loaded.tensors, loaded.loaded.of, loaded.loaded.source) == (len(own), len(own), str(file))
    assert len(own) >= len(state) - len(classifier)
    again, other = load(file).loaded.sha256, tmp_path / "other.pth"
    torch.save({key: tensor + 1 if tensor.is_floating_point() else tensor for key, tensor in state.items()}, other)
    assert (again == loaded.loaded.sha256, load(other).loaded.sha256 == again) == (True, False)


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize(("load", "name", "arguments"), BACKBONES)
def test_a_backbones_file_that_lacks_a_tensor_is_refused(
    tmp_path: Path,
    load: Callable[[Path], Any],
    name: str,
    arguments: dict[str, Any],
    spoil: Callable[[State], State],
) -> None:
    file = tmp_path / "weights.pth"
    torch.save(spoil(drawn(name, **arguments)), file)
    with pytest.raises(WeightsError, match=r"weights\.pth.* of \d+ tensors are there"):
        load(file)


@pytest.mark.parametrize(("load", "name", "arguments"), BACKBONES)
@pytest.mark.parametrize("content", ["other sizes", "no weights"])
def test_a_backbones_file_that_cannot_be_loaded_is_named_and_not_the_network(
    tmp_path: Path, load: Callable[[Path], Any], name: str, arguments: dict[str, Any], content: str
) -> None:
    file = tmp_path / "weights.pth"
    if content == "other sizes":
        torch.save(
            {key: torch.zeros([size + 1 for size in was.shape]) for key, was in drawn(name, **arguments).items()}, file
        )
    else:
        file.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"weights\.pth' cannot be loaded into .*give weights") as refused:
        load(file)
    assert "network" not in str(refused.value)


def bert(folder: Path, spoil: Callable[[State], State] = lambda state: state) -> Path:
    """A folder of a small BERT."""
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file(spoil(load_file(file)), file, metadata={"format": "pt"})
    return folder


def test_a_text_encoder_has_every_tensor_of_its_folder(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    encoder: Any = load_text_encoder(small_config(pretrained=True, text_encoder=str(folder)))
    state = load_file(folder / "model.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())
    assert (encoder.loaded.tensors, encoder.loaded.of) == (len(state), len(state))


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_text_encoders_folder_that_lacks_a_tensor_is_refused(tmp_path: Path, spoil: Callable[[State], State]) -> None:
    folder = bert(tmp_path, spoil)
    with pytest.raises(WeightsError, match=r"\d+ of \d+ tensors are there"):
        load_text_encoder(small_config(pretrained=True, text_encoder=str(folder)))


@pytest.mark.parametrize("spoil", SPOILED)
def test_pairs_and_lxmert_are_refused_likewise(tmp_path: Path, spoil: Callable[[State], State]) -> None:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 40}
    layers = {"l_layers": 1, "r_layers": 1, "x_layers": 1, "vocab_size": 50, "visual_feat_dim": 16}
    LxmertModel(LxmertConfig(**sizes, **layers)).save_pretrained(tmp_path)
    whole = from_pretrained(LxmertModel, str(tmp_path), "LXMERT").loaded
    assert whole.tensors == whole.of == len(load_file(tmp_path / "model.safetensors"))
    file = tmp_path / "model.safetensors"
    save_file(spoil(load_file(file)), file, metadata={"format": "pt"})
    for kind in (LxmertModel, AutoModel):
        with pytest.raises(WeightsError, match=r"\d+ of \d+ tensors are there"):
            from_pretrained(kind, str(tmp_path), "LXMERT")


def test_a_checkpoint_that_lacks_a_tensor_is_refused(finished: Finished, tmp_path: Path) -> None:
    copied = shutil.copytree(finished[1][1].checkpoint, tmp_path / "run")
    file = copied / "model.safetensors"
    save_file(partial(load_file(file)), file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="its weights lack 1 tensors"):
        load_checkpoint(copied)


def test_a_run_says_where_its_first_weights_come_from(finished: Finished) -> None:
    run = finished[1][0].checkpoint
    assert json.loads((run / "metrics.json").read_text())["loaded"] == []
    assert "all weights were drawn at random" in (run / "README.md").read_text()


def test_the_file_of_a_deeper_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(drawn("resnet34"), file)
    config = small_config(pretrained=True, backbone="resnet18", backbone_weights=str(file))
    with pytest.raises(WeightsError, match=r"resnet18 has no layer for \d+ of its tensors, such as layer1\.2\."):
        ImageEncoder(config).load_pretrained(config)


def test_layers_beyond_those_of_a_folders_configuration_are_left_out_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def deeper(state: State) -> State:
        return state | {name.replace("layer.1.", "layer.2."): tensor.clone() for name, tensor in state.items()}

    folder = bert(tmp_path, deeper)
    load_text_encoder(small_config(pretrained=True, text_encoder=str(folder)))
    assert "16 tensors are left out, such as encoder.layer.2." in caplog.text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    def spoil(state: State) -> State:
        return {name: tensor + number if "layer.0" in name else tensor for name, tensor in state.items()}

    folder = bert(tmp_path / "text", spoil)
    with pytest.raises(WeightsError, match=r"layer\.0.* not finite"):
        load_text_encoder(small_config(pretrained=True, text_encoder=str(folder)))
    file = tmp_path / "weights.pth"
    torch.save({name: tensor + number for name, tensor in drawn("test_resnet").items()}, file)
    with pytest.raises(WeightsError, match="not finite"):
        image_encoder(file)


def test_other_weights_under_a_known_name_are_another_run(tmp_path: Path) -> None:
    table, folder = tmp_path / "rows.csv", bert(tmp_path / "text")
    table.write_text("text,label,split\na b,no,train\nc d,yes,train\ne f,no,validation\ng h,yes,test\n")
    config = tmp_path / "config.toml"
    config.write_text(f'[model]\ntext_encoder = "{folder}"\n')
    source = open_source(table)

    def key(*, from_scratch: bool = False) -> str:
        return plan_run("text_only", source, config, tmp_path, from_scratch=from_scratch).folder.name

    first, scratch = key(), key(from_scratch=True)
    assert key() == first
    file = folder / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert (key() == first, key(from_scratch=True) == scratch) == (False, True)


def test_frozen_encoders_that_start_at_random_are_said() -> None:
    frozen = small_config(pretrained=False, freeze_backbone=True, freeze_text_layers=1)
    said = frozen.departures(("text", "image"))
    assert {"its backbone never trains", "its text encoder, or layers of it, never train"} <= {*said}
    for config in (small_config(pretrained=False), small_config(pretrained=True, freeze_backbone=True)):
        assert "never train" not in " ".join(config.departures(("text", "image")))
