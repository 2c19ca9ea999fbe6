"""Measure the time of training epochs and of inference, and what inference costs."""

import time
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch

from scalian_exp.metrics.cost import cost
from scalian_exp.tasks import position

WARM_UP, TIMED = 2, 10
"""forward passes of the test batch before time is taken, and those whose median counts"""


def now(task: Any) -> float:
    """Return the time in seconds, after waiting for the device to finish its work."""
    if task.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


class Timing(pl.Callback):
    """Measure the seconds of each training epoch without validation, and the milliseconds of inference."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.start = self.pause = self.before = 0.0
        self.running = False
        self.batch: Any = None
        self.inference_ms_per_sample: float | None = None
        self.cost: dict[str, float] = {}
        """operations and memory of the forward pass, per sample"""

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        """Start the clock."""
        self.start, self.running = now(task), True

    def on_epoch_resumed(self, trainer: Any, task: Any) -> None:
        """Start the clock with the seconds that the epoch took before it was interrupted."""
        self.start, self.running = now(task) - self.before, True

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        """Pause the clock."""
        self.pause = now(task)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Continue the clock."""
        self.start += now(task) - self.pause

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """Stop the clock."""
        self.running = False
        if position.last_batch(trainer) or not self.seconds:  # an incomplete epoch counts only if there is no other
            self.seconds.append(now(task) - self.start)

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds of all epochs, and of the current one so far."""
        return {"seconds": self.seconds, "before": time.perf_counter() - self.start if self.running else 0.0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the seconds of earlier epochs."""
        self.before = state_dict.get("before", 0.0)
        self.seconds = self.seconds or list(state_dict["seconds"])  # the best checkpoint, loaded to test, knows fewer

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over epochs, which a slow first one of three or more doesn't change; None before the first."""
        return median(self.seconds) if self.seconds else None

    @property
    def training_seconds(self) -> float | None:
        """Sum over epochs; None before the first."""
        return sum(self.seconds) if self.seconds else None

    def on_test_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        """Keep the first batch."""
        if batch_idx == 0:
            self.batch = batch

    def on_test_end(self, trainer: Any, task: Any) -> None:
        """Time the network's forward pass on the first test batch: the median of TIMED, after WARM_UP others."""
        x, self.batch = task.inputs(self.batch), None
        seconds = []
        for _ in range(WARM_UP + TIMED):
            start = now(task)
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                task(x)
            seconds.append(now(task) - start)
        self.inference_ms_per_sample = 1000 * median(seconds[WARM_UP:]) / len(x)
        with trainer.precision_plugin.forward_context(), torch.compiler.set_stance("force_eager"):
            self.cost = cost(task, x)
