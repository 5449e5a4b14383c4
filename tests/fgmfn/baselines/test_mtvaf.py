"""MTVAF: a prefix mixed by gates, further words that padding does not move, and what is aligned with what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgmfn.baselines.mtvaf import (
    CHUNKS,
    MOST_FURTHER,
    MtvafConfig,
    VisualPrefix,
    cells_of,
    further_ids,
    further_mask,
)
from fgmfn.errors import ConfigError
from fgmfn.inputs import Sentence
from fgmfn.processing import train_tokenizer
from tests.fgmfn.models import TWEETS, batch_of, build, logits, tweet_split

CAPTIONS = ["a good dog [SEP] sad [SEP] NOW", "", "new shoes", ""]


def captioned(captions: list[str]) -> dict[str, Tensor]:
    rows = replace(tweet_split(), auxiliary=captions)
    return batch_of(build("mtvaf"), rows, [0, 1, 2, 3])


def sentence(auxiliary: str) -> Sentence:
    return Sentence("", "", auxiliary, [], [], (0, 0))


def test_the_paper_s_prefix_has_sixteen_positions_in_each_of_twelve_layers() -> None:
    assert MtvafConfig().crops == 3
    prefix: Any = VisualPrefix(channels=3840, width=2, d=4, layers=12)
    stages = [torch.randn(8, size, side, side) for size, side in ((256, 8), (512, 4), (1024, 2), (2048, 2))]
    layers = prefix(cells_of(stages).unflatten(0, (2, 4)))
    assert len(layers) == 12
    assert {(key.shape, value.shape) for key, value in layers} == {((2, 16, 4), (2, 16, 4))}


def test_a_gate_mixes_the_chunks_of_its_own_layer() -> None:
    prefix: Any = VisualPrefix(channels=2, width=3, d=1, layers=2)
    stage = torch.randn(2, 2, 4, 4)
    with torch.no_grad():
        for gate in prefix.gates:
            gate.weight.zero_()
        prefix.gates[0].bias.copy_(torch.tensor([0.0, 1e4, 0.0, 0.0]))
        prefix.gates[1].bias.zero_()
        (first_key, first_value), (_, second_value) = prefix(cells_of([stage])[None])
        cells = F.adaptive_avg_pool2d(stage, 2).flatten(2).transpose(1, 2).reshape(8, 2)
        chunks = prefix.chunks(cells).reshape(8, CHUNKS, 2)
    assert torch.allclose(first_key[0, :, 0], chunks[:, 1, 0])
    assert torch.allclose(first_value[0, :, 0], chunks[:, 1, 1])
    assert torch.allclose(second_value[0, :, 0], chunks[:, :, 1].mean(dim=1))


def test_a_gate_looks_at_its_own_picture_alone() -> None:
    prefix: Any = VisualPrefix(channels=2, width=3, d=1, layers=1)
    with torch.no_grad():
        prefix.gates[0].weight.mul_(5.0)
        cells = 5 * torch.randn(3, 2, 4, 2)
        ((_, whole),) = prefix(cells)
        parts = [prefix(cells[row : row + 1, crop : crop + 1])[0][1] for row in range(3) for crop in range(2)]
    assert torch.allclose(whole, torch.cat(parts).reshape(3, 8, 1), atol=1e-5)


def test_a_prefix_that_holds_a_layer_s_own_keys_changes_nothing() -> None:
    model = build("mtvaf").eval()
    batch = captioned([""] * 4)
    ids, mask, segments = (batch[name][:1] for name in ("input_ids", "attention_mask", "token_type_ids"))
    ids, mask, segments = (values[:, : int(mask.sum())] for values in (ids, mask, segments))
    with torch.no_grad():
        embedded = model.text_encoder.embeddings(input_ids=ids, token_type_ids=segments)
        attention = model.text_encoder.encoder.layer[0].attention.self
        own = [(attention.key(embedded), attention.value(embedded))]
        bare = model.text_encoder(input_ids=ids, token_type_ids=segments).last_hidden_state
        assert torch.allclose(model.read(ids, mask, segments, own), model.classifier(bare[:, 0]), atol=1e-5)


def test_the_picture_reaches_the_logits_through_the_prefix_alone() -> None:
    model, batch = build("mtvaf"), captioned([""] * 4)
    other = batch | {"pixel_values": batch["pixel_values"].flip(-1)}
    assert not torch.allclose(logits(model, batch), logits(model, other))
    with torch.no_grad():
        for gate in model.prefix.gates:
            gate.weight.zero_()
        model.prefix.chunks[2].weight.zero_()
    assert torch.allclose(logits(model, batch), logits(model, other))


def test_parts_of_the_further_words_end_with_a_separator() -> None:
    tokenizer = train_tokenizer([*TWEETS, *CAPTIONS], 100)
    spelled = tokenizer.convert_ids_to_tokens(further_ids(sentence(" sad [SEP][SEP] gone now "), tokenizer))
    assert "".join(spelled).replace("##", "") == "sad[SEP]gonenow[SEP]"
    assert further_ids(sentence(" [SEP] "), tokenizer).dtype == np.int64
    assert further_mask(sentence(""), tokenizer).size == 0


@pytest.mark.parametrize("hostile", ["good " * 50_000, "x" * 100_000, "\0‮ [SEP]" * 9_000, "[SEP]" * 9_000])
def test_further_words_of_any_length_are_cut(hostile: str) -> None:
    tokenizer = train_tokenizer([*TWEETS], 100)
    assert len(further_ids(sentence(hostile), tokenizer)) <= MOST_FURTHER


def test_padding_between_the_sentence_and_its_further_words_changes_nothing() -> None:
    model, rows = build("mtvaf"), replace(tweet_split(), auxiliary=CAPTIONS)
    bare, padded = (logits(model, batch_of(model, rows, [0, 1, 2, 3], extra)) for extra in (0, 7))
    assert torch.allclose(bare, padded, atol=1e-5)
    without = logits(model, batch_of(model, tweet_split(), [0, 1, 2, 3]))
    assert torch.allclose(bare[1], without[1], atol=1e-5)
    assert not torch.allclose(bare[0], without[0], atol=1e-5)


def test_further_words_beyond_the_encoder_s_positions_are_not_read() -> None:
    model = build("mtvaf")
    long, longer = (logits(model, captioned(["good " * count, "", "", ""])) for count in (20, 40))
    assert torch.isfinite(long).all()
    assert torch.allclose(long, longer, atol=1e-5)


def outspoken() -> Any:
    """A model whose probabilities differ enough that a divergence can be told from its reverse."""
    model = build("mtvaf").eval()
    with torch.no_grad():
        model.text_encoder.encoder.layer[0].attention.self.value.weight.mul_(20.0)
        model.text_encoder.encoder.layer[0].attention.output.dense.weight.mul_(20.0)
    return model


def losses(captions: list[str], **settings: Any) -> tuple[Tensor, Tensor]:
    model = outspoken()
    for name, value in settings.items():
        setattr(model.config, name, value)
    batch = captioned(captions)
    output = model(**{name: value for name, value in batch.items() if name != "groups"})
    return output.loss, output.task_loss


def test_rows_without_further_words_have_nothing_to_be_aligned() -> None:
    alone, task = losses([""] * 4)
    assert torch.equal(alone, task)
    both, task = losses(CAPTIONS)
    assert both > task


def test_the_alignment_is_the_divergence_from_what_the_words_alone_say() -> None:
    rich, plain = (logits(outspoken(), captioned(captions)) for captions in (CAPTIONS, [""] * 4))
    rows = [0, 2]
    p, q = rich[rows].softmax(dim=-1), plain[rows].softmax(dim=-1)
    expected, reverse = ((one * (one / two).log()).sum(dim=-1).mean() for one, two in ((p, q), (q, p)))
    assert not torch.allclose(expected, reverse, rtol=1e-2)
    (weighed, _), (unweighed, _) = losses(CAPTIONS, alignment_weight=1.0), losses(CAPTIONS, alignment_weight=0.0)
    assert torch.allclose(weighed - unweighed, expected, rtol=1e-3)


def test_another_kind_of_text_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="roberta"):
        MtvafConfig(text_config={"model_type": "roberta"})
    with pytest.raises(ConfigError, match="crops"):
        MtvafConfig(crops=5)


def test_what_is_kept_of_its_pictures_is_never_taken_for_another_models() -> None:
    """The same backbone over the same pictures: FGMFN keeps levels of whole ones, MTVAF cells of several crops."""
    models = (build("fgmfn"), build("mtvaf"), build("mtvaf", crops=1))
    kinds = [model.encoding("pixel_values") for model in models]
    assert all(kinds.count(each) == 1 for each in kinds)
