"""Boltzmann machines trained without autograd take the steps that autograd gives, in double precision."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.plugins.precision import MixedPrecision
from small_networks import arbitrary_rbm
from tools import differences, tiny

from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import read
from scalian_exp.losses.contrastive_divergence import ContrastiveDivergence, descend, write_gradient
from scalian_exp.run.resume import resumed
from scalian_exp.run.trainer import build_trainer
from scalian_exp.run.training import train
from scalian_exp.tasks import by_hand
from scalian_exp.tasks.base import Step
from scalian_exp.tasks.contrastive import Contrastive

DOUBLE = ["trainer.precision=64-true", "trainer.max_epochs=2"]
OPTIMIZERS = {
    "plain": [
        *["model.optimizer.momentum=0.0", "model.optimizer.weight_decay=0.0"],
        *["model.momentum=null", "model.weight_decay=null"],
    ],
    "momentum, decay and a schedule": [
        "model.optimizer.momentum=0.9", "model.optimizer.weight_decay=0.01", "model/schedule=cosine"
    ],
    "clipped": ["model.optimizer.momentum=0.0", "trainer.gradient_clip_val=0.1"],
    "Adam": ["model/optimizer=adam"],
}  # fmt: skip


@pytest.mark.parametrize("centred", [False, True])
def test_the_value_is_that_of_the_free_energies_and_the_gradient_autograds(centred: bool) -> None:
    torch.manual_seed(0)
    rbm = arbitrary_rbm(5, 3, centred=centred).double()
    v = torch.bernoulli(torch.full((7, 5), 0.5, dtype=torch.float64))
    with torch.no_grad():
        states = ContrastiveDivergence().draw(rbm, v)
    gap = rbm.free_energy(states.v).mean() - rbm.free_energy(states.negative).mean()
    torch.testing.assert_close(states.gap, gap)
    wanted = torch.autograd.grad(gap, rbm.parameters_in_order)
    written = [torch.full_like(parameter, torch.nan) for parameter in rbm.parameters_in_order]
    write_gradient(rbm, states, written)
    for result, gradient in zip(written, wanted, strict=True):
        torch.testing.assert_close(result, gradient)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("model", ["rbm", "dbn"])
def test_a_training_by_hand_is_that_of_autograd(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(model, *DOUBLE, *OPTIMIZERS[name])
    descents = []
    monkeypatch.setattr(by_hand, "descend", lambda *states: descents.append(descend(*states)))
    train(config, tmp_path / "by hand")
    assert bool(descents) == (name == "plain")
    begin = Contrastive.on_train_epoch_start

    def general(task: Any) -> None:
        begin(task)
        task.by_hand = False

    monkeypatch.setattr(Contrastive, "on_train_epoch_start", general)
    train(config, tmp_path / "autograd")
    one, other = (read(tmp_path / name / "checkpoints/last.ckpt") for name in ("by hand", "autograd"))
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "steps"), itertools.product(["plain", "momentum, decay and a schedule"], [2, 4]))
def test_a_training_by_hand_goes_on_to_the_bit(
    name: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["trainer.max_epochs=2", *OPTIMIZERS[name]]
    whole = train(tiny("rbm", *overrides), tmp_path / "whole")
    # max_steps stops the first part, but its schedule is that of the whole
    monkeypatch.setattr(pl.Trainer, "estimated_stepping_batches", whole["steps"])
    train(tiny("rbm", *overrides, f"trainer.max_steps={steps}"), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_steps=-1"]))
    states = [read(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "parts")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert not differences(states[0][part], states[1][part], part)


class Penalised(Contrastive):
    """A task of a user, whose step adds to the loss."""

    def step(self, batch: Any) -> Step:
        loss, logs, _ = super().step(batch)
        return Step(loss + self.rbm.weight.square().sum(), logs)


OTHERS = {
    "accumulated": ["trainer.accumulate_grad_batches=2"],
    "a penalty": ["+loss.sparsity._target_=scalian_exp.losses.contrastive_divergence.Sparsity"],
    "a task of one's own": [f"model._target_={__name__}.Penalised"],
    "anomalies are looked for": ["+trainer.detect_anomaly=true"],
}


@pytest.mark.parametrize("name", ["plain", *OTHERS])
def test_autograd_computes_whatever_else_has_a_part_in_the_gradient(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    begin = Contrastive.on_train_epoch_start

    def noted(task: Any) -> None:
        begin(task)
        ways.append(task.by_hand)

    monkeypatch.setattr(Contrastive, "on_train_epoch_start", noted)
    train(tiny("rbm", *OTHERS.get(name, [])), tmp_path)
    assert ways == [name == "plain"]


def test_scaled_losses_move_weights_as_far_as_unscaled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 16-mixed, the loss is multiplied by 65,536 before autograd, and gradients are divided by it after."""
    moved = {}
    for scaled in (False, True):
        config = tiny("rbm", "trainer.max_epochs=3")
        task, data = build_task(config), build("dataset", config["dataset"])
        trainer = build_trainer(config, task, tmp_path / str(scaled))
        if scaled:
            plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
            monkeypatch.setattr(trainer.strategy, "_precision_plugin", plugin)
        begun = task.rbm.weight.detach().clone()
        trainer.fit(task, data)
        moved[scaled] = float((task.rbm.weight.detach() - begun).norm())
    assert moved[True] == pytest.approx(moved[False], rel=0.3)  # the noise differs


