"""Keep the best checkpoint; among epochs with equal monitored values, the one with the lower validation loss."""

import math
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from scalian_exp.metrics.counters import latest_is_best

LOSS = "val/loss"


class BestCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint of the best monitored value, which among equal values keeps the one of least `val/loss`.

    Many epochs have the same error on a small validation split, perhaps none; Lightning keeps the first of them, whose
    network has learned least. If the losses are equal too, the later epoch is kept.

    Where the monitored value counts epochs, the loss doesn't measure quality: the latest weights are kept, also those
    of an epoch that ends without a validation.

    Args:
        kwargs: the arguments of Lightning's ModelCheckpoint.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.best_loss = math.nan
        """validation loss of the newest checkpoint"""
        self.best_epoch: int | None = None
        """its epoch, counted from 1"""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save the weights if they are the best; where the latest are, also those of an epoch without a validation."""
        super().on_train_epoch_end(trainer, pl_module)
        monitor, count = self.monitor or "", self.best_model_score
        if latest_is_best(monitor) and count is not None and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, {monitor: count, **self._monitor_candidates(trainer)})

    def check_monitor_top_k(self, trainer: Any, current: Tensor | None = None) -> bool:
        """Return whether a monitored value is worth a checkpoint."""
        if super().check_monitor_top_k(trainer, current) or (current is not None and latest_is_best(self.monitor)):
            return True
        if current is None or self.kth_best_model_path not in self.best_k_models:
            return False
        equal = bool(current == self.best_k_models[self.kth_best_model_path])
        chosen = equal and not loss_of(trainer) > self.best_loss
        return bool(trainer.strategy.reduce_boolean_decision(chosen))

    def _update_best_and_save(self, current: Tensor, trainer: Any, monitor_candidates: dict[str, Tensor]) -> None:
        """Save a checkpoint, whose state tells its loss and its epoch."""
        self.record(trainer)
        super()._update_best_and_save(current, trainer, monitor_candidates)

    def record(self, trainer: Any) -> None:
        """Note the loss and the epoch of the weights that are about to be saved."""
        self.best_loss, self.best_epoch = loss_of(trainer), trainer.current_epoch + 1

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state, with the loss and the epoch of the best checkpoint."""
        return {**super().state_dict(), "best_loss": self.best_loss, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, perhaps one of Lightning's own class, which lacks loss and epoch."""
        super().load_state_dict(state_dict)
        self.best_loss, self.best_epoch = state_dict.get("best_loss", math.nan), state_dict.get("best_epoch")


def loss_of(trainer: Any) -> float:
    """Return the newest validation loss; NaN if there is none."""
    return float(trainer.callback_metrics.get(LOSS, math.nan))
