"""Which files of weights an encoder takes, what is logged of them, and how they are fitted to grey images."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from scalian_exp.networks.deeplab import LargeFOV
from scalian_exp.networks.fcn import FCN
from scalian_exp.networks.parts.backbones import ResNet
from scalian_exp.networks.parts.weights import fitted, load_matching
from scalian_exp.networks.segnet import SegNet


def saved(state: dict[str, Any], file: Path) -> str:
    torch.save(state, file)
    return str(file)


def small(in_channels: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def test_a_head_may_be_in_the_file_and_the_prefix_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    theirs = small()
    state = {f"module.net.{name}": value for name, value in theirs.state_dict().items()}
    del state["module.net.1.num_batches_tracked"]  # as files from before torch 0.4.1
    ours = small()
    with caplog.at_level(logging.INFO):
        assert load_matching(ours, {**state, "module.fc.weight": torch.ones(2, 2)}, "old.pth") == 8
    (line,) = caplog.messages
    assert line == (
        "pretrained weights from old.pth: 8 of 9 tensors of Sequential matched after the prefix module.net.; "
        "not in the file: 1.num_batches_tracked; unused: module.fc.weight"
    )
    assert torch.equal(ours[0].weight, theirs[0].weight)


def test_the_shallower_of_two_networks_is_no_start_for_the_deeper() -> None:
    shallow, deep = ResNet(3, 50, 1 / 32), ResNet(3, 101, 1 / 32)
    before = {name: value.clone() for name, value in deep.state_dict().items()}
    with pytest.raises(ValueError, match=r"resnet50.pth lacks 255 of the 520 tensors of ResNet: layer3.6.conv1.weight"):
        load_matching(deep, shallow.state_dict(), "resnet50.pth")
    assert all(torch.equal(value, before[name]) for name, value in deep.state_dict().items())
    load_matching(shallow, deep.state_dict(), "resnet101.pth")  # all that it needs is there
    assert torch.equal(shallow.layer3[5].conv1.weight, deep.layer3[5].conv1.weight)


@pytest.mark.parametrize("name", ["0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"])
def test_files_without_norms_or_biases_are_refused(name: str) -> None:
    """With statistics that it wasn't trained with, a network computes noise from the best of kernels."""
    state, ours = small().state_dict(), small()
    del state[name]
    before = ours[0].weight.clone()
    with pytest.raises(ValueError, match=rf"lacks 1 of the 8 tensors of Sequential: {name}; use all weights"):
        load_matching(ours, state, "a file")
    assert torch.equal(ours[0].weight, before)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0"])
def test_torchvisions_other_names_are_refused(name: str) -> None:
    pytest.importorskip("timm", reason="pip install 'scalian-exp[timm]'")
    from scalian_exp.networks.parts.timm_encoder import TimmEncoder

    encoder = TimmEncoder(3, name={"mobilenet_v3_small": "mobilenetv3_small_100"}.get(name, name))
    with pytest.raises(ValueError, match=r"nothing in a file has the name .* saved by the same library"):
        load_matching(encoder.body, getattr(models, name)().state_dict(), "a file")


def test_weights_for_colours_give_grey_images_the_response_of_their_three_equal_channels() -> None:
    theirs, ours = small().eval(), small(in_channels=1).eval()
    load_matching(ours, theirs.state_dict(), "colours.pth")
    grey = torch.rand(2, 1, 9, 9)
    torch.testing.assert_close(ours(grey), theirs(grey.expand(-1, 3, -1, -1)))
    back = small().eval()
    load_matching(back, ours.state_dict(), "grey.pth")
    torch.testing.assert_close(back(grey.expand(-1, 3, -1, -1)), ours(grey))


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7])
def test_first_convolutions_are_fitted_as_timm_does(channels: int) -> None:
    helpers = pytest.importorskip("timm.models", reason="pip install 'scalian-exp[timm]'")
    weight = torch.rand(4, 3, 5, 5)
    expected = helpers.adapt_input_conv(channels, weight.clone())
    torch.testing.assert_close(fitted(weight, torch.empty(4, channels, 5, 5)), expected)


