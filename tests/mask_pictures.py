"""Indexed pictures as mask files have them, and the classes that they are decoded to."""

import io
from pathlib import Path

from PIL import Image

from scalian_exp.datasets.mask_classes import Classes


def indexed(numbers: list[int], palette: list[list[int]]) -> Image.Image:
    image = Image.new("P", (len(numbers), 1))
    image.putdata(numbers)
    image.putpalette([part for colour in palette for part in colour])
    return image


def saved(image: Image.Image, format: str = "PNG") -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, format)
    return Image.open(stream)


def decoded(image: Image.Image, classes: Classes) -> list[int]:
    return classes(image, Path("a.png")).classes[0].tolist()
