"""The weights of U-Net's loss for pixels between objects."""

import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scalian_exp.batches import VOID
from scalian_exp.losses.border import UNetBorder, nearness

LN2 = math.log(2)


def brute_force_nearness(objects: np.ndarray, sigma: float) -> np.ndarray:
    """Compute nearness by flood fill, and then by all pairs of pixels and border pixels."""
    height, width = objects.shape

    def neighbours(pixel: tuple[int, int]) -> list[tuple[int, int]]:
        row, column = pixel
        near = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        return [(r, c) for r, c in near if 0 <= r < height and 0 <= c < width]

    left, regions = {(int(r), int(c)) for r, c in np.argwhere(objects)}, []
    while left:
        region, todo = set(), [min(left)]
        while todo:
            pixel = todo.pop()
            if pixel in left:
                left.remove(pixel)
                region.add(pixel)
                todo += neighbours(pixel)
        regions.append(region)
    borders = [[p for p in region if any(n not in region for n in neighbours(p))] for region in regions]
    result = np.zeros((height, width))
    if len(regions) > 1:
        for pixel in product(range(height), range(width)):
            nearest, second = sorted(min(math.dist(pixel, other) for other in border) for border in borders)[:2]
            result[pixel] = math.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return result


def blobs(share: float) -> np.ndarray:
    """Return irregular regions, some cut by the edge of the image."""
    noise = torch.randn(1, 1, 32, 26, generator=torch.Generator().manual_seed(1))
    smooth = F.avg_pool2d(noise, 5, stride=1)[0, 0].numpy()
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize("sigma", [1.5, 5.0])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_border_map_equals_brute_force(share: float, sigma: float) -> None:
    objects = blobs(share)
    expected = brute_force_nearness(objects, sigma)
    assert expected.max() > 0.1
    np.testing.assert_allclose(nearness(objects, sigma), expected, rtol=1e-4, atol=4e-6)


def test_border_map_by_hand() -> None:
    """Two objects, three pixels apart, in one row; the first touches the left edge, which is not a border."""
    objects = np.array([[1, 1, 0, 0, 1]], dtype=bool)
    sums = np.array([1 + 4, 0 + 3, 1 + 2, 2 + 1, 3 + 0])
    np.testing.assert_allclose(nearness(objects, 2.0), np.exp(-(sums[None] ** 2) / 8), rtol=1e-6)


@pytest.mark.parametrize("objects", [np.zeros((6, 6)), np.ones((6, 6)), np.eye(6)[:1], np.tri(6)])
def test_fewer_than_two_objects_have_no_border_between_them(objects: np.ndarray) -> None:
    assert not nearness(objects.astype(bool), 5.0).any()


def test_objects_that_touch_at_a_corner_are_separate() -> None:
    near, far = math.exp(-2 / 50), math.exp(-4 / 50)  # d1 + d2 = 0 + √2 in the objects, 1 + 1 beside them
    np.testing.assert_allclose(nearness(np.eye(2, dtype=bool), 5.0), [[near, far], [far, near]], rtol=1e-6)


def test_unet_border_by_hand() -> None:
    """Background between two objects, and a void pixel; probabilities 1/2 and 1/4 of the true class."""
    labels = torch.tensor([[[1, 0, 1, VOID]]])
    logits = torch.stack([torch.tensor([[[0.0, 0.0, math.log(3), 7.0]]]), torch.zeros(1, 1, 4)], 1)
    loss = UNetBorder(2, w0=10.0, sigma=5.0)
    loss.balance(torch.tensor([10, 40]), torch.tensor([100, 100]))  # median 1/4: weights 2.5 and 0.625
    border = 10 * math.exp(-4 / 50)  # d1 + d2 = 2 on all three pixels
    expected = ((0.625 + border) * LN2 + (2.5 + border) * LN2 + (0.625 + border) * 2 * LN2) / 3
    assert float(loss(logits, labels)) == pytest.approx(expected, rel=1e-6)


def test_an_object_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss\.object_class"):
        UNetBorder(2, object_class=2)
