"""Image files are read as an image viewer shows them."""

import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scalian_exp.actions.action import image_from
from scalian_exp.datasets.image_files import Picture, chosen, opened, pages, read_image
from scalian_exp.refusal import Refusal


def png(file: Path, bits: int, kind: int, row: bytes, transparent: bytes) -> Path:
    """Write a PNG of two pixels with a tRNS chunk, at a bit depth that Pillow doesn't write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", 2, 1, bits, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return file


def grey(file: Path, background: tuple[int, int, int] = (255, 255, 255)) -> list[int]:
    """Read the two pixels of a file."""
    return read_image(file, (1, 1, 2), "resize", background).flatten().tolist()


def test_colours_under_transparent_pixels_are_not_seen(tmp_path: Path) -> None:
    disk = np.zeros((32, 32, 4), np.uint8)
    disk[8:24, 8:24] = (255, 0, 0, 255)
    images = []
    for hidden in ((0, 0, 0), (0, 255, 0), (255, 255, 255)):
        disk[disk[..., 3] == 0] = (*hidden, 0)
        Image.fromarray(disk).save(tmp_path / "disk.png")
        images.append(read_image(tmp_path / "disk.png", (3, 8, 8), "crop", (255, 255, 255)))
    assert all(torch.equal(image, images[0]) for image in images)
    assert torch.equal(images[0][1], images[0][2])  # green equals blue: no hidden green in the scaled edges
    assert images[0][:, 0, 0].tolist() == [255, 255, 255]
    blue = read_image(tmp_path / "disk.png", (3, 32, 32), "crop", (0, 0, 200))
    assert blue[:, 0, 0].tolist() == [0, 0, 200]
    assert blue[:, 16, 16].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("bits", "row", "value"),
    [(1, b"\x80", 1), (2, b"\xc0", 3), (4, b"\x30", 3), (8, b"\x03\x00", 3), (16, struct.pack(">HH", 3000, 0), 3000)],
)
def test_a_grey_value_can_be_transparent(bits: int, row: bytes, value: int, tmp_path: Path) -> None:
    assert grey(png(tmp_path / "a.png", bits, 0, row, struct.pack(">H", value)), (7, 7, 7)) == [7, 0]


def test_a_sixteen_bit_colour_can_be_transparent(tmp_path: Path) -> None:
    row = struct.pack(">6H", 65535, 256, 0, 65535, 65535, 65535)
    file = png(tmp_path / "a.png", 16, 2, row, row[:6])
    assert read_image(file, (3, 1, 2), "resize", (9, 9, 9))[:, 0].tolist() == [[9, 255]] * 3


def test_translucent_pixels_are_blended_with_the_background(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[100, 128], [100, 255]]], np.uint8), "LA").save(tmp_path / "la.png")
    half = round((100 * 128 + 255 * 127) / 255)
    assert grey(tmp_path / "la.png") == pytest.approx([half, 100], abs=1)
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    indexed.save(tmp_path / "p.png", transparency=bytes([128, 255]))
    image = read_image(tmp_path / "p.png", (3, 1, 2), "resize")
    assert image[:, 0, 0].tolist() == pytest.approx([255, 127, 127], abs=1)
    assert image[:, 0, 1].tolist() == [0, 0, 255]


def test_values_of_any_bit_depth_are_scaled_to_eight_bits(tmp_path: Path) -> None:
    for largest in (1023, 4095, 65535):  # binary and plain PGM
        values = np.array([largest, largest // 2], ">u2")
        (tmp_path / "a.pgm").write_bytes(b"P5 2 1 %d\n" % largest + values.tobytes())
        (tmp_path / "b.pgm").write_bytes(b"P2 2 1 %d\n%d %d\n" % (largest, *values))
        assert grey(tmp_path / "a.pgm") == grey(tmp_path / "b.pgm") == [255, 127]
    Image.new("1", (2, 1), 1).save(tmp_path / "1.png")
    assert grey(tmp_path / "1.png") == [255, 255]
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif", (3, 1, 1), "resize").flatten().tolist() == [255, 0, 0]
    Image.fromarray(np.array([[0.5, 1]], np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(Refusal, match=r"f.tif can't be read .*32 bits"):
        grey(tmp_path / "f.tif")


def test_an_image_is_rotated_by_its_exif_tag(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255]], np.uint8))
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    assert grey(tmp_path / "a.png") == [255, 0]


def test_pages_are_images_but_previews_are_not(tmp_path: Path) -> None:
    for name in ("a.tif", "a.gif", "a.png", "a.webp"):
        file, stack = tmp_path / name, [Image.new("L", (20, 20), value) for value in (0, 50, 100)]
        stack[0].save(file, save_all=True, append_images=stack[1:], lossless=True)
        values = [int(read_image(file, (1, 1, 1), "crop", frame=frame)) for frame in pages(file)]
        assert values == pytest.approx([0, 50, 100], abs=1)
    stack = [Image.new("L", (20, 20), value) for value in (0, 50)]
    stack[0].save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=stack[1:])
    assert pages(tmp_path / "photo.jpg") == [0]
    stack = [Image.new("L", (20, 20), value) for value in (0, 50, 100)]
    stack[0].save(tmp_path / "b.png", save_all=True, append_images=stack[1:], default_image=True)
    assert pages(tmp_path / "b.png") == [1, 2]
    stack = [Image.new("L", (20, 20), value) for value in (0, 50)]
    smaller = Image.new("L", (10, 10))
    smaller.encoderinfo = {"tiffinfo": {254: 1}}
    stack[0].save(tmp_path / "pyramid.tif", save_all=True, append_images=[stack[1], smaller])
    assert pages(tmp_path / "pyramid.tif") == [0, 1]


def test_a_page_is_chosen_by_its_number(tmp_path: Path) -> None:
    stack = [Image.new("L", (4, 4), value) for value in (0, 50, 100)]
    stack[0].save(tmp_path / "a.tif", save_all=True, append_images=stack[1:])
    stack[0].save(tmp_path / "one#2.png")
    assert chosen(f"{tmp_path}/a.tif#2") == Picture(tmp_path / "a.tif", 2)
    assert chosen(f"{tmp_path}/one#2.png") == Picture(tmp_path / "one#2.png", 0)
    with pytest.raises(Refusal, match=r"a.tif has 3 pages; choose one, counted from 0: '.*a.tif#0' to '.*a.tif#2'"):
        chosen(f"{tmp_path}/a.tif")
    with pytest.raises(Refusal, match=r"a.tif has no page 3"):
        chosen(f"{tmp_path}/a.tif#3")
    with pytest.raises(Refusal, match="There is no image file"):
        chosen(f"{tmp_path}/b.tif#0")


def test_actions_read_images_as_training_does(tmp_path: Path) -> None:
    picture = np.zeros((10, 20, 4), np.uint8)  # black on the right, transparent on the left
    picture[:, 10:, 3] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    facts: dict[str, Any] = {"in_channels": 1, "image_size": [4, 4]}
    model: Any = SimpleNamespace(config={"dataset": facts}, task=SimpleNamespace(device="cpu"))
    assert image_from(model, str(tmp_path / "a.png"))[0, 0, 0, [0, 3]].tolist() == [1, 0]  # the middle square
    facts |= {"fit": "pad", "background": [51, 51, 51]}
    pixels = image_from(model, str(tmp_path / "a.png"))[0, 0]
    assert pixels[1, [0, 3]].tolist() == pytest.approx([0.2, 0])
    assert pixels[0].tolist() == [0, 0, 0, 0]  # the edge that pad adds


def test_files_with_too_many_pixels_or_truncated_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.effect_noise((40, 40), 50).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(Refusal, match=r"half.png can't be read as an image \(image file is truncated"):
        read_image(tmp_path / "half.png", (1, 8, 8), "crop")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    for read in (pages, lambda path: read_image(path, (1, 8, 8), "crop")):
        with pytest.raises(Refusal, match=r"a.png has more pixels than Pillow reads \(1,000\); scale it down or crop"):
            read(tmp_path / "a.png")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("bits", "greys"), [(8, [0, 255]), (8, [255, 0]), (4, [0, 255]), (4, [255, 0]), (4, [0, 1, 2]), (8, [0, 1, 2])]
)
def test_bitmaps_with_few_greys_are_read_with_their_bit_depth(tmp_path: Path, bits: int, greys: list[int]) -> None:
    """Pillow drops such palettes and would then read 1 or 8 bits per pixel."""
    numbers = np.random.default_rng(0).integers(0, len(greys), (3, 20))
    rows = b""
    for row in numbers[::-1]:  # bottom row first, each padded to 4 bytes
        text = "".join(f"{number:0{bits}b}" for number in row)
        text += "0" * (-len(text) % 32)
        rows += bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in greys)
    header = struct.pack("<IiiHHIIiiII", 40, 20, 3, 1, bits, 0, len(rows), 0, 0, len(greys), 0)
    start = struct.pack("<2sIHHI", b"BM", 54 + len(palette) + len(rows), 0, 0, 54 + len(palette))
    (tmp_path / "a.bmp").write_bytes(start + header + palette + rows)
    with opened(tmp_path / "a.bmp") as image:
        assert np.array_equal(np.asarray(image.convert("L")), np.array(greys)[numbers])
