"""Recompute the test metrics of a trained model."""

import json
from pathlib import Path

import pytorch_lightning as pl

from scalian_exp.actions.action import Action, data_of
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.checkpoint import Loaded
from scalian_exp.files import write_text
from scalian_exp.folders import METRICS
from scalian_exp.run.record import print_table


class Evaluate(Action):
    """All metrics on the test split, exactly as at the end of training."""

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Test the model, print the metrics and write them to metrics.json."""
        trainer = pl.Trainer(
            accelerator=model.task.device.type,
            devices=1 if model.task.device.type == "cpu" else [model.task.device.index or 0],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(folder),
            precision=model.config["trainer"]["precision"],
            limit_test_batches=model.config["trainer"]["limit_test_batches"],
            callbacks=[SeededEpochs(model.config["seed"])],
        )
        metrics = trainer.test(model.task, data_of(model), verbose=False)[0]
        print_table("Test", metrics)
        file = folder / METRICS
        write_text(file, json.dumps(dict(metrics), indent=2) + "\n")
        return [file]
