"""SegNet against its paper's parameter count, and its unpooling against a slow implementation."""

from unittest.mock import patch

import pytest
import torch
import torchvision
from small_networks import count
from torch import Tensor, nn

from scalian_exp.networks.segnet import SegNet


def slow(network: SegNet, x: Tensor) -> Tensor:
    """Compute the logits with poolings and unpoolings pixel by pixel."""
    x = network.standardise(x)
    pooled = []
    for encode in network.encoder:
        x = encode(x)
        batch, channels, height, width = x.shape
        smaller = x.new_empty(batch, channels, height // 2, width // 2)
        places = {}
        for b, c, row, column in torch.cartesian_prod(*map(torch.arange, smaller.shape)).tolist():
            window = x[b, c, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            down, right = divmod(int(window.argmax()), 2)
            places[b, c, row, column] = (2 * row + down, 2 * column + right)
            smaller[b, c, row, column] = window.max()
        pooled.append((places, (height, width)))
        x = smaller
    for decode, (places, size) in zip(network.decoder, reversed(pooled), strict=True):
        sparse = x.new_zeros(*x.shape[:2], *size)
        for (b, c, row, column), (y, z) in places.items():
            sparse[b, c, y, z] = x[b, c, row, column]
        x = decode(sparse)
    return network.classes(x)


def test_the_parameter_count_is_the_papers() -> None:
    """Table 6 of the paper gives 29.45 million, for CamVid's 11 classes."""
    assert count(SegNet(3, 11)) == 29_449_355


@pytest.mark.parametrize("size", [(32, 64), (37, 45)])
def test_unpooling_restores_values_to_the_positions_of_the_maxima(size: tuple[int, int]) -> None:
    network = SegNet(2, 3, width=1 / 64).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.bias)  # so that the ReLU cuts off little
    x = torch.rand(2, 2, *size, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(network(x), slow(network, x), atol=1e-12)


def test_imagenet_weights_give_torchvisions_features() -> None:
    theirs = torchvision.models.vgg16_bn(weights=None)
    network = SegNet(3, 4, pretrained=True)
    with patch("scalian_exp.networks.parts.vgg.imagenet_weights", return_value=theirs.state_dict()):
        network.load_pretrained()
    image = torch.rand(1, 3, 64, 64)
    theirs.eval()
    network.eval()
    x = image
    for encode in network.encoder:
        x = torch.max_pool2d(encode(x), 2)
    assert torch.allclose(x, theirs.features(image), atol=1e-5)


def test_imagenet_weights_are_refused_for_another_width() -> None:
    with pytest.raises(ValueError, match=r"width=1\.0"):
        SegNet(3, 4, width=0.5, pretrained=True)
