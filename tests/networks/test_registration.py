"""The receptive field of a logit is centred on its pixel, for every segmentation network, anywhere in the image.

Weights are set so that a unit sees only its kernel's centre, all channels alike, and maxima become means. The centre of
the gradient then shows which pixel a logit belongs to, regardless of the size of its receptive field.
"""

from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from tools import fits, own_models, tiny
from torch import Tensor, nn

from scalian_exp.build import build_task
from scalian_exp.callbacks.provenance import Provenance
from scalian_exp.checkpoint import load
from scalian_exp.networks.fastfcn import Encoding, FastFCN
from scalian_exp.networks.parts.exported import class_logits
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
PLACES = [(53, 59), (78, 132)]


def seeing_centres(network: Any) -> Any:
    """Return the network with only the kernels' centres, without norms and global context."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.AdaptiveAvgPool2d | Encoding):  # these see large parts of the image
            module.register_forward_hook(lambda _, __, output: output.detach())
        with torch.no_grad():
            if isinstance(module, nn.Conv2d):
                height, width = module.kernel_size
                module.weight.zero_()
                module.weight[..., height // 2, width // 2] = 1 / module.weight.shape[1]
            elif isinstance(module, nn.ConvTranspose2d) and learned(module):
                module.weight.zero_()
                module.weight[..., : module.stride[0], : module.stride[1]] = 1 / module.weight.shape[0]
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
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


@pytest.mark.parametrize("stride", [2, 4, 8, 32])
@pytest.mark.parametrize("size", [(33, 64), (40, 17), (1, 5)])
def test_resized_is_linear_interpolation_at_y_over_s(stride: int, size: tuple[int, int]) -> None:
    """Resizing a map of positions gives every pixel its own position, up to the last unit."""
    units = [-(-side // stride) for side in size]
    rows, columns = torch.meshgrid(*(stride * torch.arange(n, dtype=torch.double) for n in units), indexing="ij")
    result = resized(torch.stack([rows, columns])[None], torch.empty(1, 1, *size), stride)[0]
    for axis, (side, n) in enumerate(zip(size, units, strict=True)):
        expected = torch.arange(side, dtype=torch.double).clamp(max=stride * (n - 1))
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
