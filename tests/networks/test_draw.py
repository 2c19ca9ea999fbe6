"""DRAW against the paper's parameter counts, a VAE, and the densities along its path."""

from itertools import product
from typing import Any

import pytest
import torch
from small_networks import DRAW_SIZES, count, draw_networks
from torch import Tensor, nn
from torch.distributions import Normal

from scalian_exp.losses.elbo import ELBO, Bernoulli
from scalian_exp.networks.draw import DRAW, DRAWWithoutAttention
from scalian_exp.networks.parts.attention import GaussianGrid
from scalian_exp.networks.vae import VAE
from scalian_exp.tasks.variational import Variational


def test_counts_of_the_paper() -> None:
    """The counts include both bias vectors of torch's LSTMs, and no learned initial states."""
    size = [28, 28]
    assert count(DRAW(1, size, 64, 256, 100, 2, 5)) == 961_515
    assert count(DRAWWithoutAttention(1, size, 64, 256, 100)) == 2_751_448
    assert count(DRAW(1, size, 10, 256, 10, 5, 5)) == 866_103
    assert count(DRAWWithoutAttention(1, size, 10, 256, 10)) == 2_613_028


@pytest.mark.parametrize(("size", "height", "width"), [(2, 28, 28), (5, 28, 28), (12, 32, 20)])
def test_windows_start_in_the_middle_and_cover_it_without_gaps(size: int, height: int, width: int) -> None:
    grid = GaussianGrid(size, (height, width))
    left, top, right, bottom = grid.box(grid.start()).tolist()
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((width / 2, height / 2))
    assert right - left - 1 == pytest.approx((max(height, width) - 1) * 2 / 3)
    covered = grid(grid.start()[None]).columns[0].sum(0)[int(max(left, 0)) + 1 : int(min(right, width)) - 1]
    assert float(covered.min()) > 0.4 * float(covered.max())


class FirstStep(nn.Module):
    """Output of an LSTM after one step from the zero state, applied to a function of the input."""

    def __init__(self, cell: nn.LSTMCell, fed: Any):
        super().__init__()
        self.cell, self.fed = cell, fed

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(self.fed(x))[0]


@torch.no_grad()
def test_one_glimpse_without_attention_is_a_vae() -> None:
    network = DRAWWithoutAttention(1, [6, 5], glimpses=1, lstm_units=8, latent_dim=3)
    encoder = FirstStep(
        network.encoder, lambda x: torch.cat([x.flatten(1), x.flatten(1) - 0.5, torch.zeros(len(x), 8)], 1)
    )
    decoder = nn.Sequential(FirstStep(network.decoder, lambda z: z), network.write_head, nn.Unflatten(1, (1, 6, 5)))
    vae = VAE(encoder, 8, decoder, 3)
    for head, part in ((vae.mean, slice(0, 3)), (vae.log_variance, slice(3, 6))):
        head.weight.copy_(network.posterior.weight[part])
        head.bias.copy_(network.posterior.bias[part])
    x, loss = torch.bernoulli(torch.rand(7, 1, 6, 5)), ELBO(Bernoulli())
    bounds = []
    for either in (vae, network):
        torch.manual_seed(2)
        bounds.append(loss(*either(x), x))
    torch.testing.assert_close(bounds[0], bounds[1])
    torch.testing.assert_close(vae.encode(x), network.encode(x))
    torch.testing.assert_close(vae.importance(x, 1)[1].shape, network.importance(x, 1)[1].shape)


@torch.no_grad()
def test_the_importance_ratio_is_the_ratio_of_the_densities_along_the_path() -> None:
    x = torch.rand(3, 2, 5, 6)
    for network in draw_networks(2, (5, 6)):
        torch.manual_seed(4)
        logits, log_ratio = network.importance(x, 2)
        assert logits.shape == (2, 3, 2, 5, 6)
        torch.manual_seed(4)
        noise = network.noise(6)
        _, mean, log_variance = network.trajectory(x.repeat(2, 1, 1, 1), noise)
        posterior = Normal(mean, (log_variance / 2).exp())
        z = mean + (log_variance / 2).exp() * noise
        expected = (Normal(0.0, 1.0).log_prob(z) - posterior.log_prob(z)).sum((0, 2)).view(2, 3)
        torch.testing.assert_close(log_ratio, expected)


@torch.no_grad()
def test_one_sample_gives_the_elbo_in_expectation_and_more_tighten_the_bound() -> None:
    x = torch.bernoulli(torch.rand(1, 1, 4, 4)).repeat(6000, 1, 1, 1)
    for network in draw_networks(1, (4, 4)):
        for name, parameter in network.named_parameters():
            if name.startswith(("posterior", "write")):
                parameter.mul_(2)  # a posterior that differs from the prior, and codes that matter
        task = Variational(network, ELBO(Bernoulli()), torch.optim.Adam)
        terms = task.loss(*network(x), x)
        one, many = task.log_likelihood_bound(x, 1), task.log_likelihood_bound(x[:1000], 20)
        error = float(one.std()) / 6000**0.5
        assert error < 0.03
        assert float(one.mean()) == pytest.approx(-float(terms.reconstruction + terms.kl), abs=5 * error)
        assert float(many.mean()) > float(one.mean()) + 5 * error


