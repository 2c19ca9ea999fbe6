"""The up-down algorithm against its delta rules, and what it changes of a stack."""

from pathlib import Path

import pytest
import torch
from small_networks import STACK
from tools import tiny

from scalian_exp.build import build_task
from scalian_exp.checkpoint import load
from scalian_exp.networks.units import Bernoulli, Softmax
from scalian_exp.run.training import train


def test_the_up_down_gradients_are_the_papers_delta_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with Hinton et al. 2006, appendix B, with means as states, so that both directions sample the same."""
    monkeypatch.setattr("scalian_exp.tasks.up_down.bernoulli", lambda x: x)
    monkeypatch.setattr(Bernoulli, "sample", Bernoulli.mean)
    monkeypatch.setattr(Bernoulli, "sample_given", lambda *given: given[2])
    task = build_task(tiny("dbn_up_down", "model.network.hidden=[3, 5]", "dataset.image_size=[2, 2]", "loss.k=1"))
    monkeypatch.setattr(task, "progress", lambda _: 0.0)
    monkeypatch.setattr(Softmax, "sample", Softmax.mean)
    monkeypatch.setattr(type(task), "global_step", 0)
    network = task.network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    network.untied.fill_(True)
    (lower, top), (down,) = network.rbms, network.generative
    v, labels = torch.rand(6, 4), torch.arange(6)
    task.up_down(v, labels).backward()
    with torch.no_grad():
        wake = torch.sigmoid(v @ lower.weight.T + lower.hidden_bias)
        given = torch.sigmoid(wake @ down.weight.T + down.bias)
        pair = torch.cat([wake, torch.eye(10)[labels]], 1)
        h = torch.sigmoid(pair @ top.weight.T + top.hidden_bias)
        again = top.visible.mean(h @ top.weight + top.visible_bias)
        h_again = torch.sigmoid(again @ top.weight.T + top.hidden_bias)
        asleep = again[:, :3]
        dream = torch.sigmoid(asleep @ down.weight.T + down.bias)
        recognised = torch.sigmoid(dream @ lower.weight.T + lower.hidden_bias)
    torch.testing.assert_close(down.weight.grad, -(v - given).T @ wake / 6)
    torch.testing.assert_close(top.weight.grad, -(h.T @ pair - h_again.T @ again) / 6)
    torch.testing.assert_close(lower.weight.grad, -(asleep - recognised).T @ dream / 6)
    assert lower.visible_bias.grad is None


def test_up_down_trains_recognition_and_generative_weights_separately(tmp_path: Path) -> None:
    train(tiny("dbn_labels", *STACK), tmp_path / "stack")
    start = load(tmp_path / "stack").task.network
    train(
        tiny(
            "dbn_up_down", "model.network.hidden=[12, 9, 6]", f"init_from={tmp_path / 'stack'}", "trainer.max_epochs=2"
        ),
        tmp_path / "run",
    )
    network = load(tmp_path / "run/checkpoints/last.ckpt").task.network
    assert bool(network.untied)
    for layer in range(2):
        tied, up, down = start.rbms[layer].weight, network.rbms[layer].weight, network.generative[layer].weight.T
        assert 0 < float((up - tied).abs().max()) < 0.5
        assert 0 < float((down - tied).abs().max()) < 0.5
        assert not torch.equal(up, down)
