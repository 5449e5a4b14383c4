"""FGMFN's layers have the paper's shapes and size, and every switch of the ablations does what it says."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertModel, PreTrainedModel

from fgmfn.baselines import check_models, model_class
from fgmfn.configuration import FgmfnConfig
from fgmfn.encoders import ImageEncoder, build_text_encoder, load_text_encoder, pretrained_text_config
from fgmfn.errors import ConfigError, WeightsError
from fgmfn.fusion import CrossAttentionFusion, CrossAttentionLayer
from fgmfn.modeling import FgmfnForSentiment, SentimentOutput
from fgmfn.multiscale import MultiscaleFeatures
from fgmfn.sizes import on_meta_device, parameter_counts
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.models import batch, build, small_config

FAMILY = ("fgmfn", "text_only", "image_only")
"""The rows that share FGMFN's configuration."""


@pytest.fixture(scope="module")
def full_size() -> Any:
    """The paper's model without memory for its weights: shapes and counts are all there."""
    return on_meta_device(FgmfnForSentiment, FgmfnConfig())


def test_the_full_model_has_the_papers_size(full_size: Any) -> None:
    parts = {name: parameter_counts(part)[0] for name, part in full_size.named_children()}
    assert parts["image_encoder"] == 11_176_512  # ResNet-18 without its classifier
    assert parts["text_encoder"] == 108_891_648  # BERT-base without its pooler
    assert parameter_counts(full_size) == (132_868_941, 132_868_941)


def test_the_feature_levels_have_the_papers_grids(full_size: Any) -> None:
    levels = full_size.image_encoder(torch.empty(2, 3, 224, 224, device="meta"))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)
    ]  # fmt: skip
    assert full_size.visual_tokens.low_map(levels[:3]).shape == (2, 384, 14, 14)
    assert [maps.shape for maps in full_size.visual_tokens.high_map(*levels[3:])] == [(2, 384, 14, 14), (2, 1, 14, 14)]
    assert full_size.visual_tokens.joint_map(levels).shape == (2, 768, 14, 14)
    assert full_size.visual_tokens(levels).shape == (2, 50, 768)


@pytest.mark.parametrize("wanted", [(None, None), (1, 1), (None, 1), (3, None)])
def test_the_fusion_gives_the_wanted_tokens_of_its_last_layer(wanted: tuple[int | None, int | None]) -> None:
    fusion = CrossAttentionFusion(small_config(cross_attention_layers=3)).eval()
    text, image, mask = torch.randn(2, 7, 32), torch.randn(2, 5, 32), torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    states = text, image
    for layer in fusion.layers:
        states = layer(*states, mask)
    got = fusion(text, image, mask, text_tokens=wanted[0], image_tokens=wanted[1])
    for found, whole, number in zip(got, states, wanted, strict=True):
        assert torch.allclose(found, whole[:, :number], atol=1e-6)


def joint_map_as_printed(module: MultiscaleFeatures, levels: list[Tensor]) -> Tensor:
    """Eqs. 3 and 4 word for word: the levels are resized, joined and then convolved."""

    def joined(levels: list[Tensor], side: int) -> Tensor:
        finer = [level.shape[-1] > side for level in levels]
        return torch.cat(
            [
                F.adaptive_avg_pool2d(level, side) if fine else F.interpolate(level, side, mode="bilinear")
                for level, fine in zip(levels, finer, strict=True)
            ],
            dim=1,
        )

    low, high = joined(levels[:3], levels[1].shape[-1]), joined(levels[3:], levels[3].shape[-1])
    return torch.cat([module.low(low).relu(), module.high(high).relu()], dim=1) + high.mean(dim=1, keepdim=True)


# of a ResNet, of an Xception whose stem has no padding, and of a stem that is as fine as the level behind it
@pytest.mark.parametrize("sides", [(32, 16, 8, 4, 2), (109, 55, 28, 14, 7), (16, 16, 8, 4, 2)])
def test_the_joint_map_and_its_gradients_are_those_of_joined_levels(sides: tuple[int, ...]) -> None:
    channels = [4, 4, 8, 16, 32]
    module = MultiscaleFeatures(small_config(), channels)
    levels = [torch.randn(2, c, side, side, requires_grad=True) for c, side in zip(channels, sides, strict=True)]
    trained = [*levels, *module.low.parameters(), *module.high.parameters()]
    maps = [joint(levels) for joint in (module.joint_map, lambda levels: joint_map_as_printed(module, levels))]
    assert torch.allclose(maps[0], maps[1], atol=1e-5)
    weights = torch.randn_like(maps[0])
    for got, expected in zip(*(torch.autograd.grad((joint * weights).sum(), trained) for joint in maps), strict=True):
        assert torch.allclose(got, expected, atol=1e-5, rtol=1e-4)


def test_a_closed_gate_leaves_nothing_of_the_global_feature() -> None:
    module = MultiscaleFeatures(small_config(), [4, 4, 8, 16, 32])
    deepest, joint = torch.randn(2, 32, 2, 2), torch.randn(2, 32, 4, 4)
    torch.nn.init.constant_(module.salience.bias, -1e4)
    assert module.pooled_token(deepest, joint).abs().max() == 0
    torch.nn.init.constant_(module.salience.bias, 1e4)
    assert torch.allclose(module.pooled_token(deepest, joint), module.global_token(deepest.mean(dim=(2, 3))))


