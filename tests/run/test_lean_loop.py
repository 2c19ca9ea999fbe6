"""The lean loop does what Lightning's own does: to the bit, in the same order."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from tools import differences, of_each_kind, tiny
from torch import Tensor
from torch.utils.data import DataLoader

from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import read
from scalian_exp.run import lean_loop
from scalian_exp.run.resume import resumed
from scalian_exp.run.trainer import build_trainer
from scalian_exp.run.training import train
from scalian_exp.tasks.overriding import overrides

LOGGED = ["on_train_batch_end", "on_before_backward", "on_before_optimizer_step"]
"""hooks in which the recorder logs a value"""
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
            if name in LOGGED:
                task.log(f"seen/{name}", float(len(self.calls)), prog_bar=True)
            if name == "on_train_batch_start":
                self.calls.append(("bar", trainer.progress_bar_metrics, "others", trainer.callback_metrics))

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
    recorder, scalars = Recorder([*lean_loop.HOOKS, *EPOCH]), Scalars()
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
    assert not differences(hooks.calls, own_hooks.calls)
    assert not differences(scalars.rows, own_scalars.rows)
    first, second = (read(folder / str(x) / "checkpoints/last.ckpt") for x in (True, False))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "loops"):
        assert not differences(first[part], second[part], part)
    return lean


@pytest.mark.parametrize("model", of_each_kind())
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
    "averaged weights": ["vae", "callbacks=[minimal,ema]"],
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
    "neither 32-true nor bf16-mixed": ["trainer.precision=64-true"],
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


class Plain(pl.LightningModule):
    """A module as any user of Lightning may write it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norms = torch.nn.Linear(4, 1), []

    def training_step(self, batch: Tensor) -> Any:  # without the batch's index
        return {"loss": self.layer(batch).square().mean(), "extra": batch.sum()}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)

    def configure_gradient_clipping(
        self, optimizer: Any, *, gradient_clip_val: Any, gradient_clip_algorithm: Any
    ) -> None:
        self.log("norm", self.layer.weight.grad.norm())
        self.norms.append(self.layer.weight.grad.norm().item())

    def train_dataloader(self) -> Any:
        torch.manual_seed(0)
        return DataLoader(torch.randn(12, 4), batch_size=2)


class Forgets(Plain):
    def training_step(self, batch: Tensor) -> Any:
        return {"lost": self.layer(batch).square().mean()}


class Deaf(torch.optim.SGD):
    def step(self, closure: Any = None) -> None: ...


class NotAsked(Plain):
    def configure_optimizers(self) -> Any:
        return Deaf(self.parameters(), 0.1)


def fitted(module: pl.LightningModule, folder: Path, lean: bool) -> pl.Trainer:
    trainer = lean_loop.Trainer(
        lean=lean, max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=folder, callbacks=[],
    )  # fmt: skip
    trainer.fit(module)
    return trainer


def test_a_module_of_any_user_of_lightning(tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    one = Plain()
    other = deepcopy(one)
    first, second = fitted(one, tmp_path, lean=True), fitted(other, tmp_path, lean=False)
    assert not first.fit_loop.epoch_loop.obstacle
    assert one.norms == other.norms
    assert len(one.norms) == 12
    assert first.callback_metrics == second.callback_metrics


@pytest.mark.parametrize("kind", [Forgets, NotAsked])
@pytest.mark.parametrize("lean", [True, False])
def test_a_step_that_trains_nothing_is_refused(kind: Any, lean: bool, tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException, match=r"'loss' key|closure hasn't been executed"):
        fitted(kind(), tmp_path, lean)


def test_hooks_that_nobody_defines_are_not_looked_up() -> None:
    class Silent(pl.Callback):
        pass

    assert not any(overrides(Silent(), name, pl.Callback) for name in lean_loop.HOOKS)
    for name in lean_loop.HOOKS:
        assert overrides(type("Loud", (pl.Callback,), {name: lambda *_: None})(), name, pl.Callback)
        assert overrides(pl.callbacks.LambdaCallback(**{name: lambda *_: None}), name, pl.Callback)
