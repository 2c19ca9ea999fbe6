"""Score a segmentation of objects at several thresholds, as the ISBI 2012 challenge does.

    python scripts/thresholds.py RUN

A pixel belongs to an object if the probability of the class of objects exceeds the threshold. For each threshold, the
table has the means over the test images of pixel error, adapted Rand error and variation of information. The challenge
takes the lowest value of each over all thresholds of the scored images; a threshold that is chosen on validation images
instead gives the scores of an independent test. Both are below the table.
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from scalian_exp.actions.action import data_of, prepared
from scalian_exp.batches import VOID
from scalian_exp.checkpoint import Loaded, load
from scalian_exp.metrics.objects import rand_error, variation_of_information
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import quiet
from scalian_exp.tasks.segmentation import Segmentation

THRESHOLDS = tuple(step / 10 for step in range(1, 10))
MEASURES = ("pixel error", "rand error", "variation of information")


@torch.no_grad()
def errors(model: Loaded, object_class: int, split: str) -> Tensor:
    """Return the means of the measures over a split at each threshold, (thresholds, measures)."""
    data = data_of(model)
    parts = []
    for indices in torch.arange(len(data.splits[split])).split(2):
        batch = prepared(model, data, data.splits[split][indices])
        probability = model.task.logits(batch["image"]).float().softmax(1)[:, object_class]
        labelled, true = batch["mask"] != VOID, batch["mask"] == object_class
        parts.append(torch.stack([measured(probability > each, true, labelled) for each in THRESHOLDS], 1))
    return torch.cat(parts).mean(0)


def measured(inside: Tensor, true: Tensor, labelled: Tensor) -> Tensor:
    """Return the measures of each image, (B, measures), for masks (B, H, W): found, true and labelled pixels."""
    wrong = ((inside != true) & labelled).sum((1, 2)) / labelled.sum((1, 2)).clamp_min(1)  # all may be void
    return torch.stack([wrong, *(metric(inside, true, 1) for metric in (rand_error, variation_of_information))], 1)


def main() -> None:
    """Score a run at every threshold and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder or checkpoint of a segmentation model")
    arguments = parser.parse_args()
    quiet()
    try:
        model = load(arguments.run)
    except Refusal as error:
        raise SystemExit(str(error)) from error
    if not isinstance(model.task, Segmentation) or model.task.object_class is None:
        raise SystemExit(f"{arguments.run} is not a segmentation with dataset.object_class, the class of its objects.")
    validation, test = (errors(model, model.task.object_class, split) for split in ("val", "test"))
    table = Table("threshold", *MEASURES, title=f"Test images of {Path(arguments.run).name}")
    for threshold, values in zip(THRESHOLDS, test, strict=True):
        table.add_row(f"{threshold:.1f}", *(f"{value:.4f}" for value in values))
    table.add_section()
    table.add_row("lowest", *(f"{value:.4f}" for value in test.amin(0)))
    chosen = test.gather(0, validation.argmin(0, keepdim=True))[0]
    table.add_row("chosen on validation", *(f"{value:.4f}" for value in chosen))
    Console().print(table)


if __name__ == "__main__":
    main()