def test_the_gate_is_the_product_of_its_two_maps() -> None:
    module: Any = MultiscaleFeatures(small_config(), [4, 4, 8, 16, 32])
    with torch.no_grad():
        for weights in module.parameters():
            weights.zero_()
        module.main.bias.fill_(3.0)
        module.gate.bias.fill_(0.5)
        module.salience.weight[:, 0] = 1.0  # reads the first cell's product
        module.global_token.bias.fill_(2.0)
    got = module.pooled_token(torch.randn(2, 32, 2, 2), torch.randn(2, 32, 4, 4))
    assert got.flatten().tolist() == pytest.approx([2.0 / (1 + exp(-3.0 * 0.5))] * 64)


def test_both_directions_attend_to_the_layer_before() -> None:
    layer = CrossAttentionLayer(small_config()).eval()
    text, image = torch.randn(1, 3, 32), torch.randn(1, 5, 32)
    mask = torch.ones(1, 3, dtype=torch.bool)
    new_text, new_image = layer(text, image, mask)
    assert torch.allclose(new_text, layer.text_from_image(text, image, None))
    assert torch.allclose(new_image, layer.image_from_text(image, text, mask))


def test_padding_changes_no_output_without_cross_attention() -> None:
    model = FgmfnForSentiment(small_config(cross_attention_enabled=False, transformer_layers=2)).eval()
    inputs = batch(labels=False)
    padded = inputs | {
        "input_ids": torch.nn.functional.pad(inputs["input_ids"], (0, 6), value=3),
        "attention_mask": torch.nn.functional.pad(inputs["attention_mask"], (0, 6)),
    }
    with torch.no_grad():
        assert torch.allclose(model(**inputs).logits, model(**padded).logits, atol=1e-6)


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    model = FgmfnForSentiment(small_config(itc_alpha=0.7, mi_beta=0.3)).eval()
    output = model(**batch())
    expected = output.task_loss + 0.7 * output.itc_loss + 0.3 * output.mi_loss
    assert torch.allclose(output.loss, expected)


@pytest.mark.parametrize("name", FAMILY)
def test_the_task_loss_is_the_mean_negative_log_likelihood(name: str) -> None:
    model = model_class(name)(small_config()).eval()
    last = model.head.layers[-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([0.0, log(3.0)])  # probabilities 1/4 and 3/4, whatever is seen
    read = set(model.inputs.fields) | {"labels"}
    loss = model(**{field: values for field, values in batch().items() if field in read}).task_loss  # labels 0, 1, 0
    assert loss.item() == pytest.approx(-(2 * log(1 / 4) + log(3 / 4)) / 3)


@pytest.mark.parametrize("loss", ["itc_loss", "mi_loss"])
def test_contrast_and_mutual_information_look_at_what_is_not_fused_yet(loss: str) -> None:
    model = FgmfnForSentiment(small_config())
    model(**batch())[loss].backward()
    assert all(weight.grad is None for part in (model.fusion, model.head) for weight in part.parameters())
    for encoder in (model.text_encoder, model.image_encoder):
        assert any(weight.grad is not None and weight.grad.any() for weight in encoder.parameters())


def test_mixed_precision_gives_finite_losses_and_gradients() -> None:
    model = FgmfnForSentiment(small_config()).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**batch(), groups=torch.arange(9).reshape(3, 3))
    output.loss.backward()
    assert output.logits.dtype == torch.bfloat16
    for part in (output.loss, output.task_loss, output.itc_loss, output.mi_loss):
        assert part.dtype == torch.float32
        assert part.isfinite()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


def test_without_labels_there_are_logits_and_no_loss() -> None:
    output = FgmfnForSentiment(small_config()).eval()(**batch(labels=False))
    assert isinstance(output, SentimentOutput)
    assert output.logits is not None
    assert output.logits.shape == (3, 2)
    assert output.loss is None


@pytest.mark.parametrize(
    ("switch", "gone"),
    [
        ({"itc_alpha": 0.0}, "contrast"),
        ({"mi_beta": 0.0}, "mutual_information"),
        ({"msvf_enabled": False}, "visual_tokens.low"),
        ({"msvf_global_gate": False}, "visual_tokens.salience"),
        ({"cross_attention_enabled": False}, "fusion.layers.0.text_from_image"),
    ],
)
def test_an_ablation_removes_its_part_and_the_rest_still_learns(switch: dict[str, Any], gone: str) -> None:
    full, ablated = FgmfnForSentiment(small_config()), FgmfnForSentiment(small_config(**switch))
    assert any(name.startswith(gone) for name, _ in full.named_parameters())
    assert not any(name.startswith(gone) for name, _ in ablated.named_parameters())
    ablated(**batch()).loss.backward()
    without_gradient = [name for name, weight in ablated.named_parameters() if weight.grad is None]
    assert without_gradient == []


