"""Recompute the test metrics of a trained model."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from scalian_exp.actions.action import Action, data_of
from scalian_exp.actions.scales import at_scales, described
from scalian_exp.build import build
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.checkpoint import Loaded
from scalian_exp.files import write_text
from scalian_exp.folders import METRICS
from scalian_exp.ranges import PositiveFloat
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import print_table
from scalian_exp.vocabulary.callback_checks import named_nodes
from scalian_exp.vocabulary.checks import check_arguments

log = logging.getLogger(__name__)

JUDGE = "scalian_exp.callbacks.sample_quality.SampleQuality"
OF_A_TEST = ("precision", "limit_test_batches", "deterministic", "inference_mode")
"""options of the trainer by which a test may give other values"""


class Evaluate(Action):
    """All metrics of the task on the test split, as at the end of training, and those of callbacks=sample_quality.

    Other callbacks aren't called, and costs and times aren't measured.

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
            callbacks=[SeededEpochs(model.config["seed"]), *judges(model)],
            **{name: value for name, value in model.config["trainer"].items() if name in OF_A_TEST},
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


def judges(model: Loaded) -> list[Any]:
    """Build the callbacks that judged a run's samples at its test; none, with a warning, if a judge is gone."""
    nodes = {
        name: node for name, node in named_nodes(model.config, "callbacks").items() if node.get("_target_") == JUDGE
    }
    try:
        check_arguments({"callbacks": nodes})
        return [build(f"callbacks.{name}", node, trust=model.trust) for name, node in nodes.items()]
    except Refusal as refusal:
        log.warning("the samples aren't judged: %s", refusal)
        return []
