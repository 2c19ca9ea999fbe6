"""Keep the best checkpoint; among epochs with equal monitored values, the one with the lower validation loss."""

import math
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

LOSS = "val/loss"


class BestCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint of the best monitored value, which among equal values keeps the one of least `val/loss`.

    Many epochs have the same error on a small validation split, perhaps none; Lightning keeps the first of them, whose
    network has learned least. If the losses are equal too, the later epoch is kept.

    Args:
        kwargs: the arguments of Lightning's ModelCheckpoint.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.best_loss = math.nan
        """validation loss of the newest checkpoint"""
        self.best_epoch: int | None = None
        """its epoch, counted from 1"""

    def check_monitor_top_k(self, trainer: Any, current: Tensor | None = None) -> bool:
        """Return whether a monitored value is worth a checkpoint."""
        loss = float(trainer.callback_metrics.get(LOSS, math.nan))
        worth = super().check_monitor_top_k(trainer, current)
        if not worth and current is not None and self.kth_best_model_path in self.best_k_models:
            equal = bool(current == self.best_k_models[self.kth_best_model_path])
            worth = trainer.strategy.reduce_boolean_decision(equal and not loss > self.best_loss)
        if worth:
            self.best_loss, self.best_epoch = loss, trainer.current_epoch + 1
        return worth

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state, with the loss and the epoch of the best checkpoint."""
        return {**super().state_dict(), "best_loss": self.best_loss, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, perhaps one of Lightning's own class, which lacks loss and epoch."""
        super().load_state_dict(state_dict)
        self.best_loss, self.best_epoch = state_dict.get("best_loss", math.nan), state_dict.get("best_epoch")
