"""Draw a task's figures during validation and test."""

import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from scalian_exp.batches import batch_size
from scalian_exp.callbacks.provenance import config_of
from scalian_exp.figures.png import as_png
from scalian_exp.figures.titles import titled
from scalian_exp.files import replacing
from scalian_exp.folders import FIGURES, epochs_drawn, figures_of_epoch
from scalian_exp.loggers.protocols import TakesFigures, takers
from scalian_exp.ranges import PositiveInt
from scalian_exp.stored import run_name

FIRST = 5
"""the first epoch with figures, if `every_n_epochs` isn't set"""
MOST_EPOCHS = 50
"""maximum number of epochs whose figures a run keeps"""


class Figures(pl.Callback):
    """Draw the task's figures as PNG files in the run folder's figures/, and in the loggers that take figures.

    Those of the validation split are kept for up to MOST_EPOCHS drawn epochs too, in figures/epoch_0005/ and so on.
    They show examples spread over the split, because some test sets are sorted by class.

    Args:
        folder: the run folder.
        every_n_epochs: epochs between figures of the validation split; None draws after epochs 5, 10, 20, 40, … and the
            last one, since a figure costs as much as some epochs of a small network. The test draws those of the test
            split.
        examples: maximum number of examples that a task gets to draw.
    """

    def __init__(self, folder: Path, every_n_epochs: PositiveInt | None = None, examples: PositiveInt = 1000):
        self.folder, self.every_n_epochs, self.examples = Path(folder), every_n_epochs, examples
        self.gathered: list[dict[str, Any]] = []

    def due(self, trainer: Any) -> bool:
        """Return whether figures are drawn in this epoch, which has a validation."""
        done = trainer.current_epoch + 1
        if self.every_n_epochs is not None:
            return bool(done % self.every_n_epochs == 0)
        if done < FIRST:
            return False
        before = done - (trainer.check_val_every_n_epoch or 1)
        return bool(done == trainer.max_epochs or doublings(done) > doublings(before))

    def run(self, trainer: Any) -> str:
        """Return the names of the model and the data set."""
        return run_name(self.folder, config_of(trainer))

    def when(self, trainer: Any, split: str) -> str:
        """Describe the examples, and for the validation split the epoch."""
        epoch = trainer.current_epoch + 1
        return "test split" if split == "test" else f"validation split after {epoch} epoch{'s' * (epoch > 1)}"

    def gather(self, task: Any, batch: dict[str, Any], batches: float) -> None:
        """Keep a batch's share of the examples to draw."""
        wanted = min(self.examples, task.figure_examples)
        # the last batch may have few examples, so that the others take more; `draw` drops the surplus
        share = -(-wanted // max(1, int(batches) - 1))
        self.gathered.append({name: values[:share] for name, values in batch.items()})

    def draw(self, trainer: Any, task: Any, split: str) -> None:
        """Draw the figures in all processes, as they may gather from all, and write them in the first one."""
        if not self.gathered:
            return
        order = torch.randperm(sum(batch_size(b) for b in self.gathered), generator=torch.Generator().manual_seed(0))
        order = order[: min(self.examples, task.figure_examples)]
        self.gathered, batches = [], self.gathered
        batch = {name: torch.cat([b[name] for b in batches])[order.to(b0.device)] for name, b0 in batches[0].items()}
        with torch.no_grad():
            figures = task.figures(batch)
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1 if split == "val" else trainer.current_epoch  # which has been counted then
        places = [self.folder / FIGURES, *([figures_of_epoch(self.folder, epoch)] if split == "val" else [])]
        for name, figure in figures.items():
            png = as_png(titled(figure, f"{self.run(trainer)}, {self.when(trainer, split)}"))
            for place in places:
                with replacing(place / f"{split}_{name}.png") as part:  # not through a symbolic link
                    part.write_bytes(png)
            for logger in takers(trainer, TakesFigures):
                logger.log_figure(f"{split}/{name}", png, epoch, trainer.global_step)
        drop_surplus(self.folder)

    def on_validation_batch_end(
        self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Gather examples to draw."""
        if self.due(trainer):
            self.gather(task, batch, trainer.num_val_batches[0])

    def on_validation_epoch_end(self, trainer: Any, task: Any) -> None:
        """Draw the figures of the validation split."""
        if self.due(trainer):
            self.draw(trainer, task, "val")

    def on_test_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        """Gather examples to draw."""
        self.gather(task, batch, trainer.num_test_batches[0])

    def on_test_epoch_end(self, trainer: Any, task: Any) -> None:
        """Draw the figures of the test split."""
        self.draw(trainer, task, "test")


def drop_surplus(folder: Path) -> None:
    """Drop the figures of the epoch of a run that leaves the smallest gap, if it keeps more than MOST_EPOCHS epochs."""
    places = epochs_drawn(folder)
    if len(epochs := list(places)) > MOST_EPOCHS:
        inner = range(1, len(epochs) - 1)
        shutil.rmtree(places[epochs[min(inner, key=lambda at: epochs[at + 1] - epochs[at - 1])]])


def doublings(epochs: int) -> int:
    """Return how many of 5, 10, 20, 40, … epochs are complete after this number of epochs."""
    return (max(epochs, 0) // FIRST).bit_length()