def test_without_its_parts_there_are_as_many_visual_tokens_and_six_transformer_layers() -> None:
    switched_off = FgmfnConfig(msvf_enabled=False, cross_attention_enabled=False)
    model: Any = on_meta_device(FgmfnForSentiment, switched_off)
    levels = model.image_encoder(torch.empty(1, 3, 224, 224, device="meta"))
    assert model.visual_tokens(levels).shape == (1, 50, 768)
    assert len(model.fusion.encoder.layers) == 6


def test_tied_directions_halve_the_fusion_and_feed_forward_enlarges_it() -> None:
    def fusion(**switch: bool) -> int:
        return parameter_counts(FgmfnForSentiment(small_config(**switch)).fusion)[0]

    assert 2 * fusion(cross_attention_tie_directions=True) == fusion()
    assert fusion(cross_attention_feed_forward=True) > 2 * fusion()


def test_the_papers_literal_head_bounds_every_logit() -> None:
    model = FgmfnForSentiment(small_config(head="paper")).eval()
    torch.nn.init.constant_(model.head.layers[1].bias, 50.0)
    assert model(**batch(labels=False)).logits.max().item() <= 1.0


def test_a_model_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown model 'textonly'; did you mean 'text_only'"):
        check_models(["fgmfn", "textonly"])


@pytest.mark.parametrize(
    ("backbone", "message"),
    [("resnet17", "no such model; near it: .*resnet"), ("vit_tiny_patch16_224", "feature levels")],
)
def test_a_backbone_that_does_not_fit_is_refused(backbone: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FgmfnForSentiment(small_config(backbone=backbone))


def test_pretrained_encoders_are_taken_from_local_paths(tmp_path: Path) -> None:
    config = small_config(
        pretrained=True, text_encoder=str(tmp_path / "bert"), backbone_weights=str(tmp_path / "resnet.pth")
    )
    BertModel(BertConfig(**config.text_config)).save_pretrained(tmp_path / "bert")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "resnet.pth")
    model: Any = FgmfnForSentiment(config)
    model.load_pretrained(None)
    stored = BertModel.from_pretrained(tmp_path / "bert")
    assert torch.equal(model.text_encoder.embeddings.word_embeddings.weight, stored.embeddings.word_embeddings.weight)
    weights = torch.load(tmp_path / "resnet.pth")
    assert torch.equal(model.image_encoder.backbone.state_dict()["conv1.0.weight"], weights["conv1.0.weight"])
    assert all("pooler" not in name for name, _ in model.named_parameters())


def test_a_text_encoder_saved_in_half_precision_is_trained_in_float32(tmp_path: Path) -> None:
    config = small_config(pretrained=True, text_encoder=str(tmp_path))
    BertModel(BertConfig(**config.text_config)).to(torch.bfloat16).save_pretrained(tmp_path)
    assert {weight.dtype for weight in load_text_encoder(config).parameters()} == {torch.float32}
    config.text_config = pretrained_text_config(str(tmp_path))
    assert {weight.dtype for weight in build_text_encoder(config).parameters()} == {torch.float32}


def test_missing_pretrained_weights_say_which_and_what_to_do(tmp_path: Path) -> None:
    text = FgmfnForSentiment(small_config(pretrained=True, text_encoder=str(tmp_path)))
    with pytest.raises(WeightsError, match=r"text encoder.*--from-scratch"):
        text.load_pretrained(None)
    image = model_class("image_only")(small_config(pretrained=True, backbone_weights=str(tmp_path / "none.pth")))
    with pytest.raises(WeightsError, match=r"none\.pth.*no such file"):
        image.load_pretrained(None)


def test_random_encoders_keep_their_own_initialisation() -> None:
    torch.manual_seed(3)
    spread = ImageEncoder(small_config()).backbone.state_dict()["layer4.0.conv1.weight"].std()
    torch.manual_seed(3)
    model = FgmfnForSentiment(small_config())
    assert torch.isclose(model.image_encoder.backbone.state_dict()["layer4.0.conv1.weight"].std(), spread)


# --- attention ---


def attentions(model: Any) -> int:
    """Calls of the fused attention in a forward pass of training."""
    with torch.profiler.profile() as profile:
        model.train()(**batch())
    return sum(event.count for event in profile.key_averages() if event.key == "aten::scaled_dot_product_attention")


def test_all_attention_is_the_fused_one() -> None:
    def model(**switch: Any) -> FgmfnForSentiment:
        return FgmfnForSentiment(small_config(text_config={"num_hidden_layers": 3}, **switch))

    assert attentions(model(cross_attention_layers=2)) == 3 + 2 * 2
    assert attentions(model(cross_attention_enabled=False, transformer_layers=4)) == 3 + 4


@pytest.mark.parametrize("name", STEPPED)
def test_every_encoder_that_knows_the_fused_attention_uses_it(name: str) -> None:
    encoders = [part for part in build(name).children() if isinstance(part, PreTrainedModel)]
    # LXMERT and a few others have attention of their own alone
    assert all(part.config._attn_implementation == "sdpa" for part in encoders if part._supports_sdpa)
