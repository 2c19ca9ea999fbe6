"""Online hard example mining against hand-computed cases, and a slow implementation of the definition."""

import math

import pytest
import torch
from omegaconf import OmegaConf
from tools import composed, some_batch
from torch import Tensor

from scalian_exp.batches import VOID
from scalian_exp.build import build
from scalian_exp.losses.cross_entropy import CrossEntropy
from scalian_exp.losses.ohem import OHEM
from scalian_exp.losses.segmentation import Dice

# Two classes and a row of pixels: the probability of each pixel's class. The last pixel is void.
RIGHT = [0.9, 0.6, 0.8, 0.5, 0.95, 0.99, 0.75, 0.97, 0.1]
LABELS = torch.tensor([[[0, 1, 0, 1, 0, 1, 0, 1, VOID]]])
ONES = torch.where(LABELS == 1, torch.tensor(RIGHT), 1 - torch.tensor(RIGHT))
LOGITS = torch.stack([torch.zeros(1, 1, 9), torch.logit(ONES)], 1)


def mean_loss(*probabilities: float) -> float:
    return -sum(map(math.log, probabilities)) / len(probabilities)


@pytest.mark.parametrize(
    ("threshold", "min_kept", "counted"),
    [
        (0.7, 0.0, [0.6, 0.5]),
        (0.7, 0.25, [0.6, 0.5]),  # two of eight
        (0.7, 0.3, [0.6, 0.5, 0.75]),  # 2.4 of eight is three
        (0.92, 0.25, [0.6, 0.5, 0.75, 0.8, 0.9]),
        (0.0, 0.5, [0.6, 0.5, 0.75, 0.8]),
        (0.3, 0.01, [0.5]),
    ],
)
def test_a_row_of_pixels_by_hand(threshold: float, min_kept: float, counted: list[float]) -> None:
    assert float(OHEM(threshold, min_kept)(LOGITS, LABELS)) == pytest.approx(mean_loss(*counted), rel=1e-5)


def test_nothing_counts_where_no_pixel_is_hard() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = OHEM(0.3, 0.0)(logits, LABELS)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def slow_twin(logits: Tensor, labels: Tensor, threshold: float, min_kept: float) -> float:
    """Go through the pixels one by one, from the hardest to the easiest."""
    right = []
    for image, truth in zip(logits.double(), labels, strict=True):
        for row in range(truth.shape[0]):
            for column in range(truth.shape[1]):
                if (label := int(truth[row, column])) != VOID:
                    weights = [math.exp(float(value)) for value in image[:, row, column]]
                    right.append(weights[label] / sum(weights))
    total, count = 0.0, 0
    for probability in sorted(right):
        if probability < threshold or count < min_kept * len(right):
            total, count = total - math.log(probability), count + 1
    return total / max(count, 1)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("min_kept", [0.0, 0.0625, 0.37, 1.0])
def test_it_equals_its_slow_twin(threshold: float, min_kept: float) -> None:
    logits, labels = some_batch()
    expected = slow_twin(logits, labels, threshold, min_kept)
    assert float(OHEM(threshold, min_kept)(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_only_pixels_that_count_have_gradients() -> None:
    logits, labels = some_batch()
    logits.requires_grad_()
    OHEM(0.4, 0.0)(logits, labels).backward()
    right = logits.softmax(1).gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1)
    hard = (right < 0.4) & (labels != VOID)
    assert 10 < int(hard.sum()) < int((labels != VOID).sum())
    assert torch.equal(logits.grad.abs().sum(1) > 0, hard)
    # each as in cross-entropy, for which all labelled pixels share the mean
    other = logits.detach().requires_grad_()
    CrossEntropy()(other, labels).backward()
    scaled = other.grad * (labels != VOID).sum() / hard.sum()
    torch.testing.assert_close(logits.grad, torch.where(hard.unsqueeze(1), scaled, 0.0))


def test_everything_kept_is_cross_entropy() -> None:
    logits, labels = some_batch()
    torch.testing.assert_close(OHEM(0.7, 1.0)(logits, labels), CrossEntropy()(logits, labels))


def test_a_divergence_is_seen() -> None:
    logits, labels = some_batch()
    logits[0, 0, 0] = math.nan
    assert OHEM(0.7, 0.0)(logits, labels).isnan()


def test_two_processes_average_to_one_above_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process has one image of four that isn't void, and hardly any hard pixel."""
    logits, labels = torch.randn(4, 3, 5, 5), torch.randint(3, (4, 5, 5))
    labels[0], labels[1, :3] = VOID, VOID
    loss = OHEM(0.4, 0.0)
    alone = loss(logits, labels)
    right = logits.softmax(1).gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1)
    hard = ((right < 0.4) & (labels != VOID)).sum().float()
    monkeypatch.setattr("scalian_exp.distributed.ranks.mean", lambda _: hard / 2)
    halves = [loss(logits[part], labels[part]) for part in (slice(2), slice(2, 4))]
    assert sum(halves) / 2 == pytest.approx(float(alone), rel=1e-6)
    assert loss.eval()(logits[2:], labels[2:]) != halves[1]  # without communication in evaluation


def test_it_is_a_part_of_a_sum() -> None:
    overrides = ["model=unet", "loss=sum", "loss/part=[ohem,dice]", "loss.part.ohem.weight=3"]
    overrides += ["loss.part.ohem.loss.threshold=0.5"]
    loss = build("loss", OmegaConf.to_container(composed(*overrides).loss, resolve=True))
    logits, labels = some_batch()
    torch.testing.assert_close(loss(logits, labels), 3 * OHEM(0.5)(logits, labels) + Dice()(logits, labels))
