"""Comparison of explanation methods: occlusion, gradients and attention under the same deletion test.

For rows of pictures and words, each method ranks the words and the regions. The parts that it ranks first are removed,
and for comparison as many at random (`fgmfn/deletion.py`). The model is an FGMFN with cross-attention:

    python -m benchmarks.explaining RUN --data image_text --images image_text/pictures --rows 40
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fgmfn.data import Collator, Rows, SplitDataset, open_source
from fgmfn.data.overlap import linked
from fgmfn.deletion import deleted
from fgmfn.explaining import Explainer
from fgmfn.explanations import Explanation
from fgmfn.inference import Predictor
from fgmfn.occlusion import picture_of, rows_without_words, words_of
from fgmfn.settings import SourceSettings

Weights = Sequence[float | None]


class Ways:
    """Methods that rank the words and regions of a row, for one model.

    Args:
        predictor: of an FGMFN with cross-attention, whose processor letterboxes pictures.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.explainer = Explainer(predictor)
        self._model: Any = predictor.checkpoint.model
        self._processor: Any = predictor.checkpoint.processor

    def cut_out(self, row: Rows, one: Explanation) -> Weights:
        """Occlusion by cutting a word out of the text in place of masks."""
        keys = list(dict.fromkeys(effect.word.key for effect in one.words if effect.points is not None))
        sets = [[e.word for e in one.words if e.points is not None and e.word.key == key] for key in keys]
        if not sets:
            return [None] * len(one.words)
        left = self.explainer.answers(rows_without_words(row, 0, sets, None))
        falls = dict(zip(keys, one.probability - left[:, self.explainer.number_of(one.label)], strict=True))
        return [None if e.points is None else float(falls[e.word.key]) for e in one.words]

    def word_gradients(self, row: Rows, one: Explanation) -> Weights:
        """Gradients x input on the word pieces' vectors."""
        pieces = self._gradients(row, one, self._model.text_encoder.get_input_embeddings())
        (offsets,) = self._processor.tokenize([row.text[0]], offsets=True)["offset_mapping"]
        by_key: dict[str, float] = {}
        for word in words_of(row, 0, self._processor, self._model.inputs):
            own = [at for at, (start, end) in enumerate(offsets) if start < word.end and word.start < end]
            by_key[word.key] = by_key.get(word.key, 0.0) + float(sum(pieces[at] for at in own))
        return [None if effect.points is None else by_key[effect.word.key] for effect in one.words]

    def token_gradients(self, row: Rows, one: Explanation) -> Weights:
        """Gradients x input on the visual tokens; a frozen backbone lets none through to the pixels."""
        return self._by_region(row, one, self._gradients(row, one, self._model.visual_tokens)[1:])

    def attention(self, row: Rows, one: Explanation) -> Weights:
        """Attention of the last layer from the fused words to the regions, in the mean over words and heads."""
        read: list[torch.Tensor] = []
        layer = self._model.fusion.layers[-1].text_from_image.attention

        def keep(_: Any, given: Any, __: Any) -> None:
            with torch.no_grad():
                query, key, _value = given
                weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
                shape = (layer.num_heads, layer.head_dim)
                asking = torch.nn.functional.linear(query, weights[0], biases[0]).unflatten(-1, shape)
                asked = torch.nn.functional.linear(key, weights[1], biases[1]).unflatten(-1, shape)
                scores = torch.einsum("bqhd,bkhd->bhqk", asking, asked) / layer.head_dim**0.5
                read.append(scores.softmax(dim=-1).mean(dim=1))

        hook = layer.register_forward_pre_hook(keep, with_kwargs=True)
        self.explainer.answers(row)
        hook.remove()
        return self._by_region(row, one, read[0][0].mean(dim=0)[1:])

    def _gradients(self, row: Rows, one: Explanation, part: torch.nn.Module) -> torch.Tensor:
        """Gradients x input on what a part gives, summed over its width, [tokens]."""
        dataset = SplitDataset(row, self._processor, self._model.inputs)
        batch = Collator(self._processor, self._model.inputs)([dataset[0]])
        kept: list[torch.Tensor] = []

        def keep(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
            kept.append(output.detach().requires_grad_())
            return kept[-1]

        hook = part.register_forward_hook(keep)
        fields = {name: values for name, values in batch.items() if name not in ("labels", "groups")}
        with torch.enable_grad():
            logits = self._model(**fields).logits[0]
            logits.log_softmax(dim=0)[self.explainer.number_of(one.label)].backward()
        hook.remove()
        self._model.zero_grad()
        gradient = kept[0].grad
        assert gradient is not None
        return (gradient * kept[0]).sum(dim=-1)[0].detach()

    def _by_region(self, row: Rows, one: Explanation, tokens: torch.Tensor) -> Weights:
        """Sum what lies behind each region in the square that the model sees.

        Args:
            row: one.
            one: its explanation.
            tokens: weights of the visual tokens, row by row, without the global one that stands first.
        """
        cells, side = round(len(tokens) ** 0.5), self._processor.image_size
        square = torch.nn.functional.interpolate(tokens.view(1, 1, cells, cells), size=(side, side))[0, 0]
        width, height = self._processor.shrunk(picture_of(row, 0)).size
        left, top = round((side - width) / 2), round((side - height) / 2)
        shown = square[top : top + height, left : left + width]
        boxes = [effect.box.within((width, height)) for effect in one.regions]
        return [float(shown[up:down, near:far].sum()) for near, up, far, down in boxes]


def main() -> None:
    """Print the fall of the answer's probability under each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--ways", nargs="*", help="names of ways; unset: all")
    options = parser.parse_args()
    source = open_source(options.data, SourceSettings(images=options.images))
    rows = source.splits[options.split]
    drawn = np.random.default_rng(0).permutation(len(rows))[: options.rows]
    rows = rows.take(sorted(map(int, drawn)))
    ways = Ways(Predictor.open(options.run))
    single = [rows.take([row]) for row in range(len(rows))]
    explained = [(row, ways.explainer.explain_rows(row)[0]) for row in tqdm(single, desc="rows", unit="row")]
    passes = np.mean([one.passes for _, one in explained])
    print(f"{len(rows)} rows, {passes:.0f} forward passes each")
    nothing: Callable[[Rows, Explanation], Weights] = lambda _, one: [None] * len(one.words)  # noqa: E731
    no_region: Callable[[Rows, Explanation], Weights] = lambda _, one: [None] * len(one.regions)  # noqa: E731
    of_words = {"gradients x input": ways.word_gradients, "occlusion, cut out": ways.cut_out}
    of_regions = {"gradients x input": ways.token_gradients, "attention": ways.attention}
    kinds: list[tuple[str, dict[str, Any]]] = [("occlusion", {})]
    kinds += [(name, {"words": way, "regions": no_region}) for name, way in of_words.items()]
    kinds += [(name, {"words": nothing, "regions": way}) for name, way in of_regions.items()]
    kinds = [kind for kind in kinds if not options.ways or kind[0] in options.ways]
    for name, given in tqdm(kinds, desc="ways", unit="way"):
        for one in deleted(ways.explainer, explained, linked(rows, grouped=True), **given):
            print(f"{name}: {one}", flush=True)


if __name__ == "__main__":
    main()
