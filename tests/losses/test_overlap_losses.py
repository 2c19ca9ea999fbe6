"""Lovász's extension of the Jaccard loss, and the Dice loss, against their definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tools import some_batch

from scalian_exp.batches import VOID
from scalian_exp.losses.segmentation import Dice, LovaszSoftmax

CLASSES = 3


def jaccard_loss(wrong: np.ndarray, truth: np.ndarray) -> float:
    """Return 1 − Jaccard index of a class that is predicted correctly except for the pixels in `wrong`."""
    predicted = truth ^ wrong
    return 1 - (predicted & truth).sum() / (predicted | truth).sum()


def lovasz_extension(errors: np.ndarray, truth: np.ndarray) -> float:
    """Return Σ mᵢ·(Δ(pixels of the i largest errors) − Δ(pixels of the i − 1 largest errors)), as defined."""
    total, wrong, before = 0.0, np.zeros_like(truth), 0.0
    for index in np.argsort(-errors):
        wrong[index] = True
        now = jaccard_loss(wrong, truth)
        total, before = total + errors[index] * (now - before), now
    return total


@pytest.mark.parametrize("classes_present", [1, 2, 3])
def test_lovasz_equals_its_definition(classes_present: int) -> None:
    logits, labels = some_batch()
    labels = torch.where(labels < classes_present, labels, VOID)
    labelled = labels != VOID
    probabilities = torch.softmax(logits.double(), 1).movedim(1, 0)[:, labelled].numpy()
    expected = []
    for number in range(classes_present):
        truth = (labels[labelled] == number).numpy()
        expected.append(lovasz_extension(abs(truth - probabilities[number]), truth))
    assert float(LovaszSoftmax()(logits, labels)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_lovasz_of_certain_predictions_equals_the_jaccard_loss() -> None:
    logits, labels = some_batch()
    predicted = logits.argmax(1)
    certain = 1000.0 * F.one_hot(predicted, CLASSES).movedim(-1, 1)
    labelled = labels != VOID
    jaccards = []
    for number in range(CLASSES):
        truth, prediction = labels[labelled] == number, predicted[labelled] == number
        jaccards.append(float((truth & prediction).sum() / (truth | prediction).sum()))
    assert float(LovaszSoftmax()(certain, labels)) == pytest.approx(1 - np.mean(jaccards), rel=1e-6)


def test_dice_of_certain_predictions_equals_the_dice_loss_of_sets() -> None:
    """A class that is predicted but absent from the labels doesn't count."""
    labels = torch.tensor([[[0, 0, 0, 1]]])
    certain = 1000.0 * F.one_hot(torch.tensor([[[0, 0, 1, 2]]]), CLASSES).movedim(-1, 1)
    assert float(Dice()(certain, labels)) == pytest.approx(((1 - 2 * 2 / 5) + (1 - 0)) / 2)
