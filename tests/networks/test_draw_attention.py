"""DRAW's attention: filters, reading and writing, against double loops."""

import math
from typing import Any

import pytest
import torch
from small_networks import DRAW_SIZES, draw_networks
from torch import Tensor
from torch.distributions import Normal

from scalian_exp.networks.draw import DRAWWithoutAttention
from scalian_exp.networks.parts.attention import GaussianGrid


def slow_bank(centre: float, stride: float, variance: float, size: int, length: int) -> Tensor:
    """Compute F of eq. 19, 25 and 26; filters and pixels are counted from 1."""
    bank = torch.zeros(size, length, dtype=torch.float64)
    for i in range(1, size + 1):
        mean = centre + (i - size / 2 - 0.5) * stride
        for a in range(1, length + 1):
            bank[i - 1, a - 1] = math.exp(-((a - mean) ** 2) / (2 * variance))
        bank[i - 1] /= bank[i - 1].sum()
    return bank


def slow_filters(parameters: Tensor, size: int, height: int, width: int) -> tuple[Tensor, Tensor, float]:
    """Compute F_X, F_Y and γ of one image, eq. 21 to 26."""
    across, down, log_variance, log_stride, log_intensity = parameters.tolist()
    centre_x, centre_y = (width + 1) / 2 * (across + 1), (height + 1) / 2 * (down + 1)
    stride = (max(height, width) - 1) / (size - 1) * math.exp(log_stride)
    columns = slow_bank(centre_x, stride, math.exp(log_variance), size, width)
    rows = slow_bank(centre_y, stride, math.exp(log_variance), size, height)
    return columns, rows, math.exp(log_intensity)


