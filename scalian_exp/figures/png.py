"""Figures as PNG files."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def as_png(figure: Figure, dpi: int = 100) -> bytes:
    """Draw a figure as the contents of a PNG file, with this number of pixels per inch.

    `Figure.savefig` draws a figure with a layout twice, once only to lay it out, and compresses for as long again.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    file = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(file, "PNG", compress_level=1, dpi=(dpi, dpi))
    return file.getvalue()
