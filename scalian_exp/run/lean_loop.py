"""Lightning's loop over the batches of an epoch, without what one process with one optimizer doesn't use.

In every step Lightning calls six hooks of every callback, names each for a profiler, walks through the batch to move
it, and gathers what was logged: a millisecond or two. Here the hooks that somebody has defined are looked up once an
epoch, and logs are gathered only in the steps that log. What a step computes, the order of its parts, the progress that
checkpoints hold and the arguments of hooks are Lightning's. Any training of another kind runs in Lightning's own loop.

The loop relies on private names of Lightning: pyproject.toml pins its version, and tests/run/test_lean_loop.py compares
the two loops.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loops.fetchers import _PrefetchDataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection
from torch import Tensor
from torch.optim import Optimizer

log = logging.getLogger(__name__)

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Hooks of callbacks and of the task that a step calls."""


class LeanEpochLoop(_TrainingEpochLoop):
    """The training loop of an epoch, lean where it can be and Lightning's own otherwise."""

    def __init__(self, trainer: pl.Trainer, min_steps: int | None = None, max_steps: int = -1):
        super().__init__(trainer, min_steps, max_steps)
        self._results: Results = Results(training=True)
        self.obstacle = ""
        """why this epoch runs in Lightning's own loop; empty if it doesn't"""
        self.hooks: dict[str, list[Callable[..., Any]]] = {}

    def on_run_start(self, data_fetcher: Any) -> None:
        """Begin an epoch: judge which loop runs it, and look up the hooks."""
        super().on_run_start(data_fetcher)
        trainer, task = self.trainer, self.trainer.lightning_module
        before, self.obstacle = self.obstacle, obstacle(trainer, data_fetcher)
        if self.obstacle and self.obstacle != before:
            log.info("trainer.lean: Lightning's own loop runs, because %s", self.obstacle)
        if self.obstacle:
            return
        self.optimizer = trainer.optimizers[0]
        single = type(trainer.precision_plugin) is Precision
        self.compute = task.training_step if single else trainer.strategy.training_step
        self.move = prepared if single and stays(trainer) else moved
        self.hooks = {name: defined(trainer, name) for name in HOOKS}

    def advance(self, data_fetcher: Any) -> None:
        """Train on the next batch."""
        if self.obstacle or self.restarting:
            super().advance(data_fetcher)
            return
        trainer, progress, results = self.trainer, self.batch_progress, self._results
        connector = trainer._logger_connector
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        batch_idx = progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = self.move(trainer, batch)
        progress.increment_ready()
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        self.call("on_train_batch_start", batch, batch_idx)
        progress.increment_started()
        outputs = self.step(batch, batch_idx)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self.call("on_train_batch_end", outputs, batch, batch_idx)
        logs = results.fresh or (len(results) > 0 and connector.should_update_logs)
        if logs:
            connector.on_batch_end()
        results.batch = results.batch_size = None
        progress.increment_completed()
        if logs:
            connector.update_train_step_metrics()
            results.fresh = False

    def step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Let the optimizer take a step, and return what training_step returned."""
        outputs: dict[str, Any] = {}
        counts = self.automatic_optimization.optim_progress.optimizer.step
        counts.increment_ready()
        closure: Any = partial(self.closure, batch, batch_idx, outputs)
        self.optimizer.step(closure)
        counts.increment_completed()
        return outputs

    def closure(self, batch: Any, batch_idx: int, outputs: dict[str, Any]) -> Tensor | None:
        """Compute loss and gradients; an optimizer calls this at the beginning of its step, LBFGS several times."""
        trainer, task, optimizer = self.trainer, self.trainer.lightning_module, self.optimizer
        task._current_fx_name = "training_step"
        result = self.compute(batch, batch_idx)
        task._current_fx_name = None
        outputs.update(result if isinstance(result, Mapping) else {} if result is None else {"loss": result})
        loss = outputs.get("loss")
        counts = self.automatic_optimization.optim_progress.optimizer.zero_grad
        counts.increment_ready()
        self.call("on_before_zero_grad", optimizer)
        counts.increment_started()
        task.optimizer_zero_grad(trainer.current_epoch, batch_idx, optimizer)
        counts.increment_completed()
        if loss is not None:
            self.call("on_before_backward", loss)
            task.backward(loss)
            outputs["loss"] = loss = loss.detach()
            self.call("on_after_backward")
        self.call("on_before_optimizer_step", optimizer)
        task.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        return loss

    def call(self, name: str, *arguments: Any) -> None:
        """Call a hook wherever it is defined; `log` wants to know its name meanwhile."""
        if hooks := self.hooks[name]:
            task = self.trainer.lightning_module
            before, task._current_fx_name = task._current_fx_name, name
            for hook in hooks:
                hook(*arguments)
            task._current_fx_name = before

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Validate where that is due, which is never inside an epoch that runs here."""
        busy = self.batch_progress.is_last_batch or self._skip_next_val
        if self.obstacle or busy or self.trainer.should_stop or self.trainer.received_sigterm:
            super().on_advance_end(data_fetcher)
        else:
            self._batches_that_stepped += 1


