"""The lean loop does what Lightning's own does: to the bit, in the same order."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.utilities.model_helpers import is_overridden
from tools import differences, kinds, tiny
from torch import Tensor

from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import read
from scalian_exp.run import lean_loop
from scalian_exp.run.resume import resumed
from scalian_exp.run.trainer import build_trainer
from scalian_exp.run.training import train

STEP = [name for name in lean_loop.HOOKS if name != "on_train_batch_start"]
EPOCH = ["on_fit_start", "on_train_start", "on_train_epoch_start", "on_validation_start", "on_train_epoch_end"]


class Recorder(pl.Callback):
    """Lists the hooks that are called, with the steps done and the scalars among their arguments."""

    def __init__(self, names: list[str]):
        self.calls: list[tuple[Any, ...]] = []
        for name in names:
            setattr(self, name, self.recording(name))

    def recording(self, name: str) -> Any:
        def hook(trainer: Any, task: Any, *arguments: Any) -> None:
            progress = trainer.fit_loop.epoch_loop.batch_progress.current
            counts = (trainer.global_step, progress.ready, progress.started, progress.processed, progress.completed)
            losses = [each["loss"].item() for each in arguments if isinstance(each, dict) and "loss" in each]
            numbers = [each.item() if isinstance(each, Tensor) else each for each in arguments]
            self.calls.append((name, *counts, *losses, *[each for each in numbers if isinstance(each, int | float)]))
            task.log(f"seen/{name}", float(len(self.calls))) if name == "on_train_batch_end" else None

        return hook


class Scalars(Logger):
    """Keeps what is logged: (names, values, step)."""

    name, version = "scalars", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[dict[str, float], int | None]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((dict(metrics), step))

    def log_hyperparams(self, *_: Any) -> None: ...


def followed(config: dict[str, Any], folder: Path, lean: bool) -> tuple[Any, Recorder, Scalars]:
    """Train by one of the loops, and return the trainer with what happened."""
    pl.seed_everything(config["seed"], verbose=False)
    config = {**config, "trainer": {**config["trainer"], "lean": lean}}
    data, task = build("dataset", config["dataset"]), build_task(config)
    trainer = build_trainer(config, task, folder)
    recorder, scalars = Recorder([*STEP, *EPOCH]), Scalars()
    trainer.callbacks.insert(0, recorder)
    trainer.loggers = [scalars]
    trainer.fit(task, data)
    return trainer, recorder, scalars


def assert_equal(config: dict[str, Any], folder: Path) -> Any:
    """Train by both loops, and compare all that they leave; return the lean one's trainer."""
    (lean, hooks, scalars), (own, own_hooks, own_scalars) = (
        followed(config, folder / str(x), x) for x in (True, False)
    )
    assert type(own.fit_loop.epoch_loop) is _TrainingEpochLoop
    assert hooks.calls == own_hooks.calls
    assert not differences(scalars.rows, own_scalars.rows)
    first, second = (read(folder / str(x) / "checkpoints/last.ckpt") for x in (True, False))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "loops"):
        assert not differences(first[part], second[part], part)
    return lean


@pytest.mark.parametrize("model", kinds())
def test_every_model_trains_by_both_loops_to_the_bit(model: str, tmp_path: Path) -> None:
    config = tiny(model, "trainer.max_epochs=2", "trainer.log_every_n_steps=2")
    lean = assert_equal(config, tmp_path)
    assert bool(lean.fit_loop.epoch_loop.obstacle) != build_task(config).automatic_optimization


OPTIONS = {
    "a schedule": ["vae", "model/schedule=cosine"],
    "clipping": ["vae", "trainer.gradient_clip_val=0.1"],
    "mixed precision": ["vae", "trainer.precision=bf16-mixed"],
    "an optimizer that asks several times": ["vae", "model/optimizer=lbfgs", "model.optimizer.max_iter=3"],
    "limits": ["vae", "trainer.max_steps=4", "trainer.limit_train_batches=3"],
    "rare validation": ["vae", "trainer.check_val_every_n_epoch=2"],
    "momentum and a schedule": ["rbm", "model.optimizer.momentum=0.5", "model/schedule=cosine"],
    "several layers": ["dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=1"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_train_by_both_loops_to_the_bit(name: str, tmp_path: Path) -> None:
    model, *overrides = OPTIONS[name]
    lean = assert_equal(tiny(model, "trainer.max_epochs=2", *overrides), tmp_path)
    assert not lean.fit_loop.epoch_loop.obstacle


UNUSUAL = {
    "accumulated": ["trainer.accumulate_grad_batches=2"],
    "within epochs": ["+trainer.val_check_interval=2"],
    "neither 32 nor bf16-mixed": ["trainer.precision=64-true"],
    "profiler": ["+trainer.profiler=simple"],
}


@pytest.mark.parametrize("reason", UNUSUAL)
def test_unusual_trainings_run_in_lightnings_loop_which_is_told_once(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="scalian_exp"):
        assert_equal(tiny("vae", "trainer.max_epochs=2", *UNUSUAL[reason]), tmp_path)
    (message,) = [each.message for each in caplog.records if each.message.startswith("trainer.lean")]
    assert reason in message


@pytest.mark.parametrize("lean", [True, False])
def test_a_resumed_training_may_change_its_loop(lean: bool, tmp_path: Path) -> None:
    first, last = ("trainer.lean=true", "trainer.lean=false") if lean else ("trainer.lean=false", "trainer.lean=true")
    train(tiny("vae", "trainer.max_epochs=3", first), tmp_path / "whole")
    train(tiny("vae", "trainer.max_epochs=3", "trainer.max_steps=4", first), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_steps=-1", last]))
    states = [read(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "parts")]
    for part in ("state_dict", "optimizer_states", "loops"):
        assert not differences(states[0][part], states[1][part], part)


def test_hooks_that_nobody_defines_are_not_called() -> None:
    class Silent(pl.Callback):
        pass

    assert not any(lean_loop.overrides(Silent(), name, pl.Callback) for name in lean_loop.HOOKS)
    for name in lean_loop.HOOKS:
        loud = type("Loud", (pl.Callback,), {name: lambda *_: None})()
        assert lean_loop.overrides(loud, name, pl.Callback)
        assert is_overridden(name, loud, parent=pl.Callback)
