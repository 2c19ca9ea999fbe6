"""Trainings that are interrupted inside an epoch, and comparisons with uninterrupted ones."""

import json
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from tools import differences

from scalian_exp.checkpoint import read


class At(pl.Callback):
    """Send this process a signal, or raise an error, at the start of a batch; batches are counted from 1."""

    def __init__(self, batch: int, number: int = 0):
        self.batch, self.number = batch, number

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batch:
            if not self.number:
                raise ArithmeticError("as if killed")
            os.kill(os.getpid(), self.number)


def assert_same(one: Path, other: Path, best: bool = True) -> None:
    """Check that two runs have equal last checkpoints, curves and metrics, except for times.

    Args:
        one: a run folder.
        other: another.
        best: whether their best checkpoints, which they have tested, must be equal, too.
    """
    first, second = (read(folder / "checkpoints/last.ckpt") for folder in (one, other))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert not differences(first[part], second[part], part)
    assert not differences(*(contents["scalian_exp"].get("ema", {}) for contents in (first, second)))
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    exact = [key for key in first if "second" not in key and "_ms_" not in key]
    exact = [key for key in exact if best or not key.startswith(("best", "test/"))]
    assert {key: second[key] for key in exact} == {key: first[key] for key in exact}, (first, second)
    curves = [folder / "csv/metrics.csv" for folder in (one, other)]
    if curves[0].exists():
        assert curves[1].read_text() == curves[0].read_text()


def failing(config: dict[str, Any], batch: int, number: int = 0) -> dict[str, Any]:
    """Return a config whose training is interrupted at a batch: by a signal, or by an error if its number is 0."""
    node = {"_target_": f"{__name__}.At", "batch": batch, "number": int(number)}
    return {**config, "callbacks": {**config["callbacks"], "at": node}}


class Ends(pl.Callback):
    """Ends the training at its second epoch."""

    def __init__(self, by: str):
        self.by = {"interruption": KeyboardInterrupt, "failure": ZeroDivisionError}[by]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            raise self.by
