"""The callbacks of a resumed run keep their state, and changed arguments take effect."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tools import ONE_STEP, make_unbeatable, tiny

from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

SHORT = [*ONE_STEP, "test=false"]


class Halving(pl.Callback):
    """Custom callback with an argument that it changes itself, and one that its state names differently."""

    log: list[tuple[float, int]] = []  # noqa: RUF012

    def __init__(self, rate: float = 1.0, limit: int = 5):
        self.rate, self._limit = rate, limit

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        Halving.log.append((self.rate, self._limit))
        self.rate /= 2

    def state_dict(self) -> dict[str, Any]:
        return {"rate": self.rate, "limit": self._limit}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rate, self._limit = state_dict["rate"], state_dict["limit"]


class Picky(pl.Callback):
    """Custom callback that doesn't accept the data."""

    def check(self, task: Any, data: Any) -> None:
        raise Refusal(f"{type(task).__name__} shall not train on {len(data.splits['train'])} examples")


def test_a_callback_can_check_task_and_data_before_the_run_folder_exists(tmp_path: Path) -> None:
    config = tiny("autoencoder", "+callbacks.picky._target_=test_resumed_callbacks.Picky")
    with pytest.raises(Refusal, match=r"Reconstruction shall not train on \d+ examples"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def epochs_of(folder: Path, *overrides: str) -> int:
    return int(train(*resumed([f"resume={folder}", *overrides]))["epochs"])


def test_a_changed_patience_takes_effect(tmp_path: Path) -> None:
    stop = ["callbacks=early_stopping", "~callbacks.figures", "~callbacks.summary", "~callbacks.hyperparameters"]
    config = tiny("autoencoder", *SHORT, *stop, "trainer.max_epochs=50", "model.optimizer.lr=0.0")
    config["callbacks"]["early_stopping"]["patience"] = 1
    assert train(config, tmp_path)["epochs"] == 2
    assert epochs_of(tmp_path) == 3  # patience is exhausted: one more epoch without a better value
    assert epochs_of(tmp_path, "callbacks.early_stopping.patience=10") == 11
    assert epochs_of(tmp_path, "callbacks.early_stopping.patience=12") == 13


def best_of(folder: Path) -> tuple[int, float]:
    contents = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    scores = [s["best_model_score"] for s in contents["callbacks"].values() if s.get("best_model_score") is not None]
    return contents["epoch"], float(scores[0])


@pytest.mark.parametrize("changed", [[], ["callbacks.best.every_n_epochs=2"]])
def test_the_best_score_is_kept_when_arguments_change(changed: list[str], tmp_path: Path) -> None:
    """Lightning stores it under a key that contains every_n_epochs."""
    config = tiny("autoencoder", *SHORT, "trainer.max_epochs=1", "+callbacks.best.every_n_epochs=1")
    train(config, tmp_path)
    before = best_of(tmp_path)
    make_unbeatable(tmp_path / "checkpoints/last.ckpt")
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=4", *changed]))["best"] == 0.0
    assert best_of(tmp_path) == before


def test_the_best_score_of_another_metric_is_discarded(tmp_path: Path) -> None:
    first = ["+callbacks.best.monitor=val/squared_error", "+callbacks.best.mode=min"]
    assert train(tiny("autoencoder", *SHORT, *first), tmp_path)["monitor"] == "val/squared_error"
    best = ["callbacks.best.monitor=val/psnr", "callbacks.best.mode=max"]
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=2", *best]))["best"] < 30  # decibels, not an error
    assert best_of(tmp_path)[0] == 1


def test_state_is_restored_where_the_argument_was_not_changed(tmp_path: Path) -> None:
    Halving.log.clear()
    config = tiny("autoencoder", *SHORT, "trainer.max_epochs=2")
    config["callbacks"]["halving"] = {"_target_": f"{__name__}.Halving", "rate": 1.0, "limit": 5}
    train(config, tmp_path)
    for limit, epochs in ((7, 3), (9, 4)):
        config["callbacks"]["halving"]["limit"] = limit
        config["trainer"]["max_epochs"] = epochs
        train(config, tmp_path)
    config["callbacks"]["halving"]["rate"], config["trainer"]["max_epochs"] = 3.0, 5
    train(config, tmp_path)
    assert Halving.log == [(1.0, 5), (0.5, 5), (0.25, 7), (0.125, 9), (3.0, 9)]
