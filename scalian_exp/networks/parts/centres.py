"""On which pixels the units of an encoder's maps are centred, from the layers that reduce its maps.

A layer of stride t and kernel k whose input is padded by p in front centres its unit i on t·i + (k − 1)/2 − p of its
input: on t·i for odd kernels with symmetric padding (ResNet), on the middle of t units where kernel and stride are
equal (VGG's poolings, the patches of ConvNeXt and Swin), and on t·i + 1 for the padding of TensorFlow at t = 2, which
puts the odd pixel behind (timm's `tf_…`). Such shifts add up to (s − 1)/2 or s − 1 pixels at stride s.

Where several paths lead to a map, one whose windows overlap counts, k > t: the 3×3 convolution of a residual block, not
the averages over 2×2 pixels in the shortcut of ResNet-D, through which less of an image passes; of equals, the last.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn


class Centres:
    """Records the layers that reduce maps while an encoder is called, see `recording`."""

    def __init__(self, side: int, strides: Sequence[int]):
        self.side = side
        powers = (2**exponent for exponent in range(side.bit_length()))
        self.known = sorted({*strides, *powers})
        self.steps: dict[int, tuple[int, float]] = {1: (1, 0.0)}
        """stride of a map → stride and shift, in its units, of the map that it is computed from"""
        self.overlapping: set[int] = set()
        """strides of the maps that are computed from overlapping windows"""

    def record(self, layer: Any, inputs: Any, output: Any) -> None:
        """Note how a layer reduces its input (B, C, H, W), if it does; called as a forward hook."""
        if inputs[0].dim() != 4 or output.shape[2] >= inputs[0].shape[2]:
            return
        before, after = inputs[0].shape[2], output.shape[2]
        kernel, stride, dilation = (first(getattr(layer, name, 1)) for name in ("kernel_size", "stride", "dilation"))
        reach = dilation * (kernel - 1)
        padding = first(layer.padding)
        if isinstance(padding, str) or (before + 2 * padding - reach - 1) // stride + 1 != after:
            padding = max((after - 1) * stride + reach + 1 - before, 0) // 2  # as TensorFlow pads
        coarse, fine = self.stride_of(after), self.stride_of(before)
        added = before - self.side / fine  # by a layer of its own, half of it in front
        overlaps = reach + 1 > stride
        if fine < coarse and (overlaps or coarse not in self.overlapping):
            self.overlapping |= {coarse} if overlaps else set()
            self.steps[coarse] = (fine, reach / 2 - padding - added / 2)

    def stride_of(self, side: int) -> int:
        """Return the stride of a map whose height is `side`, perhaps with some padding."""
        return min(self.known, key=lambda stride: abs(math.log(self.side / side / stride)))

    def of(self, stride: int) -> float:
        """Return the pixel on which the first unit of a map of this stride is centred.

        Where no layer is known that computes it, its units are taken for parts of the next finer map.
        """
        if stride == 1:
            return 0.0
        if stride not in self.steps:
            finer = max(each for each in self.steps if each < stride)
            return self.of(finer) + (stride - finer) / 2
        before, shift = self.steps[stride]
        return self.of(before) + before * shift


def first(value: Any) -> Any:
    """Return the value for rows, of one that may differ between rows and columns."""
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value


@contextmanager
def recording(body: nn.Module, side: int, strides: Sequence[int]) -> Iterator[Centres]:
    """Record the layers of an encoder that reduce maps, while it is called with an image of side × side pixels."""
    centres = Centres(side, strides)
    layers = (layer for layer in body.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d))
    hooks = [layer.register_forward_hook(centres.record) for layer in layers]
    try:
        yield centres
    finally:
        for hook in hooks:
            hook.remove()
