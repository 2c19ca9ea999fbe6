"""Among epochs with equal monitored values, the one with the least validation loss is the best."""

import math
from pathlib import Path
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


def best_epoch(folder: Path, values: list[tuple[float, float]], mode: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the epoch of the checkpoint that a training keeps whose epochs have these errors and losses."""
    plain = Classification.step

    def step(self: Any, batch: Any) -> Any:
        result = plain(self, batch)
        if self.training:
            return result
        error, loss = values[self.current_epoch]
        return result._replace(loss=torch.tensor(loss), logs={**result.logs, "error": torch.tensor(error)})

    monkeypatch.setattr(Classification, "step", step)
    config = tiny("mlp_classifier", "trainer.limit_train_batches=2", f"trainer.max_epochs={len(values)}", "test=false")
    config["callbacks"]["best"]["mode"] = mode
    epoch: int = train(config, folder)["best_epoch"]
    assert read(folder / "checkpoints/best.ckpt")["epoch"] == epoch - 1
    return epoch


@pytest.mark.parametrize("mode", ["min", "max"])
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
    values: list[tuple[float, float]], epoch: int, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = values if mode == "min" else [(-error, loss) for error, loss in values]
    assert best_epoch(tmp_path, signed, mode, monkeypatch) == epoch


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


@pytest.mark.parametrize(
    ("overrides", "step"),
    [
        (["trainer.max_steps=2"], 2),  # of three steps an epoch
        (["trainer.max_steps=5"], 5),
        (["trainer.max_steps=4", "trainer.check_val_every_n_epoch=5"], 4),
        (["trainer.max_steps=5", "+trainer.val_check_interval=4", "trainer.check_val_every_n_epoch=null"], 5),
        (["trainer.max_steps=5", "trainer.lean=false"], 5),
    ],
)
def test_the_weights_at_the_end_are_validated_inside_an_epoch_too(
    overrides: list[str], step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perfect(monkeypatch)
    metrics = train(tiny("mlp_classifier", "trainer.max_epochs=10", *overrides), tmp_path)
    best, last = (read(tmp_path / f"checkpoints/{name}.ckpt") for name in ("best", "last"))
    assert best["global_step"] == last["global_step"] == metrics["steps"] == step
    assert (metrics["best"], metrics["best_epoch"]) == (0, -(-step // 3))


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


@pytest.mark.parametrize("model", ["rbm", "gan"])
@pytest.mark.parametrize("length", ["+trainer.val_check_interval=0.5", "trainer.check_val_every_n_epoch=2"])
def test_where_the_latest_weights_are_the_best_they_are_kept_and_tested(
    model: str, length: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A falling loss would keep the first validation of an epoch, and the training ends inside one."""
    steps = 2 if model == "gan" else 1  # in a batch
    batches = ["trainer.limit_train_batches=4", "trainer.max_epochs=9", f"trainer.max_steps={steps * 11}"]
    monkeypatch.setattr("scalian_exp.callbacks.best_checkpoint.loss_of", lambda trainer: float(trainer.global_step))
    metrics = train(tiny(model, length, *batches, "dataset.batch_size=8"), tmp_path)
    best, last = (read(tmp_path / f"checkpoints/{name}.ckpt") for name in ("best", "last"))
    assert best["global_step"] == last["global_step"] == metrics["steps"] == steps * 11
    assert all(torch.equal(tensor, last["state_dict"][name]) for name, tensor in best["state_dict"].items())
    assert metrics["best_epoch"] == 3
