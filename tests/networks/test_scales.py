"""Averages over scales and mirror images against closed forms, and against the same written out with other means."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from tools import tiny
from torch import Tensor, nn

from scalian_exp.build import build_task
from scalian_exp.networks.scales import MultiScale, scaled_size

SCALES = [0.5, 0.75, 1, 1.75]


class OfSize(nn.Module):
    """Network whose logits are the same at all pixels, and depend on the image's size alone."""

    total_stride = 1

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        logits = torch.tensor([0.0, height / 10, width / 20])
        return logits.view(1, 3, 1, 1).expand(len(x), 3, height, width)


class Colours(nn.Module):
    """Network whose logits are the channels of the image, so that each pixel's logits belong to its centre."""

    total_stride = 1

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": 3 * x}


def test_constant_logits_are_averaged_as_probabilities() -> None:
    """At scale s, an image of 30×41 pixels has round(30s) × round(41s) pixels."""
    sizes = [(15, 20), (22, 31), (30, 41), (52, 72)]  # 22.5 and 20.5 are rounded to even numbers
    assert [scaled_size((30, 41), scale) for scale in SCALES] == sizes
    each = [torch.tensor([0.0, height / 10, width / 20]).softmax(0) for height, width in sizes]
    expected = torch.stack(each).mean(0)
    for flip in (False, True):
        result = MultiScale(OfSize(), SCALES, flip)(torch.rand(2, 3, 30, 41))
        assert result.shape == (2, 3, 30, 41)
        torch.testing.assert_close(result.exp(), expected.view(1, 3, 1, 1).expand(2, 3, 30, 41))
        torch.testing.assert_close(result.logsumexp(1), torch.zeros(2, 30, 41), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "scales"), product([(30, 41), (33, 18)], [[0.5], [0.75], [1.3], [1.75]]))
def test_what_is_seen_at_another_scale_stays_at_its_place(size: tuple[int, int], scales: list[float]) -> None:
    """A ramp is resized to itself to within 0.06 pixels except near the edges, however the sizes are rounded."""
    height, width = size
    rows = torch.arange(height).float().view(-1, 1).expand(size) / height
    columns = torch.arange(width).float().expand(size) / width
    x = torch.stack([rows, columns, torch.zeros(size)])[None]
    inside = (..., slice(4, -4), slice(4, -4))
    expected = (3 * x).softmax(1)
    result = MultiScale(Colours(), scales)(x).exp()
    torch.testing.assert_close(result[inside], expected[inside], atol=5e-3, rtol=0)  # half a pixel off: 0.02


def test_scale_1_alone_gives_the_networks_own_probabilities() -> None:
    x = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(MultiScale(Colours(), [1])(x), (3 * x).log_softmax(1))
    certain = MultiScale(Colours())(1000 * x)
    assert certain.isfinite().all()  # a probability that underflows has a finite logarithm


@pytest.mark.parametrize(("model", "size"), [("unet", (45, 50)), ("deeplab_v3plus", (47, 67)), ("fastfcn", (64, 66))])
def test_mirrored_images_have_mirrored_predictions(model: str, size: tuple[int, int]) -> None:
    """The sides are no multiples of the networks' strides, nor are most of the scaled ones."""
    torch.manual_seed(0)
    network = build_task(tiny(model)).eval().network
    x = torch.rand(2, 3, *size)
    averaged = MultiScale(network, [0.75, 1, 1.25], flip=True).eval()
    with torch.no_grad():
        one, other = averaged(x), averaged(x.flip(-1)).flip(-1)
        alone = MultiScale(network, [0.75, 1, 1.25]).eval()
        assert not torch.allclose(alone(x), alone(x.flip(-1)).flip(-1), atol=1e-5)
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_network_is_averaged_as_written_out() -> None:
    torch.manual_seed(0)
    network = build_task(tiny("unet")).eval().network
    x = torch.rand(2, 3, 40, 48)
    with torch.no_grad():
        total = torch.zeros(2, 4, 40, 48)
        for size in ((20, 24), (30, 36), (40, 48)):
            small = F.interpolate(x, size, mode="bilinear", antialias=True)
            for turned in (False, True):
                logits = network(small.flip(3) if turned else small)
                logits = logits.flip(3) if turned else logits
                total += F.interpolate(logits, (40, 48), mode="bilinear").softmax(1)
        result = MultiScale(network, [0.5, 0.75, 1], flip=True).eval()(x)
    torch.testing.assert_close(result.exp(), total / 6, atol=1e-5, rtol=1e-4)


def test_half_precision_is_averaged_in_single_precision() -> None:
    x = torch.rand(1, 3, 16, 20).bfloat16()
    result = MultiScale(Colours(), [0.5, 1], flip=True)(x)
    assert result.dtype == torch.float32


def test_there_must_be_a_scale() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MultiScale(Colours(), [])
