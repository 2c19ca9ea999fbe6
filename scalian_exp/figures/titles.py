"""Titles of figures: what is seen, and in which run."""

from textwrap import wrap

from matplotlib.figure import Figure

SIZE = 11
"""of a title's letters, in points"""
CHARACTER, LINE = 0.52 * SIZE / 72, 1.3 * SIZE / 72
"""mean width of its characters and height of its lines, in inches"""


def titled(figure: Figure, run: str) -> Figure:
    """Add the run to a figure's title, which says what is seen, and make the figure taller by the title's height.

    Args:
        figure: a figure with a layout, which makes room for titles.
        run: names of the model and the data set, perhaps of the split.
    """
    width, height = figure.get_size_inches()
    lines = [each for text in (figure.get_suptitle(), run) for each in wrapped(text, width)]
    figure.set_size_inches(width, height + LINE * len(lines))
    figure.suptitle("\n".join(lines), fontsize=SIZE)
    return figure


def wrapped(text: str, width: float) -> list[str]:
    """Break a text into lines that fit into a width in inches."""
    return [line for part in text.splitlines() for line in wrap(part, int(width / CHARACTER))]
