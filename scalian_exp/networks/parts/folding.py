"""Networks prepared for inference on a processor: batch norm folded into convolutions, weights laid out as NHWC.

In evaluation mode, batch norm is an affine function of each channel, which the convolution before it can compute by
itself: W' = W·γ/σ and b' = (b − μ)·γ/σ + β.
"""

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

PAIRS = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}
"""names of convolutions → batch norms that follow them in the forward passes of torchvision's ResNet blocks"""


def for_inference(network: nn.Module) -> nn.Module:
    """Return a copy of a network that computes the same in evaluation mode, only faster on a processor.

    Networks without two-dimensional convolutions, in other than single precision or on another device are returned as
    they are; so are those that can't be copied.

    Args:
        network: in any mode; it isn't changed. The result is in evaluation mode, and can't be trained.
    """
    parameters = list(network.parameters())
    convolutional = any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
    if not convolutional or any(p.device.type != "cpu" or p.dtype != torch.float32 for p in parameters):
        return network
    try:
        result = copy.deepcopy(network).eval()
    except (RuntimeError, TypeError):  # such as a custom network that keeps a tensor of its graph
        return network
    fold(result)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":  # on AVX2, NHWC was seen to be slower
        result.to(memory_format=torch.channels_last)
    return result


def fold(network: nn.Module) -> None:
    """Fold each batch norm that follows a convolution into it, in place, and replace it by the identity."""
    used: dict[nn.Module, int] = {}
    for module in network.modules():
        for child in module.children():
            used[child] = used.get(child, 0) + 1
    with torch.no_grad():
        for parent, first, second in pairs(network):
            convolution, norm = getattr(parent, first), getattr(parent, second)
            convolution = last_layer(convolution)
            if foldable(convolution, norm) and used[convolution] == used[norm] == 1:
                merge(convolution, norm)
                setattr(parent, second, nn.Identity())


def pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield modules with the names of two of their children, of which the second gets what the first returns."""
    for module in network.modules():
        names = [name for name, _ in module.named_children()]
        if type(module) is nn.Sequential:
            yield from ((module, first, second) for first, second in pairwise(names))
        elif isinstance(module, Bottleneck | BasicBlock) or getattr(module, "torchvision_names", False):
            yield from ((module, first, second) for first, second in PAIRS.items() if {first, second} <= {*names})


def last_layer(module: nn.Module) -> nn.Module:
    """Return the last layer of nested Sequentials, or the module itself."""
    while type(module) is nn.Sequential and len(module) > 0:
        module = module[-1]
    return module


def foldable(convolution: nn.Module, norm: nn.Module) -> bool:
    """Return whether these are a plain convolution and a plain batch norm with statistics of its own."""
    return (
        type(convolution) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and norm.running_mean is not None
        and not (convolution._forward_hooks or norm._forward_hooks or norm._forward_pre_hooks)
    )


def merge(convolution: nn.Module, norm: nn.Module) -> None:
    """Let a convolution compute what it and the batch norm behind it compute, in double precision once."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    convolution.weight.copy_(convolution.weight * scale[:, None, None, None])
    convolution.bias = nn.Parameter(shift.to(convolution.weight.dtype), requires_grad=False)
