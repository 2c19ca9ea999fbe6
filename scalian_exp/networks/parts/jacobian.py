"""The squared Frobenius norm of an encoder's Jacobian: how much its code changes with its input.

Rifai et al. 2011, "Contractive auto-encoders", ICML. For dense layers it is exact: the Jacobian is the product of their
weights and slopes, for a single layer of logistic units Σ_j (h_j (1 − h_j))² Σ_i W_ji² (eq. 7). For other encoders an
unbiased estimate is the mean of ‖Ju‖² over random directions u of the input, whose numbers are ±1 (Hutchinson 1990).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.layers import Flat

SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.ReLU: lambda h: (h > 0).to(h.dtype),
    nn.Sigmoid: lambda h: h * (1 - h),
    nn.Tanh: lambda h: 1 - h.square(),
}
"""elementwise activations → their derivative as a function of their output"""

Layer = tuple[nn.Linear, nn.Module]
"""a dense layer and its activation"""


def dense_layers(encoder: nn.Module) -> list[Layer] | None:
    """Return the layers of an encoder that consists of dense layers with known activations; None of any other."""
    layers: list[Layer] = []
    for module in encoder.modules():
        if type(module) is nn.Linear:
            layers.append((module, nn.Identity()))
        elif type(module) in SLOPES and layers and type(layers[-1][1]) is nn.Identity:
            layers[-1] = (layers[-1][0], module)
        elif type(module) not in (nn.Sequential, Flat):
            return None
    return layers


def exact(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """Return ‖J‖² (B,) of a stack of dense layers at inputs (B, …)."""
    h, slopes = x.flatten(1), []
    for linear, activation in layers:
        h = activation(linear(h))
        slopes.append(SLOPES[type(activation)](h))
    weights = [linear.weight for linear, _ in layers]
    if len(layers) == 1:
        return slopes[0].square() @ weights[0].square().sum(1)
    jacobian = slopes[-1][:, :, None] * weights[-1]  # (B, code, units below)
    for weight, slope in zip(reversed(weights[:-1]), reversed(slopes[:-1]), strict=True):
        jacobian = (jacobian * slope[:, None]) @ weight
    return jacobian.square().sum((1, 2))


class Encoding(nn.Module):
    """A network's encoder as a module, whose call is `encode`."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Encode inputs (B, …) to codes."""
        return self.network.encode(x)


def estimated(network: Any, x: Tensor, directions: int) -> Tensor:
    """Estimate ‖J‖² (B,) of any network's `encode` at inputs (B, …), each on its own, from random directions of x."""
    encoding = Encoding(network)

    def encode(x: Tensor) -> Tensor:
        copies = {name: buffer.clone() for name, buffer in encoding.named_buffers()}  # batch norm updates the copies
        return torch.func.functional_call(encoding, copies, (x,))

    total = x.new_zeros(len(x))
    for _ in range(directions):
        signs = torch.randint_like(x, 2) * 2 - 1
        with torch.compiler.set_stance("force_eager"):  # compiled parts have no forward-mode derivative
            change: Tensor = torch.func.jvp(encode, (x,), (signs,))[1]
        total = total + change.square().flatten(1).sum(1)
    return total / directions
