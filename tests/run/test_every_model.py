"""Every compatible pair of options trains for a step; every model resumes, loads, compiles and draws its figures."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from tools import (
    ONE_STEP,
    fake,
    fit_together,
    kinds,
    names,
    of_each_kind,
    option,
    partnered,
    tiny,
)

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.build import build_task
from scalian_exp.checkpoint import load
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train


def partners(model: str, group: str) -> list[str]:
    """Return the options of a group that a model can be combined with, with fake data or its first loss."""
    if group == "loss":
        return [loss for loss in names("loss") if fit_together(model, fake(model), loss)]
    loss = partners(model, "loss")[0]
    return [data for data in names("dataset") if fit_together(model, data, loss)]


def same_kind(dataset: str) -> list[str]:
    """Return overrides for fake data with the shape and contents of a data set that would need a download."""
    facts = option("dataset", dataset)
    if "texts" in facts["provides"]:
        return ["dataset=fake_texts", f"dataset.vocabulary_size={facts['vocabulary_size']}"]
    if "masks" in facts["provides"]:
        classes = ["dataset.num_classes=" + str(facts["num_classes"] or 3)]
        return ["dataset=fake_masks", f"dataset.in_channels={facts['in_channels']}", *classes]
    if "ratings" in facts["provides"]:
        return ["dataset=fake_ratings", f"dataset.levels={facts['levels']}"]
    overrides = [f"dataset.in_channels={facts['in_channels']}", f"dataset.image_size={facts['image_size']}"]
    return ["dataset=fake_binary" if "binary" in facts["provides"] else "dataset=fake_images", *overrides]


@pytest.mark.parametrize(("model", "loss"), partnered(lambda model: partners(model, "loss")))
def test_every_model_trains_with_every_loss(model: str, loss: str, tmp_path: Path) -> None:
    metrics = train(tiny(model, f"loss={loss}", *ONE_STEP), tmp_path)
    tests = {name: value for name, value in metrics.items() if name.startswith("test/")}
    assert tests
    assert all(math.isfinite(value) for value in tests.values())
    assert metrics["steps"] in (1, 2)  # a GAN's two optimizers take one each


def kinds_of_data(model: str) -> list[str]:
    """Return one data set of each shape and contents that a model can be combined with."""
    return list({tuple(same_kind(data)): data for data in reversed(partners(model, "dataset"))}.values())


@pytest.mark.parametrize(("model", "data"), partnered(kinds_of_data))
def test_every_model_trains_on_every_kind_of_data(model: str, data: str, tmp_path: Path) -> None:
    assert train(tiny(model, *same_kind(data), *ONE_STEP, "dataset.batch_size=4"), tmp_path)["steps"] in (1, 2)


CopyRun = Callable[[str, Path], None]
FEW_STEPS = ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> CopyRun:
    """Return a function that copies a run of one epoch of a model, which is trained only once, into a folder."""
    runs: dict[str, Path] = {}

    def copy_run(model: str, folder: Path) -> None:
        if model not in runs:
            runs[model] = tmp_path_factory.mktemp(model)
            train(tiny(model, *FEW_STEPS), runs[model])
        shutil.copytree(runs[model], folder)

    return copy_run


@pytest.mark.parametrize("model", of_each_kind())
def test_two_epochs_equal_one_and_one_resumed_bit_for_bit(model: str, one_epoch: CopyRun, tmp_path: Path) -> None:
    straight = train(tiny(model, *FEW_STEPS, "trainer.max_epochs=2"), tmp_path / "straight")
    one_epoch(model, tmp_path / "parts")
    parts = train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"]))
    states = [load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict() for name in ("straight", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    exact = [key for key in straight if "second" not in key and "_ms_" not in key]
    assert {key: parts[key] for key in exact} == {key: straight[key] for key in exact}


@pytest.mark.parametrize("model", kinds())
def test_a_checkpoint_loads_without_its_run_folder(model: str, one_epoch: CopyRun, tmp_path: Path) -> None:
    one_epoch(model, tmp_path / "run")
    (tmp_path / "run/config.yaml").unlink()
    file = (tmp_path / "run/checkpoints/best.ckpt").rename(tmp_path / "alone.ckpt")
    loaded = load(file)
    contents = torch.load(file, weights_only=True)
    state = loaded.task.state_dict()
    assert state.keys() == contents["state_dict"].keys()
    assert all(torch.equal(state[key], contents["state_dict"][key]) for key in state)
    assert loaded.config["model"]["_target_"].startswith("scalian_exp.tasks.")
    assert not loaded.task.training


@pytest.mark.parametrize("model", of_each_kind())
def test_evaluating_again_gives_the_same_metrics(model: str, tmp_path: Path) -> None:
    trained = train(tiny(model, "trainer.max_epochs=2"), tmp_path)
    (file,) = Evaluate().run(load(tmp_path), tmp_path / "again")
    again = json.loads(file.read_text())
    assert again == {name: pytest.approx(trained[name]) for name in again}
    assert again.keys() == {name for name in trained if name.startswith("test/")}


def precisions() -> list[Any]:
    """List 16-bit precisions with one model of each kind, and in the slow suite every precision with every model."""
    marks: dict[str, list[Any]] = {"bf16-mixed": [], "bf16-true": [], "64-true": [pytest.mark.slow]}
    return [
        pytest.param(*each.values, precision, marks=[*each.marks, *slow])
        for precision, slow in marks.items()
        for each in of_each_kind()
    ]


@pytest.mark.parametrize(("model", "precision"), precisions())
def test_every_model_trains_with_the_options_of_the_device(model: str, precision: str, tmp_path: Path) -> None:
    options = [f"trainer.precision={precision}", "channels_last=true"]
    options += ["trainer.gradient_clip_val=1.0"] if build_task(tiny(model)).automatic_optimization else []
    if precision == "bf16-true" or model == "conv_vae":  # figures take most of the time
        options += ["callbacks=default", "logger=tensorboard"]
    metrics = train(tiny(model, *options, *ONE_STEP), tmp_path)
    assert math.isfinite(metrics["test/loss"])


@pytest.mark.parametrize("model", ["vae", "rbm"])
def test_a_long_test_in_16_bits_gives_the_metrics_of_32(model: str, tmp_path: Path) -> None:
    """Sums over 600 batches and over pixels must not be rounded to 16 bits."""
    train(tiny(model, "dataset.test_size=1200", "dataset.batch_size=2", "test=false"), tmp_path / "run")
    results = []
    for precision in ("32-true", "bf16-true"):
        loaded = load(tmp_path / "run")
        loaded.config["trainer"]["precision"] = precision
        (file,) = Evaluate().run(loaded, tmp_path / precision)
        results.append(json.loads(file.read_text()))
    assert results[1] == {name: pytest.approx(value, rel=0.01, abs=0.01) for name, value in results[0].items()}


def compiling(part: torch.nn.Module) -> None:
    """Compile a module; without a C++ compiler, leave out the last step, which needs one."""
    part._compiled_call_impl = torch.compile(
        part._call_impl, backend="inductor" if shutil.which("g++") else "aot_eager"
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", kinds())
def test_compiled_models_train_like_the_others(model: str, tmp_path: Path) -> None:
    plain = train(tiny(model, *ONE_STEP), tmp_path / "plain")
    torch._dynamo.utils.counters.clear()
    with (
        patch.object(torch.nn.Module, "compile", compiling),
        patch.object(torch._inductor.config, "fallback_random", True),  # the same random numbers as without compiling
    ):
        train(tiny(model, "compile=true", "test=false", *ONE_STEP), tmp_path / "compiled")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0  # the training did compile
    (file,) = Evaluate().run(load(tmp_path / "compiled"), tmp_path / "again")
    assert json.loads(file.read_text())["test/loss"] == pytest.approx(plain["test/loss"], rel=1e-4)


@pytest.mark.parametrize(
    "unusual",
    [
        ["dataset.image_size=[12,8]"],
        ["dataset.image_size=[40,70]", "dataset.in_channels=3"],
        ["dataset.in_channels=2"],
        ["dataset.val_size=1", "dataset.test_size=1"],
    ],
)
def test_figures_of_unusual_images_are_drawn(unusual: list[str], tmp_path: Path) -> None:
    """Non-square images, two channels and single images don't break a training."""
    everything = ["callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=3"]
    config = tiny("autoencoder", "model.network.latent_dim=3", *everything, *unusual, "trainer.max_epochs=3")
    assert train(config, tmp_path)["status"] == "finished"
    assert (tmp_path / "figures/test_latent_map.png").exists()
