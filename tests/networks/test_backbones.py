"""Segmentation networks on ImageNet backbones: DeepLab, FastFCN, pretrained weights."""

from typing import Any, Literal
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scalian_exp.networks.deeplab import DeepLabV2, DeepLabV3, LargeFOV
from scalian_exp.networks.fastfcn import JPU, Encoding, FastFCN
from scalian_exp.networks.fcn import FCN
from scalian_exp.networks.parts.backbones import ResNet


def test_resnet_has_the_requested_stride_and_equals_torchvisions() -> None:
    from torchvision.models import resnet50

    x = torch.rand(1, 3, 64, 64)
    for stride, sizes in ((32, [16, 8, 4, 2]), (16, [16, 8, 4, 4]), (8, [16, 8, 8, 8])):
        assert [f.shape[-1] for f in ResNet(3, 50, 1 / 32, stride)(x)] == sizes  # type: ignore[arg-type]
    theirs = resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    ours = ResNet(3, 50, output_stride=8).eval()
    with patch("torchvision.models.ResNet50_Weights.get_state_dict", return_value=theirs.state_dict()):
        ours.load_pretrained()
    y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(ours.standardise(x)))))
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        y = stage(y)
    assert torch.allclose(ours(x)[-1], y, atol=1e-4)


@pytest.mark.parametrize(("stride", "expected"), [(16, [2, 4, 8]), (8, [4, 8, 16])])
def test_the_multi_grid_of_deeplab_v3(stride: Literal[8, 16], expected: list[int]) -> None:
    """Chen et al. 2017, section 3.3: unit rates 1, 2, 4 times the rate of the last stage."""
    last = DeepLabV3(3, 5, 50, 1 / 32, output_stride=stride).backbone.layer4
    assert [block.conv2.dilation[0] for block in last] == expected  # type: ignore[union-attr, operator, index]


def test_a_resnet_refuses_what_would_change_its_depth_or_has_no_weights() -> None:
    with pytest.raises(ValueError, match=r"multi_grid=\[1, 2\]: the last stage has three blocks"):
        ResNet(3, 50, 1 / 32, multi_grid=[1, 2])
    with pytest.raises(ValueError, match="no ImageNet weights for deep_stem"):
        ResNet(3, 50, deep_stem=True, pretrained=True)


def test_deeplab_v2_sums_the_logits_of_its_branches() -> None:
    network = DeepLabV2(3, 5, 50, 1 / 32).eval()
    x = torch.rand(1, 3, 65, 65)
    features = network.backbone(x)[-1]
    expected = sum(
        F.conv2d(features, b.weight, b.bias, padding=r, dilation=r)
        for r, b in zip((6, 12, 18, 24), network.pyramid, strict=True)
    )  # type: ignore[arg-type]
    corners = F.interpolate(expected, (65, 65), mode="bilinear", align_corners=True)  # type: ignore[arg-type]
    assert torch.allclose(network(x), corners, atol=1e-5)  # as the authors do, for sides of 8·k + 1 pixels
    network.torchvision_resize = True
    assert torch.allclose(network(x), F.interpolate(expected, (65, 65), mode="bilinear"), atol=1e-5)  # type: ignore[arg-type]


