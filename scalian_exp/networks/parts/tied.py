"""Tied weights: decoders whose weights are those of their encoder, transposed, as an RBM's are.

Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11, section 2.2. Biases stay separate.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

MIRROR = "tied weights need a decoder that mirrors its encoder"


class TiedLinear(nn.Linear):
    """Dense layer whose weight is another one's, transposed; only the bias is its own.

    The other layer is kept in a tuple, so that its weight is neither counted nor stored a second time.
    """

    def __init__(self, of: nn.Linear, bias: Tensor | None):
        nn.Module.__init__(self)
        self.in_features, self.out_features = of.out_features, of.in_features
        self.bias: Any = bias
        self.of = (of,)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The other layer's weight, transposed: (out_features, in_features)."""
        return self.of[0].weight.T


class TiedConvTranspose2d(nn.Module):
    """Transposed convolution by the weight of the convolution that it mirrors; only the bias is its own."""

    def __init__(self, of: nn.Conv2d, bias: Tensor | None, output_padding: tuple[int, ...]):
        super().__init__()
        self.bias, self.output_padding, self.of = bias, output_padding, (of,)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, of.out_channels, H, W) to (B, of.in_channels, H', W')."""
        (of,) = self.of
        return F.conv_transpose2d(x, of.weight, self.bias, of.stride, of.padding, self.output_padding)  # type: ignore[arg-type]


def tie(encoder: nn.Module, decoder: nn.Module) -> None:
    """Replace each dense layer and transposed convolution of a decoder, from its end, by the encoder's, transposed.

    Raises:
        ValueError: if the decoder doesn't mirror the encoder.
    """
    sources = [module for module in encoder.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    mirrored = [
        (name, module) for name, module in decoder.named_modules() if isinstance(module, nn.Linear | nn.ConvTranspose2d)
    ]
    if len(mirrored) != len(sources):
        layers = f"decoder of {len(mirrored)} layers can't be tied to an encoder of {len(sources)}"
        raise ValueError(f"A {layers}: {MIRROR}.")
    for (name, layer), of in zip(reversed(mirrored), sources, strict=True):
        parent, _, child = name.rpartition(".")
        setattr(decoder.get_submodule(parent), child, tied(layer, of))


def tied(layer: nn.Linear | nn.ConvTranspose2d, of: nn.Linear | nn.Conv2d) -> nn.Module:
    """Return a layer that keeps its bias but takes the transposed weight of its mirror image.

    Raises:
        ValueError: if their shapes don't match.
    """
    bias = layer.bias
    if isinstance(layer, nn.Linear) and isinstance(of, nn.Linear) and layer.weight.shape == of.weight.T.shape:
        return TiedLinear(of, bias)
    if isinstance(layer, nn.ConvTranspose2d) and isinstance(of, nn.Conv2d) and layer.weight.shape == of.weight.shape:
        return TiedConvTranspose2d(of, bias, tuple(layer.output_padding))
    raise ValueError(f"{layer} can't be tied to {of}: {MIRROR}.")