@torch.no_grad()
def test_noise_is_independent_between_glimpses_and_images() -> None:
    for network in draw_networks(1, (7, 7), glimpses=50):
        noise = network.noise(40)
        assert noise.shape == (50, 40, 2)
        assert float(torch.corrcoef(noise.flatten(1)).tril(-1).abs().max()) < 0.6
        x = torch.rand(1, 1, 7, 7).expand(2, -1, -1, -1)
        first, second = network(x)[0]
        assert not torch.equal(first, second)


@pytest.mark.parametrize(("channels", "size"), DRAW_SIZES)
@torch.no_grad()
def test_codes_decode_to_the_drawing_of_the_posterior_means(channels: int, size: tuple[int, int]) -> None:
    x = torch.rand(4, channels, *size)
    for network in draw_networks(channels, size):
        codes = network.encode(x)
        assert codes.shape == (4, 6)
        logits, mean, _ = network.trajectory(x, torch.zeros(3, 4, 2))
        torch.testing.assert_close(network.decode(codes), logits)
        torch.testing.assert_close(codes.view(4, 3, 2)[:, 1], mean[1])
        drawing = network.drawing(codes)
        assert drawing.canvases.shape == (3, *x.shape)
        torch.testing.assert_close(drawing.canvases[-1], logits)
        other = network.drawing(torch.cat([codes[:, :4], torch.randn(4, 2)], 1))  # another last step
        torch.testing.assert_close(other.canvases[:2], drawing.canvases[:2])
        assert not torch.allclose(other.canvases[2], drawing.canvases[2])
        images = network.sample(5)
        assert images.shape == (5, channels, *size)
        assert 0 <= float(images.min()) <= float(images.max()) <= 1


@torch.no_grad()
def test_paint_is_applied_only_inside_the_window() -> None:
    """With a narrow window in the lower left corner, nothing changes elsewhere."""
    network = DRAW(1, [20, 20], 3, 6, 2, read_size=2, write_size=3)
    network.write_head.weight.zero_()
    network.write_head.bias.copy_(torch.tensor([-0.6, 0.6, -3.0, -2.5, 0.0, *[1.0] * 9]))
    drawing = network.drawing(network.prior(1))
    assert drawing.write is not None
    assert drawing.read is not None
    assert drawing.write.shape == drawing.read.shape == (3, 1, 4)
    left, top, right, bottom = (int(value) for value in drawing.write[0, 0].round())
    assert 0 < left < right < 10 < top < bottom < 20
    image = drawing.canvases[0, 0, 0].clone()
    assert (image[top:bottom, left:right] > 0.05).any()
    image[top - 1 : bottom + 1, left - 1 : right + 1] = 0
    assert float(image.abs().max()) < 1e-3


def test_every_parameter_is_trained() -> None:
    for (channels, size), glimpses in product(DRAW_SIZES[:2], (1, 3)):
        for network in draw_networks(channels, size, glimpses):
            logits, kl = network(torch.rand(2, channels, *size))
            (logits.square().mean() + kl.mean()).backward()
            for name, parameter in network.named_parameters():
                after_zeros = name in ("encoder.weight_hh", "decoder.weight_hh", "read_head.weight")
                assert parameter.grad is not None
                assert bool(parameter.grad.abs().sum() > 0) == (glimpses > 1 or not after_zeros), name


@torch.no_grad()
def test_canvases_start_at_the_mean_image() -> None:
    mean = torch.rand(3, 6, 5).clamp(0.05, 0.95)
    x = torch.rand(4, 3, 6, 5)
    for network in draw_networks(3, (6, 5)):
        network.start_from(mean)
        network.write_head.weight.zero_()
        network.write_head.bias.zero_()
        codes = network.encode(x)
        for logits in (network(x)[0], network.decode(codes), *network.drawing(codes).canvases):
            torch.testing.assert_close(torch.sigmoid(logits), mean.expand_as(logits))
        torch.testing.assert_close(network.sample(1)[0], mean)


def test_images_and_codes_of_other_sizes_are_refused() -> None:
    for network in draw_networks(1, (7, 7)):
        for method in (network, network.encode):
            with pytest.raises(ValueError, match="These images are 3×7×8, but this network draws 1×7×7"):
                method(torch.rand(2, 3, 7, 8))
        with pytest.raises(ValueError, match="These codes have 5 numbers, but this network's have 3 × 2"):
            network.decode(torch.rand(2, 5))
