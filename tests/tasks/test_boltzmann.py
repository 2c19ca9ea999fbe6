"""Training RBMs and deep belief networks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import STACK, network_after
from tools import tiny

from scalian_exp.actions.action import data_of
from scalian_exp.actions.sample import Sample
from scalian_exp.apply import apply
from scalian_exp.build import build, build_task
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.checkpoint import load
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.order import ShuffledBatches
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.networks.dbn_labels import LabelledDBN
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.vocabulary.options import options

NOT_OF_LBFGS = ("momentum", "weight_decay", "fused")


def test_layers_are_trained_one_after_the_other(tmp_path: Path) -> None:
    states = [network_after(epochs, tmp_path / str(epochs)) for epochs in (1, 2, 4, 5)]
    for (before, after), layer in zip(((0, 1), (1, 2), (2, 3)), (0, 1, 2), strict=True):
        learned = [name for name in states[0] if name.endswith(("weight", "bias"))]
        changed = {name.split(".")[1] for name in learned if not torch.equal(states[before][name], states[after][name])}
        assert changed == {str(layer)}


@pytest.mark.parametrize(
    ("options", "rate", "drawn"),
    [
        ([], 1.0, bernoulli),
        (["model.layer_rates=[1,0.3,2]"], 0.3, bernoulli),
        (["model.draw_states=false"], 1.0, torch.clone),
    ],
)
def test_a_layer_of_a_stack_trains_like_an_rbm_on_the_same_codes(
    options: list[str], rate: float, drawn: Any, tmp_path: Path
) -> None:
    config = tiny("dbn", *STACK, "trainer.max_epochs=3", *options)
    train(config, tmp_path / "run")
    learned = load(tmp_path / "run/checkpoints/last.ckpt").task.network
    data = build("dataset", config["dataset"])
    data.setup("fit")
    images = data.splits["train"].examples["image"].float() / 255
    with torch.no_grad():
        codes = torch.sigmoid(learned.rbms[0].hidden_input(images.flatten(1)))
    torch.manual_seed(config["seed"])
    task = build_task(config)
    rbm, loss = task.network.rbms[1], task.loss
    rbm.load_state_dict({**rbm.state_dict(), "weight": untrained_weight(config, tmp_path)})
    rbm.start_from(codes.mean(0))
    optimizer = task.optimizer(
        [{"params": [rbm.weight]}, {"params": [rbm.visible_bias, rbm.hidden_bias], "weight_decay": 0.0}]
    )
    for group in optimizer.param_groups:
        group["lr"] *= rate
    torch.manual_seed(config["seed"])
    batches = ShuffledBatches(TensorBatches({"image": codes}), config["dataset"]["batch_size"], epoch=2)
    SeededEpochs(config["seed"]).seed_all(2, 0)
    for indices in batches:
        optimizer.zero_grad()
        loss(rbm, drawn(codes[indices]), layer=1).loss.backward()
        optimizer.step()
    torch.testing.assert_close(learned.rbms[1].weight, rbm.weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(learned.rbms[1].visible_bias, rbm.visible_bias, rtol=0, atol=1e-5)


def test_an_upper_layer_that_learns_from_probabilities_is_judged_by_states(tmp_path: Path) -> None:
    """A free energy is concave, so that probabilities would be given too low a likelihood."""
    train(tiny("dbn", *STACK, "trainer.max_epochs=3", "model.draw_states=false"), tmp_path)
    task = load(tmp_path / "checkpoints/last.ckpt").task
    task.layer.fill_(1)
    batch = {"image": torch.rand(8, 1, 16, 16)}
    task.train()
    assert torch.equal(task.states(batch), task.means(batch))
    task.eval()
    assert set(task.states(batch).unique().tolist()) == {0.0, 1.0}


def untrained_weight(config: dict[str, Any], folder: Path) -> torch.Tensor:
    """Return the second layer's weight before its training."""
    train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, folder / "start")
    weight: torch.Tensor = load(folder / "start/checkpoints/last.ckpt").task.network.rbms[1].weight.detach()
    return weight


def test_training_resumes_inside_any_layer(tmp_path: Path) -> None:
    straight = network_after(6, tmp_path / "straight")
    for epochs in (1, 2, 3, 5):
        network_after(epochs, tmp_path / str(epochs))
        train(*resumed([f"resume={tmp_path / str(epochs)}", "trainer.max_epochs=6"]))
        parts = load(tmp_path / str(epochs) / "checkpoints/last.ckpt").task.network.state_dict()
        assert all(torch.equal(straight[name], parts[name]) for name in straight)


def test_centring_keeps_offsets_near_the_means(tmp_path: Path) -> None:
    train(tiny("rbm", "model.network.centred=true"), tmp_path)
    rbm = load(tmp_path).task.network.rbms[0]
    data = data_of(load(tmp_path))
    v = data.prepare(data.splits["train"][torch.arange(48)])["image"].flatten(1)
    torch.testing.assert_close(rbm.visible_offset, v.mean(0), rtol=0, atol=1e-5)
    with torch.no_grad():
        rbm.weight.normal_()
    before = rbm.hidden.mean(rbm.hidden_input(v)).mean(0)
    for _ in range(1000):
        rbm.recentre(v)
    torch.testing.assert_close(rbm.hidden_offset, before, rtol=0, atol=1e-3)  # the same distribution


