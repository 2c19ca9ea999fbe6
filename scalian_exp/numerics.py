"""Stable functions that take a fraction of the time of torch's own on a CPU, where log1p is slow."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Softplus(torch.autograd.Function):
    """The function log(1 + exp(x)), computed as max(x, 0) − log σ(|x|)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Compute the value, with an absolute error of one unit in the last place of 1 or of x."""
        ctx.save_for_backward(x)
        return x.clamp_min(0).sub_(x.abs().sigmoid_().log_())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the gradient, which is σ(x)."""
        (x,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(x)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)) of a floating-point tensor, elementwise."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.softplus(x)
    value: Tensor = Softplus.apply(x)
    return value


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return −t·log σ(x) − (1 − t)·log(1 − σ(x)) in nats, elementwise, for logits x and targets t in [0, 1]."""
    return softplus(logits) - logits * target
