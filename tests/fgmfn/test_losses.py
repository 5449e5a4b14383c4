"""Each loss against a case worked out by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fgmfn.configuration import FgmfnConfig
from fgmfn.losses import ImageTextContrast, MutualInformation, contrastive_loss, divergence, evenly, shared_rows


def _identity_contrast(width: int) -> ImageTextContrast:
    contrast = ImageTextContrast(FgmfnConfig(hidden_size=width, heads=1, itc_projection=width))
    for projection in (contrast.text_projection, contrast.image_projection):
        torch.nn.init.eye_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    return contrast


def _logs(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).log()


def test_contrast_of_strangers_is_cross_entropy_on_the_diagonal() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    rows = (log(1 + exp(-2.0)) + log(1 + exp(-2.0))) / 2
    columns = (log(1 + exp(-1.0)) + log(1 + exp(-3.0))) / 2
    loss = contrastive_loss(logits, torch.eye(2))
    assert loss.item() == pytest.approx((rows + columns) / 2)


def test_contrast_shares_the_target_among_rows_of_one_ad() -> None:
    groups = torch.tensor([[1, 7, 1], [2, 7, 2], [3, 9, 3]])  # rows 0 and 1 show one ad
    positives = shared_rows(groups, 3, groups.device)
    assert positives.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    of_the_pair = log(2 * exp(1.0) + 1) - 1  # half the target on each of two equal logits
    of_the_third = log(2 + exp(1.0)) - 1
    loss = contrastive_loss(logits, evenly(positives))
    assert loss.item() == pytest.approx((2 * of_the_pair + of_the_third) / 3)


@pytest.mark.parametrize("column", [0, 1, 2], ids=["text", "ad", "picture"])
def test_sharing_the_text_the_ad_or_the_picture_makes_rows_positives(column: int) -> None:
    groups = torch.arange(6).reshape(2, 3)
    groups[1, column] = groups[0, column]
    assert shared_rows(groups, 2, groups.device).all()


def test_equal_numbers_in_different_columns_mean_nothing() -> None:
    groups = torch.tensor([[1, 2, 3], [2, 3, 1]])
    assert torch.equal(shared_rows(groups, 2, groups.device), torch.eye(2, dtype=torch.bool))


@given(st.permutations(range(6)))
def test_contrast_does_not_depend_on_the_order_of_the_rows(order: list[int]) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(6, 6, generator=generator)
    groups = torch.tensor([[1, 1, 1], [2, 1, 2], [3, 3, 3], [4, 4, 3], [5, 5, 5], [5, 6, 6]])
    shuffled = contrastive_loss(logits[order][:, order], evenly(shared_rows(groups[order], 6, groups.device)))
    assert shuffled.item() == pytest.approx(
        contrastive_loss(logits, evenly(shared_rows(groups, 6, groups.device))).item(), rel=1e-5
    )


@pytest.mark.parametrize("direction", ["paper", "reverse", "symmetric"])
@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6))
def test_no_divergence_is_negative_and_equal_views_have_none(direction: str, scores: list[float]) -> None:
    text, image = torch.tensor(scores).reshape(2, 3).log_softmax(-1)
    assert divergence(text[None], image[None], direction).item() >= -1e-5
    assert divergence(text[None], text[None], direction).item() == pytest.approx(0.0, abs=1e-6)


def test_contrast_divides_by_its_temperature() -> None:
    contrast = _identity_contrast(2).eval()
    # Lengths do not count, angles do: similarities are 1 and 0, logits 10 and 0.
    vectors = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    assert contrast(vectors, vectors, None, torch.zeros(2)).item() == pytest.approx(log(1 + exp(-10.0)), rel=1e-3)


@pytest.mark.parametrize(("start", "bound"), [(3.0, 0.5), (-9.0, 0.01)])
def test_the_temperature_is_brought_back_into_its_bounds_and_keeps_learning(start: float, bound: float) -> None:
    contrast = ImageTextContrast(FgmfnConfig(hidden_size=4, heads=1, itc_projection=4))
    torch.nn.init.constant_(contrast.log_temperature, start)
    torch.manual_seed(0)
    contrast(torch.randn(5, 4), torch.randn(5, 4), None, torch.zeros(5)).backward()
    assert contrast.log_temperature.exp().item() == pytest.approx(bound)
    assert contrast.log_temperature.grad is not None
    assert contrast.log_temperature.grad.item() != 0


def test_similarities_keep_their_precision_under_autocast() -> None:
    contrast = _identity_contrast(8)
    # Exact in bfloat16, so that the projections lose nothing and only what follows them could.
    text, image = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    exact = contrast(text, image, None, torch.zeros(6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = contrast(text, image, None, torch.zeros(6))
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize(("value", "bound"), [(3.0, 0.5), (-9.0, 0.01)])
def test_a_temperature_out_of_bounds_is_neither_used_nor_saved(value: float, bound: float) -> None:
    contrast = _identity_contrast(2).eval()
    torch.nn.init.constant_(contrast.log_temperature, value)
    assert contrast.state_dict()["log_temperature"].exp().item() == pytest.approx(bound)
    # Similarities are 1 and 0, so that the loss shows the temperature.
    assert contrast(torch.eye(2), torch.eye(2), None, torch.zeros(2)).item() == pytest.approx(
        log(1 + exp(-1 / bound)), abs=1e-6
    )


def _mutual_information(**settings: object) -> MutualInformation:
    module = MutualInformation(FgmfnConfig(hidden_size=2, heads=1, **settings))
    with torch.no_grad():
        module.start.copy_(torch.tensor([0.5, -0.5]))
        module.stop.copy_(torch.tensor([0.25, 0.0]))
        for emission, scale in ((module.text_emission, 1.0), (module.image_emission, 2.0)):
            emission.weight.copy_(scale * torch.eye(2))
            emission.bias.zero_()
    return module


def test_the_crf_over_one_label_is_a_softmax_of_start_emission_and_stop() -> None:
    module = _mutual_information()
    scores = (0.5 + 1.0 + 0.25, -0.5 + 2.0 + 0.0)
    total = exp(scores[0]) + exp(scores[1])
    got = module.log_probabilities(module.text_emission(torch.tensor([[1.0, 2.0]]))).exp()
    assert got[0].tolist() == pytest.approx([exp(scores[0]) / total, exp(scores[1]) / total])


def test_both_views_share_the_transitions_and_have_emissions_of_their_own() -> None:
    names = {name for name, _ in _mutual_information().named_parameters()}
    assert names == {
        "start", "stop",
        "text_emission.weight", "text_emission.bias", "image_emission.weight", "image_emission.bias",
    }  # fmt: skip


P, Q = [0.5, 0.5], [0.25, 0.75]
KL_PQ = 0.5 * log(2) + 0.5 * log(2 / 3)
KL_QP = 0.25 * log(0.5) + 0.75 * log(1.5)


@pytest.mark.parametrize(
    ("direction", "expected"), [("paper", KL_PQ), ("reverse", KL_QP), ("symmetric", (KL_PQ + KL_QP) / 2)]
)
def test_the_divergence_has_the_direction_that_was_set(direction: str, expected: float) -> None:
    assert divergence(_logs(P), _logs(Q), direction).item() == pytest.approx(expected)


def test_the_divergence_is_the_mean_over_the_batch() -> None:
    assert divergence(_logs(P, P), _logs(Q, P), "paper").item() == pytest.approx(KL_PQ / 2)


def test_reverse_takes_the_image_as_a_teacher_that_does_not_learn() -> None:
    text = torch.zeros(1, 2, requires_grad=True)
    image = torch.tensor([[1.0, -1.0]], requires_grad=True)
    divergence(text.log_softmax(-1), image.log_softmax(-1), "reverse").backward()
    assert image.grad is None
    assert text.grad is not None


def test_lambda_weighs_the_views_own_likelihoods() -> None:
    text, image, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.0]]), torch.tensor([1])
    bare = _mutual_information(mi_lambda=0.0)(text, image, labels).item()
    module = _mutual_information(mi_lambda=0.5)
    likelihood = sum(
        -module.log_probabilities(emission(view))[0, 1].item()
        for emission, view in ((module.text_emission, text), (module.image_emission, image))
    )
    assert module(text, image, labels).item() == pytest.approx(bare + 0.5 * likelihood)


def test_without_lambda_two_constant_views_cost_nothing() -> None:
    module = _mutual_information(mi_lambda=0.0)
    zero = torch.zeros(3, 2)
    assert module(zero, zero, torch.tensor([0, 1, 1])).item() == pytest.approx(0.0, abs=1e-7)
    assert _mutual_information(mi_lambda=1.0)(zero, zero, torch.tensor([0, 1, 1])).item() > 0.5
