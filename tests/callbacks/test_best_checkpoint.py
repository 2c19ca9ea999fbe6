"""Among epochs with equal monitored values, the one with the least validation loss is the best."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from tools import ONE_STEP, tiny

from scalian_exp.callbacks.best_checkpoint import BestCheckpoint
from scalian_exp.checkpoint import read
from scalian_exp.run.lean_loop import idle
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.tasks.classification import Classification


def kept(folder: Path, values: list[tuple[float, float]], mode: str = "min") -> int | None:
    """Return the epoch whose checkpoint is kept, after epochs with these monitored values and losses."""
    callback = BestCheckpoint(dirpath=folder, monitor="val/error", mode=mode)
    for epoch, (monitored, loss) in enumerate(values):
        metrics = {"val/error": torch.tensor(monitored), "val/loss": torch.tensor(loss)}
        strategy = SimpleNamespace(reduce_boolean_decision=bool)
        state = {"current_epoch": epoch, "global_step": 10 * epoch}
        trainer: Any = SimpleNamespace(callback_metrics=metrics, strategy=strategy, **state)
        callback.validated = trainer.global_step
        if callback.check_monitor_top_k(trainer, metrics["val/error"]):
            callback.record(trainer)
            callback.best_k_models, callback.kth_best_model_path = {"best.ckpt": metrics["val/error"]}, "best.ckpt"
        trainer.global_step += 5  # a training that stops inside the next epoch has the metrics of the one before
        assert not callback.check_monitor_top_k(trainer, metrics["val/error"])
    return callback.best_epoch


@pytest.mark.parametrize(
    ("values", "epoch"),
    [
        ([(0.2, 1.0), (0.0, 0.9), (0.0, 0.5), (0.0, 0.7)], 3),  # the least loss of those without errors
        ([(0.2, 0.1), (0.1, 0.9), (0.2, 0.0)], 2),  # the monitored value comes first
        ([(0.0, 0.5), (0.0, 0.5)], 2),  # the later one
        ([(0.0, math.nan), (0.0, math.nan)], 2),
    ],
)
def test_ties_are_broken_by_the_loss_and_then_by_the_later_epoch(
    values: list[tuple[float, float]], epoch: int, tmp_path: Path
) -> None:
    assert kept(tmp_path, values) == epoch
    assert kept(tmp_path, [(-monitored, loss) for monitored, loss in values], "max") == epoch


def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a classifier make no errors in validation."""
    plain = Classification.step

    def step(self: Any, batch: Any) -> Any:
        result = plain(self, batch)
        return result._replace(logs={**result.logs, "error": torch.zeros(())})

    monkeypatch.setattr(Classification, "step", step)


def test_a_run_says_which_epoch_is_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    perfect(monkeypatch)
    config = tiny("mlp_classifier", "trainer.max_epochs=3")
    metrics = train(config, tmp_path)
    assert (metrics["best"], metrics["best_epoch"]) == (0, 3)  # the loss falls
    assert read(tmp_path / "checkpoints/best.ckpt")["epoch"] == 2
    assert "best_epoch" in capsys.readouterr().out
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=4"]))["best_epoch"] == 4


def test_a_resumed_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Its best checkpoint was kept by Lightning's own class."""
    config = tiny("autoencoder", *ONE_STEP, "trainer.max_epochs=1", "test=false")
    config["callbacks"]["best"]["_target_"] = "pytorch_lightning.callbacks.ModelCheckpoint"
    assert "best_epoch" not in train(config, tmp_path)
    assert "best_epoch" not in train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=2"]))
    config["callbacks"]["best"]["_target_"] = "scalian_exp.callbacks.best_checkpoint.BestCheckpoint"
    config["trainer"]["max_epochs"] = 3
    assert train(config, tmp_path)["best_epoch"] == 3


def test_it_costs_no_time_in_a_step(tmp_path: Path) -> None:
    assert idle(BestCheckpoint(dirpath=tmp_path))
    assert idle(ModelCheckpoint(tmp_path))
    assert not idle(BestCheckpoint(dirpath=tmp_path, every_n_train_steps=3))

    class Watching(ModelCheckpoint):
        def on_train_batch_end(self, *_: Any) -> None: ...

    assert not idle(Watching(tmp_path))
