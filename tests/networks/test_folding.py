"""Networks prepared for inference compute what they computed before."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tools import fits, own_models, tiny
from torch import nn
from torch.fx import symbolic_trace
from torch.nn import functional as F
from torch.nn import utils
from torch.nn.utils import prune

from scalian_exp.build import build
from scalian_exp.networks.parts.folding import fold, for_inference

SEGMENTATION = [model for model in own_models() if fits(model)["task"] == "segmentation"]


def trained(network: nn.Module) -> nn.Module:
    """The network with statistics, scales and shifts as training might have left them."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return network.eval()


def logits(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    output = network(x)
    return output["out"] if isinstance(output, dict) else output


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("model", SEGMENTATION)
def test_segmentation_networks_compute_the_same(model: str) -> None:
    config = tiny(model)
    torch.manual_seed(0)
    network = trained(build("model.network", config["model"]["network"]))
    x = torch.rand(2, config["dataset"]["in_channels"], *config["dataset"]["image_size"])
    state = copy.deepcopy(network.state_dict())
    fast = for_inference(network)
    with torch.no_grad():
        expected = logits(network, x)
        torch.testing.assert_close(logits(fast, x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
        exact, doubled = copy.deepcopy(network).double(), copy.deepcopy(network).double()
        fold(doubled)
        torch.testing.assert_close(logits(doubled, x.double()), logits(exact, x.double()), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)
    if norms(network) and not model.startswith("tiramisu"):  # whose batch norms stand before convolutions
        assert norms(fast) <= 1  # DeepLab's over the pooled image, a map of one pixel


def test_a_folded_convolution_is_the_affine_function_of_its_channels() -> None:
    convolution, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0)
    for tensor, value in (
        *[(convolution.weight, 3.0), (convolution.bias, 1.0), (norm.running_mean, 2.0), (norm.running_var, 4.0)],
        *[(norm.weight, 5.0), (norm.bias, 7.0)],
    ):
        assert tensor is not None
        nn.init.constant_(tensor, value)
    network = nn.Sequential(convolution, norm).eval()
    fold(network)
    assert isinstance(network[1], nn.Identity)
    assert network[0].weight.item() == 7.5  # 3 · 5/2
    assert network[0].bias.item() == 4.5  # (1 − 2) · 5/2 + 7


@pytest.mark.parametrize("model", ["conv_vae", "conv_autoencoder", "pixelcnn", "pixelrnn_row", "pixelrnn_diagonal"])
def test_networks_of_images_compute_the_same(model: str) -> None:
    config = tiny(model)
    network = build("model.network", config["model"]["network"]).eval()
    fast = for_inference(network)
    assert fast is not network
    x = torch.rand(2, config["dataset"]["in_channels"], *config["dataset"]["image_size"]).round()
    with torch.no_grad():
        for method in ("encode", "forward"):
            if hasattr(network, method) and not (method == "forward" and model == "conv_vae"):  # which draws noise
                torch.testing.assert_close(getattr(fast, method)(x), getattr(network, method)(x), rtol=1e-5, atol=1e-5)
        if hasattr(network, "sample"):
            torch.manual_seed(0)
            samples = network.sample(2)
            torch.manual_seed(0)
            torch.testing.assert_close(fast.sample(2), samples, rtol=1e-4, atol=1e-4)


def pair(channels: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2, 1), nn.BatchNorm2d(2))


class LayerCalledAlone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body: Any = pair()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body[0](x) + self.body(x)


class TiedDecoder(LayerCalledAlone):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(self.body(x), self.body[0].weight)


class Flattening(LayerCalledAlone):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).view(x.shape[0], -1)  # of NHWC, there is no such view


def one_layer_beside_and_inside() -> nn.Module:
    shared = nn.Conv2d(2, 2, 1)
    return nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared, nn.BatchNorm2d(2)))


def one_pair_twice() -> nn.Module:
    return nn.Sequential(*(layers := pair()), *layers)


def another_layer_between() -> nn.Module:
    first, second = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
    return nn.Sequential(first, second, first, nn.BatchNorm2d(2))


def one_weight_for_two() -> nn.Module:
    first, second = (pair() for _ in range(2))
    second[0].weight = first[0].weight
    return nn.Sequential(first, second)


def hook_inside() -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(2, 2, 1))
    inner.register_forward_hook(lambda _, __, output: output.abs())
    return nn.Sequential(inner, nn.BatchNorm2d(2))


def own_forward() -> nn.Module:
    network: Any = pair()
    network[0].forward = lambda x: network[0]._conv_forward(x, network[0].weight, None).abs()
    return network


def traced() -> nn.Module:
    return symbolic_trace(Flattening())


def changed_by(change: Callable[[nn.Module], object]) -> nn.Module:
    network = pair()
    change(network[0])
    return network


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize(
    "make",
    [
        *(LayerCalledAlone, TiedDecoder, Flattening, hook_inside, own_forward, traced),
        *(one_layer_beside_and_inside, one_pair_twice, another_layer_between, one_weight_for_two),
        lambda: changed_by(utils.spectral_norm),
        lambda: changed_by(utils.parametrizations.spectral_norm),
        lambda: changed_by(utils.weight_norm),
        lambda: changed_by(lambda layer: prune.random_unstructured(layer, "weight", 0.5)),
        lambda: changed_by(lambda layer: layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].abs(),))),
        lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)),
    ],
)
def test_networks_whose_layers_do_more_compute_the_same(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    network, x = trained(make()), torch.randn(1, 2, 3, 3)
    with torch.no_grad():
        expected = network(x)  # before, some weights belong to a graph and can't be copied
        torch.testing.assert_close(for_inference(network)(x), expected)


def test_a_copy_in_training_mode_still_uses_the_statistics_of_its_batch() -> None:
    network, x = trained(pair()).train(), torch.randn(4, 2, 3, 3)
    torch.testing.assert_close(for_inference(network)(x), network(x))


def test_a_network_that_a_custom_task_works_with_stays() -> None:
    network, task = pair().eval(), nn.Module()
    assert for_inference(network, task) is not network
    task.loss = LayerCalledAlone()
    assert for_inference(network, task) is network


def test_networks_that_can_not_be_prepared_stay() -> None:
    uncopied: Any = pair()
    uncopied.kept = uncopied[0].weight * 2  # a tensor of its graph
    for same in (nn.Linear(2, 2), nn.Conv2d(2, 2, 1).double(), uncopied):
        assert for_inference(same) is same
