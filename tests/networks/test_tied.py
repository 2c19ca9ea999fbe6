"""Tied weights: the decoder is the encoder transposed, in training, checkpoints, pages and other networks."""

import copy
from pathlib import Path

import pytest
import torch
from small_networks import count, network_after
from tools import tiny
from torch import nn

from scalian_exp.build import build
from scalian_exp.checkpoint import load
from scalian_exp.networks.autoencoder import Autoencoder, ConvAutoencoder, DenseAutoencoder
from scalian_exp.networks.dbn import DeepBeliefNetwork
from scalian_exp.networks.parts.folding import for_inference
from scalian_exp.networks.stacked import StackedAutoencoder
from scalian_exp.networks.text import TextAutoencoder
from scalian_exp.run.training import train


def networks() -> list[Autoencoder]:
    return [
        DenseAutoencoder(2, [3, 4], [7, 5], 2, tied=True),
        ConvAutoencoder(2, [9, 6], [4, 3], [8], 2, tied=True),
        StackedAutoencoder(2, [3, 4], [7, 5], tied=True),
        TextAutoencoder(24, [7], 3, tied=True),
    ]


def inputs(network: Autoencoder) -> torch.Tensor:
    if isinstance(network, TextAutoencoder):
        return torch.rand(3, 24)
    return torch.rand(3, 2, 9, 6) if isinstance(network, ConvAutoencoder) else torch.rand(3, 2, 3, 4)


def test_counts_are_those_of_one_direction_and_all_biases() -> None:
    dense, convolutional, stacked, text = networks()
    assert count(dense) == (24 * 7 + 7 * 5 + 5 * 2) + (7 + 5 + 2) + (5 + 7 + 24)
    assert count(stacked) == (24 * 7 + 7 * 5) + (7 + 5) + (7 + 24)
    assert count(text) == (24 * 7 + 7 * 3) + (7 + 3) + (7 + 24)
    of_maps, flat = 16 * (2 * 4 + 4 * 3), 3 * 2 * 1
    assert count(convolutional) == of_maps + (flat * 8 + 8 * 2) + (4 + 3 + 8 + 2) + (8 + flat + 4 + 2)
    paper = DenseAutoencoder(1, [28, 28], [1000, 500, 250], 30, tied=True)
    assert count(paper) == 2_837_314 - (784_000 + 500_000 + 125_000 + 7_500)


@pytest.mark.parametrize("network", networks(), ids=lambda network: type(network).__name__)
def test_without_biases_and_activations_the_decoder_is_the_adjoint_of_the_encoder(network: Autoencoder) -> None:
    """⟨encode(x), z⟩ = ⟨x, decode(z)⟩ for linear maps that are each other's transposes."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    linear = copy.deepcopy(network).double()
    for module in linear.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.Sigmoid):
                setattr(module, name, nn.Identity())
    x = inputs(network).double()
    z = torch.randn(3, linear.latent_dim, dtype=torch.float64)
    left, right = (linear.encode(x) * z).sum(), (x * linear.decode(z)).sum()
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("network", networks(), ids=lambda network: type(network).__name__)
def test_gradients_reach_the_shared_weights_from_both_sides_and_copies_stay_tied(network: Autoencoder) -> None:
    x, other = inputs(network), copy.deepcopy(network)
    other.decode(torch.rand(3, other.latent_dim)).sum().backward()
    weights = [p for name, p in other.named_parameters() if name.startswith("encoder") and p.dim() > 1]
    assert weights
    assert all(weight.grad is not None for weight in weights)  # by the decoder alone
    assert all(parameter.grad is None for parameter in network.parameters())
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    assert not torch.allclose(other(x), network(x))
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(x), network(x))
    torch.testing.assert_close(for_inference(network.eval())(x), network(x))
    exported = torch.export.export(network, (x,), strict=False).module()
    torch.testing.assert_close(exported(x), network(x))


def test_a_decoder_that_mirrors_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be tied to Linear"):
        Autoencoder(nn.Linear(4, 3), nn.Linear(3, 5), 3, tied=True)
    with pytest.raises(ValueError, match=r"decoder of 2 layers .* encoder of 1: .* a decoder that mirrors its encoder"):
        Autoencoder(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 4)), 3, tied=True)


def test_a_stack_of_machines_unrolls_into_tied_weights() -> None:
    stack = DeepBeliefNetwork(1, [2, 2], [3, 2])
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.normal_()
    network = DenseAutoencoder(1, [2, 2], [3], 2, nn.Sigmoid, nn.Sigmoid, tied=True)
    network.load_state_dict(stack.weights_for(network))
    x = torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(torch.sigmoid(network(x)), torch.sigmoid(stack(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["autoencoder", "conv_autoencoder", "stacked_autoencoder", "text_autoencoder"])
def test_trained_ones_load(model: str, tmp_path: Path) -> None:
    config = tiny(model, "model.network.tied=true")
    train(config, tmp_path / "run")
    network = load(tmp_path / "run").task.network
    own, fresh = network.state_dict(), build("model.network", config["model"]["network"]).state_dict()
    assert own.keys() == fresh.keys()
    assert not any(name.startswith("decoder") and name.endswith("weight") for name in own)


def test_training_starts_from_a_trained_stack(tmp_path: Path) -> None:
    network_after(6, tmp_path / "stack")
    sigmoid = ["model.network.activation._target_=torch.nn.Sigmoid", "model.network.tied=true"]
    code = "model.network.code_activation._target_=torch.nn.Sigmoid"
    widths = ["model.network.hidden=[12, 9]", "model.network.latent_dim=6", *sigmoid, code]
    start = [f"init_from={tmp_path / 'stack'}", "model.optimizer.lr=1e-12"]
    train(tiny("autoencoder", *widths, *start), tmp_path / "run")
    x = torch.rand(5, *load(tmp_path / "stack").task.network.shape)
    one, other = (load(tmp_path / name).task.network(x) for name in ("run", "stack"))
    torch.testing.assert_close(torch.sigmoid(one), torch.sigmoid(other), rtol=0, atol=1e-4)
