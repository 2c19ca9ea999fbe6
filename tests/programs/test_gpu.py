"""What only a GPU can show; skipped where there is none."""

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
def test_every_model_trains_on_a_gpu_and_computes_there_what_a_processor_does(model: str, tmp_path: Path) -> None:
    train(tiny(model, GPU, *FEW), tmp_path / "run")
    found = []
    for seed, device in ((0, "cpu"), (1, "cpu"), (0, "cuda")):
        loaded = load(tmp_path / "run", device)
        loaded.config["trainer"]["precision"], loaded.config["seed"] = "64-true", seed
        (file,) = Evaluate().run(loaded, tmp_path / f"{device}{seed}")
        found.append(json.loads(file.read_text()))
    here, again, there = found
    assert here.keys() == there.keys()
    assert all(math.isfinite(value) for value in there.values())
    if here["test/loss"] == again["test/loss"]:  # else it draws, and a GPU draws other numbers
        assert there["test/loss"] == pytest.approx(here["test/loss"], rel=1e-6)


@pytest.mark.parametrize("model", kinds())
def test_the_options_of_a_gpu_compose_with_every_model(model: str, tmp_path: Path) -> None:
    options = ["trainer.precision=bf16-mixed", "channels_last=true", "callbacks=default", "logger=tensorboard"]
    metrics = train(tiny(model, GPU, *FEW, *options, "callbacks.figures.every_n_epochs=1"), tmp_path)
    assert math.isfinite(metrics["test/loss"])


@pytest.mark.parametrize("model", RECORDABLE)
@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 0.05), ("bf16-mixed", 0.3)])
def test_recorded_kernels_learn_what_launched_ones_do(
    model: str, precision: str, tolerance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = []
    record = Replayed.recorded

    def counted(self: Replayed, inputs: Any) -> Any:
        replay = record(self, inputs)
        return lambda *given: (replays.append(1), replay(*given))[1]

    monkeypatch.setattr(Replayed, "recorded", counted)
    said = [GPU, f"trainer.precision={precision}", "model.optimizer.lr=1e-2", "trainer.max_epochs=2"]
    begun, launched, recorded = (
        train(tiny(model, *said, *more), tmp_path / str(number))["test/loss"]
        for number, more in enumerate((["model.optimizer.lr=0"], [], ["cuda_graphs=true"]))
    )
    assert len(replays) > 1  # of the pixel models' few steps, those of whole batches
    assert abs(recorded - launched) < tolerance * abs(launched - begun)


@pytest.mark.parametrize("model", ["gan", "rbm", "dbn", "stacked_autoencoder"])
def test_what_is_not_called_as_a_whole_is_not_recorded(model: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="doesn't call this network as a whole"):
        train(tiny(model, GPU, *FEW, "cuda_graphs=true"), tmp_path)


@pytest.mark.parametrize("graphs", ["false", "true"])
def test_a_resumed_training_goes_on_as_the_whole_one(graphs: str, tmp_path: Path) -> None:
    said = [GPU, f"cuda_graphs={graphs}", "trainer.deterministic=true", "test=false"]
    train(tiny("vae", *said, "trainer.max_epochs=2"), tmp_path / "whole")
    train(tiny("vae", *said), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"]))
    whole, parts = (load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_operations_that_differ_from_call_to_call_are_refused_or_told(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"trainer.deterministic=true: .* deterministic implementation; use .*=warn"):
        train(tiny("unet", GPU, *FEW, "trainer.deterministic=true"), tmp_path / "deterministic")
    train(tiny("unet", GPU, *FEW, "trainer.deterministic=warn"), tmp_path / "warned")


@pytest.mark.parametrize(("walk", "directions", "taps"), [(rows, 1, (-1, 0, 1)), (diagonals, 2, (0, -1))])
def test_recurrences_and_their_gradients_are_those_of_a_processor(walk: Any, directions: int, taps: Any) -> None:
    gates, weight = torch.randn(directions, 12, 5, 6, 4).double(), torch.randn(directions, len(taps), 12, 3).double()
    found = []
    for device in ("cpu", "cuda"):
        given = [x.detach().to(device).requires_grad_() for x in (gates, weight)]
        states = recurrence(*given, walk, taps)
        states.square().sum().backward()
        found.append([states.detach().cpu(), *(x.grad.cpu() for x in given)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_crf_finds_what_it_finds_on_a_processor() -> None:
    images, logits = torch.rand(2, 3, 40, 50), torch.randn(2, 5, 40, 50)
    crf = DenseCRF()
    here, there = crf(logits, images), crf(logits.cuda(), images.cuda()).cpu()
    assert (here.argmax(1) == there.argmax(1)).float().mean() > 0.999
