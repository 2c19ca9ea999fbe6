"""Transposed convolutions: how they enlarge maps, with the filters and checkerboard patterns of the run's layers."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.tasks.capabilities import Samples, SamplesByPixel
from scalian_exp.tasks.offers import has, offers

ORDER = 70
LAYERS, INPUTS, OUTPUTS, RESPONSES = 8, 6, 6, 4
"""most layers; input and output channels whose filters, and output channels whose responses are shown"""
EXAMPLES = 8


def offered(run: Run) -> bool:
    """Return whether the network of images has transposed convolutions."""
    return run.of_images and bool(transposed(run.network))


def transposed(network: nn.Module) -> dict[str, nn.ConvTranspose2d]:
    """Return the network's transposed convolutions by name."""
    named = {name: module for name, module in network.named_modules() if isinstance(module, nn.ConvTranspose2d)}
    return dict(list(named.items())[:LAYERS])


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the filters of each layer and its response to a constant input into the store."""
    layers = transposed(run.network)
    maps = seen(run, layers)
    about: list[dict[str, Any]] = []

    def fill(pack: Pack) -> dict[str, Any]:
        for number, (name, layer) in enumerate(layers.items()):
            about.append(add_layer(pack, number, name, layer, *maps.get(name, (None, None))))
        return {}

    return {"filters": store.block("filters", fill), "layers": about}


def seen(run: Run, layers: dict[str, nn.ConvTranspose2d]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return input and output of each layer that is called for test images or, by a generator, for new ones."""
    result: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        layer.register_forward_hook(lambda _, given, output, name=name: result.update({name: (given[0], output)}))
        for name, layer in layers.items()
    ]
    network, batch = run.network, run.batch("test", run.spread("test", EXAMPLES))
    x = run.task.inputs(batch)
    if has(network, "encode") and has(network, "decode"):
        network.decode(network.encode(x))
    elif offers(network, Samples) and not offers(network, SamplesByPixel):
        network.sample(EXAMPLES)
    else:
        network(x)
    for handle in handles:
        handle.remove()
    return result


def add_layer(
    pack: Pack, number: int, name: str, layer: nn.ConvTranspose2d, given: Tensor | None, output: Tensor | None
) -> dict[str, Any]:
    """Add a layer's first filters and its response to a constant input, each channel's mean over test images.

    All pixels of a constant input paint the same, so the response is that of one channel of ones to one `kernel` for
    each output channel. Nothing is cropped by `padding`.
    """
    kernel, stride = (list(values) for values in (layer.kernel_size, layer.stride))
    weight, each = layer.weight.float(), layer.out_channels // layer.groups
    constant = torch.ones(layer.in_channels) if given is None else given.float().mean((0, 2, 3))

    def enlarged(x: Tensor) -> Tensor:
        """Apply the layer without bias and cropping."""
        return F.conv_transpose2d(x, weight, None, stride, 0, 0, layer.groups, layer.dilation)[0]

    kernels = enlarged(constant[None, :, None, None])
    cells = [math.ceil(size / step) + 2 for size, step in zip(kernels.shape[1:], stride, strict=True)]
    response = enlarged(constant[None, :, None, None].expand(1, -1, *cells))
    first = [math.ceil((size - 1) / step) * step for size, step in zip(kernels.shape[1:], stride, strict=True)]
    phases = response[:, first[0] : first[0] + stride[0], first[1] : first[1] + stride[1]]
    wave = float(phases.flatten(1).var(1, correction=0).mean().sqrt())
    spread = None if output is None else float(output.float().var((2, 3), correction=0).mean().sqrt())
    pack.weights(f"filters{number}", weight[:INPUTS, :OUTPUTS])  # (in, out, row, column)
    pack.add(f"kernels{number}", kernels[:RESPONSES], "f4")
    pack.add(f"response{number}", response[:RESPONSES], "f4")
    bilinear = bilinear_filters(layer)
    return {
        "name": name,
        "kernel": kernel,
        "stride": stride,
        "channels": [layer.in_channels, layer.out_channels],
        "shown": [min(INPUTS, layer.in_channels), min(OUTPUTS, each)],
        "cells": cells,
        "fixed": not layer.weight.requires_grad,
        "from_bilinear": None if bilinear is None else float((weight - bilinear).norm() / bilinear.norm()),
        "share": None if not spread else wave / spread,
        "divisible": all(size % step == 0 for size, step in zip(kernel, stride, strict=True)),
    }


def bilinear_filters(layer: nn.ConvTranspose2d) -> Tensor | None:
    """Return the weights with which a layer would enlarge each channel bilinearly; None if its shape doesn't allow it.

    A kernel of 2·s − s mod 2 for a stride s (Long et al. 2015).
    """
    sides = list(zip(layer.kernel_size, layer.stride, strict=True))
    if layer.in_channels != layer.out_channels or layer.groups != 1 or any(k != 2 * s - s % 2 for k, s in sides):
        return None
    rows, columns = (1 - (torch.arange(k) - (k - 1) / 2).abs() / s for k, s in sides)
    return torch.einsum("io,r,c->iorc", torch.eye(layer.in_channels), rows, columns)
