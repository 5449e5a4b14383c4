"""Explanations: what decides is named first, where it stands, and what the model never saw is marked."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fgmfn.baselines import MODELS
from fgmfn.configuration import SentimentConfig
from fgmfn.data import Rows, Source, open_release, open_source
from fgmfn.data.batches import encode_words
from fgmfn.data.rows import given_rows
from fgmfn.deletion import deleted, deletion_test
from fgmfn.explaining import Explainer
from fgmfn.explanation_page import explanation_section, explanations_page
from fgmfn.explanations import AdExplanation, Explanation
from fgmfn.inference import Checkpoint, Predictor, load_checkpoint
from fgmfn.inputs import Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.neighbours import INDEX, open_index
from fgmfn.occlusion import boxes_of, grid_of, mask_of, rows_without_words, words_of
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.models import ad_split, build, processor_for, tweet_split
from tests.fgmfn.releases import small_release
from tests.fgmfn.test_inference import checkpoint

# --- a model whose every answer is known: red and one word speak for positive, another word against it ---

SIDE = 64
GREY = (124, 116, 104)
RED = (255, 0, 0)
PRAISE, BLAME = "wonderful", "terrible"
TEXTS = ["wonderful terrible new shoes today at the shop now or never so good to be home again"]


class Planted(Baseline):
    """Logits that follow the share of red and two words, and nothing else."""

    modalities: ClassVar[tuple[str, ...]] = ("text", "image")
    inputs = Inputs(("pixel_values", "input_ids", "attention_mask"))

    def __init__(self, config: SentimentConfig) -> None:
        super().__init__(config)
        self.head = torch.nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([[-1.0], [1.0]])
        self.words: dict[int, float] = {}
        self.post_init()

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> SentimentOutput:
        red = (pixel_values[:, 0] - pixel_values[:, 1] - 0.1).clamp(min=0).mean(dim=(1, 2))
        said = sum(weight * (input_ids == number).any(dim=1).float() for number, weight in self.words.items())
        return SentimentOutput(logits=self.head((9 * red + said).unsqueeze(1)))


@cache
def planted(fit: str | None = "letterbox", *, max_tokens: int = 32, **options: Any) -> Explainer:
    """An explainer of that model, whose processor fits pictures in some way."""
    tokenizer = train_tokenizer(TEXTS, 200)
    model = Planted(SentimentConfig(num_labels=2, id2label={0: "negative", 1: "positive"})).eval()
    model.words = {tokenizer.convert_tokens_to_ids(PRAISE): 1.5, tokenizer.convert_tokens_to_ids(BLAME): -0.7}
    model.config.image_size = SIDE
    crop_share = 0.8 if fit == "crop" else 1.0
    processor = FgmfnProcessor(
        image_processor(model.config), tokenizer, max_tokens=max_tokens, fit=fit, crop_share=crop_share
    )
    return Explainer(Predictor(Checkpoint(Path("planted"), "planted", model, processor, "rows", False)), **options)


def explain(explainer: Explainer, picture: Image.Image, text: str) -> Explanation:
    return explainer.explain_rows(given_rows([picture], [text], None, None, has_targets=False))[0]


@given(st.sampled_from([(256, 64), (64, 256), (160, 160), (200, 150)]), st.floats(0.15, 0.85), st.floats(0.15, 0.85))
@example((256, 64), 0.15, 0.5)
@example((64, 256), 0.5, 0.85)
@settings(max_examples=6)
@pytest.mark.parametrize("fit", ["letterbox", "squash", "crop", None])
def test_the_region_that_counts_lies_where_the_patch_lies_in_the_picture_as_it_is(
    fit: str | None, size: tuple[int, int], across: float, down: float
) -> None:
    side = min(size) // 5
    left, top = round(across * (size[0] - side)), round(down * (size[1] - side))
    picture = Image.new("RGB", size, GREY)
    picture.paste(RED, (left, top, left + side, top + side))
    found = explain(planted(fit, cells=30), picture, "")
    patch = (left / size[0], top / size[1], (left + side) / size[0], (top + side) / size[1])

    def covers(box: Any) -> float:
        wide = min(box.right, patch[2]) - max(box.left, patch[0])
        high = min(box.bottom, patch[3]) - max(box.top, patch[1])
        return max(0.0, wide) * max(0.0, high)

    seen = [one for one in found.regions if one.points is not None]
    strongest = max(seen, key=lambda one: one.points or 0)
    if fit in ("letterbox", "squash"):
        assert len(seen) == len(found.regions)
        assert (strongest.points or 0) > 0.01
    if (strongest.points or 0) > 0.01:
        assert covers(strongest.box) > 0.4 * max(covers(one.box) for one in seen)
    # beyond the patch nothing counts but the seam that the filter blurs
    margin = 0.1
    away = [one for one in seen if not (
        one.box.left - margin < patch[2] and patch[0] < one.box.right + margin
        and one.box.top - margin < patch[3] and patch[1] < one.box.bottom + margin)]  # fmt: skip
    assert all(abs(one.points or 0) < 2e-3 for one in away)


@pytest.mark.parametrize("size", [(256, 64), (64, 256)])
@pytest.mark.parametrize("fit", ["crop", None])
def test_a_region_that_is_cut_off_is_marked_as_not_shown(fit: str, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, GREY)
    picture.paste(RED, (0, 0, 32, 32))  # at an end that the model is not shown
    found = explain(planted(fit), picture, "")
    unseen = [one for one in found.regions if one.points is None]
    assert unseen
    assert all(one.box.left == 0 or one.box.right == 1 or one.box.top == 0 or one.box.bottom == 1 for one in unseen[:1])
    assert all(abs(one.points) < 1e-6 for one in found.regions if one.points is not None)
    assert found.passes == 1 + 3 + len(found.regions) - len(unseen)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 64))
def test_regions_cover_every_picture_once_and_turn_with_it(width: int, height: int, cells: int) -> None:
    columns, rows = grid_of(width, height, cells)
    assert width == height or grid_of(height, width, cells) == (rows, columns)
    assert 1 <= columns <= width
    assert 1 <= rows <= height
    assert columns * rows <= 2 * cells
    painted = np.zeros((height if height < 80 else 79, width if width < 80 else 79), dtype=int)
    if (columns, rows) == grid_of(painted.shape[1], painted.shape[0], cells):
        for box in boxes_of(columns, rows):
            left, top, right, bottom = box.within((painted.shape[1], painted.shape[0]))
            painted[top:bottom, left:right] += 1
        assert (painted == 1).all()


# --- words ---


def points_of(found: Explanation) -> dict[str, float | None]:
    return {one.word.text: one.points for one in found.words}


BLANK = Image.new("RGB", (SIDE, SIDE), GREY)


def test_the_words_that_decide_are_named_with_their_side() -> None:
    found = explain(planted(), BLANK, "new shoes wonderful today terrible at home")
    assert found.label == "positive"
    assert [one.word.text for one in found.top_words] == ["wonderful", "terrible"]
    points = points_of(found)
    sigma = [1 / (1 + np.exp(-2 * score)) for score in (0.8, -0.7, 1.5)]
    assert points["wonderful"] == pytest.approx(sigma[0] - sigma[1], abs=1e-5)
    assert points["terrible"] == pytest.approx(sigma[0] - sigma[2], abs=1e-5)
    assert {points[word] for word in ("new", "shoes", "today", "at", "home")} == {0.0}
    assert found.modalities.words_alone == pytest.approx(sigma[0], abs=1e-5)
    assert found.modalities.picture_alone == found.modalities.neither == pytest.approx(0.5, abs=1e-3)


def test_a_word_that_stands_several_times_counts_once_and_is_taken_away_everywhere() -> None:
    found = explain(planted(), BLANK, "Wonderful shoes wonderful, WONDERFUL! (wonderful)")
    effects = [one for one in found.words if one.word.key == "wonderful"]
    assert len(effects) == 4
    assert len({one.points for one in effects}) == 1
    assert (effects[0].points or 0) > 0.4
    assert [one.word.text for one in found.top_words] == ["Wonderful"]
    assert found.passes == 1 + 2 + len(found.regions) + 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n ", []),
        ("wonderful", ["wonderful"]),
        ("wonderful\u200d", ["wonderful\u200d"]),
        ("so 👨‍👩‍👧 wonderful 🇩🇪🇫🇷 ❤️", ["so", "👨‍👩‍👧", "wonderful", "🇩🇪🇫🇷", "❤️"]),
        ("שלום wonderful עולם", ["שלום", "wonderful", "עולם"]),
        ("我爱 wonderful", ["我", "爱", "wonderful"]),
        ("so\nwonderful  home", ["so", "wonderful", "home"]),
    ],
)
def test_words_stand_in_their_order_as_they_are_written(text: str, words: list[str]) -> None:
    found = explain(planted(), BLANK, text)
    assert [one.word.text for one in found.words] == words
    assert all(text[one.word.start : one.word.end] == one.word.text for one in found.words)
    if "wonderful" in text:
        assert found.top_words[0].word.text.startswith("wonderful")
        assert len(found.top_words) == 1
    if not words:
        assert found.left_out["words"] == "the text is empty"
        assert len(found.regions) == 49


def test_words_that_are_cut_off_are_marked_and_do_not_come_into_view() -> None:
    front = "so goodness homeward wonderful at the"  # words of several pieces among them
    pieces = len(train_tokenizer(TEXTS, 200).tokenize(front))
    assert pieces > len(front.split()) + 2
    text = f"{front} terrible again terrible"
    reads_all, reads_some = explain(planted(), BLANK, text), explain(planted(max_tokens=pieces + 2), BLANK, text)
    assert all(one.word.read for one in reads_all.words)
    assert [one.word.text for one in reads_some.words if not one.word.read] == ["terrible", "again", "terrible"]
    assert all((one.points is None) != one.word.read for one in reads_some.words)
    assert (points_of(reads_all)["terrible"] or 0) < 0
    # the word behind the last one that is read would count against the answer if it came into view
    assert [one.word.text for one in reads_some.top_words] == ["wonderful"]


@pytest.mark.parametrize("name", [name for name in STEPPED if "text" in MODELS[name].modalities])
def test_a_word_is_masked_and_nothing_else_of_any_models_text(name: str) -> None:
    model = build(name)
    processor, inputs = processor_for(model), model.inputs
    mask = mask_of(processor)
    number = processor.tokenizer.convert_tokens_to_ids(mask)
    for rows in (ad_split(), tweet_split()):
        for row in range(len(rows)):
            words = [one for one in words_of(rows, row, processor, inputs) if one.read and not one.target]
            (whole,) = encode_words(rows.take([row]), processor, inputs)
            changed = rows_without_words(rows, row, [[one] for one in words], mask)
            for word, example_ in zip(words, encode_words(changed, processor, inputs), strict=True):
                if "input_ids" not in whole:
                    continue
                before, after = list(map(int, whole["input_ids"])), list(map(int, example_["input_ids"]))
                assert len(before) == len(after)
                places = [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
                assert {after[place] for place in places} <= {number}
                assert len(places) == word.pieces or before.count(number) > 0
                assert whole.get("target_span") == example_.get("target_span")
            assert bool(words) == inputs.sentences
            if rows.has_targets and inputs.sentences:
                about = [one.text for one in words_of(rows, row, processor, inputs) if one.target]
                assert " ".join(about) == rows.target[row]


# --- every kind of model ---


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_explained_and_asked_as_often_as_it_says(name: str) -> None:
    rows = tweet_split() if name in ("esafn", "tombert", "mtvaf", "fgmfn", "tfidf") else ad_split()
    loaded = checkpoint(name, rows, rows.has_targets)
    source = Source("data", Path("data"), "rows", loaded.class_names, {"train": rows.take([0, 1, 2])})
    index = open_index(loaded, source, progress=False)
    asked = 0

    class Counting(Predictor):
        def logits(self, rows: Rows, **options: Any) -> np.ndarray:
            nonlocal asked
            asked += len(rows)
            return super().logits(rows, **options)

    explainer = Explainer(Counting(loaded), index=index, cells=4)
    (found,) = explainer.explain_rows(rows.take([1]))
    assert found.passes == asked + 1
    assert found.is_training_row
    assert 0 < len(found.neighbours) <= 2
    assert rows.group[1] not in {one.group for one in found.neighbours}
    assert all(-1.001 <= one.similarity <= 1.001 for one in found.neighbours)
    looks, reads = ("image" in loaded.model.modalities), ("text" in loaded.model.modalities)
    assert bool(found.regions) == looks == ("regions" not in found.left_out)
    assert bool(found.words) == reads
    for one in found.words:
        assert (one.points is None) == (one.word.target or not one.word.read)
    alone = found.modalities
    for value, reason in (
        (alone.words_alone, "words_alone"),
        (alone.picture_alone, "picture_alone"),
        (alone.neither, "neither"),
    ):
        assert (value is None) == (reason in found.left_out)
    assert json.loads(json.dumps(found.as_json()))["probability"] == found.probability
    assert found.prediction.probabilities[found.label] == pytest.approx(found.probability)
    (fresh,) = explainer.explain_rows(rows.take([3]))
    assert fresh.is_training_row is False
    assert len(fresh.neighbours) == 3


@pytest.mark.parametrize("batch_size", [1, 7])
def test_an_explanation_is_the_same_in_every_batch_and_beside_any_other_row(batch_size: int) -> None:
    rows = ad_split()
    loaded = checkpoint("fgmfn", rows, False)
    together = Explainer(Predictor(loaded), cells=4).explain_rows(rows)
    (alone,) = Explainer(Predictor(loaded, batch_size=batch_size), cells=4).explain_rows(rows.take([1]))
    for one, other in zip(together[1].words + together[1].regions, alone.words + alone.regions, strict=True):
        assert one.points == pytest.approx(other.points, abs=1e-5)


# --- ads ---


def test_an_ad_is_explained_over_its_frames_for_its_own_label() -> None:
    explainer = planted(cells=4)
    red = Image.new("RGB", (SIDE, SIDE), RED)
    ad = [(red, "shoes"), (BLANK, "terrible shoes"), (red, "wonderful shoes")]
    (found,) = explainer.explain_ads([ad])
    assert found.prediction.label == "positive"
    assert [frame.prediction.label for frame in found.frames] == ["positive", "negative", "positive"]
    assert {frame.label for frame in found.frames} == {"positive"}
    terrible = points_of(found.frames[1])["terrible"]
    # without it this frame says one half, and the ad a third of the difference more
    alone = 1 / (1 + np.exp(1.4))
    assert terrible == pytest.approx((alone - 0.5) / 3, abs=1e-4)
    assert dict(found.words)["terrible"] == pytest.approx(terrible)
    assert found.passes == sum(frame.passes for frame in found.frames)
    (single,) = explainer.explain_ads([ad[2:]])
    row = explain(explainer, *ad[2])
    assert [one.points for one in single.frames[0].regions] == pytest.approx([one.points for one in row.regions])
    told = json.loads(json.dumps(found.as_json()))
    pictures = [frame.picture for frame in found.frames]
    assert AdExplanation.from_json(told, pictures) == found
    with pytest.raises(ValueError, match="argument"):
        AdExplanation.from_json(told, pictures[1:])
    with pytest.raises(ValueError, match="not an explanation"):
        AdExplanation.from_json([], pictures)


# --- planted problems that models have learned, and the deletion test ---


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Source]:
    """TF-IDF on ads whose label is the word of praise or of blame."""
    source = open_release(small_release(tmp_path_factory.mktemp("floor") / "r", train=60, dev=24, image_sign=False))
    loaded = checkpoint("tfidf", source.splits["train"], False)
    return replace(loaded, row_set_hash=source.row_set_hash), source


def test_the_word_that_a_fitted_model_has_learned_from_is_the_first_of_every_row(
    floor: tuple[Checkpoint, Source],
) -> None:
    loaded, source = floor
    rows = source.splits["validation"]
    for found in Explainer(Predictor(loaded)).explain_rows(rows):
        assert found.top_words[0].word.text in (PRAISE, BLAME)
        assert (found.top_words[0].points or 0) > 0.1
        assert found.left_out["regions"] == "the model looks at no picture"


def test_taking_the_first_words_away_lowers_the_answer_more_than_others_and_the_last_ones_less(
    floor: tuple[Checkpoint, Source],
) -> None:
    loaded, source = floor
    explainer, rows = Explainer(Predictor(loaded)), source.splits["validation"]
    first = deletion_test(explainer, rows, progress=False)
    assert [(one.what, one.taken, one.rows) for one in first] == [("words", 1, 24), ("words", 2, 24), ("words", 3, 24)]
    assert all(one.difference.low > 0.05 for one in first)
    assert all(one.top - one.random == pytest.approx(one.difference.value) for one in first)
    explained = [(rows.take([row]), explainer.explain_rows(rows.take([row]))[0]) for row in range(len(rows))]
    last = deleted(
        explainer, explained, rows.group, words=lambda _, one: [-(effect.points or 0) for effect in one.words]
    )
    assert all(one.difference.high < 0 for one in last)


def test_taking_the_first_regions_away_lowers_the_answer_more_than_others() -> None:
    pictures = []
    rng = random.Random(1)
    for _ in range(6):
        picture = Image.new("RGB", (128, 64), GREY)
        left, top = rng.randrange(96), rng.randrange(32)
        picture.paste(RED, (left, top, left + 32, top + 32))
        pictures.append(picture)
    rows = given_rows(pictures, ["shoes"] * 6, None, None, has_targets=False)
    found = [one for one in deletion_test(planted(), rows, progress=False) if one.what == "regions"]
    assert [one.taken for one in found] == [0.1, 0.2]
    assert all(one.difference.low > 0.02 for one in found)


# --- the index of training rows ---


def test_the_index_is_kept_in_the_run_and_only_for_its_weights_and_rows(finished: Finished, tmp_path: Path) -> None:
    folder, trained = finished
    run = tmp_path / "run"
    shutil.copytree(trained[0].checkpoint, run)
    source = open_source(folder / "releases" / "2026.11.24")
    loaded = load_checkpoint(run)
    assert open_index(loaded, None) is None
    assert open_index(loaded, replace(source, row_set_hash="other")) is None
    assert not (run / INDEX).exists()
    made = open_index(loaded, source, progress=False)
    kept = open_index(loaded, None)
    train = source.splits["train"]
    assert kept.names == made.names == train.name
    assert np.array_equal(kept.placed.vectors, made.placed.vectors)
    assert np.allclose(np.linalg.norm(kept.placed.vectors, axis=1), 1, atol=2e-3)
    assert not re.search(rb"wonderful|terrible", (run / INDEX).read_bytes())
    explainer = Explainer(Predictor(loaded), index=kept, cells=4)
    own, other = (explainer.explain_rows(source.splits[split].take([0]))[0] for split in ("train", "validation"))
    assert own.is_training_row is True
    assert train.group[0] not in {one.group for one in own.neighbours}
    assert other.is_training_row is False
    # by hand: the cosine of what the head is given
    vectors = made.placed.vectors.astype(float)
    order = [row for row in np.argsort(-(vectors @ vectors[0])) if train.group[row] != train.group[0]]
    assert [one.name for one in own.neighbours] == [train.name[row] for row in order[:5]]
    gone = own.neighbours[0].group
    forgetful = Explainer(Predictor(loaded), index=kept, unnamed={gone}, cells=4)
    [again] = forgetful.explain_rows(train.take([0]))
    assert again.neighbours[:4] == own.neighbours[1:5]
    assert gone not in {one.group for one in again.neighbours}
    record = json.loads((run / "metrics.json").read_text())
    record["files"]["model.safetensors"] = "0"
    (run / "metrics.json").write_text(json.dumps(record))
    assert open_index(load_checkpoint(run), None) is None
    (run / INDEX).write_bytes(b"PK")
    assert open_index(load_checkpoint(run), None) is None


# --- the page and the command ---


def test_a_page_shows_words_of_strangers_as_they_are_and_runs_nothing() -> None:
    text = 'wonderful terrible <script>alert(1)</script> "><img src=x onerror=1> \u202eevil ' + "again " * 40
    found = explain(planted(), BLANK, text)
    page = explanations_page("<b>why</b>", [("<i>name</i>", found)])
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "\u202e" not in page
    assert " style=" not in page
    (css,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()}'" in page
    section = explanation_section(found)
    assert re.search(r'class="why-for3">wonderful<span class="why-hidden"> \(for, \+\d', section)
    assert re.search(r'class="why-against\d">terrible<span class="why-hidden"> \(against, -\d', section)
    assert section.count("(not read)") == sum(not one.word.read for one in found.words) > 0
    faint = replace(found, words=tuple(replace(one, points=0.0004) if one.points else one for one in found.words))
    assert "Words that count most" in section
    assert "Words that count most" not in explanation_section(faint), "0.0 points say nothing"


def test_the_command_explains_rows_by_name_and_pictures(run: Run, finished: Finished, tmp_path: Path) -> None:
    folder, trained = finished
    release, checkpoint_ = folder / "releases" / "2026.11.24", trained[0].checkpoint
    name = open_source(release).splits["test"].name[0]
    page = tmp_path / "why.html"
    code, out, err = run(
        "explain", checkpoint_, "--release", release, "--split", "test", "--row", name, "--html", page, "--json"
    )
    assert code == 0, err
    (found,) = json.loads(out)
    assert found["name"] == name
    assert found["neighbours"]
    assert found["is_training_row"] is False
    assert len(found["regions"]) == 48
    assert name in page.read_text("utf-8")
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 40), RED).save(picture)
    code, out, err = run("explain", checkpoint_, "--image", picture, "--text", "wonderful shoes")
    assert code == 0, err
    assert "nearest training ads:" in out  # by the index that is kept
    assert run("explain", checkpoint_, "--release", release, "--split", "test", "--row", "no such row")[0] == 1
    assert run("explain", checkpoint_)[0] == 2
    code, out, err = run("explain", checkpoint_, "--release", release, "--deletion-test", 2, "--json")
    assert code == 0, err
    assert {one["what"] for one in json.loads(out)} == {"words", "regions"}
