"""Networks prepared for inference on a processor: batch norm folded into convolutions, weights laid out as NHWC.

In evaluation mode, batch norm is an affine function of each channel, which the convolution before it can compute by
itself: W' = W·γ/σ and b' = (b − μ)·γ/σ + β.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

PAIRS = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}
"""names of convolutions → batch norms that follow them in the forward passes of torchvision's ResNet blocks"""
KNOWN = ("scalian_exp.", "torch.nn.", "torchvision.", "torchmetrics.")
"""packages whose modules take outputs in any memory layout, and use no layer of a Sequential behind its back"""


def for_inference(network: nn.Module, *users: object) -> nn.Module:
    """Return a copy of a network that computes the same in evaluation mode, only faster on a processor.

    Networks without two-dimensional convolutions, in other than single precision or on another device are returned as
    they are; so are those that can't be copied, and those with hooks or custom parts, which might call a layer alone,
    use its weights, or view an output as if it were laid out as NCHW.

    Args:
        network: in evaluation mode; it isn't changed. The result can't be trained.
        users: what else works with the network, such as a task with its losses and metrics.
    """
    parameters = list(network.parameters())
    convolutional = any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
    if not convolutional or any(p.device.type != "cpu" or p.dtype != torch.float32 for p in parameters):
        return network
    if not all(map(known, (network, *users))) or any(map(hooked, network.modules())):
        return network
    try:
        result = copy.deepcopy(network)
    except (RuntimeError, TypeError):  # such as a network that keeps a tensor of its graph
        return network
    fold(result)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":  # on AVX2, NHWC was seen to be slower
        result.to(memory_format=torch.channels_last)
    return result


def known(user: object) -> bool:
    """Return whether the classes of an object and of all its submodules belong to known packages."""
    parts = user.modules() if isinstance(user, nn.Module) else (user,)
    return all(type(part).__module__.startswith(KNOWN) for part in parts)


def hooked(module: nn.Module) -> bool:
    """Return whether hooks, such as those of weight norm, or its own `forward` change what a module does."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def fold(network: nn.Module) -> None:
    """Fold each batch norm that follows a convolution into it, in place, and replace it by the identity."""
    uses = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    with torch.no_grad():
        for parent, first, second in pairs(network):
            convolution, norm = last_layer(getattr(parent, first)), getattr(parent, second)
            if foldable(convolution, norm) and uses[convolution] == uses[norm] == 1:
                merge(convolution, norm)
                setattr(parent, second, nn.Identity())


def pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield modules with the names of two of their children, of which the second gets what the first returns."""
    for module in network.modules():
        names = [*module._modules]  # named_children() leaves out those that are there twice
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
    """Return whether these are a plain convolution and a plain batch norm that uses its running statistics."""
    return (
        type(convolution) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and norm.running_mean is not None
        and not norm.training
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
    weight = convolution.weight * scale[:, None, None, None]
    dtype = convolution.weight.dtype
    convolution.weight = nn.Parameter(weight.to(dtype), requires_grad=False)  # another module may share the old one
    convolution.bias = nn.Parameter(shift.to(dtype), requires_grad=False)
