"""The layers of a stack as one program of the page: a step up and a step down through each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.networks.parts.unrolling import Dense
from scalian_exp.tasks.offers import has, offers
from scalian_exp.tasks.protocols import BoltzmannNetwork, GreedyNetwork

Way = Callable[[Tensor], list[Tensor]]


class Step(NamedTuple):
    """A layer's two directions, as functions of states (1, D): total inputs, if it has any, and means."""

    up: Way
    down: Way


def steps(network: Any) -> list[Step]:
    """Return the steps of a stack, from the image's units upwards; none if the network isn't one."""
    if offers(network, BoltzmannNetwork):
        return [of_machine(network, layer) for layer in range(len(network.rbms))]
    if offers(network, GreedyNetwork):
        pairs = zip(network.layer_encoders, network.layer_decoders, strict=True)
        return [of_autoencoder(encoder, decoder) for encoder, decoder in pairs]
    return []


def of_autoencoder(encoder: nn.Module, decoder: nn.Module) -> Step:
    """Return the step through a layer of a stacked autoencoder."""
    return Step(lambda x: [encoder(x)], lambda z: [torch.sigmoid(decoder(z))])


def of_machine(network: Any, layer: int) -> Step:
    """Return the step through an RBM, downwards by generative weights if the network has separate ones."""
    rbm = network.rbms[layer]
    below, above = rbm.uncentred_biases()
    down = network.downwards(layer) if has(network, "downwards") else Dense(rbm.weight.detach().t(), below)
    tied = down.weight.t().is_set_to(rbm.weight.detach())

    def upwards(v: Tensor) -> list[Tensor]:
        x = nn.functional.linear(v, rbm.weight, above)
        return [x, rbm.hidden.mean(x)]

    def downwards(h: Tensor) -> list[Tensor]:
        x = nn.functional.linear(h, rbm.weight.t() if tied else down.weight, down.bias)
        return [x, rbm.visible.mean(x)]

    return Step(upwards, downwards)


def pixels(network: Any, image: Tensor) -> Tensor:
    """Return the states (B, D) of the lowest units for images (B, C, H, W)."""
    return network.means_above(image, 0) if offers(network, BoltzmannNetwork) else image.flatten(1)


def program(run: Run, store: Store) -> str:
    """Store the program of a run's stack, and return its block's name.

    Its inputs are, for each layer, the states below and those above; its outputs, for each layer, those of `up`, then
    those of `down`.

    Raises:
        Refusal: if the engine doesn't know one of its operations.
    """
    layers = steps(run.network)
    below = pixels(run.network, run.batch("test", torch.tensor([0]))["image"])
    examples: list[Tensor] = []
    for number, step in enumerate(layers, start=1):
        if number == len(layers) and has(run.network, "seen_by_top"):
            below = run.network.seen_by_top(below)
        above = step.up(below)[-1]
        examples += [below, above]
        below = above

    def both(_network: nn.Module, *states: Tensor) -> list[Tensor]:
        ways = zip(layers, states[::2], states[1::2], strict=True)
        return [value for step, below, above in ways for value in [*step.up(below), *step.down(above)]]

    return store.program("stack", run.network, both, *examples)
