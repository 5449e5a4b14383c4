"""`transformers.pipeline("ad-sentiment", model=run)`: trained models as transformers' pipelines are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import Pipeline

from fgmfn.baselines import model_of_class
from fgmfn.checkpoints import Checkpoint, read_calibration, trained_on_targets, write_calibration
from fgmfn.errors import InputError
from fgmfn.images import as_pictures, several
from fgmfn.inference import Prediction, predict
from fgmfn.processing import counted, texts_of

TASK = "ad-sentiment"
FIELDS = ("text", "image", "target", "auxiliary")


class SentimentPipeline(Pipeline):
    """Classifies ads, each a dictionary of `text`, `image`, `target` and `auxiliary`, as far as the model reads them.

    An ad may also be a text alone, or a picture alone. The result of each is a list of `label` and `score`, the
    likeliest first.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        model: Any = self.model.eval()
        path = Path(model.name_or_path or ".")
        name = model_of_class(type(model).__name__) or type(model).__name__
        reads, has_targets = self.processor.reads or {}, trained_on_targets(path)
        if has_targets is None:
            has_targets = reads.get("has_targets")
        words = reads.get("words", "text")
        self._checkpoint = Checkpoint(
            path, name, model, self.processor, None, has_targets, words, calibration=read_calibration(path)
        )

    def _sanitize_parameters(self, top_k: int | None = None, **unknown: Any) -> tuple[Any, Any, Any]:
        """Sort the options of a call by the step that takes them.

        Raises:
            TypeError: There is no such option.
        """
        if unknown:
            raise TypeError(
                f"{TASK} knows no option {', '.join(unknown)}; it has top_k, batch_size and the ads' fields"
            )
        return {}, {}, {} if top_k is None else {"top_k": counted(top_k=top_k)}

    def __call__(
        self,
        inputs: Any = None,
        *,
        text: str | Sequence[str] | None = None,
        images: Any = None,
        targets: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Classify one ad or several, given as ads or, like a processor's, as texts and images.

        Args:
            inputs: an ad; or several in a list, or in a generator, a dataset or anything else that gives them one by
                one and whose results come so, too.
            text: one text or several, in place of `inputs`.
            images: one picture or several that belong to them.
            targets: what each text is about.
            options: `top_k` keeps so many classes; `batch_size`.

        Raises:
            InputError: Something given is no ad, or the model needs more of it.
        """
        counted(batch_size=options.get("batch_size", self._batch_size or 1))
        fields = {"text": text, "image": images, "target": targets}
        fields = {name: value for name, value in fields.items() if value is not None}
        if (inputs is None) == (not fields):
            raise InputError("expected either ads, or text and images")
        if not fields:
            if several(inputs):  # transformers accepts only lists, generators and PyTorch's datasets
                inputs = list(inputs) if isinstance(inputs, list | tuple) else (ad for ad in inputs)
            return super().__call__(inputs, **options) if inputs != [] else []
        if "image" in fields:
            fields["image"] = as_pictures(images)
        single = isinstance(text, str) or (text is None and len(fields["image"]) == 1 and not isinstance(images, list))
        columns = {
            name: list(value) if name == "image" else texts_of(**{name: value}) for name, value in fields.items()
        }
        if len({len(values) for values in columns.values()}) > 1:
            raise InputError(
                f"{', '.join(f'{len(values)} {name}' for name, values in columns.items())}; as many of each"
            )
        ads = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return super().__call__(ads[0] if single else ads, **options)

    def preprocess(self, input_: Any, **_: Any) -> dict[str, Any]:
        """Return an ad's fields, its picture read."""
        if isinstance(input_, Mapping):
            ad = dict(input_)
        else:
            ad = {
                "text" if isinstance(input_, str) and "text" in self._checkpoint.model.modalities else "image": input_
            }
        if unknown := set(ad) - set(FIELDS):
            raise InputError(f"an ad with {', '.join(sorted(map(str, unknown)))}; it may hold {', '.join(FIELDS)}")
        for field in ("text", "target", "auxiliary"):
            if not isinstance(ad.get(field), str | None):
                raise InputError(f"an ad whose {field} is a {type(ad[field]).__name__}; expected a str")
        if ad.get("image") is not None:
            (ad["image"],) = as_pictures(ad["image"])
        return ad

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Classify one ad."""
        return {"prediction": self._predict([input_tensors])[0]}

    def postprocess(self, model_outputs: dict[str, Any], top_k: int | None = None, **_: Any) -> list[dict[str, Any]]:
        """Return labels and scores, the likeliest first."""
        shares = model_outputs["prediction"].probabilities.items()
        ordered = sorted(shares, key=lambda share: -share[1])
        return [{"label": label, "score": score} for label, score in ordered[:top_k]]

    def save_pretrained(self, save_directory: str | PathLike[str], **options: Any) -> None:
        """Save the model, its processor and its calibration, which together say the same when they are loaded again.

        Args:
            save_directory: the folder.
            options: of the `save_pretrained` of both, such as `with_code`.
        """
        for part in (self.model, self.processor):
            part.save_pretrained(save_directory, **options)
        if self._checkpoint.calibration is not None:
            write_calibration(Path(save_directory), self._checkpoint.calibration)

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> Iterator[Any]:
        """Classify many ads, a batch at a time; texts of a batch are padded as in training."""
        ads = map(self.preprocess, inputs)
        while batch := list(islice(ads, batch_size)):
            for prediction in self._predict(batch):
                yield self.postprocess({"prediction": prediction}, **postprocess_params)

    def _predict(self, ads: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        columns = {name: [ad[name] for ad in ads if ad.get(name) is not None] for name in FIELDS}
        if "text" not in self._checkpoint.model.modalities or self._checkpoint.words == "auxiliary":
            columns["text"] = [ad.get("text") or "" for ad in ads]
        for name, values in columns.items():
            if values and len(values) != len(ads):
                raise InputError(f"{len(values)} of {len(ads)} ads have {name}; either all or none")
        if not columns["text"]:
            raise InputError(f"{self._checkpoint.name} reads words; give each ad its text")
        further = (columns["target"] or None, columns["auxiliary"] or None)
        return predict(self._checkpoint, columns["image"], columns["text"], *further)
