"""Segmentation metrics against hand-computed cases and slow implementations."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.objects import rand_error, variation_of_information
from scalian_exp.metrics.segmentation import boundary_f1, present, scores


def test_scores_by_hand() -> None:
    """There are ten pixels of class 0, five of class 1, and none of class 2, which is predicted once."""
    values = scores(torch.tensor([[8, 1, 1], [2, 3, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert values["iou/a"] == pytest.approx(8 / 12)
    assert values["iou/b"] == pytest.approx(3 / 6)
    assert values["iou/c"] == 0
    assert values["miou"] == pytest.approx((8 / 12 + 3 / 6 + 0) / 3)
    assert values["pixel_accuracy"] == pytest.approx(11 / 15)
    assert values["mean_class_accuracy"] == pytest.approx((8 / 10 + 3 / 5) / 2)
    assert values["fw_iou"] == pytest.approx((10 * 8 / 12 + 5 * 3 / 6) / 15)


def test_a_class_that_never_occurs_is_left_out() -> None:
    values = scores(torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 0]]))
    assert values["miou"] == 1
    assert values["miou_classes"] == 2
    assert "iou/2" not in values
    assert "miou_classes" not in scores(torch.eye(3))


def test_the_confusion_matrix_has_rows_of_true_classes_and_ignores_void() -> None:
    confusion = Confusion(3)
    confusion.update(torch.tensor([[0, 1], [2, 2]]), torch.tensor([[0, 0], [2, -100]]))
    confusion.update(torch.tensor([1]), torch.tensor([2]))
    assert confusion.compute().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    confusion.reset()
    assert confusion.compute().sum() == 0


def slow_boundary_f1(predicted: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Compute the boundary F1 of an image by loops over pixels and pairs of them."""
    height, width = truth.shape
    tolerance = 0.0075 * (height**2 + width**2) ** 0.5

    def edge(ids: np.ndarray, k: int) -> list[tuple[int, int]]:
        result = []
        for i in range(height):
            for j in range(width):
                if ids[i, j] != k or truth[i, j] < 0:
                    continue
                around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
                inside = [(a, b) for a, b in around if 0 <= a < height and 0 <= b < width and truth[a, b] >= 0]
                if any(ids[a, b] != k for a, b in inside):
                    result.append((i, j))
        return result

    def share(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = [any(np.hypot(i - a, j - b) <= tolerance for a, b in others) for i, j in some]
        return sum(near) / max(len(near), 1)

    values = []
    for k in range(classes):
        ours, theirs = bool(((predicted == k) & (truth >= 0)).any()), bool((truth == k).any())
        if not ours and not theirs:
            continue
        a, b = edge(predicted, k), edge(truth, k)
        if not a and not b:
            values.append(float(ours and theirs))
            continue
        precision, recall = share(a, b), share(b, a)
        values.append(2 * precision * recall / max(precision + recall, 1e-9))
    return float(np.mean(values))


def blobs(seed: int, size: tuple[int, int] = (40, 60), classes: int = 3) -> Tensor:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(classes, size=(5, 6)).astype(np.uint8))
    return torch.from_numpy(np.array(coarse.resize(size[::-1], Image.Resampling.NEAREST))).long()


def test_boundary_f1_equals_the_slow_implementation() -> None:
    truth = torch.stack([blobs(0), blobs(1)])
    predicted = torch.stack([blobs(0).roll(1, 1), blobs(2)])
    truth[:, :4, :9] = -100
    expected = [slow_boundary_f1(p.numpy(), t.numpy(), 3) for p, t in zip(predicted, truth, strict=True)]
    assert boundary_f1(predicted, truth, 3).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "shift", "expected"),
    [
        ((120, 160), 1, 1.0),  # the diagonal is 200 pixels, so θ = 1.5: one pixel is near
        ((120, 160), 2, 0.0),  # two pixels are not, though 1.5 rounds to 2
        ((360, 480), 4, 1.0),  # diagonal 600, θ = 4.5
        ((360, 480), 5, 0.0),
        ((480, 640), 6, 1.0),  # diagonal 800, θ = 6, which is included
        ((480, 640), 7, 0.0),
        ((36, 48), 0, 1.0),  # diagonal 60, θ = 0.45: boundaries must coincide
        ((36, 48), 1, 0.0),
    ],
)
def test_the_tolerance_of_boundaries_is_not_rounded(size: tuple[int, int], shift: int, expected: float) -> None:
    """The border between two halves is predicted too far to the right, by the same distance everywhere."""
    truth, predicted = torch.zeros(2, 1, *size, dtype=torch.long)
    truth[..., 20:], predicted[..., 20 + shift :] = 1, 1
    assert boundary_f1(predicted, truth, 2).item() == pytest.approx(expected)