class Reads(pl.Callback):
    """A callback of a user that may read gradients at a step's end."""

    def on_train_batch_end(self, trainer: Any, task: Any, *_: Any) -> None:
        assert task.rbm.weight.grad.norm() > 0


class Hooks(pl.Callback):
    """A callback of a user that hooks the optimizer."""

    def on_fit_start(self, trainer: Any, task: Any) -> None:
        trainer.optimizers[0].register_step_pre_hook(lambda *_: None)


PLAIN = OPTIMIZERS["plain"]


def test_only_plain_gradient_descent_moves_the_weights_without_a_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(by_hand, "descend", lambda *_: taken.append(True))

    def descends(*overrides: str, callback: Any = None) -> bool:
        """Train, and return whether a step descended without a gradient."""
        taken.clear()
        config = tiny("rbm", "trainer.max_epochs=1", *overrides)
        task, data = build_task(config), build("dataset", config["dataset"])
        trainer = build_trainer(config, task, tmp_path / str(len(list(tmp_path.iterdir()))))
        trainer.callbacks += [] if callback is None else [callback]
        trainer.fit(task, data)
        return bool(taken)

    assert descends(*PLAIN)
    assert descends(*PLAIN, "model/schedule=cosine")
    for name in ("momentum, decay and a schedule", "clipped", "Adam"):
        assert not descends(*OPTIMIZERS[name]), name
    assert not descends(*PLAIN, "trainer.precision=bf16-mixed")
    assert not descends(*PLAIN, callback=Reads())
    assert not descends(*PLAIN, callback=Hooks())
    assert not descends(*PLAIN, callback=LambdaCallback(on_before_optimizer_step=lambda *_: None))
    assert descends(*PLAIN, callback=LambdaCallback(on_train_start=lambda *_: None))


def test_each_parameter_moves_by_its_own_learning_rate() -> None:
    torch.manual_seed(0)
    rbm = arbitrary_rbm(5, 3).double()
    v = torch.bernoulli(torch.full((7, 5), 0.5, dtype=torch.float64))
    with torch.no_grad():
        states = ContrastiveDivergence().draw(rbm, v)
        before = [parameter.clone() for parameter in rbm.parameters_in_order]
        written = [torch.empty_like(parameter) for parameter in rbm.parameters_in_order]
        write_gradient(rbm, states, written)
        groups = [
            {"params": [rbm.hidden_bias], "lr": 0.5},
            {"params": [rbm.weight]},
            {"params": [rbm.visible_bias], "lr": 0.0},
        ]
        rates = by_hand.plain_rates(by_hand.groups_of(torch.optim.SGD(groups, lr=2.0), rbm.parameters_in_order))
        assert rates == [2.0, 0.0, 0.5]
        descend(rbm, states, rates)
    for start, rate, gradient, parameter in zip(before, rates, written, rbm.parameters_in_order, strict=True):
        torch.testing.assert_close(parameter, start - rate * gradient)


def test_clipping_hooks_and_groups_see_gradients_written_by_hand(tmp_path: Path) -> None:
    seen = []

    class Watches(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, task: Any, optimizer: Any) -> None:
            seen.append([group["params"][0].grad.norm().item() for group in optimizer.param_groups])
            task.rbm.visible_bias.grad.zero_()

    config = tiny("rbm", "model.optimizer.momentum=0.0")
    task, data = build_task(config), build("dataset", config["dataset"])
    trainer = build_trainer(config, task, tmp_path)
    trainer.callbacks.append(Watches())
    task.rbm.start_from(torch.full_like(task.rbm.visible_bias, 0.5))
    before = task.rbm.visible_bias.clone()
    trainer.fit(task, data)
    assert torch.equal(task.rbm.visible_bias, before)
    assert all(norm > 0 for norms in seen for norm in norms)
