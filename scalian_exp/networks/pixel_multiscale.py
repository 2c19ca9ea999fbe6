"""Multi-Scale PixelRNN (van den Oord et al. 2016, arXiv:1601.06759, section 3.6).

An unconditional network models the image of every s-th pixel, and a conditional one the full image given this small
one. The paper's second network draws all pixels anew; here those of the small image are kept, so that p(x) = p(small) ·
p(rest | small) is the exact likelihood of the image, in another order of its pixels.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.pixel_network import PixelByPixel, PixelNetwork
from scalian_exp.ranges import PositiveInt


class MultiScale(PixelByPixel):
    """Pair of pixel networks: one for a small image, and one for the other pixels, given the small image.

    Args:
        network: builds either network from in_channels, image_size, levels and context_features.
        stride: s; every s-th row and column makes the small image.
        context_features: feature maps that the small image is enlarged to for the second network.

    Raises:
        ValueError: if the small image would be no smaller, or a single pixel.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        levels: PositiveInt,
        network: Callable[..., PixelNetwork],
        stride: PositiveInt = 2,
        context_features: PositiveInt = 16,
    ):
        super().__init__()
        height, width = image_size
        if not 1 < stride < min(height, width):
            raise ValueError(
                f"The small image has every {stride}th pixel of {height}×{width}; give a stride from 2 to "
                f"{min(height, width) - 1}."
            )
        small = (-(-height // stride), -(-width // stride))
        self.shape, self.levels, self.stride = (in_channels, height, width), levels, stride
        self.rows_drawn = small[0] + height
        self.small = network(in_channels, small, levels)
        self.large = network(in_channels, image_size, levels, context_features=context_features)
        self.enlarge = nn.Sequential(
            nn.Conv2d(in_channels, context_features, 5, padding=2),
            nn.ReLU(),
            nn.ConvTranspose2d(context_features, context_features, 2 * stride, stride, padding=stride // 2),
            nn.ReLU(),
        )

    def context(self, small: Tensor) -> Tensor:
        """Enlarge a small image to context for the large one, (B, context_features, H, W)."""
        _, height, width = self.shape
        context: Tensor = self.enlarge(small)[:, :, :height, :width]
        return context

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to logits of their pixels, each given those before it in this order."""
        small = x[..., :: self.stride, :: self.stride]
        logits = self.large(x, self.context(small)).clone()
        logits[..., :: self.stride, :: self.stride] = self.small(small).to(logits.dtype)
        return logits

    @torch.no_grad()
    def pixel_by_pixel(
        self, x: Tensor, known: Tensor, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Draw the unknown pixels of the small image, then those of the large; see `PixelByPixel.pixel_by_pixel`."""
        every = (..., slice(None, None, self.stride), slice(None, None, self.stride))
        noise = torch.rand(x.shape, device=x.device) if noise is None else noise
        image = torch.where(known, x, torch.zeros_like(x))
        for small in self.small.pixel_by_pixel(x[every], known[every], temperature, noise[every]):
            image[every] = small
            yield image
        drawn = known.clone()
        drawn[every] = True
        yield from self.large.pixel_by_pixel(image, drawn, temperature, noise, self.context(small))
