"""The curves of a run as a CSV file that no kill damages and no resume leaves a gap in."""

import csv
import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.apply_func import convert_tensors_to_scalars
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from scalian_exp.files import read_text, write_text
from scalian_exp.tasks import position

KEY = "csv"
"""where a checkpoint keeps what lies in the file"""


class CSVCurves(Logger):
    """Appends each logged row to one CSV file, as soon as it is logged.

    Where a row has a new column, the file is replaced by one that has it. Lightning's logger rewrites its file in
    place, so that a kill can lose all rows.

    Args:
        save_dir: the run folder.
        name: the folder in it for `metrics.csv`.
    """

    def __init__(self, save_dir: str, name: str = "csv"):
        super().__init__()
        self._folder, self._name = save_dir, name
        self.file = Path(save_dir) / name / "metrics.csv"
        self.columns: list[str] = []
        self.rows = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return self._folder

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {**metrics, "step": self.rows if step is None else step}
        if row.keys() <= {*self.columns}:
            with self.file.open("a", encoding="utf-8", newline="") as file:
                file.write(as_csv(self.columns, [row], header=False))
            self.rows += 1
        else:
            self.replace([*self.read(), row])

    @rank_zero_only
    def keep(self, rows: int | None, then: dict[str, Any] | None = None) -> None:
        """Go on after so many rows, of those that an earlier start left, and one more.

        Args:
            rows: None keeps all.
            then: the row to add.

        Raises:
            Refusal: if the file is no text.
        """
        self.replace([*self.read()[:rows], *([then] if then else [])])

    def read(self) -> list[dict[str, Any]]:
        """The rows in the file, without one that was cut short."""
        if not self.file.exists():
            return []
        whole, end, _ = read_text(self.file, "remove it to go on without the curves so far").rpartition("\n")
        return [{k: v for k, v in row.items() if k and v} for row in csv.DictReader(io.StringIO(whole + end))]

    def replace(self, rows: list[dict[str, Any]]) -> None:
        self.columns, self.rows = sorted({name for row in rows for name in row}), len(rows)
        if rows:
            write_text(self.file, as_csv(self.columns, rows))
        else:
            self.file.unlink(missing_ok=True)


def as_csv(columns: list[str], rows: list[dict[str, Any]], header: bool = True) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class ResumableCurves(pl.Callback):
    """Lets the CSV file of a resumed run look as if there had been no interruption: the rows that were logged after the
    checkpoint are dropped, since those steps are taken again.

    The row of an epoch, or of a step, is logged after its checkpoint has been saved, so the checkpoint carries it.
    """

    def __init__(self) -> None:
        self.epoch_ends = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.ckpt_path is None:
            self.keep(trainer, {"rows": 0})

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.epoch_ends = False

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epoch_ends = True

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        row: dict[str, Any] | None = None
        logged = position.ends_step(trainer) and not position.accumulating(trainer)
        logged &= bool(trainer._logger_connector.should_update_logs)
        if (self.epoch_ends or logged) and loggers(trainer):  # in all processes: they may have to add up what they have
            metrics = convert_tensors_to_scalars(trainer._logger_connector.metrics["log"])
            step = trainer.fit_loop.epoch_loop._batches_that_stepped - self.epoch_ends
            row = {"step": step, "epoch": trainer.current_epoch, **metrics} if metrics else None
        for logger in loggers(trainer):
            checkpoint[KEY] = {"rows": logger.rows, "then": row}

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == "fit":
            self.keep(trainer, checkpoint.get(KEY, {"rows": None}))  # older checkpoints don't say

    def keep(self, trainer: Any, kept: dict[str, Any]) -> None:
        for logger in loggers(trainer):
            logger.keep(**kept)


def loggers(trainer: Any) -> list[CSVCurves]:
    return [logger for logger in trainer.loggers if isinstance(logger, CSVCurves)]
