"""Try a training by a few of its steps, which leave nothing behind but the memory that they needed."""

import copy
import gc
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.utilities.memory import is_oom_error
from pytorch_lightning.utilities.seed import isolate_rng

from scalian_exp.build import build_task
from scalian_exp.run.lean_loop import HOOKS
from scalian_exp.run.memory_layout import with_layout
from scalian_exp.run.trainer import build_trainer
from scalian_exp.tasks.greedy import LayerByLayer
from scalian_exp.tasks.overriding import overrides

STEPS = 4
"""steps that are tried of each part that is trained in turn: the second has the optimizer's state beside the gradients,
and those of a GAN take turns"""
WITHOUT: dict[str, Any] = {
    **{"max_steps": -1, "min_epochs": None, "min_steps": None, "max_time": None, "overfit_batches": 0.0},
    **{"limit_val_batches": 0, "num_sanity_val_steps": 0, "val_check_interval": None, "check_val_every_n_epoch": 1},
    **{"fast_dev_run": False, "profiler": None},
}
"""options of the trainer that are turned off, because a trial has a length of its own and isn't validated"""
SILENT = {"trial": {"_target_": "pytorch_lightning.loggers.logger.DummyLogger"}}
"""the loggers of a trial, for callbacks that need one"""


def fits(config: Mapping[str, Any], data: Any, size: int, devices: Any = 1, trust: Sequence[str] = ()) -> bool:
    """Return whether a few steps on batches of a size fit in the device's memory.

    Args:
        config: the resolved config.
        data: the data module, already set up, which isn't changed.
        size: number of examples in a batch.
        devices: as Lightning takes them.
        trust: see `build_trainer`.

    Raises:
        Refusal: if the training would refuse.
    """
    try:
        train_briefly(config, data, size, devices, trust)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def train_briefly(config: Mapping[str, Any], data: Any, size: int, devices: Any, trust: Sequence[str]) -> None:
    """Train a copy of the task for a few steps on batches of a size, as a run would but without output or validation.

    Of a stack of layers that are trained in turn, each is. Neither the data nor the random state is changed.
    """
    wanted = STEPS * (config["trainer"].get("accumulate_grad_batches") or 1)
    batches = min(wanted, -(-len(data.splits["train"]) // size))
    epochs, turns = -(-wanted // batches), 1
    data = copy.copy(data)
    data.batch_size = size
    with isolate_rng(), unlogged(), TemporaryDirectory() as folder:
        task = build_task({**config})
        task.check(data)
        if isinstance(task, LayerByLayer):
            task.epochs_per_layer, turns = epochs, task.layers
        options = {**config["trainer"], **WITHOUT, "limit_train_batches": batches, "max_epochs": turns * epochs}
        trial = with_layout({**config, "trainer": options, "logger": SILENT}, None, task, data)
        trainer: Any = build_trainer(trial, task, Path(folder), devices, trust)
        trainer.callbacks = [callback for callback in trainer.callbacks if takes_part(callback)]
        trainer.fit(task, data)


def takes_part(callback: pl.Callback) -> bool:
    """Return whether a callback does anything in training steps, other than saving and showing what they did."""
    if isinstance(callback, Checkpoint | ProgressBar):
        return False
    return any(overrides(callback, name, pl.Callback) for name in HOOKS)


@contextmanager
def unlogged() -> Iterator[None]:
    """Log nothing below warnings during a block: whatever a trial has to say, the training will say."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)
