"""Nothing is saved that is NaN or infinite, and a training that has diverged ends."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from scalian_exp.distributed import ranks
from scalian_exp.tasks.divergence import diverged, not_finite


class Divergence(pl.Callback):
    """Checks weights, buffers and the monitored values after validations and epochs, and before each checkpoint.

    Buffers that aren't finite when the training starts may stay so: masks hold −inf, and NaN says that a statistic
    isn't known yet.

    Raises:
        Refusal: in all processes, once one of them finds a NaN or an infinity.
    """

    def __init__(self) -> None:
        self.unknown: set[str] = set()

    def on_train_start(self, trainer: Any, task: Any) -> None:
        self.unknown = set(not_finite(dict(task.named_buffers())))

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        if not trainer.sanity_checking:
            self.check_finite(trainer, task)

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        self.check_finite(trainer, task)

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.check_finite(trainer, task)

    def check_finite(self, trainer: Any, task: Any) -> None:
        broken = not_finite({**dict(task.named_parameters()), **dict(task.named_buffers())})
        found = [name for name in broken if name not in self.unknown]
        self.unknown &= set(broken)  # what has become known is to stay so
        if ranks.in_any(bool(found), task.device):
            raise diverged(found[0] if found else "the weights of another process", trainer)
        monitored = {getattr(callback, "monitor", None) for callback in trainer.callbacks}
        values = {name: value for name, value in trainer.callback_metrics.items() if name in monitored}
        if found := not_finite(values):
            raise diverged(found[0], trainer)
