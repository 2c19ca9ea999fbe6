"""The CRF against loops over all pairs of pixels; the lattice against its definition and exact Gaussians."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scalian_exp.networks.crf import DenseCRF, ExactGaussian, Filter
from scalian_exp.networks.parts.permutohedral import PermutohedralLattice

FILTERS = [PermutohedralLattice, ExactGaussian]


def scene(height: int, width: int, classes: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Return random smooth logits (1, K, H, W) unrelated to the borders of a noisy image (1, C, H, W) of four areas."""
    areas = F.interpolate(torch.rand(1, channels, 2, 2), (height, width))
    image = (areas + 0.02 * torch.randn(1, channels, height, width)).clamp(0, 1).mul(255).round().div(255)
    coarse = torch.randn(1, classes, 4, 5)
    logits = 2 * F.interpolate(coarse, (height, width), mode="bicubic") + torch.randn(1, classes, height, width)
    return logits, image


def naive_marginals(logits: Tensor, image: Tensor, crf: DenseCRF) -> np.ndarray:
    """Run algorithm 1 as loops over pixels i, j and classes, adding the Potts costs of eq. 6 class by class."""
    classes, height, width = logits.shape
    pixels = [(x, y, *(255 * image[:, y, x].double()).tolist()) for y in range(height) for x in range(width)]
    count = len(pixels)
    appearance, smoothness = np.zeros((count, count)), np.zeros((count, count))
    for i, (x, y, *colour) in enumerate(pixels):
        for j, (x2, y2, *colour2) in enumerate(pixels):
            distance = (x - x2) ** 2 + (y - y2) ** 2
            colours = sum((a - b) ** 2 for a, b in zip(colour, colour2, strict=True))
            exponent = distance / (2 * crf.appearance_pixels**2) + colours / (2 * crf.appearance_colours**2)
            appearance[i, j] = math.exp(-exponent)
            smoothness[i, j] = math.exp(-distance / (2 * crf.smoothness_pixels**2))
    kernel = np.zeros((count, count))
    for weight, part in ((crf.appearance_weight, appearance), (crf.smoothness_weight, smoothness)):
        sums = part.sum(1)
        kernel += weight * part / np.sqrt(sums[:, None] * sums[None, :])
    unary = -logits.double().log_softmax(0).flatten(1).T.numpy()
    q = np.exp(-unary)
    for _ in range(crf.iterations):
        energy = unary.copy()
        for i in range(count):
            message = sum(kernel[i, j] * q[j] for j in range(count))
            for label in range(classes):
                energy[i, label] += sum(message[other] for other in range(classes) if other != label)
        q = np.exp(-energy) / np.exp(-energy).sum(1, keepdims=True)
    return q.T.reshape(classes, height, width)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_field_equals_the_naive_loops(channels: int) -> None:
    logits, images = scene(12, 12, 3, channels)
    crf = DenseCRF(3, 4.0, 5.0, 20.0, 2.0, 1.5, gaussian=ExactGaussian)
    expected = torch.from_numpy(naive_marginals(logits[0], images[0], crf)).float()
    assert (expected - logits[0].softmax(0)).abs().max() > 0.3
    torch.testing.assert_close(crf(logits, images)[0], expected, rtol=0, atol=1e-4)


def basis(d: int) -> np.ndarray:
    """Return orthonormal rows, scaled by the blur's width, that map d features to d + 1 coordinates of sum 0."""
    rows = [np.r_[np.ones(k), -k, np.zeros(d - k)] / math.sqrt(k * (k + 1)) for k in range(1, d + 1)]
    return math.sqrt(2 / 3) * (d + 1) * np.stack(rows)


def naive_lattice(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Filter as in Adams et al. 2010, section 3, with the lattice in a dictionary from coordinates to values."""
    d = features.shape[1]
    lattice: dict[tuple[int, ...], np.ndarray] = {}
    simplices = []
    for feature, value in zip(features, values, strict=True):
        position = feature @ basis(d)
        corner = np.round(position / (d + 1)) * (d + 1)
        order = np.argsort(corner - position)  # largest position − corner first
        excess = int(corner.sum()) // (d + 1)  # restore a sum of 0 where rounding changed the most
        corner[order[d + 1 - excess :] if excess > 0 else order[:-excess]] -= (d + 1) * np.sign(excess)
        order = np.argsort(corner - position)
        corners = [corner + r - (d + 1) * np.isin(np.arange(d + 1), order[d + 1 - r :]) for r in range(d + 1)]
        system = np.vstack([np.stack(corners, 1), np.ones(d + 1)])
        shares = np.linalg.lstsq(system, np.r_[position, 1], rcond=None)[0]
        assert (shares > -1e-9).all()
        simplices.append([(tuple(c.astype(int).tolist()), share) for c, share in zip(corners, shares, strict=True)])
        for key, share in simplices[-1]:
            lattice[key] = lattice.get(key, 0) + share * value
    for k in range(d + 1):
        step = np.ones(d + 1, dtype=int) - (d + 1) * (np.arange(d + 1) == k)
        both = [{tuple((np.array(key) + sign * step).tolist()): v for key, v in lattice.items()} for sign in (1, -1)]
        lattice = {key: v + 0.5 * (both[0].get(key, 0) + both[1].get(key, 0)) for key, v in lattice.items()}
    return np.stack([sum(share * lattice[key] for key, share in corners) for corners in simplices])


def assert_as_in_the_paper(features: Tensor) -> None:
    values = torch.rand(len(features), 4)
    exact, columns = features.double().numpy(), values.double().numpy()
    scale = np.sqrt(naive_lattice(exact, np.ones_like(columns[:, :1])))
    expected = torch.from_numpy(naive_lattice(exact, columns / scale) / scale).float()
    torch.testing.assert_close(PermutohedralLattice(features)(values), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dimensions", "spread"), [(1, 3.0), (2, 2.0), (3, 1.0), (5, 0.7), (5, 60.0), (8, 0.4)])
def test_the_lattice_follows_the_paper(dimensions: int, spread: float) -> None:
    assert_as_in_the_paper(spread * torch.randn(150, dimensions))


def test_opposite_edges_of_the_lattice_are_not_neighbours() -> None:
    """If the lattice's points fill a box of 3×1 steps, one step beyond it must not land in the next row."""
    steps = torch.tensor([1.0, 0.0]) + torch.tensor([3.0, 1.0]) * torch.rand(100, 2)  # along two of three directions
    coordinates = steps.sum(1, keepdim=True) - 3 * F.pad(steps, (0, 1))
    features = coordinates.double() @ torch.linalg.pinv(torch.from_numpy(basis(2)))
    assert_as_in_the_paper(features.float())


@pytest.mark.parametrize("gaussian", FILTERS)
def test_distant_points_keep_their_values_and_equal_points_share_them(gaussian: Callable[[Tensor], Filter]) -> None:
    features = 1000 * torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1]])
    values = torch.tensor([[1.0, 0], [3, 0], [5, 1], [7, 2], [9, 3]])
    expected = torch.tensor([[2.0, 0], [2, 0], [5, 1], [7, 2], [9, 3]])
    torch.testing.assert_close(gaussian(features)(values), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("gaussian", "tolerance"), [(ExactGaussian, 1e-3), (PermutohedralLattice, 0.02)])
