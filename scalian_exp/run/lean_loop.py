"""Lightning's loop over the batches of an epoch, without what one process with one optimizer doesn't use.

In every step Lightning calls six hooks of every callback, names each for a profiler, walks through the batch to move
it, and gathers what was logged: a millisecond or two. Here the hooks that are defined are looked up once an
epoch, and logs are gathered only in the steps that log. What a step computes, the order of its parts, the progress that
checkpoints hold and the arguments of hooks are Lightning's. Any training of another kind runs in Lightning's own loop.

The loop relies on private names of Lightning: pyproject.toml pins its version, and tests/run/test_lean_loop.py compares
the two loops.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loops.optimization.automatic import Closure, ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature

from scalian_exp.run.obstacles import obstacle
from scalian_exp.tasks.overriding import overrides

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
        """Decide at an epoch's start which loop runs it, and look up the hooks of the callbacks present then."""
        super().on_run_start(data_fetcher)
        trainer, task = self.trainer, self.trainer.lightning_module
        before, self.obstacle = self.obstacle, obstacle(trainer, data_fetcher)
        if self.obstacle and self.obstacle != before:
            log.info("trainer.lean: Lightning's own loop runs, because %s", self.obstacle)
        if self.obstacle:
            return
        self.task, self.optimizer = task, trainer.optimizers[0]
        self.takes_index = is_param_in_hook_signature(task.training_step, "batch_idx", min_args=2)
        single = type(trainer.precision_plugin) is Precision
        self.compute = task.training_step if single else trainer.strategy.training_step
        self.move = prepared if single and stays(trainer) else moved
        self.hooks = {name: defined(trainer, name) for name in HOOKS}

    def advance(self, data_fetcher: Any) -> None:
        """Train on the next batch."""
        changed = self.trainer.accumulate_grad_batches != 1 or self.automatic_optimization._skip_backward
        if self.obstacle or self.restarting or changed:
            super().advance(data_fetcher)
            return
        trainer, progress, results = self.trainer, self.batch_progress, self._results
        connector = trainer._logger_connector
        if self.val_loop.restarting:
            self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        batch_idx = progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = self.move(trainer, batch)
        progress.increment_ready()
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        outputs = None
        if batch is None:
            self._warning_cache.warn("The training loader yielded None instead of a batch; it is skipped.")
        else:
            self.call("on_train_batch_start", batch, batch_idx)
            progress.increment_started()
            outputs = self.step(batch, batch_idx)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self.call("on_train_batch_end", outputs, batch, batch_idx)
        logs = results.fresh or (len(results) > 0 and self.logs_due)
        if logs:
            connector.on_batch_end()
        results.batch = results.batch_size = None
        progress.increment_completed()
        if logs:
            connector.update_train_step_metrics()
            results.fresh = False

    @property
    def logs_due(self) -> bool:
        """Whether this step is one of those that log; Lightning's `should_update_logs`, asked during training."""
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        return bool(every) and ((self._batches_that_stepped + 1) % every == 0 or bool(trainer.should_stop))

    def step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Let the optimizer take a step, and return what training_step returned."""
        counts = self.automatic_optimization.optim_progress.optimizer.step
        counts.increment_ready()
        closure: Any = Closure(partial(self.gradients, batch, batch_idx))
        self.optimizer.step(closure=closure)
        counts.increment_completed()
        result = closure.consume_result()  # raises if the optimizer has not asked for gradients
        return {} if result.loss is None else result.asdict()

    def gradients(self, batch: Any, batch_idx: int) -> ClosureResult:
        """Compute loss and gradients; an optimizer asks for them at the beginning of its step, LBFGS several times."""
        trainer, task, optimizer = self.trainer, self.task, self.optimizer
        before = task._current_fx_name
        name_hook(task, "training_step")
        output = self.compute(batch, batch_idx) if self.takes_index else self.compute(batch)
        if isinstance(output, torch.Tensor):
            result = ClosureResult(output)  # Lightning divides it by 1 first
        else:
            result = ClosureResult.from_training_step_output(output)
        counts = self.automatic_optimization.optim_progress.optimizer.zero_grad
        counts.increment_ready()
        self.call("on_before_zero_grad", optimizer)
        counts.increment_started()
        name_hook(task, "optimizer_zero_grad")
        task.optimizer_zero_grad(trainer.current_epoch, batch_idx, optimizer)
        counts.increment_completed()
        if result.closure_loss is not None:
            self.call("on_before_backward", result.closure_loss)
            name_hook(task, "backward")
            task.backward(result.closure_loss)
            self.call("on_after_backward")
        self.call("on_before_optimizer_step", optimizer)
        name_hook(task, "configure_gradient_clipping")
        task.configure_gradient_clipping(
            optimizer,
            gradient_clip_val=trainer.gradient_clip_val,
            gradient_clip_algorithm=trainer.gradient_clip_algorithm,
        )
        name_hook(task, before)
        return result

    def call(self, name: str, *arguments: Any) -> None:
        """Call a hook wherever it is defined."""
        if hooks := self.hooks[name]:
            task = self.task
            before = task._current_fx_name
            name_hook(task, name)
            for hook in hooks:
                hook(*arguments)
            name_hook(task, before)

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

    @torch.compiler.disable
    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log a value."""
        self.fresh = True
        super().log(*args, **kwargs)


class Trainer(pl.Trainer):
    """Lightning's trainer with a lean loop over the batches of an epoch.

    Args:
        lean: use the lean loop where it can run; else Lightning's own always runs.
        find_batch_size: find the largest batch that fits in memory, which run/batch_size.py does before it builds this.
        **kwargs: see Lightning's trainer.
    """

    def __init__(self, *, lean: bool = True, find_batch_size: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if lean:
            loop = self.fit_loop.epoch_loop
            self.fit_loop.epoch_loop = LeanEpochLoop(self, loop.min_steps, loop.max_steps)


def name_hook(task: pl.LightningModule, name: str | None) -> None:
    """Tell a task's `log`, which judges its arguments by it, in which hook it is called."""
    vars(task)["_current_fx_name"] = name  # a module's __setattr__ takes ten times as long, a dozen times a step


def defined(trainer: Any, name: str) -> list[Callable[..., Any]]:
    """Return a hook of all callbacks that define it and have something to do, and of the task if it does."""
    task = trainer.lightning_module
    callbacks = [each for each in trainer.callbacks if overrides(each, name, pl.Callback) and not idle(each)]
    hooks: list[Callable[..., Any]] = [partial(getattr(each, name), trainer, task) for each in callbacks]
    return hooks + ([getattr(task, name)] if overrides(task, name, pl.LightningModule) else [])


def idle(callback: Any) -> bool:
    """Return whether a callback is one of Lightning's checkpoints that saves at the end of epochs only."""
    return (
        isinstance(callback, ModelCheckpoint)
        and type(callback).on_train_batch_end is ModelCheckpoint.on_train_batch_end
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
