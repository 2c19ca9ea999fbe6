"""Progress on a terminal as a bar, elsewhere as lines."""

import sys
import time
from typing import Any

from pytorch_lightning.callbacks import ProgressBar, RichProgressBar

from scalian_exp.metrics.reliability import remark
from scalian_exp.ranges import PositiveInt


def progress(refresh_rate: PositiveInt = 20) -> ProgressBar:
    """Lightning's rich bar, redrawn every so many steps, or one line an epoch where nobody looks at a terminal."""
    return Bar(refresh_rate=refresh_rate) if sys.stdout.isatty() else EpochLines()


class Bar(RichProgressBar):
    """Lightning's bar, which would bring its metrics up to date at every step, though it is redrawn at few."""

    def _update_metrics(self, trainer: Any, task: Any) -> None:
        if trainer.global_step % self.refresh_rate == 0 or not trainer.training:
            super()._update_metrics(trainer, task)


class EpochLines(ProgressBar):
    """One line an epoch: time and the metrics, those of validation where there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.seconds = self.before = 0.0
        self.epoch, self.validated = 0, False

    def disable(self) -> None:
        """Nothing to switch off: lines are only printed by the main process."""

    def on_train_epoch_start(self, trainer: Any, task: Any) -> None:
        self.print_line(trainer)
        self.start, self.validated = time.perf_counter(), False

    def on_epoch_resumed(self, trainer: Any, task: Any) -> None:
        self.start = time.perf_counter() - self.before

    def state_dict(self) -> dict[str, Any]:
        return {"before": time.perf_counter() - self.start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["before"]

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        self.seconds = time.perf_counter() - self.start
        self.epoch = trainer.current_epoch + 1

    def print_line(self, trainer: Any) -> None:
        """The finished epoch's line; its training metrics are known only when the next hook runs."""
        if self.epoch and trainer.is_global_zero:
            metrics = trainer.callback_metrics
            shown = [name for name in ("train/loss", "train/layer") if name in metrics]
            shown += [name for name in metrics if self.validated and name.startswith("val/")]
            shown = [name for name in shown if name.count("/") == 1]  # what is told class by class fills no line
            known = {name: float(metrics[name]) for name in metrics}
            marks = {name: " (unreliable)" if remark(name, known) else "" for name in shown}
            values = "  ".join(f"{name} {known[name]:.4g}{marks[name]}" for name in sorted(shown))
            print(f"epoch {self.epoch}/{trainer.max_epochs}  {self.seconds:.1f} s  {values}", flush=True)
        self.epoch = 0

    def on_train_end(self, trainer: Any, task: Any) -> None:
        self.print_line(trainer)