def test_only_the_first_convolution_is_fitted() -> None:
    state = small().state_dict()
    state["2.weight"] = torch.rand(2, 3, 1, 1)
    with pytest.raises(ValueError, match=r"2\.weight is 2×3×1×1 there and 2×4×1×1 here"):
        load_matching(small(), state, "a file")


def narrow_vgg(in_channels: int = 3, batch_norm: bool = False) -> nn.ModuleDict:
    """Return torchvision's VGG-16, which has 138 million weights, with a sixteenth of its channels."""
    channels: list[Any] = [*(4, 4, "M", 8, 8, "M"), *(16, 16, 16, "M"), *(32, 32, 32, "M") * 2]
    features = models.vgg.make_layers(channels, batch_norm)
    features[0] = nn.Conv2d(in_channels, 4, 3, padding=1)
    hidden = [nn.Linear(32 * 49, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, 256), nn.ReLU(), nn.Dropout()]
    return nn.ModuleDict({"features": features, "classifier": nn.Sequential(*hidden, nn.Linear(256, 2))}).eval()


def test_a_narrow_vgg_has_torchvisions_names() -> None:
    with torch.device("meta"):
        theirs = {norm: build() for norm, build in ((False, models.vgg16), (True, models.vgg16_bn))}
    assert all(narrow_vgg(batch_norm=norm).state_dict().keys() == theirs[norm].state_dict().keys() for norm in theirs)


def test_vggs_start_from_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = narrow_vgg()
    file = saved({f"module.{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "vgg.pth")
    network = FCN(3, 5, width=1 / 16, pretrained=file, border=False).eval()
    network.load_pretrained()
    x = z = network.standardise(torch.rand(1, 3, 32, 32))
    for block in network.backbone:
        z = F.max_pool2d(block(z), 2, ceil_mode=True)
    torch.testing.assert_close(z, theirs["features"](x), rtol=1e-3, atol=1e-4)
    assert torch.equal(network.fc7.weight.flatten(1), theirs["classifier"][3].weight)
    ours = saved({"state_dict": network.state_dict()}, tmp_path / "ours.ckpt")
    other = LargeFOV(3, 5, width=1 / 16, pretrained=ours)
    other.load_pretrained()
    assert torch.equal(other.backbone[4][4].weight, network.backbone[4][4].weight)


def test_a_file_without_dense_layers_leaves_them_random(tmp_path: Path) -> None:
    features = narrow_vgg(in_channels=1)["features"].state_dict(prefix="features.")
    network = FCN(1, 5, width=1 / 16, pretrained=saved(features, tmp_path / "features.pth"))
    before = network.fc6.weight.clone()
    network.load_pretrained()
    assert torch.equal(network.backbone[0][0].weight, features["features.0.weight"])
    assert torch.equal(network.fc6.weight, before)


def test_segnet_starts_from_a_file(tmp_path: Path) -> None:
    theirs = narrow_vgg(batch_norm=True)
    with torch.no_grad():
        for layer in theirs["features"]:
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
    file = saved(theirs.state_dict(), tmp_path / "vgg16_bn.pth")
    network = SegNet(3, 4, width=1 / 16, pretrained=file).eval()
    network.load_pretrained()
    x = image = torch.rand(1, 3, 32, 32)
    x = network.standardise(image)
    for encode in network.encoder:
        x = F.max_pool2d(encode(x), 2)
    torch.testing.assert_close(x, theirs["features"](network.standardise(image)), rtol=1e-3, atol=1e-4)


def test_vgg_without_batch_norm_is_no_start_for_segnet(tmp_path: Path) -> None:
    file = saved(narrow_vgg().state_dict(), tmp_path / "vgg16.pth")
    network = SegNet(3, 4, width=1 / 16, pretrained=file)
    with pytest.raises(ValueError, match=r"vgg16\.pth lacks"):
        network.load_pretrained()
