"""What makes a checkpoint stand alone and a run resumable."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from scalian_exp.report import announce_interruption


class Provenance(pl.Callback):
    """The resolved config in every checkpoint, a checkpoint before the first step, and the way on if the run is
    interrupted."""

    def __init__(self, config: dict[str, Any], folder: Path):
        self.config, self.folder = config, folder

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["scalian_exp"] = {"config": self.config}

    def on_train_start(self, trainer: Any, task: Any) -> None:
        last = self.folder / "checkpoints" / "last.ckpt"
        if not last.exists():  # so that a run stopped in its first epoch can be resumed
            trainer.save_checkpoint(last)

    def on_exception(self, trainer: Any, task: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            announce_interruption(trainer, task, self.folder)
