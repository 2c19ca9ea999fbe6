"""Shared by tests of registration: networks whose units see only their kernels' centres, and where a logit looks."""

from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.fastfcn import Encoding
from scalian_exp.networks.parts.exported import class_logits


def seeing_centres(network: Any) -> Any:
    """Return the network with only the kernels' centres, without norms and global context."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.AdaptiveAvgPool2d | Encoding):  # these see large parts of the image
            module.register_forward_hook(lambda _, __, output: output.detach())
        with torch.no_grad():
            if isinstance(module, nn.Conv2d):
                height, width = module.kernel_size
                if height % 2 == 0:  # a patch, all of whose pixels count
                    module.weight.fill_(1 / module.weight[0].numel())
                else:
                    module.weight.zero_()
                    module.weight[..., height // 2, width // 2] = 1 / module.weight.shape[1]
            elif isinstance(module, nn.Linear):
                module.weight.fill_(1 / module.in_features)
            elif isinstance(module, nn.ConvTranspose2d) and learned(module):
                module.weight.zero_()
                module.weight[..., : module.stride[0], : module.stride[1]] = 1 / module.weight.shape[0]
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module.bias is not None:
                module.bias.zero_()
    return network.double().eval()


def learned(deconvolution: nn.ConvTranspose2d) -> bool:
    """Tell whether a deconvolution must learn where pixels lie, because its kernel isn't an interpolation initially.

    The best it can learn is to copy a unit to all pixels that were pooled into it.
    """
    return deconvolution.kernel_size[0] != 2 * deconvolution.stride[0]


def averaged(
    x: Tensor,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Replace max-pooling by mean-pooling, in which all places have the same share."""
    assert dilation == 1
    means = F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad=False)
    return (means, None) if return_indices else means


def spread(x: Tensor, places: None, kernel: list[int], output_size: Any) -> Tensor:
    """Undo `averaged`: copy each mean to all the places that it comes from."""
    assert places is None
    copies = x.repeat_interleave(kernel[0], -2).repeat_interleave(kernel[1], -1)
    rows, columns = (side - copy for side, copy in zip(output_size, copies.shape[-2:], strict=True))
    return F.pad(copies, (0, columns, 0, rows))


def centre(network: Any, size: tuple[int, int], rows: slice, columns: slice) -> tuple[float, float]:
    """Return the centre of the gradient of some pixels' first logit with respect to the input."""
    x = torch.ones(1, 3, *size, dtype=torch.double, requires_grad=True)
    with patch("torch.nn.functional.max_pool2d", averaged), patch("torch.nn.functional.max_unpool2d", spread):
        class_logits(network, x)[0, 0, rows, columns].sum().backward()
    assert x.grad is not None
    mass = x.grad[0].sum(0)
    assert mass.min() >= 0
    places = [torch.arange(side, dtype=torch.double) for side in size]
    return float(mass.sum(1) @ places[0] / mass.sum()), float(mass.sum(0) @ places[1] / mass.sum())
