"""Stop the unpromising trials of a search early."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from scalian_exp.build import built
from scalian_exp.files import read_json
from scalian_exp.folders import PRUNED, STUDY, job_number
from scalian_exp.refusal import Refusal
from scalian_exp.study_database import database_failures_refused


class Pruning(pl.Callback):
    """Report each validation's value to the search, and end the training if the search's pruner decides so.

    Raises:
        Refusal: if the run belongs to no search.
    """

    def __init__(self, folder: Path, monitor: str):
        self.monitor = monitor
        file = folder.parent / STUDY
        if not file.exists():
            raise Refusal("callbacks=pruning is for trials of a search: add -m hydra/sweeper=optuna, or leave it out.")
        self.where, self.number = read_json(file), job_number(folder)

    def setup(self, trainer: Any, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse validations inside epochs: the search compares trials epoch by epoch, and keeps one value of each.

        Raises:
            Refusal: if there are any.
        """
        if trainer.check_val_every_n_epoch is None or trainer.val_check_interval not in (None, 1.0):
            raise Refusal(
                "callbacks=pruning compares trials at the ends of epochs: leave out trainer.val_check_interval and "
                "trainer.check_val_every_n_epoch=null, or the pruning."
            )

    def on_validation_end(self, trainer: Any, pl_module: pl.LightningModule) -> None:
        """Report the monitored value, and stop all processes if the trial is pruned."""
        if trainer.sanity_checking:
            return
        hopeless = False
        if trainer.is_global_zero:
            with database_failures_refused(self.where["storage"]):
                hopeless = self.report(trainer)
        trainer.should_stop |= trainer.strategy.broadcast(hopeless)

    def report(self, trainer: Any) -> bool:
        """Report the monitored value to the search, and return whether the pruner ends the trial."""
        import optuna

        pruner = built(self.where["pruner"]) or optuna.pruners.NopPruner()
        study = optuna.load_study(study_name=self.where["study_name"], storage=self.where["storage"], pruner=pruner)
        trial = optuna.trial.Trial(study, study.trials[self.number]._trial_id)
        trial.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
        if hopeless := trial.should_prune():
            trial.set_user_attr(PRUNED, True)
        return hopeless
