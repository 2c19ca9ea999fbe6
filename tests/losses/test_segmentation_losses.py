"""Segmentation losses against hand-computed cases, slow implementations of the definitions, and torch."""

import math

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from tools import composed, some_batch
from torch import Tensor, nn

from scalian_exp.batches import VOID
from scalian_exp.build import build
from scalian_exp.losses.border import UNetBorder
from scalian_exp.losses.cross_entropy import CrossEntropy
from scalian_exp.losses.ohem import OHEM
from scalian_exp.losses.segmentation import Dice, Focal, LovaszSoftmax, MedianFrequency, Sum, WeightedSum

CLASSES = 3
LN2 = math.log(2)


def balanced(loss: nn.Module) -> nn.Module:
    """Give a loss unequal class weights of 2, 1 and 1/2, from frequencies of 1/10, 2/10 and 4/10."""
    loss.balance(torch.tensor([10, 20, 40]), torch.tensor([100, 100, 100]))
    return loss


def mixed() -> WeightedSum:
    return WeightedSum(MedianFrequency(CLASSES), Dice(), [0.5, 2.0])


EVERY = [
    pytest.param(CrossEntropy(), id="cross_entropy"),
    pytest.param(CrossEntropy(0.1), id="label_smoothing"),
    pytest.param(balanced(MedianFrequency(CLASSES)), id="median_frequency"),
    pytest.param(Dice(), id="dice"),
    pytest.param(Focal(), id="focal"),
    pytest.param(Focal(0.5), id="focal_root"),
    pytest.param(LovaszSoftmax(), id="lovasz"),
    pytest.param(OHEM(threshold=1.0), id="ohem"),
    pytest.param(balanced(UNetBorder(CLASSES)), id="unet_border"),
    pytest.param(balanced(mixed()), id="weighted_sum"),
]
every_loss = pytest.mark.parametrize("loss", EVERY)


