"""Receptive fields are centred on their pixels also on encoders that pad or pool in other ways than ResNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from receptive_fields import centre, seeing_centres
from tools import tiny
from torch import nn

from scalian_exp.build import build_task
from scalian_exp.callbacks.provenance import Provenance
from scalian_exp.checkpoint import load

timm = pytest.importorskip("timm", reason="pip install 'scalian-exp[timm]'")

from scalian_exp.networks.parts.timm_encoder import TimmEncoder  # noqa: E402

AT_32 = {
    "resnet18": [0, 0, 0, 0, 0],
    "resnet18d": [0, 0, 0, 0, 0],
    "tf_efficientnet_lite0": [1, 3, 7, 15, 31],
    "vgg11": [0, 0.5, 1.5, 3.5, 7.5, 15.5],
    "test_convnext": [1.5, 3.5, 7.5, 15.5],
    "swin_s3_tiny_224": [1.5, 3.5, 7.5, 15.5],
    "test_vit": [7.5, 7.5, 7.5],
    "densenet121": [0, 0, 2, 6, 14],
    "resnetv2_50x1_bit": [0, 0, 0, 0, 0],
}
"""encoder → pixels on which the first units of its maps are centred, by hand"""
CASES = [
    ("deeplab_v2", "tf_efficientnet_lite0"),
    ("deeplab_v3", "tf_efficientnet_lite0"),
    ("deeplab_v3plus", "tf_efficientnet_lite0"),
    ("fcn8s", "tf_efficientnet_lite0"),
    ("fcn32s", "tf_efficientnet_lite0"),
    ("fastfcn", "tf_efficientnet_lite0"),
    ("fcn8s", "test_convnext"),
    ("fastfcn", "test_convnext"),
    ("fcn8s", "vgg11"),
    ("fcn8s", "densenet121"),
    ("deeplab_v3plus", "resnet18"),
]


def on(encoder: str) -> list[str]:
    return ["model/network/backbone=timm", f"model.network.backbone.name={encoder}"]


@pytest.mark.parametrize("name", AT_32)
def test_where_the_first_units_lie(name: str) -> None:
    encoder = TimmEncoder(3, name=name)
    assert encoder.offsets == AT_32[name]


def test_dilated_layers_shift_nothing() -> None:
    assert TimmEncoder(3, 8, name="tf_efficientnet_lite0").offsets == [1, 3, 7, 7, 7]


@pytest.mark.parametrize("name", ["resnet18d", "regnetx_002", "mobilenetv3_small_100", "densenet121"])
def test_units_look_at_their_centres_through_all_paths(name: str) -> None:
    """Where residual blocks start as others than identities, their convolutions shift maps as much as shortcuts do."""
    torch.manual_seed(0)
    encoder = TimmEncoder(3, name=name).eval()
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    for features, stride, offset in zip(encoder(x), encoder.strides, encoder.offsets, strict=True):
        middle = 128 // stride
        unit = features[0, :, middle, middle] @ torch.randn(features.shape[1])
        (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
        mass = gradient[0].square().sum(0)
        rows = float(mass.sum(1) @ torch.arange(256.0) / mass.sum())
        assert rows - stride * middle == pytest.approx(offset, abs=stride / 4)


@pytest.mark.parametrize(("model", "encoder"), CASES)
def test_receptive_fields_are_centred_on_their_pixels(model: str, encoder: str) -> None:
    network = seeing_centres(build_task(tiny(model, *on(encoder))).network)
    for size, (top, left) in (((160, 192), (53, 59)), ((147, 203), (78, 122))):
        result = centre(network, size, slice(top, top + 1), slice(left, left + 1))
        assert result == pytest.approx((top, left), abs=0.5), f"pixel {top}, {left} of {size}"


@pytest.mark.parametrize(("encoder", "place"), [("resnet18", 0), ("tf_efficientnet_lite0", -1)])
def test_a_unet_can_learn_where_units_lie(encoder: str, place: int) -> None:
    """Its 2×2 deconvolutions put a unit on the first or the last of four pixels, wherever it belongs."""
    network = seeing_centres(build_task(tiny("unet", *on(encoder))).network)
    for layer in network.grow:
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight[..., place, place] = 1 / layer.weight.shape[0]
    row, column = 64 - (place == -1), 96 - (place == -1)
    assert centre(network, (160, 192), slice(row, row + 1), slice(column, column + 1)) == pytest.approx((row, column))


def test_earlier_checkpoints_compute_as_they_were_trained(tmp_path: Path) -> None:
    """They took the first unit of every map for the first pixel's."""
    config, file = tiny("deeplab_v3", *on("tf_efficientnet_lite0")), tmp_path / "x.ckpt"
    task = build_task(config)
    checkpoint: dict[str, Any] = {"state_dict": task.state_dict()}
    Provenance(config, tmp_path, {}).on_save_checkpoint(None, task, checkpoint)
    torch.save(checkpoint, file)
    assert load(file).network.backbone.offsets[-1] == 15
    del checkpoint["scalian_exp"]["implied"]
    torch.save(checkpoint, file)
    assert load(file).network.backbone.offsets == [0] * 5


def test_encoders_that_say_nothing_of_offsets_are_taken_as_before() -> None:
    class Bare(nn.Module):
        channels, strides, pretrained = [4], [8], False

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [nn.functional.avg_pool2d(x[:, :1], 1, 8).expand(-1, 4, -1, -1)]

    from scalian_exp.networks.deeplab import DeepLabV2

    network = seeing_centres(DeepLabV2(3, 2, backbone=lambda *_, **__: Bare()))
    assert centre(network, (64, 64), slice(24, 25), slice(32, 33)) == pytest.approx((24, 32))