def test_the_encoding_layer_equals_loops_over_pixels() -> None:
    """Compare with Zhang et al. 2018, eq. 1 and 2, pixel by pixel."""
    layer = Encoding(3, 4)
    x = torch.rand(2, 3, 2, 5)
    expected = torch.zeros(2, 4, 3)
    for b in range(2):
        for i in range(2):
            for j in range(5):
                residuals = x[b, :, i, j] - layer.codewords
                weights = torch.softmax(layer.scale * residuals.square().sum(1), 0)
                expected[b] += weights[:, None] * residuals
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_jpu_follows_the_papers_figure_four() -> None:
    """Three maps of the finest size go through parallel separable convolutions with dilations 1, 2, 4 and 8."""
    jpu = JPU([8, 16, 32], 6).eval()
    features = [torch.rand(1, c, s, s) for c, s in ((8, 17), (16, 9), (32, 5))]
    maps = [reduce(x) for reduce, x in zip(jpu.reduce, features, strict=True)]
    joined = torch.cat([F.interpolate(m, (17, 17), mode="bilinear", align_corners=True) for m in maps], 1)
    expected = []
    for branch, dilation in zip(jpu.branches, (1, 2, 4, 8), strict=True):
        (depthwise, norm), (pointwise, last, _) = branch[0], branch[1]  # type: ignore[index]
        x = F.conv2d(joined, depthwise.weight, padding=dilation, dilation=dilation, groups=18)
        expected.append(torch.relu(last(F.conv2d(norm(x), pointwise.weight))))
    assert torch.allclose(jpu(features), torch.cat(expected, 1), atol=1e-5)


@pytest.mark.parametrize(("stride", "rates"), [(16, [1, 6, 12, 18]), (8, [1, 12, 24, 36])])
def test_the_dilations_of_aspp(stride: Literal[8, 16], rates: list[int]) -> None:
    branches = DeepLabV3(3, 5, 50, 1 / 32, output_stride=stride).aspp.branches
    assert [branch[0].dilation[0] for branch in branches] == rates  # type: ignore[index]


def test_largefov_has_stride_8_and_dilation_12() -> None:
    network = LargeFOV(3, 5, 1 / 32).eval()
    x = torch.rand(1, 3, 65, 65)
    sizes = []
    fc6: Any = network.backbone[5][0]  # type: ignore[index]
    fc6.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[-1]))
    network(x)
    assert sizes == [9]
    assert fc6.dilation == (12, 12)
    assert [layer.dilation[0] for layer in network.backbone[4] if isinstance(layer, nn.Conv2d)] == [2, 2, 2]  # type: ignore[union-attr]


def test_weights_that_cannot_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"model.network.width=1.0"):
        DeepLabV3(3, 5, width=0.5, pretrained=True)
    with pytest.raises(ValueError, match="for 3 channels"):
        FCN(1, 5, pretrained=True)
    with pytest.raises(ValueError, match="deep stem"):
        FastFCN(3, 5, pretrained=True)


def test_unavailable_weights_are_named() -> None:
    network = LargeFOV(3, 5, pretrained=True)
    gone = patch("torchvision.models.VGG16_Weights.get_state_dict", side_effect=OSError("no route"))
    with gone, pytest.raises(ValueError, match=r"vgg16-.*pth"):
        network.load_pretrained()


def test_vgg_weights_are_loaded_into_the_right_layers() -> None:
    from torchvision.models import vgg16

    theirs = vgg16()
    ours, large = FCN(3, 5, pretrained=True, border=False).eval(), LargeFOV(3, 5, pretrained=True)
    with patch("torchvision.models.VGG16_Weights.get_state_dict", return_value=theirs.state_dict()):
        ours.load_pretrained()
        large.load_pretrained()
    z = ours.standardise(torch.rand(1, 3, 64, 64))
    y = theirs.features(z)
    for block in ours.backbone:
        z = F.max_pool2d(block(z), 2, ceil_mode=True)
    assert torch.allclose(z, y, atol=1e-4)
    dense = theirs.classifier[0].weight.view(4096, 512, 7, 7)  # type: ignore[operator, union-attr]
    assert torch.equal(ours.fc6.weight, dense)
    fc6, fc7 = large.backbone[5][0], large.backbone[5][3]  # type: ignore[index]
    assert torch.equal(fc6.weight[3, :, 1, 2], dense[12, :, 3, 6])
    assert torch.equal(fc6.bias, theirs.classifier[0].bias[::4])  # type: ignore[index, arg-type]
    assert torch.equal(fc7.weight[5, 7, 0, 0], theirs.classifier[3].weight[20, 28])  # type: ignore[index]
