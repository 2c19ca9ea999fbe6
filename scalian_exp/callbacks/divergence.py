"""Stop a training that has diverged, before NaN or infinite values are saved."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from scalian_exp.distributed import ranks
from scalian_exp.tasks.divergence import diverged, not_finite


class Divergence(pl.Callback):
    """Check weights, buffers and monitored values after validations and epochs, and before each checkpoint.

    Buffers that aren't finite when the training starts may stay so: masks hold −inf, and NaN marks a statistic that
    isn't known yet.

    Raises:
        Refusal: in all processes, once one of them has a NaN or infinite value.
    """

    def __init__(self) -> None:
        self.unknown: set[str] = set()

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Remember the buffers that aren't finite from the start."""
        self.unknown = set(not_finite(dict(task.named_buffers())))

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Check for NaN and infinite values."""
        if not trainer.sanity_checking:
            self.check_finite(trainer, task)

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """Check for NaN and infinite values."""
        self.check_finite(trainer, task)

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Check for NaN and infinite values before a checkpoint is written."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.check_finite(trainer, task)

    def check_finite(self, trainer: Any, task: Any) -> None:
        """Refuse to go on if a weight, buffer or monitored value is NaN or infinite in any process."""
        broken = not_finite({**dict(task.named_parameters()), **dict(task.named_buffers())})
        new = [name for name in broken if name not in self.unknown]
        self.unknown &= set(broken)  # once finite, a buffer has to stay so
        if ranks.in_any(bool(new), task.device):
            raise diverged(new[0] if new else "the weights of another process", trainer)
        monitored = {getattr(callback, "monitor", None) for callback in trainer.callbacks}
        values = {name: value for name, value in trainer.callback_metrics.items() if name in monitored}
        if broken := not_finite(values):
            raise diverged(broken[0], trainer)
