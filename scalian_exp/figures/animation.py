"""Animations as GIF files that a room can follow: large enough, slow enough, and with a caption on each frame."""

import io
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from scalian_exp.figures.grids import tile

WIDTH = 480
"""of a GIF, in pixels, unless its pictures are wider"""
TOTAL, SHORTEST, LONGEST, LAST = 12_000, 200, 600, 2_500
"""milliseconds: of the animation, unless frames would be shorter or longer than these, and of the last frame"""
LETTERS, LINE, MARGIN = 14, 19, 6
"""heights of a caption's letters and lines, and the margin around it, in pixels"""


def durations(frames: int) -> list[int]:
    """Return for how many milliseconds each of the frames is shown; the last one stays."""
    return [min(LONGEST, max(SHORTEST, TOTAL // frames))] * (frames - 1) + [LAST]


def fitting(columns: int, width: int) -> int:
    """Return the factor, at least 1, that enlarges images in a row of `columns` to the width of a GIF."""
    return max(1, (WIDTH - columns + 1) // (columns * width))


def still(images: Tensor, columns: int) -> Image.Image:
    """Return a grid of images (N, C, H, W) in [0, 1] as a picture, enlarged by a whole number so that pixels stay."""
    array = (tile(images, columns) * 255).round().astype(np.uint8)
    factor = max(1, WIDTH // array.shape[1])
    return Image.fromarray(array.repeat(factor, 0).repeat(factor, 1))


def captioned(picture: Image.Image, title: str, caption: str) -> Image.Image:
    """Put a picture below a title in grey and a caption in black, on a white page at least as wide as a GIF."""
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), LETTERS)
    width = max(WIDTH, picture.width)
    most = int((width - 2 * MARGIN) / font.getlength("n"))
    lines = [*((line, "dimgrey") for line in wrap(title, most)), *((line, "black") for line in wrap(caption, most))]
    top = 2 * MARGIN + LINE * len(lines)
    page = Image.new("RGB", (width, top + picture.height), "white")
    for number, (line, colour) in enumerate(lines):
        ImageDraw.Draw(page).text((MARGIN, MARGIN + LINE * number), line, colour, font)
    page.paste(picture, ((width - picture.width) // 2, top))
    return page


def as_gif(pictures: Iterable[tuple[str, Tensor]], title: str, columns: int) -> bytes:
    """Return the contents of a GIF file that shows grids of images one after the other, for ever.

    Args:
        pictures: for each frame its caption and its images (N, C, H, W) in [0, 1].
        title: above all captions.
        columns: images in a row of the grid.
    """
    first, *others = [captioned(still(images, columns), title, caption) for caption, images in pictures]
    file = io.BytesIO()
    lasting = durations(1 + len(others))
    first.save(file, "GIF", save_all=True, append_images=others, duration=lasting, loop=0)
    return file.getvalue()
