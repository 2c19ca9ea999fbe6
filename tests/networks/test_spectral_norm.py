"""The GAN's spectral norm: Lipschitz constants of the layers, and all that is done with a trained network."""

from pathlib import Path

import pytest
import torch
from tools import tiny
from torch import Tensor, nn

from scalian_exp.checkpoint import load
from scalian_exp.networks.gan import GAN
from scalian_exp.networks.parts.folding import for_inference
from scalian_exp.run.training import train


def layers(network: GAN) -> list[nn.Module]:
    return [module for module in network.discriminator.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def largest_singular_value(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1).double(), 2))


def test_after_power_iterations_the_largest_singular_values_are_one() -> None:
    network = GAN(2, [12, 8], [4, 6], 3, spectral_norm=True)
    x = torch.rand(5, 2, 12, 8)
    for _ in range(200):
        network.discriminator(x)
    assert len(layers(network)) == 3
    assert [largest_singular_value(layer.weight) for layer in layers(network)] == pytest.approx([1] * 3, abs=0.01)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.discriminator.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.generator.modules())


def test_only_the_direction_of_the_weights_counts() -> None:
    """Scaling a weight changes nothing, which is what batch norm's scale would undo."""
    network, x = GAN(1, [8, 8], [4], 3, spectral_norm=True), torch.rand(5, 1, 8, 8)
    for _ in range(50):
        network.discriminator(x)
    network.eval()
    before = network.discriminator(x)
    with torch.no_grad():
        network.discriminator.head.parametrizations.weight.original.mul_(7)
    network.train()
    for _ in range(5):
        network.discriminator(x)
    torch.testing.assert_close(network.eval().discriminator(x), before, rtol=1e-3, atol=1e-4)


def test_without_it_the_network_is_the_same_as_before() -> None:
    names = set(GAN(1, [8, 8], [4, 4], 3).state_dict())
    assert "discriminator.convolutions.2.weight" in names
    assert "discriminator.convolutions.3.running_mean" in names
    assert not any("parametrizations" in name for name in names)


def test_weights_start_as_the_others_and_evaluation_changes_no_estimate() -> None:
    network = GAN(1, [32, 32], [64, 64], 3, spectral_norm=True)
    original = network.discriminator.convolutions[2].parametrizations.weight.original
    assert original.std().item() == pytest.approx(0.02, rel=0.05)
    state = {name: tensor.clone() for name, tensor in network.eval().state_dict().items()}
    network.discriminator(torch.rand(2, 1, 32, 32))
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_a_trained_one_loads_folds_and_is_exported(tmp_path: Path) -> None:
    train(tiny("sngan", "trainer.max_epochs=2"), tmp_path / "run")
    network, again = (load(tmp_path / "run").task.network for _ in range(2))
    z = network.noise(3)
    x = network(z).detach()
    expected = network.discriminator(x).detach()
    torch.testing.assert_close(again.discriminator(x), expected, rtol=0, atol=0)
    with torch.no_grad():
        fast = for_inference(network)
        torch.testing.assert_close(fast.discriminator(x), expected)
        torch.testing.assert_close(fast(z), x, rtol=1e-4, atol=1e-5)
        program = torch.export.export(network.discriminator, (x,)).module()
        torch.testing.assert_close(program(x), expected)
