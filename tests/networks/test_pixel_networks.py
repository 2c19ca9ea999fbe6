"""The pixels that PixelRNN and PixelCNN see, their parameter counts, and fast drawing against slow drawing."""

from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from small_networks import count
from torch import Tensor, nn

from scalian_exp.networks.parts.pixels import nats, values
from scalian_exp.networks.pixel_multiscale import MultiScale
from scalian_exp.networks.pixelcnn import PixelCNN
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM

DIAGONAL, ROW = partial(PixelRNN, layer=DiagonalBiLSTM), partial(PixelRNN, layer=RowLSTM)
MULTISCALE = partial(MultiScale, network=partial(PixelRNN, layer=DiagonalBiLSTM, features=6, depth=1, head_features=6))
KINDS: dict[str, Any] = {"diagonal": DIAGONAL, "row": ROW, "cnn": PixelCNN}


def alive(network: nn.Module) -> Any:
    """Return the network in double precision with all ReLUs active and no small weights.

    All dependencies then show in its gradients.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.uniform_(-0.25, 0.25)
            if name.endswith("bias") and "inputs" not in name:
                parameter.add_(20.0 if "head" in name else 2.0)
    return network.double()


def tiny(kind: str, channels: int, size: tuple[int, int], levels: int) -> Any:
    if kind == "multiscale":
        return alive(MULTISCALE(channels, size, levels))
    return alive(KINDS[kind](channels, size, levels, features=6, depth=2, head_features=6))


def dependence(network: Any, x: Tensor) -> Tensor:
    """Return the dependence (N, N) of logits (rows) on pixel values (columns), ordered by pixel and channel.

    These are gradients of each logit, or of a weighted sum over values, with respect to the image.
    """
    x = x.clone().requires_grad_()
    logits = network(x)
    if logits.dim() == 5:
        weights = torch.arange(1.0, logits.shape[1] + 1, dtype=logits.dtype)
        logits = torch.einsum("blchw,l->bchw", logits, weights.square())
    in_order = logits[0].permute(1, 2, 0).flatten()
    gradients = [torch.autograd.grad(logit, x, retain_graph=True)[0][0] for logit in in_order]
    return torch.stack([gradient.permute(1, 2, 0).flatten() for gradient in gradients])


@pytest.fixture(scope="module")
def naive() -> ModuleType:
    """Load the naive twins that the benchmark compares with."""
    file = Path(__file__).parents[2] / "scripts/benchmark_sequential.py"
    said = spec_from_file_location("benchmark_sequential", file)
    assert said is not None
    assert said.loader is not None
    module = module_from_spec(said)
    said.loader.exec_module(module)
    return module


def test_counts_of_the_paper() -> None:
    """7 layers of 16 for MNIST; one 1×1 convolution for both directions, no bias between states."""
    size = [28, 28]
    first_and_last = 49 * 32 + 32 + 2 * (32 * 32 + 32) + 33
    assert count(DIAGONAL(1, size, 2)) == 65_793 == first_and_last + 7 * 8864
    assert count(DIAGONAL(1, size, 2, depth=1)) == 12_609
    assert count(ROW(1, size, 2)) == 72_513
    assert count(PixelCNN(1, size, 2)) == 27_489


@pytest.mark.parametrize(("kind", "pixel"), product(KINDS, [(1, 2), (3, 2), (3, 4)]))
def test_no_logit_depends_on_its_own_or_a_later_value(kind: str, pixel: tuple[int, int]) -> None:
    channels, levels = pixel
    gradients = dependence(tiny(kind, channels, (5, 6), levels), torch.rand(1, channels, 5, 6).double())
    assert torch.equal(gradients, gradients.tril(-1))
    nearest = gradients.diagonal(-1)
    if channels == 3:  # green sees red of its pixel and blue sees green
        assert (nearest.view(-1)[torch.arange(len(nearest)) % 3 != 2] != 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_diagonal_bilstm_sees_all_that_comes_before(channels: int) -> None:
    gradients = dependence(tiny("diagonal", channels, (5, 6), 2), torch.rand(1, channels, 5, 6).double())
    before = torch.ones_like(gradients, dtype=torch.bool).tril(-1)
    assert (gradients[before] != 0).all()


def test_the_row_lstm_sees_its_triangle_alone() -> None:
    """To the right, k rows above, it sees the first convolution's three columns, and one more per row."""
    size = 11
    network = tiny("row", 1, (size, size), 2)
    seen = dependence(network, torch.rand(1, 1, size, size).double()).view(size, size, size, size) != 0
    for row, column, above in product(range(size), range(size), range(1, size)):
        if above <= row:
            reach = min(size - 1, column + above + 2)
            assert not seen[row, column, row - above, reach + 1 :].any()
            assert seen[row, column, row - above, reach]


def test_the_pixelcnn_has_its_blind_spot() -> None:
    """In the row above, at any depth, it sees only the three columns to the right that the first convolution sees."""
    size = 11
    network = alive(PixelCNN(1, [size, size], 2, features=4, depth=3))
    seen = dependence(network, torch.rand(1, 1, size, size).double()).view(size, size, size, size)[9, 5] != 0
    assert seen[9, :5].all()
    assert seen[8, :9].all()
    assert not seen[8, 9:].any()
    assert seen[7, :10].all()
    assert not seen[7, 10:].any()


