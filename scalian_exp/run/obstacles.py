"""Decide which trainings are simple enough for the lean loop."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.fetchers import _PrefetchDataFetcher
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch.optim import Optimizer

from scalian_exp.tasks.overriding import overrides


def obstacle(trainer: Any, fetcher: Any) -> str:
    """Return why Lightning's own loop must run the next epoch; an empty string if the lean loop can."""
    task, precision = trainer.lightning_module, trainer.precision_plugin
    mixed = type(precision) is MixedPrecision and precision.scaler is None
    modules = [(task, pl.LightningModule), (trainer.datamodule, pl.LightningDataModule)]
    unusual = ("on_train_batch_start", "optimizer_step", "on_before_batch_transfer", "transfer_batch_to_device")
    own = [name for name in unusual for module, base in modules if overrides(module, name, base)]
    within = trainer.check_val_every_n_epoch is None or trainer.val_check_batch is None
    obstacles = [
        (type(trainer.strategy) is not SingleDeviceStrategy, f"{type(trainer.strategy).__name__} is the strategy"),
        (not mixed and type(precision) is not Precision, f"{precision.precision} is neither 32-true nor bf16-mixed"),
        (not task.automatic_optimization, "the model steps its optimizers by itself"),
        (len(trainer.optimizers) != 1, "there isn't one optimizer"),
        (any(not isinstance(each, Optimizer) for each in trainer.optimizers), "the optimizer isn't torch's"),
        (trainer.accumulate_grad_batches > 1, "gradients of several batches are accumulated"),
        (type(trainer.profiler) is not PassThroughProfiler, "a profiler measures the steps"),
        (within or trainer.val_check_batch < trainer.num_training_batches, "validation takes place within epochs"),
        (type(fetcher) is not _PrefetchDataFetcher or fetcher.length is None, "the loader's length is unknown"),
        (any(each.reduce_on_plateau for each in trainer.lr_scheduler_configs), "a schedule waits for a plateau"),
        (bool(own), f"{', '.join(own)} is overridden"),
    ]
    return next((reason for applies, reason in obstacles if applies), "")
