"""Penalties on the codes of autoencoders, which training adds to the loss of their reconstructions."""

from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.networks.autoencoder import Autoencoder
from scalian_exp.networks.parts.jacobian import dense_layers, estimated, exact
from scalian_exp.ranges import Fraction, NonNegativeFloat, PositiveInt
from scalian_exp.refusal import Refusal


class Contractive(nn.Module):
    """Penalty λ‖J‖² on how much the code changes with the input (Rifai et al. 2011, eq. 4).

    It is exact for encoders of dense layers with sigmoid, tanh, ReLU or linear units, and estimated for others.

    Args:
        weight: λ.
        directions: number of random directions of the input for the estimate; more are less noisy and slower.
    """

    def __init__(self, weight: NonNegativeFloat = 0.1, directions: PositiveInt = 1):
        super().__init__()
        self.weight, self.directions = weight, directions

    def forward(self, network: Any, x: Tensor, codes: Tensor) -> Tensor:
        """Return the penalty, a scalar averaged over inputs (B, …) of a network that offers `encode`."""
        layers = dense_layers(network.encoder) if isinstance(network, Autoencoder) else None
        squares = exact(layers, x) if layers else estimated(network, x, self.directions)
        return self.weight * squares.mean()


class Sparse(nn.Module):
    """Penalty β Σ_j KL(ρ ‖ ρ̂_j) on each unit's mean activation ρ̂_j over the batch (Ng 2011, "Sparse autoencoder").

    Several processes each compute it of their own part of the batch.

    Args:
        weight: β.
        activation: ρ, the mean activation that each unit of the code is drawn to, between 0 and 1.
    """

    def __init__(self, weight: NonNegativeFloat = 1.0, activation: Fraction = 0.05):
        super().__init__()
        if not 0 < activation < 1:
            raise ValueError(f"The mean activation of a sparse code lies between 0 and 1, but {activation} was given.")
        self.weight, self.activation = weight, activation

    def forward(self, network: Any, x: Tensor, codes: Tensor) -> Tensor:
        """Return the penalty, a scalar, of codes (B, D); the network and its inputs are unused.

        Raises:
            Refusal: if codes don't lie in [0, 1], in training as well: there the clamp below would hide it.
        """
        if bool(((codes < 0) | (codes > 1)).any()):
            raise Refusal(
                "The sparsity penalty needs codes between 0 and 1; give the code logistic units "
                "(model.network.code_activation._target_=torch.nn.Sigmoid), or leave model/penalty=sparse out."
            )
        rho, mean = self.activation, codes.float().mean(0).clamp(1e-6, 1 - 1e-6)
        on, off = rho * torch.log(rho / mean), (1 - rho) * torch.log((1 - rho) / (1 - mean))
        return self.weight * (on + off).sum()
