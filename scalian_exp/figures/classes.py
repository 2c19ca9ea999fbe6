"""Figures of what a classifier confuses."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.batches import called
from scalian_exp.figures.grids import show, to_array


def confusion_matrix(counts: Tensor, names: Sequence[str] | None = None, unit: str = "images") -> Figure:
    """Draw a confusion matrix, with true classes as rows and predicted classes as columns.

    Cells are coloured by their share of the row. Up to 20 classes, they also hold numbers: counts or, if those have
    many digits, per cent of the row.

    Args:
        counts: (classes, classes).
        names: of the classes.
        unit: what was counted.
    """
    classes = len(counts)
    share = counts / counts.sum(1, keepdim=True).clamp_min(1)
    numbered = classes <= 20
    cell = 0.55 if numbered else 0.26
    figure = Figure(figsize=(2.2 + cell * classes, 1.2 + cell * classes), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(share.cpu().numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, label=f"share of the true class's {unit}", shrink=0.8)
    ticks = [called(names, index) for index in range(classes)]
    axes.set_xticks(range(classes), ticks, rotation=45 if numbered else 90, ha="right" if numbered else "center")
    axes.set_yticks(range(classes), ticks)
    if not numbered:
        axes.tick_params(labelsize="small")
        axes.set_xticks([k - 0.5 for k in range(1, classes)], minor=True)  # lines that the eye can follow
        axes.set_yticks([k - 0.5 for k in range(1, classes)], minor=True)
        axes.grid(which="minor", color="0.85", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    long = int(counts.max()) >= 100_000
    axes.set(xlabel="predicted class", ylabel="true class")
    correct = float(counts.diagonal().sum() / counts.sum().clamp_min(1))
    total = f"confusion matrix of {int(counts.sum()):,} {unit}: {100 * correct:.1f} % correct"
    inside = f"numbers: % of the true class's {unit}" if long else f"numbers: {unit}"
    figure.suptitle(f"{total}\n{inside}" if numbered else total)
    if numbered:
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
    figure = Figure(figsize=(10, 2.9 * rows), layout="constrained")
    figure.suptitle(f"{len(chosen)} of {len(wrong)} mistakes among {len(images)} examples, the surest first")
    for axes, index in zip(figure.subplots(rows, 5, squeeze=False).flat, chosen, strict=False):
        truth, guess = called(names, int(labels[index])), called(names, int(predicted[index]))
        title = f"{truth},\ntaken for {guess}\n({100 * float(surest[index]):.0f} % sure)"
        show(axes, to_array(images[index]), title)
        axes.title.set_fontsize("medium")
    for axes in figure.axes[len(chosen) :]:
        axes.set_visible(False)
    return figure
