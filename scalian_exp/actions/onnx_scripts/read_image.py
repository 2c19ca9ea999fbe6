"""Read image files as the images that the network learned from were read. Needs NumPy and Pillow alone."""

import struct
import sys
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageOps

BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def read(path: str, facts: dict[str, Any]) -> Image.Image:
    """Return an image upright, in 8 bits and without transparency, in grey or RGB as the network's facts say."""
    try:
        image: Any = Image.open(path)
        bits = image.tag_v2.get(258, (16,))[0] if image.format == "TIFF" else 16
        deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
        image = ImageOps.exif_transpose(image)
    except (*BROKEN, Image.DecompressionBombError) as error:
        sys.exit(f"{path}: {error}")
    if deep:
        image = in_eight_bits(image, bits)
    elif image.mode in ("I", "F"):
        sys.exit(f"{path}: its pixels have 32 bits, whose range is unknown; save it with 8 or 16")
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, (*facts["background"], 255))
        image = Image.alpha_composite(background, image.convert("RGBA"))
    if image.mode == "LAB":
        image = image.convert("RGB")
    return image.convert("L" if len(facts["input_channels"]) == 1 else "RGB")


def in_eight_bits(image: Any, bits: int) -> Image.Image:
    """Scale a grey image of up to 16 bits to 8, where Pillow would clip it to white."""
    values = np.asarray(image).astype(np.int64)
    scaled = Image.fromarray((values * 256 >> bits).clip(0, 255).astype(np.uint8))
    if isinstance(hidden := image.info.get("transparency"), int):
        scaled.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return scaled
