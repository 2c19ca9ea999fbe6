"""Metrics of segmentation against torchmetrics, scikit-learn and scikit-image."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label as connected
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from verdicts import Judge

from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.objects import rand_error, variation_of_information
from scalian_exp.metrics.segmentation import scores

CLASSES = 5


def regions(seed: int) -> Tensor:
    """Return label maps (6, 40, 56) of five classes in patches of 8×8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(CLASSES, (6, 5, 7), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)


def with_errors(labels: Tensor) -> Tensor:
    """Return predictions: the labels with a third of the pixels drawn again."""
    generator = torch.Generator().manual_seed(9)
    wrong = torch.rand(labels.shape, generator=generator) < 1 / 3
    return torch.where(wrong, torch.randint(CLASSES, labels.shape, generator=generator), labels)


def our_scores(predicted: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return our metrics, from batches of two images."""
    confusion = Confusion(CLASSES)
    for p, t in zip(predicted.split(2), labels.split(2), strict=True):
        confusion.update(p, t)
    return scores(confusion.compute())


def test_intersection_over_union_and_accuracies(judge: Judge) -> None:
    labels = regions(0)
    predicted = with_errors(labels)
    ours = our_scores(predicted, labels)
    flat, truth = predicted.flatten().numpy(), labels.flatten().numpy()
    theirs = {
        "miou": jaccard_score(truth, flat, average="macro"),
        "fw_iou": jaccard_score(truth, flat, average="weighted"),
        "pixel_accuracy": accuracy_score(truth, flat),
        "mean_class_accuracy": balanced_accuracy_score(truth, flat),
    }
    for name, value in theirs.items():
        judge(name, "scikit-learn", value, ours[name], 1e-9)


def test_void_pixels_count_for_nothing(judge: Judge) -> None:
    labels = regions(1)
    predicted = with_errors(labels)
    labels[:, :6] = -100
    ours = our_scores(predicted, labels)
    options = {"num_classes": CLASSES, "ignore_index": -100}
    jaccard, accuracy = MulticlassJaccardIndex(**options), MulticlassAccuracy(**options, average="micro")
    judge("miou, a band void", "torchmetrics", jaccard(predicted, labels), ours["miou"], 1e-6)
    judge("pixel_accuracy, a band void", "torchmetrics", accuracy(predicted, labels), ours["pixel_accuracy"], 1e-6)


def test_splits_and_merges(judge: Judge) -> None:
    """The Rand error of ISBI counts a pixel with itself too, unlike scikit-image, of which only the counts are used."""
    metrics = pytest.importorskip("skimage.metrics", reason="pip install 'scalian-exp[judges]' to compare with it")
    labels = (regions(2) > 1).long()
    predicted = (with_errors(labels) > 0).long()
    ours = zip(rand_error(predicted, labels, 1), variation_of_information(predicted, labels, 1), strict=True)
    for i, (error, information) in enumerate(list(ours)[:3]):
        truth, guess = connected(labels[i].numpy() == 1)[0], connected(predicted[i].numpy() == 1)[0]
        alone = (truth > 0) & (guess == 0)  # each missed pixel is an object of its own
        guess[alone] = guess.max() + 1 + np.arange(alone.sum())
        inside = truth > 0
        both = metrics.contingency_table(truth[inside], guess[inside]).toarray()
        rand = 1 - 2 * (both**2).sum() / ((both.sum(0) ** 2).sum() + (both.sum(1) ** 2).sum())
        judge(f"rand_error, image {i + 1}", "scikit-image's counts", rand, error, 1e-6)
        theirs = metrics.variation_of_information(truth[inside], guess[inside]).sum()
        judge(f"variation_of_information, image {i + 1}, bits", "scikit-image", theirs, information, 1e-5)