def test_a_diagonal_step_is_nearer_than_a_step_of_two() -> None:
    """At 120×160, √2 ≤ θ = 1.5 < 2; one pixel of class 1 lies in a square of class 0, and all else is void."""
    truth = torch.full((1, 120, 160), -100)
    truth[0, 50:54, 50:54] = 0
    truth[0, 51, 51] = 1
    for place, expected in (((52, 52), 1.0), ((53, 51), 3 / 7)):  # class 0: all 3 are near, and 3 of 4; class 1: none
        predicted = torch.zeros(1, 120, 160, dtype=torch.long)
        predicted[0, place[0], place[1]] = 1
        assert boundary_f1(predicted, truth, 2).item() == pytest.approx(expected)


def test_boundary_f1_of_the_truth_is_1_and_void_is_ignored() -> None:
    truth = blobs(3)[None]
    assert boundary_f1(truth, truth, 3).item() == 1
    truth[:, :, :20] = -100
    other = truth.clone()
    other[:, :, :20] = 1
    assert boundary_f1(other, truth, 3).item() == 1


def test_an_image_of_void_has_a_perfect_boundary() -> None:
    truth = torch.full((2, 6, 6), -100)
    truth[1, :, 3:], truth[1, :, :3] = 2, 0
    predicted = torch.zeros(2, 6, 6, dtype=torch.long)
    assert boundary_f1(predicted, truth, 3).tolist() == [1, 0]
    assert present(truth, 3).tolist() == [[False] * 3, [True, False, True]]


def test_a_class_without_a_boundary_is_right_only_where_it_is_in_both_images() -> None:
    truth, predicted = torch.zeros(4, 40, 60, dtype=torch.long), torch.zeros(4, 40, 60, dtype=torch.long)
    predicted[1] = 1  # all wrong
    truth[2, :20], predicted[2] = 2, 1  # two halves, of which a third class covers both
    truth[3] = -100
    truth[3, 10:20, 10:20] = 1  # an object amid void, which is missed
    assert boundary_f1(predicted, truth, 3).tolist() == [1, 0, 0, 0]


def test_rand_error_of_two_merged_objects() -> None:
    """With n pixels each there are 2n² true pairs, 4n² predicted ones, and 2n² in common, so F1 = 2/3."""
    truth = torch.zeros(1, 4, 5, dtype=torch.long)
    truth[:, :, :2] = truth[:, :, 3:] = 1
    assert rand_error(torch.ones_like(truth), truth, 1).item() == pytest.approx(1 / 3)
    assert rand_error(truth, truth, 1).item() == 0
    nothing = torch.zeros_like(truth)
    assert rand_error(truth, nothing, 1).item() == variation_of_information(truth, nothing, 1).item() == 0


def test_merging_two_equal_objects_costs_a_bit() -> None:
    truth = torch.zeros(1, 4, 5, dtype=torch.long)
    truth[:, :, :2] = truth[:, :, 3:] = 1
    assert variation_of_information(torch.ones_like(truth), truth, 1).item() == pytest.approx(1)
    assert variation_of_information(truth, truth, 1).item() == 0


def test_rand_error_counts_pairs() -> None:
    truth, predicted = (blobs(4) > 0).long(), (blobs(5) > 0).long()
    from scipy.ndimage import label

    a, b = label(truth.numpy())[0].ravel(), label(predicted.numpy())[0].ravel()
    inside = np.flatnonzero(a)
    both = same_a = same_b = 0
    for i in inside:
        theirs = a[inside] == a[i]
        ours = (b[inside] == b[i]) if b[i] else inside == i  # border pixels are alone
        both += (theirs & ours).sum()
        same_a += theirs.sum()
        same_b += ours.sum()
    assert rand_error(predicted[None], truth[None], 1).item() == pytest.approx(1 - 2 * both / (same_a + same_b))
