"""Figures of what a classifier confuses."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.grids import show, to_array


def confusion_matrix(counts: Tensor, names: Sequence[str] | None = None, unit: str = "images") -> Figure:
    """Draw a confusion matrix, with true classes as rows and predicted classes as columns.

    Cells are coloured by their share of the row. Counts with many digits are written as per cent of the row.

    Args:
        counts: (classes, classes).
        names: of the classes.
        unit: what was counted.
    """
    classes = len(counts)
    share = counts / counts.sum(1, keepdim=True).clamp_min(1)
    figure = Figure(figsize=(1.5 + 0.6 * classes, 1.2 + 0.55 * classes), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(share.cpu().numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.8)
    ticks = [called(names, index) for index in range(classes)]
    axes.set_xticks(range(classes), ticks, rotation=45, ha="right")
    axes.set_yticks(range(classes), ticks)
    long = int(counts.max()) >= 100_000
    colours_alone = classes > 20
    title = "" if colours_alone else f"% of the true class's {unit}" if long else unit
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if not colours_alone:
        for row in range(classes):
            for column in range(classes):
                if counts[row, column]:
                    color = "white" if share[row, column] > 0.5 else "black"
                    number = f"{100 * share[row, column]:.0f} %" if long else str(int(counts[row, column]))
                    axes.text(column, row, number, ha="center", va="center", color=color, size=8)
    return figure


def mistakes(
    images: Tensor, probabilities: Tensor, labels: Tensor, names: Sequence[str] | None = None, most: int = 10
) -> Figure:
    """Draw the wrong predictions with the highest confidence for images (N, C, H, W); the title says among how many."""
    surest, predicted = probabilities.max(1)
    wrong = torch.nonzero(predicted != labels).flatten()
    chosen = wrong[surest[wrong].argsort(descending=True)[:most]].tolist()
    rows = -(-len(chosen) // 5)
    figure = Figure(figsize=(10, 0.4 + 2.8 * rows), layout="constrained")
    figure.suptitle(f"{len(chosen)} of {len(wrong)} mistakes among {len(images)} examples, the surest first")
    for axes, index in zip(figure.subplots(rows, 5, squeeze=False).flat, chosen, strict=False):
        truth, guess = called(names, int(labels[index])), called(names, int(predicted[index]))
        title = f"{truth},\ntaken for {guess}\n({100 * float(surest[index]):.0f} % sure)"
        show(axes, to_array(images[index]), title)
        axes.title.set_fontsize("small")
    for axes in figure.axes[len(chosen) :]:
        axes.set_visible(False)
    return figure