def test_gaussian_units_see_standardised_pixels(tmp_path: Path) -> None:
    config = tiny("rbm_gaussian")
    train(config, tmp_path)
    network = load(tmp_path).task.network
    data = build("dataset", config["dataset"])
    data.setup("fit")
    v = network.visible(data.splits["train"].examples["image"].float() / 255)
    torch.testing.assert_close(v.mean(0), torch.zeros(v.shape[1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(v.std(0, correction=0), torch.ones(v.shape[1]), rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["dataset.binary=false"], "grey pixels"),
        (
            ["model.network.visible_units._target_=scalian_exp.networks.units.Gaussian", "model.draw_pixels=true"],
            "binary",
        ),
        (
            ["model.optimizer._target_=torch.optim.Adam", "~model.optimizer.momentum", "+model.momentum._target_=x"],
            "none",
        ),
        (["model.likelihood.steps=[1,2]"], "three numbers"),
        (
            ["model.optimizer._target_=torch.optim.LBFGS", *(f"~model.optimizer.{k}" for k in NOT_OF_LBFGS)],
            "LBFGS doesn't support per-parameter options",
        ),
        (["model.likelihood.runs=1"], "standard error"),
        (["model.layer_rates=[1,2]"], "layer_rates has 2 factors for 1 layers"),
    ],
)
def test_unsuitable_options_are_refused(overrides: list[str], sentence: str, tmp_path: Path) -> None:
    if overrides[-1].endswith("=x"):
        overrides[-1:] = ["model.momentum={_target_: scalian_exp.schedules.Switch, before: 0.5, after: 0.9, at: 0.2}"]
    with pytest.raises(Refusal, match=sentence):
        train(tiny("rbm", *overrides), tmp_path / "run")


def test_a_network_with_random_initialisation_can_be_sampled(tmp_path: Path) -> None:
    train(tiny("dbn_up_down"), tmp_path / "run")
    model = load(tmp_path / "run")
    assert model.task.network.layers_untrained == 0
    assert Sample(count=2, frames=1).run(model, tmp_path / "out")


def test_labels_are_classified_by_free_energy_and_clamped_while_sampling() -> None:
    network = LabelledDBN(1, [2, 2], [3, 5], num_classes=3)
    top = network.rbms[-1]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    images = torch.rand(4, 1, 2, 2)
    states = network.means_above(images, 1)
    by_hand = torch.stack(
        [torch.stack([-top.free_energy(torch.cat([s, torch.eye(3)[k]])) for k in range(3)]) for s in states]
    )
    torch.testing.assert_close(network.classify(images), by_hand)
    held = network.held(torch.rand(2, 6), torch.tensor([2, 0]))
    assert torch.equal(held[:, 3:], torch.eye(3)[[2, 0]])
    h = torch.rand(2, 5).round()
    before = network.decode(h)
    network.untie()
    torch.testing.assert_close(network.decode(h), before)
    with torch.no_grad():
        network.generative[0].bias.add_(1.0)
    assert (network.decode(h) > before).all()


@pytest.mark.parametrize(
    ("model", "hidden", "name"), [("rbm", "[24]", "log_likelihood_ais"), ("dbn", "[9, 24]", "log_likelihood_bound_ais")]
)
def test_an_estimated_likelihood_comes_with_an_interval_and_is_marked_if_unreliable(
    model: str, hidden: str, name: str, tmp_path: Path, capsys: Any, caplog: Any
) -> None:
    epochs = ["model.epochs_per_layer=1", "trainer.max_epochs=2"]
    metrics = train(tiny(model, f"model.network.hidden={hidden}", *epochs), tmp_path)
    assert metrics[f"test/{name}_low"] < metrics[f"test/{name}"] < metrics[f"test/{name}_high"]
    below = metrics[f"test/{name}"] - metrics["test/log_partition_reverse"] + metrics["test/log_partition"]
    assert metrics[f"test/{name}_low"] <= below
    assert metrics["test/ais_effective_runs"] <= 3
    assert metrics["test/ais_reliable"] == 0
    assert metrics["training_examples"] == 48
    assert capsys.readouterr().out.count("unreliable: ") == 5  # three likelihoods, and log Z from both sides
    assert "log Z is unreliable" in caplog.text
    action = {"name": "evaluate", "action": options("action")["evaluate"]}
    apply({"run": str(tmp_path), "device": "cpu", "trust": [], "dataset": {"root": None}, **action})
    (again,) = tmp_path.glob("evaluate/*/metrics.json")
    assert json.loads(again.read_text()).items() <= metrics.items()


def test_to_try_a_run_the_likelihood_is_estimated_with_less_effort(tmp_path: Path) -> None:
    sizes = ["model.network.hidden=[24]", "model.likelihood.runs=5", "model.val_likelihood.runs=2"]
    for limit, runs in (("1.0", 5), ("1", 2)):
        metrics = train(tiny("rbm", *sizes, f"trainer.limit_test_batches={limit}"), tmp_path / limit)
        assert runs - 1 < metrics["test/ais_effective_runs"] <= runs
