"""Checkpoints between two steps of an epoch, and trainings that go on from there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from scalian_exp.callbacks.interruption import Interruption
from scalian_exp.callbacks.random_state import noise_state, set_noise_state
from scalian_exp.distributed import ranks
from scalian_exp.folders import LAST
from scalian_exp.ranges import PositiveFloat
from scalian_exp.tasks import position


class StepCheckpoints(Checkpoint):
    """Saves last.ckpt every so many minutes, when a signal ends the training, and where trainer.max_steps or max_time
    ends it inside an epoch. A run resumed from it goes on with that epoch, to the bit: the rest of its batches in the
    same order, with the same noise.

    Lightning calls callbacks of this kind last: what the others remember is that of the complete step.

    Args:
        folder: the run folder.
        announce: (trainer, task, folder, config, batches of the present epoch that are saved) → None: tells the user
            of an interruption.
        every_minutes: minutes between saves; null saves at the end of epochs and of the training only.
    """

    def __init__(self, folder: Path, announce: Callable[..., None], every_minutes: PositiveFloat | None = 10):
        self.folder, self.announce, self.every_minutes = Path(folder), announce, every_minutes
        self.interruption = Interruption()
        self.saved_at, self.saved_batch = time.monotonic(), -1
        self.resumed: dict[str, Any] = {}
        """what the checkpoint that the training goes on from tells of its epoch"""

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != TrainerFn.FITTING or not position.inside_epoch(trainer):
            return
        noise = {
            name: ranks.gather_rows(state[None].to(task.device)) for name, state in noise_state(task.device).items()
        }
        waiting = task.named_parameters() if position.accumulating(trainer) else ()
        checkpoint["scalian_exp"]["epoch"] = {
            "noise": {name: states.cpu() for name, states in noise.items()},  # a row for each process
            "means": task.train_means.state_dict(),
            "gradients": {name: ranks.mean(p.grad) for name, p in waiting if p.grad is not None},
        }

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        self.resumed = checkpoint["scalian_exp"].get("epoch", {})

    def on_train_start(self, trainer: Any, task: Any) -> None:
        self.interruption.take()
        self.saved_at = time.monotonic()
        if trainer.ckpt_path is None:
            return
        if self.resumed and position.inside_epoch(trainer):
            self.go_on(trainer, task)
        else:
            position.begin_next_epoch(trainer)

    def go_on(self, trainer: Any, task: Any) -> None:
        """With the rest of an epoch. What begins an epoch is not called again but for those that ask for it."""
        position.go_on_with_epoch(trainer)
        for callback in trainer.callbacks:
            if hasattr(callback, "on_epoch_resumed"):
                callback.on_epoch_resumed(trainer, task)
        task.train_means.load_state_dict(self.resumed["means"], task.device)
        for name, gradient in self.resumed["gradients"].items():
            task.get_parameter(name).grad = gradient.to(task.device)
        noise = self.resumed["noise"]
        if len(noise["torch"]) == ranks.size():  # else the epoch's noise begins anew: more processes draw more of it
            set_noise_state({name: states[ranks.rank()] for name, states in noise.items()}, task.device)

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        self.interruption.stepping = True

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if position.last_batch(trainer) or position.validation_due(trainer):
            self.interruption.stepping = False
        else:
            self.between_steps(trainer, task)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        inside = not trainer.sanity_checking and position.inside_epoch(trainer)
        if trainer.state.fn == TrainerFn.FITTING and inside and not position.last_batch(trainer):
            self.between_steps(trainer, task)

    def between_steps(self, trainer: Any, task: Any) -> None:
        """
        Raises:
            KeyboardInterrupt: after a signal, in all processes, with everything saved.
        """
        signal, ends = self.interruption.received, position.ends_here(trainer)
        late = self.every_minutes is not None and time.monotonic() > self.saved_at + 60 * self.every_minutes
        stops, late = (ranks.in_any(here, task.device) for here in (signal is not None, late))
        if (stops or ends or late) and self.saved_batch != trainer.fit_loop.total_batch_idx:
            trainer.save_checkpoint(self.folder / LAST)
            self.saved_at, self.saved_batch = time.monotonic(), trainer.fit_loop.total_batch_idx
        if ends:
            self.interruption.stepping = False
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, ModelCheckpoint) and callback.monitor is None:
                    callback._last_global_step_saved = trainer.global_step  # else it is saved as a complete epoch's
        if stops:
            self.interruption.stepping = False
            self.interruption.act(signal)

    def on_train_end(self, trainer: Any, task: Any) -> None:
        self.interruption.release()
        if not position.last_batch(trainer):
            position.count_as_begun(trainer)

    def on_exception(self, trainer: Any, task: Any, exception: BaseException) -> None:
        self.interruption.release()
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            provenance = next(callback for callback in trainer.callbacks if hasattr(callback, "config"))
            saved = self.saved_batch == trainer.fit_loop.total_batch_idx
            batches = position.batches_done(trainer) if saved else 0
            self.announce(trainer, task, self.folder, provenance.config, batches)
