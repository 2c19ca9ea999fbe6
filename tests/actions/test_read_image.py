"""The script beside an export reads image files as this package does."""

import runpy
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalian_exp.actions.export import SCRIPTS
from scalian_exp.datasets.image_files import opened, seen

KINDS = ["ramp.png", "ramp.pgm", "ramp.tif", "twelve_bits.tif", "lab.tif", "transparent.png", "palette.gif", "cmyk.jpg"]
BACKGROUND = (0, 128, 255)


def ramp(folder: Path, kind: str) -> Path:
    """Write a ramp of greys, in formats some of which Pillow alone would show white, black, or not at all."""
    file = folder / kind
    grey = np.linspace(0, 1, 28 * 28).reshape(28, 28)
    if kind == "twelve_bits.tif":
        packed = (grey * 4095).astype(np.uint16).reshape(-1, 2)
        triples = [packed[:, 0] >> 4, (packed[:, 0] & 15) << 4 | packed[:, 1] >> 8, packed[:, 1] & 255]
        write_tiff(file, np.stack(triples, 1).astype(np.uint8).tobytes(), bits=12)
    elif kind == "lab.tif":
        Image.fromarray(np.stack([grey * 255, grey * 0, grey * 0], -1).astype(np.uint8), "LAB").save(file)
    elif kind == "transparent.png":
        Image.fromarray((grey * 65535).astype(np.uint16)).save(file, transparency=0)
    elif kind in ("palette.gif", "cmyk.jpg"):
        mode = {"palette.gif": "P", "cmyk.jpg": "CMYK"}[kind]
        Image.fromarray((grey * 255).astype(np.uint8)).convert("RGB").convert(mode).save(file)
    else:
        Image.fromarray((grey * 65535).astype(np.uint16)).save(file)
    return file


def write_tiff(file: Path, pixels: bytes, bits: int) -> None:
    """Write an uncompressed grey TIFF of 28 × 28 pixels."""
    tags = {256: 28, 257: 28, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 28, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    file.write_bytes(header + pixels + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0))


@pytest.mark.parametrize("channels", [["grey"], ["red", "green", "blue"]])
@pytest.mark.parametrize("kind", KINDS)
def test_the_script_reads_what_training_reads(kind: str, channels: list[str], tmp_path: Path) -> None:
    read = runpy.run_path(str(SCRIPTS / "read_image.py"))["read"]
    file = ramp(tmp_path, kind)
    alone = np.asarray(read(str(file), {"background": BACKGROUND, "input_channels": channels}))
    with opened(file) as image:
        ours = np.asarray(seen(image, len(channels), BACKGROUND))
    assert np.array_equal(alone, ours)
    assert alone.min() < 40
    assert alone.max() > 215
