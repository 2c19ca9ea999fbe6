"""Changes of training images and their masks alike.

All are torchvision's transforms, or made like them: images are smoothed when resampled, masks take their nearest pixel.
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
    """
    Raises:
        Refusal: if something else was given.
    """
    transforms = list(steps.values()) if isinstance(steps, Mapping) else [steps]
    if wrong := [step for step in transforms if not isinstance(step, v2.Transform)]:
        raise Refusal(
            f"dataset.augmentation has {wrong[0]!r}, which is no transform of images; choose files, with a slash: "
            "dataset/augmentation=[crop,flip], or none."
        )
    return transforms


def augmented(images: Tensor, labels: Tensor, transforms: Sequence[v2.Transform]) -> tuple[Tensor, Tensor]:
    """uint8 (B, C, H, W) and (B, H, W) → the same of another size, every example changed in its own way.

    Chance comes from torch's global generator.

    Raises:
        Refusal: if the examples end with different sizes.
    """
    pairs = []
    for image, label in zip(images, labels, strict=True):
        pair = (tv_tensors.Image(image), tv_tensors.Mask(label))
        for transform in transforms:
            pair = transform(*pair)
        pairs.append(pair)
    if len({label.shape for _, label in pairs}) > 1:
        raise Refusal(
            "dataset.augmentation leaves images of different sizes, which make no batch; let a crop be its last step: "
            "dataset/augmentation=[…,crop]."
        )
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])


def size_after(transforms: Sequence[v2.Transform], shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of images (C, H, W) once augmented, found by trying; the global generator stays as it was.

    Raises:
        Refusal: if there are several.
    """
    with torch.random.fork_rng(devices=[]):
        images = torch.zeros(4, *shape, dtype=torch.uint8)
        height, width = augmented(images, images[:, 0], transforms)[1].shape[1:]
    return height, width


class RandomCrop(v2.RandomCrop):
    """A rectangle of this height and width, anywhere; where the image is smaller, black and void around it."""

    def __init__(self, size: Sequence[PositiveInt]):
        super().__init__(list(size), pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: VOID_BYTE})


class RandomScale(v2.Transform):
    """Both sides multiplied by a factor between `low` and `high` (DeepLab's is 0.5 to 1.5)."""

    def __init__(self, low: PositiveFloat = 0.5, high: PositiveFloat = 1.5):
        super().__init__()
        if low > high:
            raise ValueError(f"A scale between {low} and {high} can't be drawn; low must not be above high.")
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        factor = torch.empty(()).uniform_(self.low, self.high).item()
        return {"size": [max(1, round(side * factor)) for side in get_size(flat_inputs[0])]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Mask):
            return self._call_kernel(resize, inpt, params["size"], antialias=True)
        # torchvision takes the pixel at ⌊i·s⌋, half a pixel beside what it does to the image
        scaled = F.interpolate(inpt.as_subclass(Tensor)[None, None], params["size"], mode="nearest-exact")[0, 0]
        return tv_tensors.wrap(scaled, like=inpt)


class GridDeformation(v2.Transform):
    """U-Net's elastic deformation: random displacements of a coarse grid, bicubic between, mirrored at the border.

    Ronneberger et al. 2015 (arXiv:1505.04597), section 3.1.

    Args:
        sigma: standard deviation of the displacements of grid points, in pixels.
        points: of the grid, per side; the outer ones lie on the image's border.
    """

    def __init__(self, sigma: PositiveFloat = 10.0, points: PositiveInt = 3):
        super().__init__()
        self.sigma, self.points = sigma, points

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """displacement (2, H, W): how far to the right and how far down each pixel looks for its value."""
        like = flat_inputs[0]
        coarse = torch.randn(1, 2, self.points, self.points) * self.sigma  # on the CPU: the same numbers everywhere
        fine = F.interpolate(coarse.to(like.device), get_size(like), mode="bicubic", align_corners=True)
        return {"displacement": fine[0]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        displacement: Tensor = params["displacement"]
        height, width = displacement.shape[1:]
        identity = F.affine_grid(displacement.new_tensor([[[1, 0, 0], [0, 1, 0]]]), [1, 1, height, width], True)
        sides = displacement.new_tensor([width - 1, height - 1]).clamp_min(1)  # in pixels; 2 in a grid's coordinates
        grid = identity + 2 * displacement.movedim(0, -1) / sides
        planes = inpt.as_subclass(Tensor).float().reshape(1, -1, height, width)
        mode = "nearest" if isinstance(inpt, tv_tensors.Mask) else "bilinear"
        moved = F.grid_sample(planes, grid, mode, padding_mode="reflection", align_corners=True).reshape(inpt.shape)
        return tv_tensors.wrap(moved if inpt.is_floating_point() else moved.round().to(inpt.dtype), like=inpt)
