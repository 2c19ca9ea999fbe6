"""Initialisation of a feed-forward network from a stack of Boltzmann machines.

Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", figure 1: the stack's weights
lead upwards in the encoder, and downwards in the decoder.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from scalian_exp.networks.units import Units


class Dense(NamedTuple):
    """Weight and bias that lead from one layer to the next."""

    weight: Tensor
    """(to, from)"""
    bias: Tensor
    """(to,)"""


def unrolled(layers: Sequence[tuple[Dense, Dense]], network: nn.Module, keep_last: bool = False) -> dict[str, Tensor]:
    """Return a stack's weights under the names of the dense layers in a network's `encoder` and, if any, `decoder`.

    Args:
        layers: the dense layers up and down through each machine, from the image upwards.
        network: the network to initialise.
        keep_last: leave out the decoder's last layer, because the output of Gaussian units is not logits.
    """
    weights, own = {}, network.state_dict()
    for part in ("encoder", "decoder"):
        names = [
            name
            for name, module in network.named_modules()
            if name.startswith(f"{part}.") and isinstance(module, nn.Linear)
        ]
        pairs = list(zip(layers, names if part == "encoder" else reversed(names), strict=False))
        for (up, down), name in pairs[int(part == "decoder" and keep_last) :]:
            weights[f"{name}.weight"], weights[f"{name}.bias"] = up if part == "encoder" else down
    return {name: tensor for name, tensor in weights.items() if name in own}  # tied layers have only their bias


def check_units(units: Sequence[Units], network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Refuse an encoder whose units differ in kind from those whose weights would initialise it.

    Args:
        units: hidden units of each layer of the stack, from the image upwards.
        network: the network to initialise.
        weights: the stack's weights by the network's names; those of another shape are not used.

    Raises:
        ValueError: if a layer that would take its weights has other units.
    """
    leaves = [
        (name, module)
        for name, module in network.named_modules()
        if name.startswith("encoder.") and not list(module.children()) and not isinstance(module, nn.Dropout)
    ]
    dense = [(name, layer, after) for (name, layer), (_, after) in pairwise(leaves) if isinstance(layer, nn.Linear)]
    for number, (kind, (name, layer, after)) in enumerate(zip(units, dense, strict=False), start=1):
        wanted = nn.Identity if kind.standardised else nn.Sigmoid
        if layer.weight.shape == weights[f"{name}.weight"].shape and not isinstance(after, wanted):
            raise ValueError(
                f"layer {number} has {type(kind).__name__} units there, but {type(after).__name__} here, not "
                f"{wanted.__name__}; use a stack and a network of the same units."
            )
