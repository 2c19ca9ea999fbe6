"""Save checkpoints between two steps of an epoch, and resume trainings from them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from scalian_exp.callbacks.delayed_signals import DelayedSignals
from scalian_exp.callbacks.protocols import ContinuesEpochs
from scalian_exp.callbacks.provenance import batch_statistics, config_of
from scalian_exp.callbacks.random_state import noise_state, set_noise_state
from scalian_exp.distributed import ranks
from scalian_exp.folders import LAST
from scalian_exp.ranges import PositiveFloat
from scalian_exp.tasks import position
from scalian_exp.tasks.offers import offers


class StepCheckpoints(Checkpoint):
    """Save last.ckpt at intervals, when a signal ends the training, and when a limit ends it inside an epoch.

    The limits are trainer.max_steps and max_time. A run resumed from there continues the epoch and computes bit-for-bit
    the same: the remaining batches in the same order, with the same noise. Lightning calls callbacks of this kind last,
    so the others' states are those after the complete step.

    Args:
        folder: the run folder.
        announce: called as (trainer, task, folder, config, saved batches of the current epoch) to report an
            interruption to the user.
        every_minutes: minutes between checkpoints; null saves only at the end of epochs and of the training.
    """

    def __init__(self, folder: Path, announce: Callable[..., None], every_minutes: PositiveFloat | None = 10):
        self.folder, self.announce, self.every_minutes = Path(folder), announce, every_minutes
        self.signals = DelayedSignals()
        self.saved_at, self.saved_batch = time.monotonic(), -1
        self.resumed: dict[str, Any] = {}
        """state of the interrupted epoch in the checkpoint from which the training resumes"""

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Store the noise, the running means and the accumulated gradients of an epoch in progress."""
        if trainer.state.fn != TrainerFn.FITTING or not position.inside_epoch(trainer):
            return
        noise = {
            name: ranks.gather_rows(state[None].to(task.device)) for name, state in noise_state(task.device).items()
        }
        statistics = batch_statistics(task) if ranks.size() > 1 else {}
        waiting = task.named_parameters() if position.accumulating(trainer) else ()
        checkpoint["scalian_exp"]["epoch"] = {
            "noise": {name: states.cpu() for name, states in noise.items()},  # a row for each process
            "means": task.train_means.state_dict(),
            "statistics": {name: ranks.gather_rows(own[None]).cpu() for name, own in statistics.items()},
            "gradients": {name: ranks.gather_rows(p.grad[None]).cpu() for name, p in waiting if p.grad is not None},
        }

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Read the state of an interrupted epoch."""
        self.resumed = checkpoint["scalian_exp"].get("epoch", {})

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Install the signal handlers, and continue an interrupted epoch or begin the next."""
        self.signals.take()
        self.saved_at = time.monotonic()
        if trainer.ckpt_path is None:
            return
        if self.resumed and position.inside_epoch(trainer):
            self.go_on(trainer, task)
        else:
            position.begin_next_epoch(trainer)

    def go_on(self, trainer: Any, task: Any) -> None:
        """Continue an interrupted epoch, calling `on_epoch_resumed` of callbacks instead of the start hooks."""
        position.continue_epoch(trainer)
        for callback in trainer.callbacks:
            if offers(callback, ContinuesEpochs):
                callback.on_epoch_resumed(trainer, task)
        task.train_means.load_state_dict(self.resumed["means"], task.device)
        for name, rows in self.resumed.get("statistics", {}).items():  # which earlier versions didn't store
            task.get_buffer(name).copy_(ranks.own_row(rows, 1))
        for name, gradient in self.resumed["gradients"].items():
            parameter = task.get_parameter(name)
            parameter.grad = ranks.own_row(gradient, parameter.dim()).to(parameter.device)
        noise = self.resumed["noise"]
        if len(noise["torch"]) == ranks.size():  # else it starts again, as others draw more or less
            set_noise_state({name: states[ranks.rank()] for name, states in noise.items()}, task.device)

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        """Delay signals from now on."""
        self.signals.stepping = True

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save and stop if due, unless a validation or the end of the epoch follows."""
        position.validate_where_it_ends(trainer)
        if position.last_batch(trainer) or position.validation_due(trainer):
            self.signals.stepping = False
        else:
            self.between_steps(trainer, task)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Save and stop if due, after a validation inside an epoch."""
        inside = not trainer.sanity_checking and position.inside_epoch(trainer)
        if trainer.state.fn == TrainerFn.FITTING and inside and not position.last_batch(trainer):
            self.between_steps(trainer, task)

    def between_steps(self, trainer: Any, task: Any) -> None:
        """Save a checkpoint if one is due, and stop if a signal was received.

        Raises:
            KeyboardInterrupt: in all processes, once everything has been saved.
        """
        signal, ends = self.signals.received, position.ends_here(trainer)
        late = self.every_minutes is not None and time.monotonic() > self.saved_at + 60 * self.every_minutes
        stops = signal is not None
        if ranks.size() > 1:
            stops, late = (ranks.in_any(flag, task.device) for flag in (stops, late))
        if (stops or ends or late) and self.saved_batch != trainer.fit_loop.total_batch_idx:
            trainer.save_checkpoint(self.folder / LAST)
            self.saved_at, self.saved_batch = time.monotonic(), trainer.fit_loop.total_batch_idx
        if ends:
            self.signals.stepping = False
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, ModelCheckpoint) and callback.monitor is None:
                    callback._last_global_step_saved = trainer.global_step  # not saved as a complete epoch
        if stops:
            self.signals.stepping = False
            self.signals.act(signal)

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """Restore the signal handlers, and count an unfinished epoch as begun."""
        self.signals.release()
        if not position.last_batch(trainer):
            position.count_as_begun(trainer)

    def on_exception(self, trainer: Any, task: Any, exception: BaseException) -> None:
        """Restore the signal handlers, and announce an interruption."""
        self.signals.release()
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            saved = self.saved_batch == trainer.fit_loop.total_batch_idx
            batches = position.batches_done(trainer) if saved else 0
            self.announce(trainer, task, self.folder, config_of(trainer), batches)
