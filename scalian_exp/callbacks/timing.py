"""How long training takes."""

import time
from statistics import median
from typing import Any

import pytorch_lightning as pl


class Timing(pl.Callback):
    """Seconds of each training epoch, validation not counted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.start = self.pause = 0.0

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        self.pause = time.perf_counter()

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        self.start += time.perf_counter() - self.pause

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start)

    @property
    def seconds_per_epoch(self) -> float | None:
        """The median, which a slow first epoch doesn't move; None before the first epoch."""
        return median(self.seconds) if self.seconds else None