class Results(_ResultCollection):
    """Lightning's collection of logged values, which knows whether something was logged in this step."""

    fresh = False

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log a value."""
        self.fresh = True
        super().log(*args, **kwargs)


class Trainer(pl.Trainer):
    """Lightning's trainer with a lean loop over the batches of an epoch.

    Args:
        lean: use the lean loop where it can run; else Lightning's own always runs.
        **kwargs: see Lightning's trainer.
    """

    def __init__(self, *, lean: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if lean:
            loop = self.fit_loop.epoch_loop
            self.fit_loop.epoch_loop = LeanEpochLoop(self, loop.min_steps, loop.max_steps)


def obstacle(trainer: Any, fetcher: Any) -> str:
    """Return why Lightning's own loop must run the next epoch; an empty string if nothing speaks for it."""
    task, precision = trainer.lightning_module, trainer.precision_plugin
    mixed = type(precision) is MixedPrecision and precision.scaler is None
    modules = [(task, pl.LightningModule), (trainer.datamodule, pl.LightningDataModule)]
    unusual = ("on_train_batch_start", "optimizer_step", "on_before_batch_transfer", "transfer_batch_to_device")
    own = [name for name in unusual for module, base in modules if overrides(module, name, base)]
    within = trainer.check_val_every_n_epoch is None or trainer.val_check_batch is None
    obstacles = {
        f"{type(trainer.strategy).__name__} trains in several processes": type(trainer.strategy)
        is not SingleDeviceStrategy,
        f"trainer.precision={precision.precision} is neither 32 nor bf16-mixed": not mixed
        and type(precision) is not Precision,
        "the model steps its optimizers by itself": not task.automatic_optimization,
        "there isn't one optimizer": len(trainer.optimizers) != 1,
        "gradients of several batches are accumulated": trainer.accumulate_grad_batches > 1,
        "a profiler measures the steps": not isinstance(trainer.profiler, PassThroughProfiler),
        "validation takes place within epochs": within or trainer.val_check_batch < trainer.num_training_batches,
        "validation is due at times": trainer._val_check_time_interval is not None,
        "the loader's length is unknown": type(fetcher) is not _PrefetchDataFetcher or fetcher.length is None,
        "a schedule waits for a plateau": any(each.reduce_on_plateau for each in trainer.lr_scheduler_configs),
        f"{', '.join(own)} is overridden": bool(own),
        "the optimizer isn't torch's": any(not isinstance(each, Optimizer) for each in trainer.optimizers),
    }
    return next((reason for reason, applies in obstacles.items() if applies), "")


def defined(trainer: Any, name: str) -> list[Callable[..., Any]]:
    """Return a hook of all callbacks that define it and have something to do, and of the task if it does."""
    task = trainer.lightning_module
    callbacks = [each for each in trainer.callbacks if overrides(each, name, pl.Callback) and not idle(each)]
    hooks: list[Callable[..., Any]] = [partial(getattr(each, name), trainer, task) for each in callbacks]
    return hooks + ([getattr(task, name)] if overrides(task, name, pl.LightningModule) else [])


def overrides(thing: Any, name: str, base: type) -> bool:
    """Return whether an object has a hook of its own, unlike its base class."""
    return hasattr(thing, name) and getattr(getattr(thing, name), "__func__", None) is not getattr(base, name, None)


def idle(callback: Any) -> bool:
    """Return whether a callback is one of Lightning's checkpoints that saves at the end of epochs only."""
    return (
        type(callback) is ModelCheckpoint
        and callback._every_n_train_steps == 0
        and callback._train_time_interval is None
    )


def stays(trainer: Any) -> bool:
    """Return whether batches are on the network's device already, and the data module prepares them."""
    after = "on_after_batch_transfer"
    return trainer.strategy.root_device.type == "cpu" and overrides(trainer.datamodule, after, pl.LightningDataModule)


def prepared(trainer: Any, batch: Any) -> Any:
    """Prepare a batch that is on its device."""
    return trainer.datamodule.on_after_batch_transfer(batch, 0)


def moved(trainer: Any, batch: Any) -> Any:
    """Move a batch to the device, and prepare it there."""
    batch = trainer.precision_plugin.convert_input(batch)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)
