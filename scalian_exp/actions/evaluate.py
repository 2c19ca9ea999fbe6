"""Recompute the test metrics of a trained model."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

from scalian_exp.actions.action import Action, data_of
from scalian_exp.actions.scales import at_scales, described
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.checkpoint import Loaded
from scalian_exp.files import write_text
from scalian_exp.folders import METRICS
from scalian_exp.ranges import PositiveFloat
from scalian_exp.run.record import print_table


class Evaluate(Action):
    """All metrics on the test split, exactly as at the end of training.

    Args:
        scales: of segmentation networks: scales of the images over which class probabilities are averaged.
        flip: of segmentation networks: average over left-right mirror images, too.
    """

    def __init__(self, scales: Sequence[PositiveFloat] = (1,), flip: bool = False):
        self.scales, self.flip = scales, flip

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Test the model, print the metrics and write them to metrics.json.

        Raises:
            Refusal: if the network can't see images at these scales.
        """
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
        facts = model.config["dataset"]
        with at_scales(model, self.scales, self.flip, facts.get("image_size", ()), facts["batch_size"]):
            metrics = trainer.test(model.task, data_of(model), verbose=False)[0]
        averaged = described(self.scales, self.flip)
        print_table(f"Test{averaged}", metrics)
        file = folder / METRICS
        seen = {"scales": list(self.scales), "flip": self.flip} if averaged else {}
        write_text(file, json.dumps({**metrics, **seen}, indent=2) + "\n")
        return [file]
