"""Encoders of timm under the networks that have an encoder: their maps, outputs, and what is refused."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scalian_exp.networks.deeplab import DeepLabV2, DeepLabV3, DeepLabV3Plus
from scalian_exp.networks.fastfcn import FastFCN
from scalian_exp.networks.fcn import FCN
from scalian_exp.networks.parts.backbones import ResNet
from scalian_exp.networks.unet import UNet

timm = pytest.importorskip("timm", reason="pip install 'scalian-exp[timm]'")

from scalian_exp.networks.parts.timm_encoder import TimmEncoder  # noqa: E402

SMALL = "test_efficientnet"
"""timm's own encoder for tests: strides 2 to 32, and dilated ones"""
NETWORKS: dict[str, Any] = {
    **{f"fcn{stride}s": partial(FCN, stride=stride) for stride in (32, 16, 8)},
    "unet": partial(UNet, padded=True),
    "unet, supervised": partial(UNet, padded=True, deep_supervision=True, average_flipped=True),
    "unet without skips": partial(UNet, padded=True, skips=False),
    "deeplab v2": DeepLabV2,
    "deeplab v3": DeepLabV3,
    "deeplab v3+": DeepLabV3Plus,
    "deeplab v3+, fine": partial(DeepLabV3Plus, output_stride=8),
    "fastfcn": FastFCN,
    "fastfcn, dilated": partial(FastFCN, joint_upsampling=False),
}


def backbone(name: str = SMALL, **more: Any) -> Any:
    return partial(TimmEncoder, name=name, **more)


