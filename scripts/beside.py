"""Train with everything that a user sees, beside a callback that measures: what the benchmarks share."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar

from scalian_exp.callbacks.progress import Bar
from scalian_exp.run.trainer import build_trainer


def train_beside(config: dict[str, Any], task: Any, data: Any, measuring: pl.Callback) -> None:
    """Train a task in a temporary folder, with a progress bar that is drawn nowhere, and a callback called first."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        trainer: Any = build_trainer(config, task, Path(folder))
        bar = Bar(refresh_rate=4, console_kwargs={"file": nowhere, "force_terminal": True})
        trainer.callbacks = [measuring, bar, *[c for c in trainer.callbacks if not isinstance(c, ProgressBar)]]
        trainer.fit(task, data)