def value_and_gradient(loss: nn.Module, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.detach().requires_grad_()
    value = loss(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


# Two classes and 2×2 pixels: the probability of class 1, and the labels; the last pixel is void.
#   1/2  3/4      0  1
#   1/4   …       1  ·
ONES = torch.tensor([[[0.5, 0.75], [0.25, 0.9]]])
LOGITS = torch.stack([torch.zeros(1, 2, 2), torch.logit(ONES)], 1)
LABELS = torch.tensor([[[0, 1], [1, VOID]]])
LOSSES = [LN2, math.log(4 / 3), 2 * LN2]  # −log of 1/2, 3/4, 1/4


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CrossEntropy(), sum(LOSSES) / 3),
        (Focal(), (LOSSES[0] / 4 + LOSSES[1] / 16 + LOSSES[2] * 9 / 16) / 3),
        # class 0: Σp = 1/2 + 1/4 + 3/4, Σg = 1, Σpg = 1/2; class 1: Σp = 1/2 + 3/4 + 1/4, Σg = 2, Σpg = 3/4 + 1/4
        (Dice(), ((1 - 2 * 0.5 / 2.5) + (1 - 2 * 1 / 3.5)) / 2),
        # class 0: errors 3/4 (wrong), 1/2 (true), 1/4 (wrong); Jaccard loss of the first ones: 1/2, 1, 1
        # class 1: errors 3/4 (true), 1/2 (wrong), 1/4 (true); Jaccard loss of the first ones: 1/2, 2/3, 1
        (LovaszSoftmax(), ((0.75 / 2 + 0.5 / 2) + (0.75 / 2 + 0.5 / 6 + 0.25 / 3)) / 2),
        (MedianFrequency(2), sum(LOSSES) / 3),  # all weights 1
        (UNetBorder(2, w0=0.0), sum(LOSSES) / 3),
        (WeightedSum(CrossEntropy(), Focal(0.0), [0.5, 2.0]), 2.5 * sum(LOSSES) / 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_two_by_two_pixels_by_hand(loss: nn.Module, expected: float) -> None:
    assert float(loss(LOGITS, LABELS)) == pytest.approx(expected, rel=1e-6)


@every_loss
def test_void_pixels_have_no_influence(loss: nn.Module) -> None:
    logits, labels = some_batch()
    value, gradient = value_and_gradient(loss, logits, labels)
    void = (labels == VOID).unsqueeze(1)
    other = torch.where(void, 5 * torch.randn_like(logits), logits)
    other_value, other_gradient = value_and_gradient(loss, other, labels)
    assert value > 0
    assert value == other_value
    torch.testing.assert_close(gradient, other_gradient, rtol=0, atol=0)
    assert not gradient[void.expand_as(gradient)].any()
    assert gradient[~void.expand_as(gradient)].all()


@every_loss
def test_labels_that_are_void_everywhere_give_zero(loss: nn.Module) -> None:
    value, gradient = value_and_gradient(loss, *some_batch(void=1.1))
    assert value == 0
    assert not gradient.any()  # NaN would count as true, and fail


@every_loss
def test_losses_treat_classes_alike(loss: nn.Module) -> None:
    """Permuting the classes in logits, labels, weights and objects permutes the gradient's channels."""
    logits, labels = some_batch()
    value, gradient = value_and_gradient(loss, logits, labels)
    order = torch.tensor([2, 0, 1])
    renamed = torch.where(labels == VOID, VOID, order.argsort()[labels.clamp_min(0)])
    if isinstance(loss, UNetBorder):
        loss = UNetBorder(CLASSES, object_class=int(order.argsort()[loss.object_class]))
    elif isinstance(loss, MedianFrequency):
        loss = MedianFrequency(CLASSES)
    elif isinstance(loss, WeightedSum):
        loss = mixed()
    if hasattr(loss, "balance"):
        loss.balance(torch.tensor([10, 20, 40])[order], torch.tensor([100, 100, 100]))
    renamed_value, renamed_gradient = value_and_gradient(loss, logits[:, order], renamed)
    torch.testing.assert_close(renamed_value, value)
    torch.testing.assert_close(renamed_gradient, gradient[:, order])


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_compute_in_single_precision(loss: nn.Module, dtype: torch.dtype) -> None:
    logits, labels = some_batch()
    logits = logits.to(dtype)
    value, gradient = value_and_gradient(loss, logits, labels)
    assert value.dtype == torch.float32
    assert value == loss(logits.float(), labels)
    assert gradient.dtype == dtype


@every_loss
def test_certain_predictions_have_finite_gradients(loss: nn.Module) -> None:
    _, labels = some_batch()
    logits = 1000.0 * F.one_hot(labels.clamp_min(0), CLASSES).movedim(-1, 1)
    right, gradient = value_and_gradient(loss, logits, labels)
    assert gradient.isfinite().all()
    wrong, gradient = value_and_gradient(loss, -logits, labels)
    assert gradient.isfinite().all()
    assert wrong > right + 0.5


def test_cross_entropy_equals_torchs() -> None:
    logits, labels = some_batch()
    for smoothing in (0.0, 0.1):
        expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        torch.testing.assert_close(CrossEntropy(smoothing)(logits, labels), expected)
        vectors, classes = logits[:, :, 0, 0], torch.tensor([2, 0])
        expected = F.cross_entropy(vectors, classes, label_smoothing=smoothing)
        torch.testing.assert_close(CrossEntropy(smoothing)(vectors, classes), expected)


@pytest.mark.parametrize("loss", [CrossEntropy(), MedianFrequency(3), Focal(), UNetBorder(3)])
def test_losses_of_two_processes_average_to_that_of_one(loss: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """This also holds if one process has fewer labelled pixels, or pixels with other weights."""
    logits, labels = torch.randn(4, 3, 5, 5), torch.randint(3, (4, 5, 5))
    labels[0], labels[1, :4] = VOID, VOID
    weight = (labels != VOID).sum().float()
    if isinstance(loss, MedianFrequency):
        loss.balance(torch.tensor([70, 20, 10]), torch.tensor([100, 100, 100]))
    if type(loss) is MedianFrequency:
        weight = loss.pixel_weights(labels).sum()
    alone = loss(logits, labels)
    monkeypatch.setattr("scalian_exp.distributed.ranks.mean", lambda _: weight / 2)
    halves = [loss(logits[part], labels[part]) for part in (slice(2), slice(2, 4))]
    assert sum(halves) / 2 == pytest.approx(float(alone), rel=1e-6)
    assert loss.eval()(logits[:2], labels[:2]) != halves[0]  # without communication in evaluation


def test_median_frequency_by_hand() -> None:
    """Two images of 4 labelled pixels: 0 0 0 1 and 0 0 2 2. Class 3 never occurs."""
    loss = MedianFrequency(4)
    loss.balance(pixels=torch.tensor([5, 1, 2, 0]), present=torch.tensor([8, 4, 4, 0]))
    # frequencies 5/8, 1/4 and 1/2: the median is 1/2
    torch.testing.assert_close(loss.weights, torch.tensor([4 / 5, 2.0, 1.0, 0.0]))
    loss.balance(pixels=torch.tensor([5, 1, 2, 4]), present=torch.tensor([8, 4, 4, 4]))
    # frequencies 5/8, 1/4, 1/2 and 1: the median is between 1/2 and 5/8
    torch.testing.assert_close(loss.weights, torch.tensor([0.9, 2.25, 1.125, 0.5625]))


def test_median_frequency_equals_torchs_weighted_mean() -> None:
    loss = balanced(MedianFrequency(CLASSES))
    logits, labels = some_batch()
    torch.testing.assert_close(loss(logits, labels), F.cross_entropy(logits, labels, torch.tensor([2.0, 1.0, 0.5])))


def test_classes_absent_from_training_have_no_weight() -> None:
    loss = MedianFrequency(CLASSES)
    loss.balance(torch.tensor([10, 20, 0]), torch.tensor([100, 100, 0]))
    logits, labels = some_batch()
    torch.testing.assert_close(loss(logits, labels), loss(logits, torch.where(labels == 2, VOID, labels)))
    value, gradient = value_and_gradient(loss, logits, torch.full_like(labels, 2))
    assert value == 0
    assert not gradient.any()


def test_class_weights_are_saved() -> None:
    other = MedianFrequency(CLASSES)
    other.load_state_dict(balanced(MedianFrequency(CLASSES)).state_dict())
    assert other.weights.tolist() == [2.0, 1.0, 0.5]


def test_labels_void_everywhere_are_refused() -> None:
    with pytest.raises(ValueError, match="give some pixels a class"):
        MedianFrequency(2).balance(torch.zeros(2), torch.zeros(2))


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, labels = some_batch()
    for ours, theirs in zip(
        value_and_gradient(Focal(0.0), logits, labels), value_and_gradient(CrossEntropy(), logits, labels), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_weighted_sum_balances_its_parts_and_needs_two_weights() -> None:
    loss = balanced(mixed())
    assert loss.first.weights.tolist() == [2.0, 1.0, 0.5]
    logits, labels = some_batch()
    parts = 0.5 * balanced(MedianFrequency(CLASSES))(logits, labels) + 2 * Dice()(logits, labels)
    torch.testing.assert_close(loss(logits, labels), parts)
    with pytest.raises(ValueError, match=r"two weights, not 3"):
        WeightedSum(Dice(), Focal(), [1.0, 1.0, 1.0])


def test_a_sum_adds_its_named_parts() -> None:
    logits, labels = some_batch()
    part = {"median": {"loss": MedianFrequency(CLASSES), "weight": 0.5}, "dice": {"loss": Dice(), "weight": 2.0}}
    torch.testing.assert_close(
        balanced(Sum({**part, "focal": None}))(logits, labels), balanced(mixed())(logits, labels)
    )
    for wrong, message in (
        ({}, "needs parts"),
        ({"dice": {"loss": Dice(), "weight": -1}}, r"loss\.part\.dice\.weight"),
    ):
        with pytest.raises(ValueError, match=message):
            Sum(wrong)


def test_a_sum_is_composed_from_the_names_of_its_parts() -> None:
    overrides = ["model=unet", "loss=sum", "loss/part=[focal,median_frequency]", "loss.part.focal.weight=3"]
    loss = build("loss", OmegaConf.to_container(composed(*overrides).loss, resolve=True))
    logits, labels = torch.randn(2, 11, 4, 4), torch.randint(11, (2, 4, 4))
    torch.testing.assert_close(loss(logits, labels), 3 * Focal()(logits, labels) + MedianFrequency(11)(logits, labels))
