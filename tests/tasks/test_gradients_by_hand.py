"""Boltzmann machines trained without autograd take the steps that autograd gives, in double precision."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import arbitrary_rbm
from tools import differences, tiny

from scalian_exp.checkpoint import read
from scalian_exp.losses.contrastive_divergence import ContrastiveDivergence, add_gradient
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.tasks.contrastive import Contrastive

DOUBLE = ["trainer.precision=64-true", "trainer.max_epochs=2"]
OPTIMIZERS = {
    "plain": ["model.optimizer.momentum=0.0"],
    "momentum, decay and a schedule": [
        "model.optimizer.momentum=0.9", "model.optimizer.weight_decay=0.01", "model/schedule=cosine"
    ],
    "clipped": ["model.optimizer.momentum=0.0", "trainer.gradient_clip_val=0.1"],
    "Adam": ["model/optimizer=adam"],
}  # fmt: skip


@pytest.mark.parametrize("centred", [False, True])
def test_the_gradient_is_autograds_of_the_free_energies(centred: bool) -> None:
    torch.manual_seed(0)
    rbm = arbitrary_rbm(5, 3, centred=centred).double()
    v = torch.bernoulli(torch.full((7, 5), 0.5, dtype=torch.float64))
    states = ContrastiveDivergence().draw(rbm, v)
    gap = rbm.free_energy(states.v).mean() - rbm.free_energy(states.negative).mean()
    wanted = torch.autograd.grad(gap, rbm.parameters_in_order)
    before = [torch.randn_like(parameter) for parameter in rbm.parameters_in_order]
    into = [tensor.clone() for tensor in before]
    add_gradient(rbm, states, into, keep=0.5, scale=-2.0)
    for result, old, gradient in zip(into, before, wanted, strict=True):
        torch.testing.assert_close(result, 0.5 * old - 2 * gradient)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("model", ["rbm", "dbn"])
def test_a_training_by_hand_is_that_of_autograd(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(model, *DOUBLE, *OPTIMIZERS[name])
    train(config, tmp_path / "by hand")
    begin = Contrastive.on_train_epoch_start

    def general(task: Any) -> None:
        begin(task)
        task.by_hand = task.straight = False

    monkeypatch.setattr(Contrastive, "on_train_epoch_start", general)
    train(config, tmp_path / "autograd")
    one, other = (read(tmp_path / name / "checkpoints/last.ckpt") for name in ("by hand", "autograd"))
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "steps"), itertools.product(["plain", "momentum, decay and a schedule"], [2, 4]))
def test_a_training_by_hand_goes_on_to_the_bit(name: str, steps: int, tmp_path: Path) -> None:
    overrides = ["trainer.max_epochs=2", *OPTIMIZERS[name]]
    train(tiny("rbm", *overrides), tmp_path / "whole")
    train(tiny("rbm", *overrides, f"trainer.max_steps={steps}"), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_steps=-1"]))
    states = [read(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "parts")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert not differences(states[0][part], states[1][part], part)


@pytest.mark.parametrize(
    ("overrides", "by_hand", "straight"),
    [
        ([], True, True),
        (["model.optimizer.momentum=0.5"], True, False),
        (["trainer.gradient_clip_val=1.0"], True, False),
        (["model/optimizer=adam"], True, False),
        (["+model.momentum={_target_: scalian_exp.schedules.Cosine}"], True, False),
        (["trainer.accumulate_grad_batches=2"], False, False),
        (["+loss.sparsity._target_=scalian_exp.losses.contrastive_divergence.Sparsity"], False, False),
    ],
)
def test_which_way_gradients_take(
    overrides: list[str], by_hand: bool, straight: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    step = Contrastive.step
    monkeypatch.setattr(
        Contrastive, "step", lambda task, batch: ways.append((task.by_hand, task.straight)) or step(task, batch)
    )
    train(tiny("rbm", *overrides), tmp_path)
    assert ways[0] == (by_hand, straight)
