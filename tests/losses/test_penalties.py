"""Penalties of codes against autograd, the paper's closed form, and values by hand."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tools import ONE_STEP, read_csv, tiny
from torch import Tensor, nn

from scalian_exp.losses.penalties import Contractive, Sparse
from scalian_exp.networks.autoencoder import Autoencoder, ConvAutoencoder, DenseAutoencoder
from scalian_exp.networks.hashing import NoisySigmoid
from scalian_exp.networks.parts.jacobian import estimated
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.reconstruction import Reconstruction


def squared_jacobians(network: Autoencoder, x: Tensor) -> Tensor:
    """Return ‖J‖² of each image by autograd, one image and one number of the code after the other."""
    each = [torch.autograd.functional.jacobian(lambda image: network.encode(image[None])[0], image) for image in x]
    return torch.stack([jacobian.square().sum() for jacobian in each])


@pytest.mark.parametrize("hidden", [[], [7], [9, 7]])
@pytest.mark.parametrize("units", [nn.Sigmoid, nn.Tanh, nn.ReLU, nn.Identity])
def test_the_jacobian_of_dense_encoders_is_exact(hidden: list[int], units: type[nn.Module]) -> None:
    network = DenseAutoencoder(1, [3, 4], hidden, 5, units, units).double()
    x = torch.rand(6, 1, 3, 4, dtype=torch.float64)
    penalty = Contractive(weight=0.3)(network, x, network.encode(x))
    torch.testing.assert_close(penalty, 0.3 * squared_jacobians(network, x).mean())


def test_for_one_layer_it_is_the_papers_closed_form_with_its_gradient() -> None:
    network = DenseAutoencoder(1, [3, 4], [], 5, code_activation=nn.Sigmoid).double()
    x = torch.rand(6, 1, 3, 4, dtype=torch.float64)
    layer = network.encoder.network[1]
    h = network.encode(x)
    closed = ((h * (1 - h)).square() * layer.weight.square().sum(1)).sum(1).mean()
    penalty = Contractive(weight=1.0)(network, x, network.encode(x))
    torch.testing.assert_close(penalty, closed)
    gradients = [torch.autograd.grad(value, [layer.weight, layer.bias]) for value in (penalty, closed)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_of_other_encoders_it_is_estimated_without_bias(mode: type) -> None:
    network, x = ConvAutoencoder(1, [8, 6], [3], [7], 4), torch.rand(3, 1, 8, 6)
    expected, copies = squared_jacobians(network, x).detach(), 4000  # of each image, which draw directions of their own
    many = x.repeat(copies, 1, 1, 1)
    with mode():
        values = estimated(network, many, directions=2).detach().view(copies, 3)
        once = Contractive(1.0, directions=2)(network, many, network.encode(many))
    errors = 4 * values.std(0) / math.sqrt(copies)
    assert bool(((values.mean(0) - expected).abs() < errors).all())
    assert float(errors.max() / expected.min()) < 0.1
    assert once.item() == pytest.approx(expected.mean().item(), rel=0.1)
    assert once.requires_grad == (mode is torch.enable_grad)


def test_the_estimates_gradient_shrinks_the_jacobian() -> None:
    network, x = ConvAutoencoder(1, [8, 6], [3], [7], 4), torch.rand(20, 1, 8, 6)
    before = squared_jacobians(network, x).mean()
    optimizer = torch.optim.SGD(network.encoder.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        Contractive(weight=1.0)(network, x, network.encode(x)).backward()
        optimizer.step()
    assert squared_jacobians(network, x).mean() < 0.8 * before


def test_batch_norms_statistics_are_left_alone() -> None:
    encoder = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Sigmoid())
    network, x = Autoencoder(encoder, nn.Linear(3, 6), 3), torch.rand(5, 6)
    codes, before = network.encode(x), encoder[1].running_mean.clone()
    Contractive(weight=1.0)(network, x, codes).backward()
    assert encoder[0].weight.grad is not None
    torch.testing.assert_close(encoder[1].running_mean, before, rtol=0, atol=0)
    assert encoder[1].num_batches_tracked == 1


@pytest.mark.parametrize("penalty", [Sparse, Contractive])
def test_each_step_encodes_once(penalty: type[nn.Module]) -> None:
    """The code that is penalised is the one that is decoded, although it is random."""
    network = DenseAutoencoder(1, [3, 4], [7], 5, code_activation=lambda: NoisySigmoid(4.0))
    encoded, decoded, penalised = [], [], []
    network.encoder.register_forward_hook(lambda _, __, codes: encoded.append(codes))
    network.decoder.register_forward_pre_hook(lambda _, given: decoded.append(given[0]))
    part = penalty()
    part.register_forward_pre_hook(lambda _, given: penalised.append(given[2]))
    task = Reconstruction(network, nn.BCEWithLogitsLoss(), torch.optim.SGD, penalty=part)
    step = task.step({"image": torch.rand(6, 1, 3, 4)})
    assert step.logs.keys() == {"penalty"}
    assert decoded[0] is penalised[0] is encoded[0]
    assert len(encoded) == (1 if penalty is Sparse else 2)  # the Jacobian's estimate is of the function


def test_sparsity_is_the_kl_of_mean_activations() -> None:
    codes = torch.tensor([[0.1, 0.2, 0.9], [0.3, 0.2, 0.1]])  # means 0.2, 0.2, 0.5
    penalty = Sparse(weight=2.0, activation=0.2)(None, codes, codes)
    by_hand = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    assert penalty.item() == pytest.approx(2 * by_hand)
    assert Sparse(1.0, 0.2)(None, codes, torch.zeros(4, 3)).isfinite()


@pytest.mark.parametrize("validated", [[], ["trainer.limit_val_batches=0", "test=false"]])
def test_codes_that_are_no_activations_are_refused(validated: list[str], tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="needs codes between 0 and 1; give the code logistic units"):
        train(tiny("autoencoder", "+model/penalty=sparse", *validated), tmp_path / "run")
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        Sparse(activation=1.0)


@pytest.mark.parametrize(
    ("model", "penalty"),
    [
        ("contractive_autoencoder", "contractive"),
        ("sparse_autoencoder", "sparse"),
        ("conv_autoencoder", "contractive"),
        ("stacked_autoencoder", "sparse"),
        ("stacked_autoencoder", "contractive"),
    ],
)
def test_penalties_are_added_and_logged(model: str, penalty: str, tmp_path: Path) -> None:
    chosen = [] if model.startswith(penalty) else [f"+model/penalty={penalty}"]
    for weight in (0, 5):
        quick = [*ONE_STEP, "logger=csv", "model.optimizer.lr=1e-12", f"model.penalty.weight={weight}"]
        train(tiny(model, *chosen, *quick), tmp_path / str(weight))
    losses = []
    for weight in ("0", "5"):
        rows = read_csv(next((tmp_path / weight).rglob("metrics.csv")))
        values = {name: float(value) for row in rows for name, value in row.items() if value}
        losses.append([values[f"{split}/loss"] - values[f"{split}/penalty"] for split in ("train", "val", "test")])
        assert all((values[f"{split}/penalty"] > 0) == (weight == "5") for split in ("train", "val", "test"))
    if not model.startswith("stacked"):  # whose corruption is drawn anew
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_estimate_prints_no_warning_of_torchs_own_deprecated_code() -> None:
    code = (
        "import torch; from scalian_exp.run.record import quiet; quiet()\n"
        "torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))"
    )
    command = [sys.executable, "-W", "default::FutureWarning", "-c", code]  # torch warns once in a process
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
