"""The test runs on a copy of the network that is prepared for inference, and evaluating again gives the same."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tools import tiny
from torch import nn

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.apply import apply
from scalian_exp.callbacks.inference import FastTest
from scalian_exp.checkpoint import load
from scalian_exp.networks.unet import UNet
from scalian_exp.tasks.reconstruction import Reconstruction
from scalian_exp.train import train


def test_evaluating_again_gives_the_same_to_the_bit(tmp_path: Path) -> None:
    seen: list[int] = []
    forward = UNet.forward

    def counting(network: UNet, x: torch.Tensor) -> torch.Tensor:
        if not network.training:
            seen.append(sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()))
        return forward(network, x)

    run = tmp_path / "run"
    with patch.object(UNet, "forward", counting):
        metrics = train(tiny("unet"), run)
        assert seen[0] > seen[-1] == 0  # validation, then test
        seen.clear()
        weights = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        assert any("running_mean" in name for name in weights)
        action = {"_target_": f"{Evaluate.__module__}.Evaluate", "needs": []}
        apply({"run": run, "device": "cpu", "trust": None, "dataset": {"root": None}, "name": "x", "action": action})
        assert seen
        assert not any(seen)
    (file,) = run.glob("x/*/metrics.json")
    again = json.loads(file.read_text())
    assert again == {name: metrics[name] for name in again}
    network = load(run).network
    assert (
        sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) > 0
    )  # Python gets it as it was trained


def test_evaluating_again_keeps_the_trainers_options(tmp_path: Path) -> None:
    seen: list[tuple[bool, bool]] = []
    test_step = Reconstruction.test_step

    def looking(task: Any, *batch: Any) -> None:
        seen.append((torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled()))
        test_step(task, *batch)

    options = ["trainer.deterministic=true", "+trainer.inference_mode=false"]
    try:
        with patch.object(Reconstruction, "test_step", looking):
            train(tiny("autoencoder", *options), tmp_path / "run")
            torch.use_deterministic_algorithms(False)
            Evaluate().run(load(tmp_path / "run"), tmp_path / "again")
    finally:
        torch.use_deterministic_algorithms(False)
    assert {*seen} == {(False, True)}


def test_a_failing_test_leaves_the_network_as_it_was() -> None:
    callback, task = FastTest(), nn.Module()
    task.network = network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    callback.on_test_start(None, task)
    assert task.network is not network
    callback.on_exception(None, task, KeyboardInterrupt())
    assert task.network is network
