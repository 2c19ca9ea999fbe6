"""Parameter counts of the papers, and shapes for images of any size."""

from itertools import product

import pytest
import torch
from small_networks import count
from tools import tiny
from torch import nn

from scalian_exp.build import build_task
from scalian_exp.networks.autoencoder import ConvAutoencoder, DenseAutoencoder
from scalian_exp.networks.classifier import MLPClassifier
from scalian_exp.networks.gan import GAN
from scalian_exp.networks.vae import ConvVAE, DenseVAE


def test_counts_of_the_papers() -> None:
    assert count(DenseVAE(1, [28, 28], [400], 20)) == 652_824  # pytorch/examples
    assert count(DenseVAE(1, [28, 28], [500], 20)) == 815_824  # Kingma & Welling
    assert count(DenseVAE(1, [28, 28], [200, 200], 50, nn.Tanh)) == 425_284  # Burda et al., one layer
    assert count(DenseAutoencoder(1, [28, 28], [1000, 500, 250], 30)) == 2_837_314  # Hinton & Salakhutdinov
    assert count(MLPClassifier(1, [28, 28], [500, 500, 2000], 10)) == 1_665_010  # Hinton, Osindero & Teh
    assert count(ConvVAE(1, [64, 64], [32, 32, 32, 32], [256, 256], 10)) == 502_005  # Burgess et al.


@pytest.mark.parametrize(("size", "channels"), product([(28, 28), (7, 7), (9, 14), (5, 31)], [1, 3]))
def test_convolutional_networks_take_any_size_and_number_of_channels(size: tuple[int, int], channels: int) -> None:
    x = torch.rand(2, channels, *size)
    assert ConvAutoencoder(channels, size, [4, 6], [8], 3)(x).shape == x.shape
    network = ConvVAE(channels, size, [4, 6], [8], 3)
    logits, kl = network(x)
    assert logits.shape == x.shape
    assert kl.shape == (2, 3)
    assert network.sample(5).shape == (5, channels, *size)
    assert network.importance(x, 4)[0].shape == (4, *x.shape)


def test_too_many_levels_for_the_image_size_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 3 levels"):
        ConvVAE(1, [28, 8], [4, 4, 4, 4], [8], 3)


def test_every_parameter_is_trained() -> None:
    network = ConvVAE(1, [9, 9], [4], [8], 3)
    logits, kl = network(torch.rand(2, 1, 9, 9))
    (logits.square().mean() + kl.mean()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_vae_starts_near_the_mean_image() -> None:
    mean = torch.rand(1, 8, 8).clamp(0.01, 0.99)
    network = DenseVAE(1, [8, 8], [400], 4)

    def distance() -> float:
        return float((torch.sigmoid(network.decode(torch.zeros(1, 4)))[0] - mean).abs().mean())

    before = distance()
    network.start_from(mean)
    assert distance() < 0.06 < 0.2 < before
    convolutional = ConvVAE(1, [8, 8], [4], [8], 4)
    convolutional.start_from(torch.full((1, 8, 8), 0.9))
    assert abs(float(torch.sigmoid(convolutional.decode(torch.zeros(1, 4))).mean()) - 0.9) < 0.05


def test_a_denoising_autoencoder_is_not_linear() -> None:
    """Without nonlinear units, even a code of a thousand numbers could do no more than a matrix."""
    network = build_task(tiny("denoising_autoencoder")).network
    a, b = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    middle = (network(a) + network(b)) / 2
    assert float((network((a + b) / 2) - middle).abs().max()) > 1e-4


@pytest.mark.parametrize("size", [(28, 28), (64, 64), (33, 50)])
def test_a_gan_draws_images_of_any_size(size: tuple[int, int]) -> None:
    network = GAN(3, size, [4, 6, 8], latent_dim=5)
    images = network.sample(7)
    assert images.shape == (7, 3, *size)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert network.discriminator(images).shape == (7,)


def test_parameter_counts_of_dcgan() -> None:
    """Weights and batch norms are counted by hand, for the paper's 64×64 network with three channels."""
    network = GAN(3, [64, 64], [128, 256, 512, 1024], latent_dim=100)
    maps = 16 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + (512 + 256 + 128 + 3)
    assert count(network.generator) == 100 * 1024 * 16 + maps + 2 * (1024 + 512 + 256 + 128)
    maps = 16 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 128
    assert count(network.discriminator) == maps + 2 * (256 + 512 + 1024) + 1024 * 16 + 1
