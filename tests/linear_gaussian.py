"""A linear-Gaussian latent-variable model, whose likelihood and posterior are known in closed form."""

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from scalian_exp.networks.vae import VAE

PIXELS, LATENTS, SIGMA = 4, 2, 0.5


class LinearLikelihood(nn.Module):
    """Log-density of N(decoder output, sigma²): Gaussian pixels without the sigmoid, so that everything is linear."""

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        return Normal(output, SIGMA).log_prob(x).sum((-3, -2, -1))


def linear_gaussian(exact: bool) -> tuple[VAE, Tensor]:
    """Return a VAE with decoder x = Wz + b and q(z|x) either exact or shifted and too wide, and images."""
    decoder = nn.Sequential(nn.Linear(LATENTS, PIXELS), nn.Unflatten(1, (1, 2, 2)))
    network = VAE(nn.Flatten(), PIXELS, decoder, LATENTS)
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 1.0], [0.0, -0.7]])  # WᵀW diagonal: q factorises exactly
    bias = torch.tensor([0.1, -0.2, 0.3, 0.0])
    precision = 1 + weight.square().sum(0) / SIGMA**2
    with torch.no_grad():
        decoder[0].weight.copy_(weight)
        decoder[0].bias.copy_(bias)
        network.mean.weight.copy_((weight / SIGMA**2).T / precision[:, None])
        network.mean.bias.copy_(-network.mean.weight @ bias + (0 if exact else 0.2))
        network.log_variance.weight.zero_()
        network.log_variance.bias.copy_(-precision.log() + (0 if exact else 0.5))
    z = torch.randn(6, LATENTS)
    return network, (z @ weight.T + bias + SIGMA * torch.randn(6, PIXELS)).view(6, 1, 2, 2)


def log_evidence(network: VAE, x: Tensor) -> Tensor:
    """Return log p(x) in closed form: x ~ N(b, WWᵀ + σ²)."""
    weight, bias = network.decoder[0].weight, network.decoder[0].bias
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(PIXELS)
    return MultivariateNormal(bias, covariance).log_prob(x.flatten(1))
