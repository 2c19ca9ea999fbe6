"""End the hopeless trials of a search early."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from scalian_exp.refusal import Refusal
from scalian_exp.search import PRUNED, STUDY
from scalian_exp.summary import job_number


class Pruning(pl.Callback):
    """Tells the search every validation's value, and ends the training where the search's pruner says so.

    Raises:
        Refusal: if the run belongs to no search.
    """

    def __init__(self, folder: Path, monitor: str):
        self.monitor = monitor
        file = folder.parent / STUDY
        if not file.exists():
            raise Refusal("callbacks=pruning is for trials of a search: add -m hydra/sweeper=optuna, or leave it out.")
        self.where, self.number = json.loads(file.read_text()), job_number(folder)

    def on_validation_end(self, trainer: Any, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        import optuna
        from hydra.utils import instantiate

        pruner = instantiate(self.where["pruner"]) or optuna.pruners.NopPruner()
        study = optuna.load_study(study_name=self.where["study_name"], storage=self.where["storage"], pruner=pruner)
        trial = optuna.trial.Trial(study, study.trials[self.number]._trial_id)
        trial.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
        if trial.should_prune():
            trial.set_user_attr(PRUNED, True)
            trainer.should_stop = True
