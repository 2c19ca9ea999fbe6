"""U-Net: sizes, alignment, mirrored edges and skip connections."""

import numpy as np
import pytest
import torch
from small_networks import count
from torch import Tensor, nn

from scalian_exp.networks.unet import UNet, mirrored


def test_unets_valid_sizes_are_those_of_figure_one() -> None:
    network = UNet(1, 2, 1 / 32)
    for side, expected in ((572, 388), (508, 324), (188, 4)):
        assert network.valid(torch.rand(1, 1, side, 188)).shape == (1, 2, expected, 4)


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_unets_output_does_not_depend_on_the_crop_far_from_its_edge(deep_supervision: bool) -> None:
    """The mirrored border has no influence there, and the crops put every pixel back in its place."""
    network = UNet(1, 2, 1 / 32, depth=2, deep_supervision=deep_supervision).eval()
    image = torch.rand(1, 1, 200, 200)
    assert torch.allclose(
        network(image)[..., 64:136, 64:136], network(image[..., 4:196, 4:196])[..., 60:132, 60:132], atol=1e-5
    )


@pytest.mark.parametrize("padded", [False, True])
def test_logits_of_every_level_are_centred_on_their_pixels(padded: bool) -> None:
    """With one head at a time, equal weights and means instead of maxima, the centre of the gradient is exact."""
    network = UNet(1, 1, 1 / 64, depth=2, padded=padded, deep_supervision=True).double().eval()
    network.pool = nn.AvgPool2d(2)  # type: ignore[assignment]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(0.0 if "bias" in name else 0.1)
    heads = [network.head, *network.coarse_heads]
    assert len(heads) == 3
    for head in heads:
        for other in heads:
            nn.init.constant_(other.weight, float(other is head))  # type: ignore[arg-type]
        x = torch.ones(1, 1, 160, 16, dtype=torch.double, requires_grad=True)
        network(x)[0, 0, 78:82].sum().backward()
        assert x.grad is not None
        rows = x.grad[0, 0].sum(1)
        assert float((rows * torch.arange(160)).sum() / rows.sum()) == pytest.approx(79.5)


def test_averaging_over_the_mirror_image_is_equivariant_and_only_for_evaluation() -> None:
    network = UNet(1, 2, 1 / 32, depth=2, padded=True, dropout=0.0, average_flipped=True).double().eval()
    alone = UNet(1, 2, 1 / 32, depth=2, padded=True, dropout=0.0).double().eval()
    alone.load_state_dict(network.state_dict())
    image = torch.rand(2, 1, 19, 26, dtype=torch.double)
    both = torch.stack([alone(image), alone(image.flip(-1)).flip(-1)])
    assert torch.allclose(network(image), both.mean(0))
    assert torch.allclose(network(image.flip(-1)), network(image).flip(-1))
    assert not torch.allclose(alone(image.flip(-1)), alone(image).flip(-1))
    assert torch.equal(network.train()(image), alone.train()(image))


def test_mirrored_equals_numpys_reflection() -> None:
    x = torch.arange(20.0).view(1, 1, 4, 5)
    expected = torch.from_numpy(np.pad(x[0, 0].numpy(), ((7, 2), (3, 11)), mode="reflect"))
    assert torch.equal(mirrored(x, 7, 2, 3, 11)[0, 0], expected)
    assert mirrored(torch.ones(1, 1, 1, 1), 3, 3, 3, 3).shape == (1, 1, 7, 7)


@pytest.mark.parametrize(("padded", "deep_supervision"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("skips", [False, True])
def test_without_skips_the_deepest_map_alone_tells_about_the_image(
    skips: bool, padded: bool, deep_supervision: bool
) -> None:
    """Two images give the same logits once their deepest maps are replaced by the same one, unless maps skip it."""
    network = UNet(1, 3, 1 / 32, depth=2, padded=padded, deep_supervision=deep_supervision, skips=skips).eval()
    images = torch.rand(2, 1, 24, 16)
    one, other = network(images)
    assert not torch.allclose(one, other)

    def same_for_all(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output[:1].expand_as(output)

    network.down[-1].register_forward_hook(same_for_all)
    one, other = network(images)
    assert torch.allclose(one, other) is not skips


def test_skips_cost_the_weights_of_the_concatenated_channels() -> None:
    """Each level's first 3×3 convolution on the way up loses its inputs from the way down, 64, 128, 256 and 512."""
    without = 31_030_658 - 9 * (64**2 + 128**2 + 256**2 + 512**2)
    assert count(UNet(1, 2, skips=False)) == without == 27_897_218
