"""Search for a CRF's best parameters on the validation images of a run.

    python scripts/tune_crf.py RUN

As in Chen et al. 2016, a coarse search is followed by a fine one around its best result. It includes the weight of the
smoothness kernel, because objects are thin in images smaller than theirs. Only validation images decide; the test
images are used once, at the end. It prints a table, and the command that tests the run with the best CRF.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from scalian_exp.actions.action import data_of, prepared
from scalian_exp.checkpoint import Loaded, load
from scalian_exp.commandline.shell import command, overrides_of_run, shown
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.segmentation import boundary_f1, scores
from scalian_exp.networks.crf import DenseCRF
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import quiet
from scalian_exp.tasks.segmentation import Segmentation
from scalian_exp.vocabulary.grammar import literal

WEIGHTS = (1.0, 3.0, 10.0)
EXTENTS = (0.02, 0.08)
"""range of the appearance kernel, as fractions of the image's diagonal"""
COLOURS = (4.0, 12.0)
SMOOTHNESS = (0.3, 3.0)
TEST_IMAGES = 500
"""maximum number of test images; their logits must fit in memory"""


class Parameters(NamedTuple):
    """The parameters that are searched, under the names of DenseCRF's arguments."""

    appearance_weight: float
    appearance_pixels: float
    appearance_colours: float
    smoothness_weight: float

    @classmethod
    def of(cls, crf: DenseCRF) -> "Parameters":
        """Return the parameters of a CRF."""
        return cls(*(getattr(crf, name) for name in cls._fields))

    def crf(self) -> DenseCRF:
        """Return a CRF with these parameters."""
        return DenseCRF(**self._asdict())


class Score(NamedTuple):
    """The quality of predicted masks."""

    miou: float
    boundary_f1: float


class Answers(NamedTuple):
    """Images (N, C, H, W) with a network's logits (N, K, H, W) and the true masks (N, H, W)."""

    images: Tensor
    logits: Tensor
    masks: Tensor

    def score(self, crf: DenseCRF | None) -> Score:
        """Return the score of the predictions, with a CRF after the network or without one."""
        classes = self.logits.shape[1]
        parts = zip(self.logits.split(8), self.images.split(8), strict=True)
        predicted = torch.cat([(l if crf is None else crf(l, x)).argmax(1) for l, x in parts])  # noqa: E741
        confusion = Confusion(classes)
        confusion.update(predicted, self.masks)
        borders = torch.cat(
            [boundary_f1(p, m, classes) for p, m in zip(predicted.split(8), self.masks.split(8), strict=True)]
        )
        return Score(float(scores(confusion.compute())["miou"]), float(borders.mean()))


@torch.no_grad()
def answers(model: Loaded, split: str, most: int) -> Answers:
    """Run a network on at most this number of images, spread over the split."""
    data = data_of(model)
    count = len(data.splits[split])
    chosen = torch.linspace(0, count - 1, min(most, count)).round().long()
    parts = []
    for indices in chosen.split(8):
        batch = prepared(model, data, data.splits[split][indices])
        parts.append((batch["image"], model.task.logits(batch["image"]).float(), batch["mask"]))
    images, logits, masks = (torch.cat(values) for values in zip(*parts, strict=True))
    return Answers(images, logits, masks)


def around(best: Parameters) -> Iterator[Parameters]:
    """Yield neighbours of the best parameters: each has one of them halved or doubled."""
    for (name, value), factor in product(best._asdict().items(), (0.5, 2.0)):
        yield best._replace(**{name: value * factor})


def search(validation: Answers, diagonal: float) -> Parameters:
    """Return the best parameters by mean IoU, then by boundary F1; the paper's values if none are better."""
    published = Parameters.of(DenseCRF())
    tried: dict[Parameters, Score] = {published: validation.score(published.crf())}
    extents = [extent * diagonal for extent in EXTENTS]
    coarse = [Parameters(*values) for values in product(WEIGHTS, extents, COLOURS, SMOOTHNESS)]
    for values in track(coarse, f"coarse search on {len(validation.images)} validation images"):
        tried[values] = validation.score(values.crf())
    best = max(tried, key=lambda values: tried[values])
    for values in track(list(around(best)), "fine search"):
        tried[values] = validation.score(values.crf())
    return max(tried, key=lambda values: tried[values])


def main() -> None:
    """Run the search and print its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder or checkpoint of a segmentation model")
    parser.add_argument("--images", type=int, default=100, help="validation images to search on (default 100)")
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error("--images: at least one")
    quiet()
    try:
        model = load(arguments.run)
    except Refusal as error:
        raise SystemExit(str(error)) from error
    try:
        overrides = overrides_of_run(model.folder)
    except FileNotFoundError as error:
        raise SystemExit(f"{model.folder} has no .hydra/overrides.yaml; give a complete run folder.") from error
    if not isinstance(model.task, Segmentation):
        raise SystemExit(f"{arguments.run} is not a run of a segmentation model.")
    validation = answers(model, "val", arguments.images)
    height, width = validation.images.shape[-2:]
    diagonal = (height**2 + width**2) ** 0.5
    console = Console()
    best = search(validation, diagonal)
    test = answers(model, "test", TEST_IMAGES)
    table = Table(title=f"CRF after the network of {Path(arguments.run).name}")
    for column in ("", "val mean IoU", "val boundary F1", "test mean IoU", "test boundary F1"):
        table.add_column(column, justify="left" if not column else "right")
    for name, chosen in (("without", None), ("default", DenseCRF()), ("tuned", best.crf())):
        row = [*validation.score(chosen), *test.score(chosen)]
        table.add_row(name, *(f"{value:.4f}" for value in row))
    console.print(table)
    replaced = ("model/crf", "model.crf", "init_from=", "trainer.max_epochs=", "test=")
    again = [override for override in overrides if not override.lstrip("+~").startswith(replaced)]
    tuned = ["model/crf=default", *(f"model.crf.{name}={value:.3g}" for name, value in best._asdict().items())]
    # No further epoch is trained, so that the run's weights are tested as they are.
    start = f"init_from={literal(shown(model.file))}"
    print(
        "To test the run with the tuned CRF:", command("scalian-train", *again, *tuned, start, "trainer.max_epochs=0")
    )


if __name__ == "__main__":
    main()
