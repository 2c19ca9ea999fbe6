"""Data augmentation that transforms training images and their masks together.

Each is a torchvision transform: images are interpolated bilinearly, masks take the nearest pixel.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import get_size, resize

from scalian_exp.batches import VOID_BYTE
from scalian_exp.ranges import PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal


def transforms_of(steps: Mapping[str, Any]) -> list[v2.Transform]:
    """Return the transforms of the config's `augmentation` mapping, in order.

    Raises:
        Refusal: if an entry is not a transform.
    """
    transforms = list(steps.values()) if isinstance(steps, Mapping) else [steps]
    if wrong := [step for step in transforms if not isinstance(step, v2.Transform)]:
        raise Refusal(
            f"dataset.augmentation has {wrong[0]!r}, which is not an image transform; choose from the config group "
            "with a slash: dataset/augmentation=[crop,flip], or none."
        )
    return transforms


def augmented(images: Tensor, labels: Tensor, transforms: Sequence[v2.Transform]) -> tuple[Tensor, Tensor]:
    """Augment each example of a batch independently: images (B, C, H, W) and labels (B, H, W), both uint8.

    Returns images (B, C, H', W') and labels (B, H', W'). Draws from torch's global generator.

    Raises:
        Refusal: if the augmented examples have different sizes.
    """
    pairs = []
    for image, label in zip(images, labels, strict=True):
        pair = (tv_tensors.Image(image), tv_tensors.Mask(label))
        for transform in transforms:
            pair = transform(*pair)
        pairs.append(pair)
    if len({label.shape for _, label in pairs}) > 1:
        raise Refusal(
            "dataset.augmentation leaves images of different sizes, which can't be stacked into a batch; make a crop "
            "the last step: dataset/augmentation=[…,crop]."
        )
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])


def size_after(transforms: Sequence[v2.Transform], shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the height and width of augmented images of this shape (C, H, W), by augmenting a dummy batch.

    Leaves torch's global generator unchanged.

    Raises:
        Refusal: if the augmented images have different sizes.
    """
    with torch.random.fork_rng(devices=[]):
        images = torch.zeros(4, *shape, dtype=torch.uint8)
        height, width = augmented(images, images[:, 0], transforms)[1].shape[1:]
    return height, width


class RandomCrop(v2.RandomCrop):
    """Crop to this height and width at a random place; smaller images are padded with black, their masks with void."""

    def __init__(self, size: Sequence[PositiveInt]):
        super().__init__(list(size), pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: VOID_BYTE})


class RandomScale(v2.Transform):
    """Scale both sides by a random factor between `low` and `high` (DeepLab uses 0.5 to 1.5)."""

    def __init__(self, low: PositiveFloat = 0.5, high: PositiveFloat = 1.5):
        super().__init__()
        if low > high:
            raise ValueError(f"No scale can be drawn between {low} and {high}; low must not be above high.")
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factor; return the new `size` [height, width]."""
        factor = torch.empty(()).uniform_(self.low, self.high).item()
        return {"size": [max(1, round(side * factor)) for side in get_size(flat_inputs[0])]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image bilinearly, or a mask to its nearest pixels."""
        if not isinstance(inpt, tv_tensors.Mask):
            return self._call_kernel(resize, inpt, params["size"], antialias=True)
        # torchvision's own mask resize takes the pixel at ⌊i·s⌋, half a pixel off from how it resizes the image
        scaled = F.interpolate(inpt.as_subclass(Tensor)[None, None], params["size"], mode="nearest-exact")[0, 0]
        return tv_tensors.wrap(scaled, like=inpt)


class GridDeformation(v2.Transform):
    """U-Net's elastic deformation: a coarse grid's random displacements, interpolated bicubically, mirrored at borders.

    Ronneberger et al. 2015 (arXiv:1505.04597), section 3.1.

    Args:
        sigma: standard deviation of the grid points' displacements, in pixels.
        points: grid points per side; the outer ones lie on the image's border.
    """

    def __init__(self, sigma: PositiveFloat = 10.0, points: PositiveInt = 3):
        super().__init__()
        self.sigma, self.points = sigma, points

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw `displacement` (2, H, W): pixels to the right and down at which each pixel looks up its value."""
        like = flat_inputs[0]
        coarse = torch.randn(1, 2, self.points, self.points) * self.sigma  # on the CPU: the same draws on every device
        fine = F.interpolate(coarse.to(like.device), get_size(like), mode="bicubic", align_corners=True)
        return {"displacement": fine[0]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Deform an image with bilinear interpolation, or a mask with nearest pixels."""
        displacement: Tensor = params["displacement"]
        height, width = displacement.shape[1:]
        identity = F.affine_grid(displacement.new_tensor([[[1, 0, 0], [0, 1, 0]]]), [1, 1, height, width], True)
        # in pixels; 2 in grid_sample's coordinates
        sides = displacement.new_tensor([width - 1, height - 1]).clamp_min(1)
        grid = identity + 2 * displacement.movedim(0, -1) / sides
        planes = inpt.as_subclass(Tensor).float().reshape(1, -1, height, width)
        mode = "nearest" if isinstance(inpt, tv_tensors.Mask) else "bilinear"
        moved = F.grid_sample(planes, grid, mode, padding_mode="reflection", align_corners=True).reshape(inpt.shape)
        return tv_tensors.wrap(moved if inpt.is_floating_point() else moved.round().to(inpt.dtype), like=inpt)
