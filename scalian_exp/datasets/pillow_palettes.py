"""Restore the palettes of indexed image files that Pillow drops, or keeps apart from the pixels."""

import struct
from typing import Any

from PIL import ImagePalette


def restore_palette(image: Any) -> None:
    """Make Pillow decode an indexed file as indexed; call between opening and loading it."""
    if image.format in ("BMP", "DIB"):
        restore_greys_of_bmp(image)
    elif image.format == "IM" and image.mode == "L" and (greys := getattr(image, "lut", None)):
        # Pillow decodes the numbers as greys, and leaves the actual greys in `lut`.
        (tile,) = image.tile
        image.tile = [(*tile[:3], ("P", *tile[3][1:]))]
        image._mode, image.palette = "P", ImagePalette.raw("RGB", bytes(grey for grey in greys for _ in "RGB"))


def restore_greys_of_bmp(bmp: Any) -> None:
    """Restore a BMP file's palette of black and white, or of the greys 0, 1, 2, ….

    Pillow drops these palettes and then assumes 1 or 8 bits per pixel, whatever the file has.
    """
    if bmp.mode not in ("1", "L"):
        return
    start = 14 if bmp.format == "BMP" else 0
    bmp.fp.seek(start)
    header = bmp.fp.read(16)
    (bits,) = struct.unpack_from("<H", header, 10 if header[:4] == b"\x0c\0\0\0" else 14)
    if bits == (1 if bmp.mode == "1" else 8):
        return
    greys = (0, 255) if bmp.mode == "1" else range(2**bits)
    bmp._mode, bmp.palette = "P", ImagePalette.raw("RGB", bytes(grey for grey in greys for _ in "RGB"))
    decoder, box, offset, layout = bmp.tile[0]
    if decoder == "raw":
        layout = ("P" if bits == 8 else f"P;{bits}", *layout[1:])
    bmp.tile = [(decoder, box, offset, layout)]
