"""ViLBERT: what a stream reads of the other, in which order, and what stands for the whole picture."""

from __future__ import annotations

import pytest
import torch

from fgmfn.baselines.vilbert import Exchange, Reading, RegionEmbedding, VilbertConfig
from fgmfn.errors import ConfigError
from tests.fgmfn.models import TINY, build


@pytest.fixture
def config() -> VilbertConfig:
    return VilbertConfig(**TINY["vilbert"].settings, num_labels=3)


def test_a_stream_reads_another_of_another_width_head_by_head(config: VilbertConfig) -> None:
    reading = Reading(32, 20, config, 40).eval()
    states, context = torch.randn(2, 3, 32), torch.randn(2, 4, 20)
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    query, key, value = reading.query(states), reading.key(context), reading.value(context)
    heads = []
    for part in (slice(0, 24), slice(24, 48)):  # 48 wide inside, 2 heads
        scores = query[..., part] @ key[..., part].transpose(1, 2) / 24**0.5
        heads.append(scores.masked_fill(~mask[:, None], float("-inf")).softmax(dim=-1) @ value[..., part])
    read = reading.norm(states + reading.output(torch.cat(heads, dim=-1)))
    expected = reading.last_norm(read + reading.feed_forward(read))
    assert torch.allclose(reading(states, context, mask), expected, atol=1e-5)


def test_in_an_exchange_both_streams_read_what_the_other_one_was_before(config: VilbertConfig) -> None:
    exchange = Exchange(config).eval()
    text, image, mask = torch.randn(2, 3, 32), torch.randn(2, 5, 48), torch.ones(2, 3, dtype=torch.bool)
    new_text, new_image = exchange(text, image, mask)
    assert torch.equal(new_text, exchange.text_from_image(text, image))
    assert torch.equal(new_image, exchange.image_from_text(image, text, mask))


def test_the_first_region_is_the_mean_of_all_and_lies_everywhere(config: VilbertConfig) -> None:
    embedding = RegionEmbedding(6, config).eval()
    regions = torch.randn(2, 4, 6)
    whole = embedding.shown(regions.mean(dim=1)) + embedding.place(torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0]))
    last = embedding.shown(regions[:, 3]) + embedding.place(torch.tensor([0.5, 0.5, 1.0, 1.0, 0.25]))
    states = embedding(regions)
    assert states.shape == (2, 5, 48)
    assert torch.allclose(states[:, 0], embedding.norm(whole), atol=1e-6)
    assert torch.allclose(states[:, 4], embedding.norm(last), atol=1e-6)


def test_words_are_read_alone_first_and_an_exchange_comes_before_its_two_layers() -> None:
    model = build("vilbert").eval()
    pixels, ids, mask = torch.randn(2, 3, 64, 64), torch.randint(5, 50, (2, 6)), torch.ones(2, 6, dtype=torch.long)
    types = torch.zeros_like(ids)
    text = model.text_encoder.embeddings(input_ids=ids, token_type_ids=types)
    image = model.region_embedding(model.image_encoder.regions(pixels))
    first, second, third = model.text_encoder.encoder.layer
    text, image = model.exchanges[0](first(text), image, mask.bool())
    text, image = model.exchanges[1](second(text), model.visual_layers[0](image, image), mask.bool())
    text, image = third(text), model.visual_layers[1](image, image)
    seen_text, seen_image = model.streams(pixels, ids, mask, types)
    assert torch.allclose(seen_text, text, atol=1e-5)
    assert torch.allclose(seen_image, image, atol=1e-5)


def test_the_heads_weights_are_a_direction_and_a_length_of_their_own() -> None:
    layer = build("vilbert").head[0]
    lengths = layer.parametrizations.weight.original0
    assert torch.allclose(layer.weight.norm(dim=1, keepdim=True), lengths, atol=1e-5)
    with torch.no_grad():
        layer.parametrizations.weight.original1.mul_(7)
    assert torch.allclose(layer.weight.norm(dim=1, keepdim=True), lengths, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("visual_layers", 4),
        ("visual_layers", 0),
        ("visual_heads", 5),
        ("layer_dropout", 1.0),
        ("text_config", {"model_type": "roberta"}),
    ],
)
def test_streams_that_do_not_fit_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError):
        VilbertConfig(**TINY["vilbert"].settings | {name: value})
