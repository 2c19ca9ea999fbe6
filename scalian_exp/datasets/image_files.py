"""Read image files: images to train on, masks, and images given to actions.

Images are read as a viewer shows them: upright, transparent pixels on a background, 16 bits scaled to 8, one page of a
stack or animation at a time.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from scalian_exp.datasets.pillow_palettes import restore_palette
from scalian_exp.refusal import Refusal

Fit = Literal["crop", "resize", "pad"]
WHITE = (255, 255, 255)
LARGEST, MAXVAL = "scalian_exp largest", "scalian_exp maxval"
"""Keys in Image.info: the largest possible pixel value, and the value in the file that Pillow scales to it."""
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow recognises but can't decode, and EPS, for which it runs another program."""
ONE_PICTURE = {"MPO", "PSD"}
"""Formats whose further frames are previews, gain maps or layers."""
BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)

Image.init()
FORMATS = sorted(Image.OPEN.keys() - NOT_READ, key=lambda name: (name not in ("JPEG", "PNG"), name))
"""Formats in the order in which they are tried, the common ones first."""
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO")}
"""Lower-case suffixes of the files taken for images."""


class Picture(NamedTuple):
    """An image file, or one frame of it."""

    path: Path
    frame: int = 0


def names_below(root: Path, pictures: Sequence[Picture]) -> list[str]:
    """Name pictures by their paths below a folder; pages of a file with several end in `#0`, `#1` and so on."""
    pages = Counter(picture.path for picture in pictures)
    numbers: Counter[Path] = Counter()
    names = []
    for path, _ in pictures:
        page = f"#{numbers[path]}" if pages[path] > 1 else ""
        numbers[path] += 1
        names.append(path.relative_to(root).as_posix() + page)
    return names


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn any error of Pillow's about an unreadable file into a Refusal.

    Raises:
        Refusal: if the file is missing, not a regular file, or can't be read.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a FIFO would wait forever
        raise Refusal(f"{path} is not a regular file; give an image file.")
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal(f"There is no image file {path}.") from error
    except IsADirectoryError as error:
        raise Refusal(f"{path} is a folder, not an image; give a file inside it.") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise Refusal(f"{path} has more pixels than Pillow reads ({most:,}); scale it down or crop it.") from error
    except (*BROKEN, struct.error, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Refusal(f"{path} can't be read as an image ({reason}); repair or replace it.") from error


def pages(path: Path) -> list[int]:
    """Return the frame numbers of a file's separate pictures: pages of a TIFF stack, frames of an animation.

    Smaller copies, masks and previews are left out. Only headers are read.

    Raises:
        Refusal: if the file is not an image.
    """
    with readable(path), Image.open(path, formats=FORMATS) as image:
        count = getattr(image, "n_frames", 1)
        if count == 1 or image.format in ONE_PICTURE:
            return [image.tell()]
        if image.format == "PNG" and image.info.get("default_image"):
            return list(range(1, count))  # the first is for viewers without animation
        if image.format != "TIFF":
            return list(range(count))
        return [frame for frame in range(count) if not is_accessory(image, frame)] or [0]


def is_accessory(tiff: Image.Image, frame: int) -> bool:
    """Return whether a TIFF page is a smaller copy or transparency mask of another (tag 254, bits 0 and 2)."""
    tiff.seek(frame)
    kind: int = tiff.tag_v2.get(254, 0)  # type: ignore[attr-defined]
    return bool(kind & 0b101)


def chosen(name: str) -> Picture:
    """Parse the name of a picture: a file, or `stack.tif#3` for one of its pages, counted from 0.

    Raises:
        Refusal: if there is no such page, or if there are several and none is named.
    """
    path, hash_mark, number = name.rpartition("#")
    if Path(name).exists() or not hash_mark or not number.isdecimal():
        path, number = name, ""
    frames = pages(Path(path))
    last = len(frames) - 1
    if number and int(number) > last:
        raise Refusal(f"{path} has no page {number}; its pages are counted from 0 to {last}.")
    if last and not number:
        raise Refusal(f"{path} has {last + 1} pages; choose one, counted from 0: '{path}#0' to '{path}#{last}'.")
    return Picture(Path(path), frames[int(number or 0)])


@contextmanager
def opened(path: Path, frame: int = 0) -> Iterator[Image.Image]:
    """Open a picture, decoded and upright.

    Raises:
        Refusal: if the file is not a readable image, or if the with block raises a ValueError.
    """
    with readable(path):
        with Image.open(path, formats=FORMATS) as image:
            if frame != image.tell():
                image.seek(frame)
            facts = facts_of(image)
            restore_palette(image)
            image.load()
        ImageOps.exif_transpose(image, in_place=True)  # in place, so that an upright picture isn't copied
        image.info.update(facts)
    try:
        yield image
    except ValueError as error:
        raise Refusal(f"{path} can't be read as an image ({error}); repair or replace it.") from error


def facts_of(image: Image.Image) -> dict[str, Any]:
    """Return what is known about pixel values only before decoding: LARGEST, MAXVAL and the transparent value.

    The transparent value is scaled like the pixels: Pillow scales those, but not this number.
    """
    facts: dict[str, Any] = {}
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        bits = image.tag_v2.get(258, (16,))[0] if image.format == "TIFF" else 16  # type: ignore[attr-defined]
        facts[LARGEST] = 2 ** int(bits) - 1
    tiles: Any = getattr(image, "tile", None)
    layout = tiles[0].args if tiles else None
    if image.format == "PPM" and isinstance(layout, tuple) and isinstance(layout[-1], int):
        facts[MAXVAL] = layout[-1]
    hidden = image.info.get("transparency")
    if layout in ("L;2", "L;4") and isinstance(hidden, int):
        facts["transparency"] = hidden * {"L;2": 85, "L;4": 17}[layout]
    if layout == "RGB;16B" and isinstance(hidden, tuple):
        facts["transparency"] = tuple(value >> 8 for value in hidden)
    return facts


def in_eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey images of up to 16 bits to 8, where Pillow would clip them to white; others stay as they are.

    Raises:
        ValueError: if the pixels have 32 bits, whose range is unknown.
    """
    largest = image.info.get(LARGEST, 65535 if image.mode.startswith("I;16") else None)
    if largest is None:
        if image.mode in ("I", "F"):
            raise ValueError(f"its pixels have 32 bits (mode {image.mode}); save it with 8 or 16")
        return image
    values = np.asarray(image).astype(np.int64)
    scaled = Image.fromarray((values * 256 // (largest + 1)).clip(0, 255).astype(np.uint8))
    if isinstance(hidden := image.info.get("transparency"), int):
        scaled.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return scaled


def on_background(image: Image.Image, background: Sequence[int] = WHITE) -> Image.Image:
    """Composite an 8-bit image with transparency onto a background colour."""
    if not image.has_transparency_data:
        return image
    ground = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def seen(image: Image.Image, channels: int, background: Sequence[int] = WHITE) -> Image.Image:
    """Convert an image to what a viewer shows, at its original size: grey (L) with one channel, otherwise RGB.

    Transparency is removed before any scaling, so that hidden colours don't bleed into edges.

    Raises:
        ValueError: if the range of its values is unknown.
    """
    flat = on_background(in_eight_bits(image), background)
    if flat.mode == "LAB":
        flat = flat.convert("RGB")
    mode = "L" if channels == 1 else "RGB"
    return flat if flat.mode == mode else flat.convert(mode)


def fitted(image: Image.Image, size: tuple[int, int], fit: Fit, resampling: Image.Resampling, fill: int) -> Image.Image:
    """Bring an image to a size (width, height).

    crop: scale it to cover the size, then crop the centre. resize: scale it to the size, ignoring proportions. pad:
    scale it to fit inside, and fill the rest.
    """
    if fit == "pad":
        return ImageOps.pad(image, size, resampling, color=fill)
    scale = ImageOps.fit if fit == "crop" else Image.Image.resize
    return scale(image, size, resampling)


def pixels(image: Image.Image, shape: tuple[int, int, int], fit: Fit, background: Sequence[int] = WHITE) -> Tensor:
    """Convert an image to a uint8 tensor of this shape (C, H, W), grey or RGB."""
    channels, height, width = shape
    flat = seen(image, channels, background)
    return pil_to_tensor(fitted(flat, (width, height), fit, Image.Resampling.BILINEAR, fill=0))


def read_image(
    path: Path, shape: tuple[int, int, int], fit: Fit, background: Sequence[int] = WHITE, frame: int = 0
) -> Tensor:
    """Read a picture as a uint8 tensor of this shape (C, H, W), grey or RGB.

    Raises:
        Refusal: if the file is not a readable image.
    """
    with opened(path, frame) as image:
        return pixels(image, shape, fit, background)
