"""Segmentation networks: the papers' parameter counts, sizes, alignment, and parts against slow implementations."""

import hashlib
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from small_networks import count
from torch import Tensor, nn

from scalian_exp.networks.deeplab import DeepLabV2, DeepLabV3, DeepLabV3Plus, LargeFOV, LonelyBatchNorm
from scalian_exp.networks.fastfcn import JPU, PSP, ASPPHead, EncNet, FastFCN
from scalian_exp.networks.fcn import FCN, bilinear
from scalian_exp.networks.tiramisu import DenseBlock, FCDenseNet
from scalian_exp.networks.unet import UNet

DOWN = {56: [4] * 6, 67: [5] * 6, 103: [4, 5, 7, 10, 12, 15]}
COUNTS: list[tuple[Callable[[], nn.Module], int]] = [
    (lambda: UNet(1, 2), 31_030_658),
    (lambda: UNet(3, 11), 31_032_395),
    (lambda: UNet(1, 2, padded=True), 31_036_546),
    (lambda: FCN(3, 21, 32), 136_152_917),
    (lambda: FCN(3, 21, 16), 134_815_994),
    (lambda: FCN(3, 21, 8), 134_489_759),
    (lambda: FCDenseNet(3, 11, DOWN[56], 12), 1_376_795),
    (lambda: FCDenseNet(3, 11, DOWN[67], 16), 3_463_243),
    (lambda: FCDenseNet(3, 11, DOWN[103], 16), 9_322_091),
    (lambda: LargeFOV(3, 21), 20_505_429),
    (lambda: DeepLabV2(3, 21, 101), 44_048_532),
    (lambda: DeepLabV2(3, 21, 50), 25_056_404),
    (lambda: DeepLabV3(3, 21, 50), 39_048_533),
    (lambda: DeepLabV3(3, 21, 101), 58_040_661),
    (lambda: DeepLabV3Plus(3, 21, 50), 40_352_181),
    (lambda: DeepLabV3Plus(3, 21, 101), 59_344_309),
    (lambda: JPU([512, 1024, 2048], 512), 19_735_552),
    # FastFCN's authors count the classifier of their ResNet too, which nothing uses: 2,049,000
    (lambda: FastFCN(3, 59, EncNet), 49_443_769 - 2_049_000),
    (lambda: FastFCN(3, 59, ASPPHead), 63_931_934 - 2_049_000),
    (lambda: FastFCN(3, 59, PSP), 70_895_390 - 2_049_000),
    (lambda: FastFCN(3, 59, EncNet, 101), 68_435_897 - 2_049_000),
    (lambda: FastFCN(3, 59, EncNet, joint_upsampling=False), 38_096_825 - 2_049_000),
    (lambda: FastFCN(3, 59, ASPPHead, joint_upsampling=False), 44_196_382 - 2_049_000),
    (lambda: FastFCN(3, 59, PSP, joint_upsampling=False), 51_159_838 - 2_049_000),
]
NARROW: dict[str, Callable[[], nn.Module]] = {
    **{f"fcn{s}s": lambda s=s: FCN(3, 5, s, 1 / 32) for s in (32, 16, 8)},  # type: ignore[misc]
    "fcn8s without a border": lambda: FCN(3, 5, 8, 1 / 32, border=False),
    "unet": lambda: UNet(3, 5, 1 / 32),
    "padded unet": lambda: UNet(3, 5, 1 / 32, padded=True),
    "supervised unet": lambda: UNet(3, 5, 1 / 32, deep_supervision=True),
    "tiramisu": lambda: FCDenseNet(3, 5, [1] * 6, 4, 1 / 4),
    "largefov": lambda: LargeFOV(3, 5, 1 / 32),
    "deeplab v2": lambda: DeepLabV2(3, 5, 50, 1 / 32),
    "deeplab v3": lambda: DeepLabV3(3, 5, 50, 1 / 32),
    "deeplab v3+": lambda: DeepLabV3Plus(3, 5, 50, 1 / 32),
    "fastfcn": lambda: FastFCN(3, 5, width=1 / 32),
    "fastfcn, aspp": lambda: FastFCN(3, 5, ASPPHead, width=1 / 32),
    "psp, dilated": lambda: FastFCN(3, 5, PSP, width=1 / 32, joint_upsampling=False),
}


NAMES_OF_WEIGHTS = {
    "fcn32s": "c6a1dc1644fd",
    "fcn16s": "c1bf50d26d61",
    "fcn8s": "73e4cc1b0742",
    "fcn8s without a border": "73e4cc1b0742",
    "unet": "507a550ad472",
    "padded unet": "decdfce9fafd",
    "supervised unet": "5c3f6cca4b1f",
    "tiramisu": "71d651c98d40",
    "largefov": "7fe09e5a5c54",
    "deeplab v2": "cef0a5c3096d",
    "deeplab v3": "900f9360a789",
    "deeplab v3+": "8773a4e54ee0",
    "fastfcn": "fc71ac2dae59",
    "fastfcn, aspp": "8c7b20cca2ca",
    "psp, dilated": "f68e07d911a0",
}
"""SHA-256 of all names and shapes of weights, as the version before `backbone` wrote them into checkpoints"""