def test_the_small_image_comes_first() -> None:
    network = tiny("multiscale", 1, (5, 6), 2)
    gradients = dependence(network, torch.rand(1, 1, 5, 6).double())
    places = torch.arange(30).view(5, 6)
    small = places[::2, ::2].flatten()
    order = torch.cat([small, torch.tensor([place for place in range(30) if place not in small.tolist()])])
    in_order = gradients[order][:, order]
    assert torch.equal(in_order, in_order.tril(-1))
    rest = order[len(small) :]
    assert (gradients[rest[-1], small] != 0).sum() > len(small) // 2  # also those that lie below


@pytest.mark.parametrize("kind", [*KINDS, "multiscale"])
def test_probabilities_of_all_images_add_up_to_one(kind: str) -> None:
    network = tiny(kind, 1, (3, 3), 2)
    images = torch.tensor(list(product([0.0, 1.0], repeat=9)), dtype=torch.double).view(-1, 1, 3, 3)
    with torch.no_grad():
        total = torch.exp(-nats(network(images), images).flatten(1).sum(1)).sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_of_colours_and_several_values_too(kind: str) -> None:
    network = tiny(kind, 3, (1, 2), 3)
    images = torch.tensor(list(product([0.0, 0.5, 1.0], repeat=6)), dtype=torch.double).view(-1, 3, 1, 2)
    with torch.no_grad():
        total = torch.exp(-nats(network(images), images).flatten(1).sum(1)).sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("kind", "pixel"), product([*KINDS, "multiscale"], [(1, 2), (3, 2), (3, 4)]))
def test_drawing_quickly_draws_the_same(kind: str, pixel: tuple[int, int], naive: ModuleType) -> None:
    """New images, and images with some pixels given: different ones in each image, and one complete row in all."""
    channels, levels = pixel
    network = tiny(kind, channels, (5, 6), levels)
    with torch.no_grad():  # logits of moderate size, so that the noise decides
        for parameter in network.parameters():
            parameter.uniform_(-0.6, 0.6)
    x = values(torch.rand(3, channels, 5, 6), levels).double() / (levels - 1)
    noise = torch.rand(x.shape)
    known = torch.rand(3, 1, 5, 6) < 0.3
    known[:, :, 2] = True
    for given in (torch.zeros_like(known), known):
        *_, quick = network.pixel_by_pixel(x, given, 0.7, noise)
        slow = drawn_slowly(network, x, given, noise, naive)
        assert torch.equal(quick, slow)
        assert torch.equal(quick[given.expand_as(x)], x[given.expand_as(x)])
        assert 0.05 < float(quick.mean()) < 0.95


def drawn_slowly(network: Any, x: Tensor, known: Tensor, noise: Tensor, naive: ModuleType) -> Tensor:
    if not isinstance(network, MultiScale):
        slow: Tensor = naive.draw_by_whole_images(network, x, known, 0.7, noise)
        return slow
    small = network.small
    every = (..., slice(None, None, 2), slice(None, None, 2))
    x, known = x.clone(), known.clone()
    x[every] = naive.draw_by_whole_images(small, x[every], known[every], 0.7, noise[every])
    known[every] = True
    return drawn_slowly_given_context(network, x, known, noise, naive)


def drawn_slowly_given_context(network: Any, x: Tensor, known: Tensor, noise: Tensor, naive: ModuleType) -> Tensor:
    """Draw the large image's pixels slowly; the small image is known, so only the large network's logits matter."""

    class Whole(nn.Module):
        shape = network.shape

        def forward(self, image: Tensor) -> Tensor:
            return network.large(image, network.context(x[..., ::2, ::2]))

    slow: Tensor = naive.draw_by_whole_images(Whole(), x, known, 0.7, noise)
    return slow


@pytest.mark.parametrize("size", [(4, 5), (5, 3)])
def test_layers_are_their_twins_pixel_after_pixel(size: tuple[int, int], naive: ModuleType) -> None:
    y = torch.randn(6, *size, 2).double()
    diagonal = DiagonalBiLSTM(3, 1).double()
    torch.testing.assert_close(diagonal(y, None), naive.diagonal_by_pixel(diagonal, y))
    row = RowLSTM(3, 1).double()
    left = torch.cat([torch.zeros_like(y[:, :, :1]), y[:, :, :-1]], 2)
    weight, up = row.inputs.weight[:, :, 0], row.up.weight[:, :, 0, 0]
    gates = torch.einsum("fg,ghwb->fhwb", weight[:, :, 0], left) + torch.einsum("fg,ghwb->fhwb", weight[:, :, 1], y)
    gates = gates + row.inputs.bias[:, None, None, None]
    order = [1, 0, 2]  # the memory comes from straight above
    states = naive.lstm_by_pixel(gates, lambda r, c: [(r - 1, c), (r - 1, c - 1), (r - 1, c + 1)], row.state[0, order])
    by_hand = y + torch.einsum("fg,ghwb->fhwb", up, states) + row.up.bias[:, None, None, None]
    torch.testing.assert_close(row(y, None), by_hand)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        PixelCNN(3, [8, 8], 2, features=2)
    with pytest.raises(ValueError, match="at least 2 values"):
        PixelCNN(1, [8, 8], 1)
    with pytest.raises(ValueError, match="stride from 2 to 7"):
        MULTISCALE(1, [8, 8], 2, stride=8)