@pytest.mark.parametrize(("size", "height", "width"), [(2, 7, 7), (5, 28, 20), (3, 6, 11)])
def test_filters_equal_those_of_a_double_loop(size: int, height: int, width: int) -> None:
    grid, parameters = GaussianGrid(size, (height, width)), 0.4 * torch.randn(4, 5)
    filters = grid(parameters)
    images, patches = torch.rand(4, 3, height, width), torch.randn(4, 3, size, size)
    read, written = filters.read(images.transpose(1, 2)), filters.write(patches.transpose(1, 2))
    for b in range(4):
        columns, rows, intensity = slow_filters(parameters[b], size, height, width)
        torch.testing.assert_close(filters.columns[b].double(), columns, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(filters.rows[b].double(), rows, rtol=1e-3, atol=1e-5)
        for c in range(3):
            patch = intensity * rows @ images[b, c].double() @ columns.T
            torch.testing.assert_close(read[b, :, c].double(), patch, rtol=1e-3, atol=1e-4)
            picture = rows.T @ patches[b, c].double() @ columns / intensity
            torch.testing.assert_close(written[b, :, c].double(), picture, rtol=1e-3, atol=1e-4)


def test_filters_of_half_precision_networks_are_placed_precisely() -> None:
    parameters = torch.tensor([[0.25, -0.5, -2.0, -2.0, 0.5]])
    exact, half = (
        GaussianGrid(5, (300, 300))(parameters),
        GaussianGrid(5, (300, 300)).to(torch.bfloat16)(parameters.to(torch.bfloat16)),
    )
    torch.testing.assert_close(half.rows.float(), exact.rows, rtol=1e-2, atol=1e-2)
    assert half.rows.dtype == half.intensity.dtype == torch.bfloat16


def test_filters_are_normalised_even_far_outside_the_image() -> None:
    extreme = torch.tensor([[0.0, 0.0, -9.0, 0.0, 0.0], [5.0, -7.0, -50.0, 3.0, 0.0], [1e9, 0.0, 40.0, 60.0, 80.0]])
    filters = GaussianGrid(4, (9, 5))(extreme.requires_grad_())
    for bank in (filters.rows, filters.columns):
        torch.testing.assert_close(bank.sum(-1), torch.ones(3, 4))
    filters.write(torch.ones(3, 4, 1, 4)).sum().backward()
    assert extreme.grad is not None
    assert extreme.grad.isfinite().all()


def test_reading_with_narrow_filters_inverts_writing() -> None:
    """With a filter on every pixel, the image passes through unchanged, and γ is undone by 1/γ."""
    parameters = torch.tensor([[0.0, 0.0, -6.0, 0.0, 0.7]])
    filters = GaussianGrid(6, (6, 6))(parameters)
    patch = torch.randn(1, 6, 2, 6)
    torch.testing.assert_close(filters.read(filters.write(patch)), patch)
    torch.testing.assert_close(filters.write(patch), patch * math.exp(-0.7))


def test_the_box_of_a_window_spans_its_filters() -> None:
    grid = GaussianGrid(5, (20, 28))
    assert grid.box(torch.zeros(5)).tolist() == [0, -4, 28, 24]  # as wide as the longer side, and centred
    left, top, right, bottom = grid.box(torch.tensor([0.5, 0.0, 0.0, -math.log(4), 0.0])).tolist()
    assert (left + right) / 2 == pytest.approx(29 / 2 * 1.5 - 0.5)
    assert (top + bottom) / 2 == pytest.approx(10)
    assert right - left == pytest.approx(27 / 4 + 1)


def slow_read(network: Any, x: Tensor, error: Tensor, output: Tensor) -> Tensor:
    """Return the encoder's input, in the order of its weights."""
    if isinstance(network, DRAWWithoutAttention):
        return torch.cat([x.transpose(1, 2).flatten(1), error.transpose(1, 2).flatten(1)], 1)
    parameters = network.read_head(output)
    inputs = []
    for b in range(len(x)):
        columns, rows, intensity = (
            slow.float() if isinstance(slow, Tensor) else slow
            for slow in slow_filters(parameters[b], network.reading.size, *x.shape[2:])
        )
        glimpses = [intensity * rows @ channel @ columns.T for channel in (*x[b], *error[b])]
        inputs.append(torch.stack(glimpses, 1).flatten())  # row by row, then channel by channel
    return torch.stack(inputs)


def slow_write(network: Any, output: Tensor) -> Tensor:
    channels, height, width = network.shape
    if isinstance(network, DRAWWithoutAttention):
        return network.write_head(output).view(-1, height, channels, width).transpose(1, 2)
    parameters, size = network.write_head(output), network.writing.size
    written = []
    for b in range(len(output)):
        columns, rows, intensity = (
            slow.float() if isinstance(slow, Tensor) else slow
            for slow in slow_filters(parameters[b, :5], size, height, width)
        )
        patch = parameters[b, 5:].view(size, channels, size)
        written.append(torch.stack([rows.T @ patch[:, c] @ columns / intensity for c in range(channels)]))
    return torch.stack(written)


@pytest.mark.parametrize(("channels", "size"), DRAW_SIZES)
@torch.no_grad()
def test_glimpses_follow_the_papers_equations(channels: int, size: tuple[int, int]) -> None:
    """Compute eq. 3 to 8 and 10 one by one, with torch's LSTM cells and normal distributions and the same noise."""
    x = torch.rand(4, channels, *size)
    for network in draw_networks(channels, size):
        network.start_from(torch.rand(channels, *size))
        torch.manual_seed(5)
        logits, kl = network(x)
        torch.manual_seed(5)
        noise = network.noise(4)
        zeros = torch.zeros(4, 6)
        encoder, decoder, canvas = (zeros, zeros), (zeros, zeros), network.blank.transpose(0, 1)
        expected = []
        for t in range(3):
            seen = slow_read(network, x, x - torch.sigmoid(canvas), decoder[0])
            encoder = network.encoder(torch.cat([seen, decoder[0]], 1), encoder)
            mean, log_variance = network.posterior(encoder[0]).split(2, 1)
            posterior = Normal(mean, (log_variance / 2).exp())
            expected.append(torch.distributions.kl_divergence(posterior, Normal(0.0, 1.0)))
            decoder = network.decoder(mean + (log_variance / 2).exp() * noise[t], decoder)
            canvas = canvas + slow_write(network, decoder[0])
        torch.testing.assert_close(logits, canvas, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(kl, torch.cat(expected, 1), rtol=1e-4, atol=1e-5)