def out(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    return outputs["out"] if isinstance(outputs, dict) else outputs


@pytest.mark.parametrize(("network", "parameters"), COUNTS)
def test_counts_of_the_papers(network: Callable[[], nn.Module], parameters: int) -> None:
    with torch.device("meta"), patch("torch.nn.init.kaiming_normal_"), patch("torch.nn.init.kaiming_uniform_"):
        assert count(network()) == parameters


@pytest.mark.parametrize("name", NARROW)
def test_names_and_shapes_of_weights_are_those_of_earlier_checkpoints(name: str) -> None:
    weights = [(key, tuple(value.shape)) for key, value in NARROW[name]().state_dict().items()]
    assert hashlib.sha256(repr(weights).encode()).hexdigest()[:12] == NAMES_OF_WEIGHTS[name]


@pytest.mark.parametrize("name", NARROW)
def test_logits_have_the_size_of_the_image(name: str) -> None:
    network = NARROW[name]()
    for size in ((33, 47), (45, 130)):
        assert out(network(torch.rand(1, 3, *size))).shape == (1, 5, *size)  # a single image, in training mode
    network.eval()
    assert out(network(torch.rand(2, 3, 31, 70))).shape == (2, 5, 31, 70)


@pytest.mark.parametrize("name", NARROW)
def test_every_parameter_learns(name: str) -> None:
    """The exception is FCN's fixed last deconvolution; biases before a batch norm get a gradient of about 0."""
    network = NARROW[name]()
    x, labels = torch.rand(2, 3, 65, 65), torch.randint(5, (2, 65, 65))
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # heads that start at 0 pass no gradient to the layers before them in the first step
        outputs = network(x)
        maps = outputs if isinstance(outputs, dict) else {"out": outputs}
        loss = sum(F.cross_entropy(m, labels) for m in maps.values() if m.dim() == 4)
        loss = loss + maps["presence"].square().sum() if "presence" in maps else loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    fixed = {n for n, p in network.named_parameters() if torch.equal(p, before[n])}
    assert fixed == ({"upsampling.weight"} if name.startswith("fcn") else set())


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_fcns_scores_are_centred_on_their_pixels(stride: int, border: bool) -> None:
    """Each branch alone sees an area centred on the output pixels.

    With equal weights and means instead of maxima, the centre of the gradient is exact, averaged over one stride.
    """
    network = FCN(1, 1, stride, 1 / 64, border=border, dropout=0.0).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "upsampling" not in name and "doublings" not in name:
                parameter.fill_(0.0 if "bias" in name else 0.1)
    branches = [network.score, *network.skips]
    for branch in branches:
        for other in branches:
            nn.init.constant_(other.weight, float(other is branch))  # type: ignore[arg-type]
        x = torch.ones(1, 1, 640, 32, dtype=torch.double, requires_grad=True)
        with patch("torch.nn.functional.max_pool2d", lambda x, k, ceil_mode: F.avg_pool2d(x, k, ceil_mode=ceil_mode)):
            network(x)[0, 0, 304:336].sum().backward()
        assert x.grad is not None
        rows = x.grad[0, 0].sum(1)
        assert float((rows * torch.arange(640)).sum() / rows.sum()) == pytest.approx(319.5, abs=0.51)


def test_deconvolutions_start_as_bilinear_interpolation() -> None:
    x = torch.rand(1, 3, 9, 9)
    for factor in (2, 8):
        ours = bilinear(3, factor)(x)[..., factor:-factor, factor:-factor]
        theirs = F.interpolate(x, scale_factor=factor, mode="bilinear")
        edge = factor // 2 + factor  # the deconvolution sees zeros beyond the border
        inner = slice(factor, -factor)
        assert torch.allclose(
            ours[..., inner, inner],
            theirs[..., edge : edge + ours.shape[-1] - 2 * factor, edge : edge + ours.shape[-1] - 2 * factor],
            atol=1e-6,
        )


def test_a_dense_block_returns_only_its_new_maps() -> None:
    """The first new maps see only the input, as in the paper's figure 2."""
    block = DenseBlock(6, 3, 4, 0.0, batch_statistics=True, checkpointing=False)
    x = torch.rand(2, 6, 8, 8)
    new = block(x)
    assert new.shape == (2, 12, 8, 8)
    assert torch.allclose(new[:, :4], block.layers[0](x), atol=1e-6)
    assert torch.allclose(new[:, 4:8], block.layers[1](torch.cat([x, new[:, :4]], 1)), atol=1e-6)


def test_tiramisu_uses_batch_statistics_in_evaluation_if_told_to() -> None:
    torch.manual_seed(0)
    networks = [FCDenseNet(3, 4, [1, 1, 1], 4, batch_statistics=b, dropout=0.0) for b in (True, False)]
    networks[1].load_state_dict(networks[0].state_dict())
    x = 3 * torch.rand(2, 3, 16, 16)
    trained = networks[0].train()(x)
    assert torch.allclose(networks[0].eval()(x), trained, atol=1e-5)
    assert not torch.allclose(networks[1].eval()(x), trained, atol=1e-2)


def test_checkpointing_does_not_change_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = FCDenseNet(3, 4, [2, 2, 2], 4, 0.25, checkpointing=checkpointing)
        x = torch.rand(2, 3, 32, 32)
        network(x).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()] + [b for b in network.buffers() if b.dim()])
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", [LargeFOV, DeepLabV2, DeepLabV3, DeepLabV3Plus, FastFCN])
def test_logits_are_enlarged_in_single_precision(family: Any) -> None:
    """Interpolated logits are not rounded to bfloat16."""
    network = family(3, 5, width=1 / 32).eval()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.rand(1, 3, 65, 65))
    logits = outputs["out"] if isinstance(outputs, dict) else outputs
    assert logits.dtype == torch.float32
    assert not torch.equal(logits.bfloat16().float(), logits)


def test_batch_norm_of_a_single_value_uses_the_running_statistics() -> None:
    layer = LonelyBatchNorm(3)
    layer.running_mean += 1.0  # type: ignore[operator]
    assert torch.allclose(layer(torch.ones(1, 3, 1, 1)), torch.zeros(1, 3, 1, 1), atol=1e-6)
    assert layer(torch.rand(2, 3, 1, 1)).mean().abs() < 1e-5
