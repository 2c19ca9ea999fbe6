"""Classify images."""

import csv
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.table import Table
from torch import Tensor

from scalian_exp.actions.action import Action, data_of, image_from, save_figure, spread
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.figures.colours import BLUE
from scalian_exp.figures.grids import show, to_array
from scalian_exp.ranges import PositiveInt
from scalian_exp.tasks.capabilities import Classifies
from scalian_exp.tasks.offers import offers


class Classify(Action):
    """Class probabilities of an image file, or of test images beside their true class.

    Writes classes.csv and classes.png and prints a table, the most probable classes first.

    Args:
        image: an image file, scaled and cropped as in training; without it, test images.
        count: number of test images.
        most: number of most probable classes that the figure shows for each image; classes.csv has all.
    """

    def __init__(self, image: str | None = None, count: PositiveInt = 10, most: PositiveInt = 5):
        self.image, self.count, self.most = image, count, most

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Classify the images and write the table and the figure."""
        data = data_of(model)
        batch = spread(model, data, self.count) if self.image is None else {"image": image_from(model, self.image)}
        names = [called(model.task.class_names, k) for k in range(model.task.network.num_classes)]
        network = model.task.network
        x = model.task.inputs(batch)
        logits = network.classify(x) if offers(network, Classifies) else network(x)
        probabilities = torch.softmax(logits.float(), 1).cpu()
        truths = [names[label] for label in batch["label"].tolist()] if "label" in batch else [""]
        ordered = [[(names[k], float(row[k])) for k in row.argsort(descending=True).tolist()] for row in probabilities]
        print_classes(ordered, truths)
        figure = answers(batch["image"], ordered, truths, self.most)
        return [write(folder / "classes.csv", ordered, truths), save_figure(figure, folder / "classes.png", model)]


Ordered = list[list[tuple[str, float]]]
"""For each image its classes with their probabilities, the most probable first."""


def print_classes(ordered: Ordered, truths: list[str]) -> None:
    """Print all classes of a single image, or the three most probable of each of several."""
    if len(ordered) == 1:
        table = Table("class", "probability")
        for name, probability in ordered[0]:
            table.add_row(name, percent(probability))
    else:
        table = Table("image", "truth", "most probable classes")
        for number, (classes, truth) in enumerate(zip(ordered, truths, strict=True)):
            best = ", ".join(f"{name} {percent(probability)}" for name, probability in classes[:3])
            table.add_row(str(number), truth, best)
    display(table)


def percent(probability: float) -> str:
    """Format a probability as a percentage."""
    return f"{100 * probability:.1f} %"


def write(file: Path, ordered: Ordered, truths: list[str]) -> Path:
    """Write a CSV file with a line for each class of each image, and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "truth", "rank", "class", "probability"])
        for number, (classes, truth) in enumerate(zip(ordered, truths, strict=True)):
            for rank, (name, probability) in enumerate(classes, start=1):
                writer.writerow([number, truth, rank, name, f"{probability:.6g}"])
    return file


def answers(images: Tensor, ordered: Ordered, truths: list[str], most: int) -> Figure:
    """Draw each image with its true class, above bars of its most probable classes."""
    columns = min(5, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(max(4, 2.6 * columns), 4.4 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.6, 1] * rows)
    for axes in grid.flat:
        axes.set_visible(False)
    for number, (image, classes, truth) in enumerate(zip(images, ordered, truths, strict=True)):
        above, below = grid[2 * (number // columns) :, number % columns][:2]
        above.set_visible(True)
        below.set_visible(True)
        show(above, to_array(image), f"truth: {truth}" if truth else "")
        shown = classes[:most][::-1]
        colours = [BLUE if name == truth or not truth else "0.6" for name, _ in shown]
        below.barh([name for name, _ in shown], [probability for _, probability in shown], color=colours)
        below.set(xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="probability")
        below.tick_params(labelsize="small")
    figure.suptitle("the most probable classes" + ("; blue: the true one" if any(truths) else ""))
    return figure
