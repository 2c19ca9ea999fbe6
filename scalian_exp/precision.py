"""Floating-point types in which sums, and differences of large numbers, keep their precision.

With trainer.precision=bf16-true or 16-true, tensors that are made during a step have 16 bits too, as Lightning changes
torch's default type.
"""

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Convert numbers of half precision, and integers, to single precision; leave other numbers as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def widest(device: torch.device) -> torch.dtype:
    """Return the widest floating-point type of a device: double precision, but single precision on Apple's GPUs."""
    return torch.float32 if device.type == "mps" else torch.float64


def widened(values: Tensor) -> Tensor:
    """Convert numbers to the widest floating-point type of their device."""
    return values.to(widest(values.device))
