"""Plain curves."""

from collections.abc import Sequence

from matplotlib.figure import Figure


def curve(x: Sequence[float], y: Sequence[float], xlabel: str, ylabel: str, title: str = "") -> Figure:
    """Plot y over x as a line with markers."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(x, y, marker="o")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure
