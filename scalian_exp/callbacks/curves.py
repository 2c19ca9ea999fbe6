"""The curves of a run as a CSV file that survives being killed and has no gap after a resume."""

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
"""key of a checkpoint under which the state of the file is stored"""


class CSVCurves(Logger):
    """A logger that appends each row to one CSV file as soon as it is logged.

    If a row has a new column, the file is replaced atomically by one with that column. Lightning's logger rewrites its
    file in place, so a killed process can lose all rows.

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
        """Name of the folder that holds the file."""
        return self._name

    @property
    def version(self) -> str:
        """Empty: a run folder holds one version."""
        return ""

    @property
    def save_dir(self) -> str:
        """Run folder."""
        return self._folder

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Do nothing, as config.yaml holds the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row to the file."""
        row = {**metrics, "step": self.rows if step is None else step}
        if row.keys() <= {*self.columns}:
            with self.file.open("a", encoding="utf-8", newline="") as file:
                file.write(as_csv(self.columns, [row], header=False))
            self.rows += 1
        else:
            self.replace([*self.read(), row])

    @rank_zero_only
    def keep(self, rows: int | None, then: dict[str, Any] | None = None) -> None:
        """Keep the first rows that an earlier start has logged, drop the others, and perhaps add one.

        Args:
            rows: number of rows to keep; None keeps all.
            then: a row to add.

        Raises:
            Refusal: if the file is not text.
        """
        self.replace([*self.read()[:rows], *([then] if then else [])])

    def read(self) -> list[dict[str, Any]]:
        """Read the rows of the file, except a last one that was cut off."""
        if not self.file.exists():
            return []
        whole, end, _ = read_text(self.file, "remove it to go on without the curves so far").rpartition("\n")
        return [{k: v for k, v in row.items() if k and v} for row in csv.DictReader(io.StringIO(whole + end))]

    def replace(self, rows: list[dict[str, Any]]) -> None:
        """Replace the file by one with these rows."""
        self.columns, self.rows = sorted({name for row in rows for name in row}), len(rows)
        if rows:
            write_text(self.file, as_csv(self.columns, rows))
        else:
            self.file.unlink(missing_ok=True)


def as_csv(columns: list[str], rows: list[dict[str, Any]], header: bool = True) -> str:
    """Format rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class ResumableCurves(pl.Callback):
    """Make the CSV file of a resumed run look as if there had been no interruption.

    Rows that were logged after the checkpoint are dropped, since those steps are repeated. The row of an epoch or step
    is logged after its checkpoint has been saved, so the checkpoint carries that row.
    """

    def __init__(self) -> None:
        self.epoch_ends = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Empty the file if the training starts from the beginning."""
        if trainer.ckpt_path is None:
            self.keep(trainer, {"rows": 0})

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Note that an epoch has begun."""
        self.epoch_ends = False

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that the epoch's last checkpoint carries its row."""
        self.epoch_ends = True

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Store the number of rows in the file, and the row that is logged next."""
        row: dict[str, Any] | None = None
        logged = position.ends_step(trainer) and not position.accumulating(trainer)
        logged &= bool(trainer._logger_connector.should_update_logs)
        if (self.epoch_ends or logged) and loggers(trainer):  # in all processes, as metrics may gather from all
            metrics = convert_tensors_to_scalars(trainer._logger_connector.metrics["log"])
            step = trainer.fit_loop.epoch_loop._batches_that_stepped - self.epoch_ends
            row = {"step": step, "epoch": trainer.current_epoch, **metrics} if metrics else None
        for logger in loggers(trainer):
            checkpoint[KEY] = {"rows": logger.rows, "then": row}

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Cut the file back to the rows that the checkpoint knows."""
        if trainer.state.fn == "fit":
            match checkpoint.get(KEY):
                case {"rows": int() | None as rows, "then": dict() | None as then}:
                    self.keep(trainer, {"rows": rows, "then": then})
                case {"rows": int(rows)}:
                    self.keep(trainer, {"rows": rows})
                case _:  # older checkpoints store nothing
                    self.keep(trainer, {"rows": None})

    def keep(self, trainer: Any, state: dict[str, Any]) -> None:
        """Cut the files of all CSV loggers back to a state that a checkpoint stores."""
        for logger in loggers(trainer):
            logger.keep(**state)


def loggers(trainer: Any) -> list[CSVCurves]:
    """Return a trainer's CSV loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, CSVCurves)]
