"""A feed-forward network that starts from a stack of Boltzmann machines.

Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", figure 1: the stack's weights
go upwards in an encoder, and downwards in its decoder.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from scalian_exp.networks.units import Units


class Dense(NamedTuple):
    """The weights from one layer to the next."""

    weight: Tensor
    """(to, from)"""
    bias: Tensor
    """(to,)"""


def unrolled(layers: Sequence[tuple[Dense, Dense]], network: nn.Module, keep_last: bool = False) -> dict[str, Tensor]:
    """Weights of a stack under the names of a network's dense layers, in its `encoder` and, if it has one, `decoder`.

    Args:
        layers: the way up and the way down through each machine, from the image upwards.
        keep_last: leave the decoder's last layer as it is: what Gaussian units give are no logits.
    """
    found = {}
    for part in ("encoder", "decoder"):
        names = [
            name
            for name, module in network.named_modules()
            if name.startswith(f"{part}.") and isinstance(module, nn.Linear)
        ]
        pairs = list(zip(layers, names if part == "encoder" else reversed(names), strict=False))
        for (up, down), name in pairs[int(part == "decoder" and keep_last) :]:
            found[f"{name}.weight"], found[f"{name}.bias"] = up if part == "encoder" else down
    return found


def check_units(units: Sequence[Units], network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Refuse an encoder whose units are of another kind than those whose weights it is to start from.

    Args:
        units: hidden units of each layer, from the image upwards.
        weights: by the network's names; those of another shape there aren't taken.

    Raises:
        ValueError: if a layer that takes its weights has other units.
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
