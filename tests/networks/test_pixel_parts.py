"""Parts of PixelRNN and PixelCNN: recurrence over an image, masked convolutions, and the values of pixels."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scalian_exp.networks.parts.masked import MaskedConv2d
from scalian_exp.networks.parts.pixels import are_values, draw, expected, nats, values
from scalian_exp.networks.parts.recurrence import Walk, diagonals, recurrence, rows


@pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 3), (1, 3), (3, 1)])
def test_the_gradient_by_hand_is_right(height: int, width: int) -> None:
    def double(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.double, requires_grad=True)

    def checked(walk: Walk, taps: tuple[int, ...], directions: int) -> bool:
        inputs = double(directions, 8, height, width, 2), double(directions, len(taps), 8, 2)
        states: Callable[..., Tensor] = lambda gates, weight: recurrence(gates, weight, walk, taps)  # noqa: E731
        return torch.autograd.gradcheck(states, inputs)

    assert checked(diagonals, (0, -1), 2)
    assert checked(rows, (-1, 0, 1), 1)


def test_masks_hold_whatever_the_weights_become() -> None:
    """A mask applied to the weights just once would be undone by an optimizer's momentum."""
    layer = MaskedConv2d(3, 6, (3, 3), channels=3)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    with torch.no_grad():
        layer.weight += 100 * (1 - layer.mask)
    x = torch.rand(2, 3, 4, 4)
    before = layer(x)
    for _ in range(2):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        assert layer.weight.grad is not None
        assert (layer.weight.grad[layer.mask == 0] == 0).all()
        optimizer.step()
    later = x.clone()
    later[:, :, 2, 3:] += 1
    later[:, :, 3] += 1
    assert torch.equal(layer(later)[:, :, 2, :3], layer(x)[:, :, 2, :3])
    assert not torch.equal(layer(x), before)


def test_two_masks_of_three_channels() -> None:
    centres = {strict: MaskedConv2d(3, 6, (7, 7), 3, strict).mask[:, :, 3, 3] for strict in (False, True)}
    own = torch.tensor([0, 0, 1, 1, 2, 2])[:, None]
    assert torch.equal(centres[False], (torch.arange(3) <= own).float())
    assert torch.equal(centres[True], (torch.arange(3) < own).float())
    assert torch.equal(MaskedConv2d(3, 12, (1, 1), 3, gates=4).mask[:, :, 0, 0], torch.ones(3, 3).tril().repeat(4, 1))


def test_values_are_drawn_as_often_as_they_are_probable() -> None:
    noise = (torch.arange(10_000) + 0.5) / 10_000
    logits = torch.tensor([0.1, 1.0, -0.5, 0.4])
    for temperature in (1.0, 0.5):
        shares = torch.bincount(values(draw(logits[:, None].expand(-1, 10_000), noise, temperature), 4)) / 10_000
        torch.testing.assert_close(shares, (logits / temperature).softmax(0), rtol=0, atol=2e-4)
        drawn = draw(torch.full((10_000,), 0.7), noise, temperature)
        assert float(drawn.mean()) == pytest.approx(float(torch.sigmoid(torch.tensor(0.7 / temperature))), abs=2e-4)


def test_values_and_expectations_by_hand() -> None:
    x = torch.tensor([0, 8, 16, 5]) / 16
    as_bytes = (x * 255).round() / 255
    assert values(as_bytes, 17).tolist() == [0, 8, 16, 5]
    assert are_values(as_bytes, 17)
    assert not are_values(as_bytes, 2)
    assert are_values(torch.tensor([0.0, 1.0]), 2)
    logits = torch.tensor([0.2, 0.3, 0.5]).log().view(1, 3, 1, 1, 1)
    assert float(expected(logits, 4)) == pytest.approx(0.3 * 0.5 + 0.5)
    assert float(nats(logits, torch.full((1, 1, 1, 1), 0.5))) == pytest.approx(-float(torch.tensor(0.3).log()))
