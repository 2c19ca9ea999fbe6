"""Fully connected conditional random field, which aligns a segmentation's borders with the image's edges.

Krähenbühl & Koltun 2011 (arXiv:1210.5644), as DeepLab uses it (Chen et al. 2018, arXiv:1606.00915, section 3.3).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from scalian_exp.networks.parts.permutohedral import PermutohedralLattice
from scalian_exp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat

Filter = Callable[[Tensor], Tensor]
"""function that filters values (N, K) → (N, K)"""


class ExactGaussian:
    """Exact Gaussian filter in O(N²) time and memory, the reference for PermutohedralLattice on small images.

    D^−½ K D^−½ for K_ij = exp(−|f_i − f_j|²/2) and its row sums D, including the diagonal i = j.
    """

    def __init__(self, features: Tensor):
        """Compute the kernel of features (N, d), given in standard deviations of the Gaussian."""
        distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        kernel = torch.exp(-0.5 * distances.square())
        scale = kernel.sum(1, keepdim=True).rsqrt()
        self.kernel = scale * kernel * scale.T

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (N, K) to (N, K)."""
        return self.kernel @ values


class DenseCRF(nn.Module):
    """Mean-field inference (the paper's algorithm 1) in a model that connects every pixel with every other one.

    Assigning pixels i and j to different classes costs w₁·exp(−|p_i − p_j|²/2θα² − |I_i − I_j|²/2θβ²) + w₂·exp(−|p_i −
    p_j|²/2θγ²). As in the authors' code, both kernels are normalised symmetrically and include i = j, which the paper
    leaves out, so a pixel unlike all others is supported by itself. There is nothing to train.

    Args:
        iterations: mean-field updates of all pixels at once.
        appearance_weight: w₁, weight of the kernel that connects pixels which are near and similar.
        appearance_pixels: θα, in pixels.
        appearance_colours: θβ, in 8-bit colour values, 0 to 255.
        smoothness_weight: w₂, weight of the kernel that connects neighbours whatever their colours.
        smoothness_pixels: θγ, in pixels.
        gaussian: builds the normalised Gaussian filter over features (N, d): PermutohedralLattice or ExactGaussian.
    """

    def __init__(
        self,
        iterations: NonNegativeInt = 10,
        appearance_weight: NonNegativeFloat = 10.0,
        appearance_pixels: PositiveFloat = 80.0,
        appearance_colours: PositiveFloat = 13.0,
        smoothness_weight: NonNegativeFloat = 3.0,
        smoothness_pixels: PositiveFloat = 3.0,
        gaussian: Callable[[Tensor], Filter] = PermutohedralLattice,
    ):
        super().__init__()
        self.iterations, self.gaussian = iterations, gaussian
        self.appearance_weight, self.smoothness_weight = appearance_weight, smoothness_weight
        self.appearance_pixels, self.appearance_colours = appearance_pixels, appearance_colours
        self.smoothness_pixels = smoothness_pixels

    @torch.no_grad()
    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """Refine logits (B, K, H, W) by images (B, C, H, W) in [0, 1] to marginals Q (B, K, H, W), in single precision.

        Raises:
            ValueError: if logits and images differ in number or size, or if an image isn't finite.
        """
        if len(logits) != len(images) or logits.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"The CRF needs one image per segmentation, of the same size, but has {tuple(images.shape)} for "
                f"{tuple(logits.shape)}; resize the logits to the images first."
            )
        with torch.autocast(logits.device.type, enabled=False):
            rows, columns = (torch.arange(size, device=images.device) for size in images.shape[2:])
            positions = torch.cartesian_prod(rows, columns).float().flip(1)  # (x, y), as the authors order them
            smoothness = self.gaussian(positions / self.smoothness_pixels)
            marginals = []
            for unary, image in zip(logits.float().flatten(2), images.float().flatten(2), strict=True):
                colours = 255 * image.T / self.appearance_colours
                appearance = self.gaussian(torch.cat([positions / self.appearance_pixels, colours], 1))
                marginals.append(self.mean_field(unary, appearance, smoothness))
            return torch.stack(marginals).view_as(logits)

    def mean_field(self, unary: Tensor, appearance: Filter, smoothness: Filter) -> Tensor:
        """Run mean-field updates from unary logits (K, N), and return the marginals (K, N)."""
        marginals = unary.softmax(0)
        for _ in range(self.iterations):
            values = marginals.T.contiguous()
            support = appearance(values).mul_(self.appearance_weight)
            support.add_(smoothness(values), alpha=self.smoothness_weight)
            # Potts model: paying for other classes' support is, up to a constant, gaining from the own class's.
            marginals = (unary + support.T).softmax(0)
        return marginals