def out(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    return outputs["out"] if isinstance(outputs, dict) else outputs


@pytest.mark.parametrize("name", [SMALL, "test_resnet", "test_convnext", "test_vit"])
def test_an_encoders_maps_are_timms(name: str) -> None:
    theirs = timm.create_model(name, features_only=True)
    encoder = TimmEncoder(3, name=name)
    assert encoder.channels == theirs.feature_info.channels()
    assert encoder.strides == theirs.feature_info.reduction()
    for height, width in ((64, 96), (33, 70)):
        maps = encoder.eval()(torch.rand(1, 3, height, width))
        sides = [(-(-height // stride), -(-width // stride)) for stride in encoder.strides]
        expected = [(c, *side) for c, side in zip(encoder.channels, sides, strict=True)]
        assert [tuple(features.shape[1:]) for features in maps] == expected


def test_an_encoder_standardises_as_its_weights_were_trained() -> None:
    encoder = TimmEncoder(3, name=SMALL).eval()
    theirs = timm.create_model(SMALL, features_only=True).eval()
    theirs.load_state_dict(encoder.body.state_dict())
    mean, std = (torch.tensor(timm.create_model(SMALL).pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    x = torch.rand(2, 3, 64, 96)
    for ours, expected in zip(encoder(x), theirs((x - mean) / std), strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)


def test_a_transformers_maps_have_their_channels_first() -> None:
    encoder = TimmEncoder(3, name="swin_s3_tiny_224").eval()
    with torch.no_grad():
        maps = encoder(torch.rand(1, 3, 64, 64))
    assert [(m.shape[1], 64 // m.shape[2]) for m in maps] == [(96, 4), (192, 8), (384, 16), (768, 32)]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_take_another_encoder_and_images_of_any_size(name: str) -> None:
    network = NETWORKS[name](1, 5, width=1 / 16, backbone=backbone())
    assert out(network(torch.rand(2, 1, 45, 130))).shape == (2, 5, 45, 130)
    network.eval()
    assert out(network(torch.rand(1, 1, 33, 70))).shape == (1, 5, 33, 70)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_of_a_network_on_another_encoder_learns(name: str) -> None:
    """Exceptions are the stages after the last that a network uses."""
    torch.manual_seed(0)
    network = NETWORKS[name](3, 5, width=1 / 16, backbone=backbone())
    for layer in network.modules():  # heads that start at 0 pass no gradient on
        if isinstance(layer, nn.Conv2d) and not layer.weight.any():
            nn.init.normal_(layer.weight)
    outputs = network(torch.rand(2, 3, 65, 65))
    maps = outputs if isinstance(outputs, dict) else {"out": outputs}
    sum(value.square().mean() for value in maps.values()).backward()  # type: ignore[union-attr]
    assert not [n for n, p in network.named_parameters() if p.grad is None]


def test_a_unet_uses_every_skip_of_its_encoder() -> None:
    """Its last convolutions at strides 2 to 16 see the encoder's channels beside their own 16, 32, …."""
    network = UNet(3, 5, padded=True, backbone=backbone())
    channels = dict(zip(network.backbone.strides, network.backbone.channels, strict=True))
    seen = [block[0].in_channels for block in network.up]  # type: ignore[index, union-attr]
    assert seen == [16 * s + channels.get(s, 0) for s in (16, 8, 4, 2, 1)]
    bare = UNet(3, 5, padded=True, skips=False, backbone=backbone())
    assert [block[0].in_channels for block in bare.up] == [16 * s for s in (16, 8, 4, 2, 1)]  # type: ignore[index, union-attr]


def test_own_encoders_say_their_strides() -> None:
    assert ResNet(3, 50, 1 / 32).strides == [4, 8, 16, 32]
    assert ResNet(3, 50, 1 / 32, output_stride=8).strides == [4, 8, 8, 8]


class Patches(nn.Module):
    """An encoder whose maps have a stride that is no power of two."""

    channels, strides, pretrained = [4, 4], [14, 14], False


def patches(*_: Any, **__: Any) -> nn.Module:
    return Patches()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UNet(3, 5, padded=True, backbone=patches), "needs a map of stride 8, .* Patches have strides 14, 14"),
        (lambda: DeepLabV2(3, 5, backbone=patches), "needs a map of stride 8"),
        (lambda: TimmEncoder(3, name="resnet1"), "timm has no encoder resnet1; similar names: resnet18"),
        (lambda: TimmEncoder(3, name="hf-hub:someone/something"), "timm has no encoder hf-hub"),
        (lambda: TimmEncoder(3, name="zzzzzzzz"), "no encoder zzzzzzzz; all that it has are listed by python"),
        (lambda: TimmEncoder(3, name=""), "timm has no encoder ''; all that it has are listed by python"),
        (lambda: TimmEncoder(3, name="resnet18.nothing"), "timm has no weights resnet18.nothing; it has resnet18."),
        (lambda: TimmEncoder(3, 8, name="vgg11"), "vgg11 can't be built with a map of stride 8"),
        (lambda: TimmEncoder(3, 16, name="densenet121"), "densenet121 can't be built with a map of stride 16"),
        (lambda: TimmEncoder(3, name="inception_v4"), "inception_v4 of timm takes no images of 64×64"),
        (lambda: FCN(3, 5, backbone=backbone("test_vit")), "needs a map of stride 32, .* test_vit have strides 16"),
        (lambda: DeepLabV3Plus(3, 5, backbone=backbone("test_vit")), "needs a map of stride 4"),
        (lambda: UNet(3, 5, backbone=backbone()), "model.network.padded=true"),
        (lambda: FCN(3, 5, pretrained=True, backbone=backbone()), "model.network.backbone.pretrained"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_an_error_inside_an_encoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("its own mistake")

    monkeypatch.setattr(timm, "create_model", broken)
    with pytest.raises(ValueError, match=r"gives no feature maps \(its own mistake"):
        TimmEncoder(3, name="resnet18")


def test_deeplab_v3_on_a_transformer_of_stride_16() -> None:
    network = DeepLabV3(3, 5, width=1 / 16, backbone=backbone("test_vit")).eval()
    assert network(torch.rand(1, 3, 45, 70)).shape == (1, 5, 45, 70)
