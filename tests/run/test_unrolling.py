"""Networks initialised from a trained stack of RBMs."""

from pathlib import Path

import pytest
import torch
from small_networks import network_after
from tools import tiny

from scalian_exp.checkpoint import load
from scalian_exp.networks.autoencoder import DenseAutoencoder
from scalian_exp.networks.dbn import DeepBeliefNetwork
from scalian_exp.networks.dbn_labels import LabelledDBN
from scalian_exp.networks.units import Gaussian
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


def test_a_stack_unrolls_into_a_classifier_and_an_autoencoder(tmp_path: Path) -> None:
    network_after(6, tmp_path / "stack")
    stack = load(tmp_path / "stack").task.network
    start = [f"init_from={tmp_path / 'stack'}", "model.optimizer.lr=1e-12"]
    train(tiny("dbn_classifier", "model.network.hidden=[12, 9, 6]", *start), tmp_path / "classifier")
    images = torch.rand(5, *stack.shape)
    classifier = load(tmp_path / "classifier").task.network
    torch.testing.assert_close(classifier.encode(images), stack.encode(images), rtol=0, atol=1e-4)
    sigmoid = "model.network.activation._target_=torch.nn.Sigmoid"
    code = "model.network.code_activation._target_=torch.nn.Sigmoid"
    widths = ["model.network.hidden=[12, 9]", "model.network.latent_dim=6", sigmoid, code, *start]
    train(tiny("autoencoder", *widths), tmp_path / "autoencoder")
    autoencoder = load(tmp_path / "autoencoder").task.network
    torch.testing.assert_close(torch.sigmoid(autoencoder(images)), torch.sigmoid(stack(images)), rtol=0, atol=1e-4)


def test_layers_that_were_never_trained_are_copied_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for epochs in (2, 6):  # two of each layer
        network_after(epochs, tmp_path / str(epochs))
        start = f"init_from={tmp_path / str(epochs)}"
        train(tiny("dbn_classifier", "model.network.hidden=[12, 9, 6]", start), tmp_path / f"of {epochs}")
    (warning,) = [message for message in caplog.messages if "have not been trained yet" in message]
    assert warning.startswith(f"the upper 2 layers of init_from={tmp_path / '2'} have not been trained yet")
    assert f"scalian-train resume={tmp_path / '2'} trainer.max_epochs=" in warning


def test_other_units_than_the_stacks_are_refused(tmp_path: Path) -> None:
    """Weights of logistic units are useless for ReLUs, as those of a Bernoulli code are for a linear one."""
    network_after(6, tmp_path / "stack")
    start = ["model.network.hidden=[12, 9]", "model.network.latent_dim=6", f"init_from={tmp_path / 'stack'}"]
    logistic = "model.network.activation._target_=torch.nn.Sigmoid"
    linear = "layer 3 has Bernoulli units there, but Identity here"
    for overrides, sentence in (([], "layer 1 has Bernoulli units there, but ReLU here"), ([logistic], linear)):
        with pytest.raises(Refusal, match=sentence):
            train(tiny("autoencoder", *start, *overrides), tmp_path / "run")


def test_an_untied_stack_unrolls_with_both_directions() -> None:
    stack = LabelledDBN(1, [2, 2], [3, 2], num_classes=4)
    stack.rbms[-1].visible_mean.fill_(0.25)
    stack.untie()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.normal_()
    network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
    network.load_state_dict(stack.weights_for(network))
    codes, images = torch.rand(5, 2), torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(network.encode(images), stack.encode(images))
    torch.testing.assert_close(torch.sigmoid(network.decode(codes)), torch.sigmoid(stack.decode(codes)))
    lower = stack.generative[0].weight  # (pixels, 3)
    torch.testing.assert_close(stack.filters(0).flatten(1), lower.T)
    torch.testing.assert_close(stack.filters(1).flatten(1), stack.rbms[1].weight[:, :3] @ lower.T)


def test_unrolling_takes_offsets_into_account() -> None:
    stack = DeepBeliefNetwork(1, [2, 2], [3, 2], centred=True)
    for name, tensor in stack.state_dict().items():
        if name.startswith("rbms"):
            tensor.copy_(torch.randn(tensor.shape))
    network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
    network.load_state_dict(stack.weights_for(network))
    images = torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(torch.sigmoid(network(images)), torch.sigmoid(stack(images)), rtol=0, atol=1e-5)


def test_unrolling_takes_standardised_pixels_and_labels_into_account() -> None:
    gaussian = DeepBeliefNetwork(1, [2, 2], [3, 2], Gaussian())
    gaussian.standardise(torch.tensor([0.5, 0.2, 0.1, 0.7]), torch.tensor([0.2, 0.3, 0.4, 0.1]))
    labelled = LabelledDBN(1, [2, 2], [3, 2], num_classes=4)
    images = torch.rand(5, 1, 2, 2)
    for stack in (gaussian, labelled):
        stack.rbms[-1].visible_mean.fill_(0.25)
        with torch.no_grad():
            for parameter in stack.parameters():
                parameter.normal_()
        network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
        weights = stack.weights_for(network)
        network.load_state_dict(weights, strict=False)
        torch.testing.assert_close(network.encode(images), stack.encode(images), rtol=0, atol=1e-5)
    assert "decoder.1.weight" not in gaussian.weights_for(network)
    assert "decoder.1.weight" in weights
