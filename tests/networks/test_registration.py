"""The receptive field of a logit is centred on its pixel, for every segmentation network, anywhere in the image.

Weights are set so that a unit sees only its kernel's centre, all channels alike, and maxima become means. The centre of
the gradient then shows which pixel a logit belongs to, regardless of the size of its receptive field.
"""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from receptive_fields import centre, learned, seeing_centres
from tools import fits, own_models, tiny
from torch import nn

from scalian_exp.build import build_task
from scalian_exp.callbacks.provenance import Provenance
from scalian_exp.checkpoint import load
from scalian_exp.networks.fastfcn import FastFCN
from scalian_exp.networks.parts.resampling import by_areas, resized
from scalian_exp.networks.segnet import SegNet

VARIANTS = {
    "fcn8s": ["model.network.border=true"],
    "fcn32s": ["model.network.border=true"],
    "unet": ["model.network.padded=false", "model.network.deep_supervision=true"],
    "deeplab_v3plus": ["model.network.output_stride=8"],
    "deeplab_v3": ["model.network.output_stride=8"],
    "fastfcn": ["model.network.joint_upsampling=false", "model/network/head=psp"],
}
SEGMENTING = [name for name in own_models() if fits(name)["task"] == "segmentation"]
DEEP = {name: ["model.network.layers=[1,1,1,1,1,1]"] for name in SEGMENTING if name.startswith("tiramisu")}
CASES = [(name, DEEP.get(name, [])) for name in SEGMENTING] + list(VARIANTS.items())
SIZES = [(160, 192), (147, 203)]
OFFSETS = [(2, 0.5), (2, 1), (2, 1.5), (4, 3), (4, 1.5), (8, 7), (8, 3.5), (32, 31), (4, -1), (4, -2.5), (1, 1), (3, 5)]
"""strides and where first units are centred, as with TensorFlow's padding, patches and others"""
PLACES = [(53, 59), (78, 132)]


@pytest.mark.parametrize(("model", "overrides"), CASES)
def test_receptive_fields_are_centred_on_their_pixels(model: str, overrides: list[str]) -> None:
    network = seeing_centres(build_task(tiny(model, *overrides)).network)
    copying = isinstance(network, SegNet) or any(
        isinstance(module, nn.ConvTranspose2d) and learned(module) for module in network.modules()
    )
    # copies of a unit are right on average over the pixels that share it
    side = network.total_stride if copying else 1
    for size, (top, left) in product(SIZES, PLACES):
        result = centre(network, size, slice(top, top + side), slice(left, left + side))
        expected = (top + (side - 1) / 2, left + (side - 1) / 2)
        assert result == pytest.approx(expected, abs=0.5), f"pixel {top}, {left} of {size}"


def test_torchvisions_resizing_is_still_available() -> None:
    """It treats units as areas, which shifts maps of stride 16 by 7.5 pixels down and to the right."""
    network = seeing_centres(build_task(tiny("deeplab_v3", "model.network.torchvision_resize=true")).network)
    row, column = centre(network, (160, 192), slice(80, 81), slice(100, 101))
    assert (row, column) == pytest.approx((72.5, 92.5))


@pytest.mark.parametrize(("stride", "offset"), [(2, 0), (4, 0), (8, 0), (32, 0), *OFFSETS])
@pytest.mark.parametrize("size", [(33, 64), (40, 17), (1, 5)])
def test_resized_is_linear_interpolation_between_centres(stride: int, offset: float, size: tuple[int, int]) -> None:
    """Resizing a map of positions gives every pixel its own position, from the first unit to the last."""
    units = [-(-side // stride) for side in size]
    places = (offset + stride * torch.arange(n, dtype=torch.double) for n in units)
    rows, columns = torch.meshgrid(*places, indexing="ij")
    result = resized(torch.stack([rows, columns])[None], torch.empty(1, 1, *size), stride, offset=offset)[0]
    for axis, (side, n) in enumerate(zip(size, units, strict=True)):
        expected = torch.arange(side, dtype=torch.double).clamp(offset, offset + stride * (n - 1))
        assert torch.allclose(result[axis], expected.view(-1, 1) if axis == 0 else expected, atol=1e-6)


def test_means_of_areas_belong_to_their_centres() -> None:
    image = torch.arange(24.0).expand(1, 1, 24, 24)
    means = F.adaptive_avg_pool2d(image, 6)
    assert torch.allclose(by_areas(means, image)[..., 2:-2], image[..., 2:-2], atol=1e-5)


class Custom(FastFCN):
    """Custom network derived from one of the package's, without the argument torchvision_resize."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__(in_channels, num_classes, width=0.02)


def unstated(target: str) -> dict[str, Any]:
    """Return a config that doesn't mention torchvision_resize, like those of earlier versions."""
    config = tiny("fastfcn" if target else "deeplab_v3plus")
    network = config["model"]["network"]
    if target:
        config["model"]["network"] = {name: network[name] for name in ("in_channels", "num_classes")}
        config["model"]["network"]["_target_"] = target
    else:
        del network["torchvision_resize"]
    return config


@pytest.mark.parametrize("target", ["", f"{__name__}.Custom"])
def test_networks_resize_as_they_were_trained_to(target: str, tmp_path: Path) -> None:
    """New networks align their maps; one from an old checkpoint that doesn't say how to resize does so as before."""
    config, file, trust = unstated(target), tmp_path / "x.ckpt", [__name__] if target else []
    task = build_task(config)
    assert not task.network.torchvision_resize
    checkpoint: dict[str, Any] = {"state_dict": task.state_dict()}
    Provenance(config, tmp_path, {}).on_save_checkpoint(None, task, checkpoint)
    torch.save(checkpoint, file)
    assert not load(file, trust=trust).task.network.torchvision_resize
    del checkpoint["scalian_exp"]["implied"]
    torch.save(checkpoint, file)
    old = load(file, trust=trust).task
    parts = [part for part in old.network.modules() if hasattr(part, "torchvision_resize")]
    assert len(parts) == 1 + bool(target)
    assert all(part.torchvision_resize for part in parts)
    Provenance(config, tmp_path, {}).on_save_checkpoint(None, old, checkpoint)  # stays so after resuming
    torch.save(checkpoint, file)
    assert load(file, trust=trust).task.network.torchvision_resize


def test_a_config_that_states_the_resizing_is_followed(tmp_path: Path) -> None:
    config = tiny("deeplab_v3plus")
    torch.save({"state_dict": build_task(config).state_dict(), "scalian_exp": {"config": config}}, tmp_path / "x.ckpt")
    assert not load(tmp_path / "x.ckpt").task.network.torchvision_resize
