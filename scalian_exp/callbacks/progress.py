"""Show the progress of a training: a bar on a terminal, one line an epoch elsewhere."""

import sys
import time
from typing import Any

from pytorch_lightning.callbacks import ProgressBar, RichProgressBar

from scalian_exp.metrics.counters import counts
from scalian_exp.metrics.reliability import remark
from scalian_exp.ranges import PositiveInt


def progress(refresh_rate: PositiveInt = 4) -> ProgressBar:
    """Return a bar that is redrawn `refresh_rate` times a second, or one line an epoch if stdout isn't a terminal."""
    return Bar(refresh_rate=refresh_rate) if sys.stdout.isatty() else EpochLines()


class Bar(RichProgressBar):
    """Lightning's bar, but brought up to date as often as it is redrawn, not at every step."""

    updated = 0.0
    """when it was brought up to date last"""

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Show the step and its metrics, if the bar is due, or if the epoch ends."""
        now = time.monotonic()
        if now >= self.updated + 1 / self.refresh_rate or batch_idx + 1 == trainer.num_training_batches:
            self.updated = now
            super().on_train_batch_end(trainer, task, outputs, batch, batch_idx)


class EpochLines(ProgressBar):
    """One line an epoch, with its time, its training loss and, if it was validated, its validation metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.seconds = self.before = 0.0
        self.epoch, self.validated = 0, False

    def disable(self) -> None:
        """Do nothing, as only the main process prints lines anyway."""

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        """Print the previous epoch's line and start the clock."""
        self.print_line(trainer)
        self.start, self.validated = time.perf_counter(), False

    def on_epoch_resumed(self, trainer: Any, task: Any) -> None:
        """Count the time that the epoch took before it was interrupted."""
        self.start = time.perf_counter() - self.before

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds that the current epoch has taken so far."""
        return {"before": time.perf_counter() - self.start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the seconds that the interrupted epoch had taken."""
        self.before = state_dict["before"]

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Note that the epoch has validation metrics."""
        self.validated = True

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.start
        self.epoch = trainer.current_epoch + 1

    def print_line(self, trainer: Any) -> None:
        """Print the line of a finished epoch, whose training metrics are known only when the next hook runs."""
        if self.epoch and trainer.is_global_zero:
            metrics = trainer.callback_metrics
            shown = [name for name in ("train/loss", "train/layer") if name in metrics]
            shown += [name for name in metrics if self.validated and name.startswith("val/")]
            shown = [name for name in shown if name.count("/") == 1 and not counts(name)]  # no single classes' metrics
            known = {name: float(metrics[name]) for name in metrics}
            marks = {name: " (unreliable)" if remark(name, known) else "" for name in shown}
            values = "  ".join(f"{name} {known[name]:.4g}{marks[name]}" for name in sorted(shown))
            print(f"epoch {self.epoch}/{trainer.max_epochs}  {self.seconds:.1f} s  {values}", flush=True)
        self.epoch = 0

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """Print the last epoch's line."""
        self.print_line(trainer)