def test_a_constant_stays_constant_away_from_the_border(gaussian: Callable[[Tensor], Filter], tolerance: float) -> None:
    positions = torch.cartesian_prod(torch.arange(50.0), torch.arange(50.0))
    filtered = gaussian(positions / 3)(torch.full((2500, 1), 7.0)).view(50, 50)
    assert (filtered[18:-18, 18:-18] / 7 - 1).abs().max() < tolerance


def test_the_lattice_gives_the_labels_of_exact_gaussians() -> None:
    logits, images = scene(45, 60, 12)
    exact = DenseCRF(iterations=5, gaussian=ExactGaussian)(logits, images).argmax(1)
    assert (exact == logits.argmax(1)).float().mean() < 0.9
    assert (exact == DenseCRF(iterations=5)(logits, images).argmax(1)).float().mean() >= 0.98


def test_classes_are_treated_alike() -> None:
    logits, images = scene(20, 30, 5)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(DenseCRF()(logits[:, order], images), DenseCRF()(logits, images)[:, order])


def test_a_batch_equals_a_loop_over_images() -> None:
    scenes = [scene(15, 21, 4) for _ in range(3)]
    logits, images = (torch.cat(parts) for parts in zip(*scenes, strict=True))
    expected = torch.cat([DenseCRF()(*one) for one in scenes])
    torch.testing.assert_close(DenseCRF()(logits, images), expected)
    assert not torch.allclose(DenseCRF()(logits, images.flip(0)), expected, atol=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 7)])
def test_any_size_gives_probabilities(size: tuple[int, int]) -> None:
    marginals = DenseCRF()(torch.randn(2, 3, *size), torch.rand(2, 1, *size))
    assert marginals.shape == (2, 3, *size)
    torch.testing.assert_close(marginals.sum(1), torch.ones(2, *size))


def test_low_precision_and_autocast_do_not_change_the_result() -> None:
    logits, images = scene(12, 12, 3)
    logits, images = logits.bfloat16().requires_grad_(), images.bfloat16()
    crf = DenseCRF(gaussian=ExactGaussian)
    with torch.autocast("cpu", torch.bfloat16):
        inside = crf(logits, images)
    assert inside.dtype == torch.float32
    assert not inside.requires_grad
    assert torch.equal(inside, crf(logits.float(), images.float()))


@pytest.mark.parametrize("gaussian", [PermutohedralLattice, ExactGaussian])
def test_all_tensors_are_created_on_the_inputs_device(gaussian: type) -> None:
    """With another default device, any tensor created without the input's device fails, as it would on a GPU."""
    logits, images = scene(12, 12, 3)
    crf = DenseCRF(gaussian=gaussian)
    expected = crf(logits, images)
    with torch.device("meta"):
        result = crf(logits, images)
    assert torch.equal(result, expected)


def test_wrong_sizes_and_features_are_refused() -> None:
    with pytest.raises(ValueError, match="resize the logits"):
        DenseCRF()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 8, 8))
    for wrong in (torch.tensor([[0.0], [1e9]]), torch.tensor([[0.0], [math.nan]]), 1e5 * torch.randn(9, 5)):
        with pytest.raises(ValueError, match="standard deviations"):
            PermutohedralLattice(wrong)


@pytest.mark.parametrize("size", [(45, 60), (90, 71)])
def test_marginals_equal_those_of_the_authors_code(size: tuple[int, int]) -> None:
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pip install 'scalian-exp[crf]' to compare with it")
    logits, images = scene(*size, 12)
    height, width = size
    peer = densecrf.DenseCRF2D(width, height, 12)
    peer.setUnaryEnergy((-logits[0].log_softmax(0)).flatten(1).numpy())
    peer.addPairwiseGaussian(sxy=3, compat=3)
    colours = images[0].mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    peer.addPairwiseBilateral(sxy=80, srgb=13, rgbim=colours, compat=10)
    expected = torch.from_numpy(np.array(peer.inference(10))).view(12, height, width)
    torch.testing.assert_close(DenseCRF()(logits, images)[0], expected, rtol=0, atol=1e-4)
