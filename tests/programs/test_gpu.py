"""Tests that need a GPU; skipped without one."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tools import kinds, tiny

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.callbacks.cuda_graphs import Replayed
from scalian_exp.checkpoint import load
from scalian_exp.networks.crf import DenseCRF
from scalian_exp.networks.parts.recurrence import diagonals, recurrence, rows
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
GPU = "trainer/accelerator=gpu"
FEW = ["trainer.limit_train_batches=4", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
RECORDABLE = ["autoencoder", "vae", "classifier", "unet", "tiramisu56", "deeplab_v3plus", "fastfcn", "draw"]
RECORDABLE += ["draw_no_attention", "pixelcnn", "pixelrnn_row", "pixelrnn_diagonal"]


@pytest.mark.parametrize("model", kinds())
def test_every_model_trains_on_a_gpu_and_gives_the_results_of_a_cpu(model: str, tmp_path: Path) -> None:
    train(tiny(model, GPU, *FEW), tmp_path / "run")
    results = []
    for seed, device in ((0, "cpu"), (1, "cpu"), (0, "cuda")):
        loaded = load(tmp_path / "run", device)
        loaded.config["trainer"]["precision"], loaded.config["seed"] = "64-true", seed
        (file,) = Evaluate().run(loaded, tmp_path / f"{device}{seed}")
        results.append(json.loads(file.read_text()))
    cpu, cpu_reseeded, gpu = results
    assert cpu.keys() == gpu.keys()
    assert all(math.isfinite(value) for value in gpu.values())
    if cpu["test/loss"] == cpu_reseeded["test/loss"]:  # otherwise it samples, and a GPU draws other random numbers
        assert gpu["test/loss"] == pytest.approx(cpu["test/loss"], rel=1e-6)


@pytest.mark.parametrize("model", kinds())
def test_every_model_trains_with_the_options_for_gpus(model: str, tmp_path: Path) -> None:
    options = ["trainer.precision=bf16-mixed", "channels_last=true", "callbacks=default", "logger=tensorboard"]
    metrics = train(tiny(model, GPU, *FEW, *options, "callbacks.figures.every_n_epochs=1"), tmp_path)
    assert math.isfinite(metrics["test/loss"])


def test_a_boltzmann_machine_learns_in_16_bits_what_it_learns_in_32(tmp_path: Path) -> None:
    moved = []
    for precision in ("32-true", "16-mixed", "bf16-mixed"):
        for number, rate in enumerate(("0.0", "0.1")):
            folder = tmp_path / f"{precision}{number}"
            options = [f"trainer.precision={precision}", f"model.optimizer.lr={rate}", "trainer.max_epochs=5"]
            train(tiny("rbm", GPU, *options, "test=false"), folder)
        begun, ended = (load(tmp_path / f"{precision}{number}").task.rbm.weight for number in (0, 1))
        moved.append(float((ended - begun).norm()))
    assert moved[1:] == [pytest.approx(moved[0], rel=0.3)] * 2  # by hand, unscaled gradients would be 1/65,536 of it


@pytest.mark.parametrize("model", RECORDABLE)
@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 0.05), ("bf16-mixed", 0.3)])
def test_recorded_kernels_train_like_launched_ones(
    model: str, precision: str, tolerance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = []
    record = Replayed.recorded

    def counted(self: Replayed, inputs: Any) -> Any:
        replay = record(self, inputs)
        return lambda *given: (replays.append(1), replay(*given))[1]

    monkeypatch.setattr(Replayed, "recorded", counted)
    overrides = [GPU, f"trainer.precision={precision}", "model.optimizer.lr=1e-2", "trainer.max_epochs=2"]
    begun, launched, recorded = (
        train(tiny(model, *overrides, *more), tmp_path / str(number))["test/loss"]
        for number, more in enumerate((["model.optimizer.lr=0"], [], ["cuda_graphs=true"]))
    )
    assert len(replays) > 1  # only full batches are replayed, of which the pixel models have few
    assert abs(recorded - launched) < tolerance * abs(launched - begun)


@pytest.mark.parametrize("model", ["gan", "rbm", "dbn", "stacked_autoencoder"])
def test_networks_that_are_called_in_parts_are_not_recorded(model: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="doesn't call this network as a whole"):
        train(tiny(model, GPU, *FEW, "cuda_graphs=true"), tmp_path)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("vae", []),
        ("vae", ["cuda_graphs=true"]),
        ("vae", ["callbacks=[minimal,ema]"]),
        ("rbm", ["callbacks=[minimal,ema]", "model.network.centred=true"]),
    ],
)
def test_a_resumed_training_equals_an_uninterrupted_one(model: str, options: list[str], tmp_path: Path) -> None:
    overrides = [GPU, *options, "trainer.deterministic=true", "test=false"]
    train(tiny(model, *overrides, "trainer.max_epochs=2"), tmp_path / "straight")
    train(tiny(model, *overrides), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"]))
    straight, parts = (
        load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict() for name in ("straight", "parts")
    )
    assert all(torch.equal(straight[name], parts[name]) for name in straight)


def test_nondeterministic_operations_are_refused_or_reported(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"trainer.deterministic=true: .* deterministic implementation; use .*=warn"):
        train(tiny("unet", GPU, *FEW, "trainer.deterministic=true"), tmp_path / "deterministic")
    train(tiny("unet", GPU, *FEW, "trainer.deterministic=warn"), tmp_path / "warned")


@pytest.mark.parametrize(("walk", "directions", "taps"), [(rows, 1, (-1, 0, 1)), (diagonals, 2, (0, -1))])
def test_recurrences_and_their_gradients_equal_those_of_a_cpu(walk: Any, directions: int, taps: Any) -> None:
    gates, weight = torch.randn(directions, 12, 5, 6, 4).double(), torch.randn(directions, len(taps), 12, 3).double()
    results = []
    for device in ("cpu", "cuda"):
        given = [x.detach().to(device).requires_grad_() for x in (gates, weight)]
        states = recurrence(*given, walk, taps)
        states.square().sum().backward()
        results.append([states.detach().cpu(), *(x.grad.cpu() for x in given)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_crf_gives_the_labels_of_a_cpu() -> None:
    images, logits = torch.rand(2, 3, 40, 50), torch.randn(2, 5, 40, 50)
    crf = DenseCRF()
    cpu, gpu = crf(logits, images), crf(logits.cuda(), images.cuda()).cpu()
    assert (cpu.argmax(1) == gpu.argmax(1)).float().mean() > 0.999
