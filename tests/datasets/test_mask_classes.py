"""Mask files are decoded to the classes they mean, whatever program wrote them."""

from pathlib import Path

import numpy as np
import pytest
from mask_pictures import decoded, indexed, saved
from PIL import Image

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.image_files import opened
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal

VOC = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
"""First colours of PASCAL VOC's palette; void is 224, 224, 192, at 255."""


@pytest.mark.parametrize("format", ["GIF", "PNG"])
@pytest.mark.parametrize("order", [[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]])
def test_black_is_class_0_wherever_a_program_puts_it_in_its_palette(order: list[list[int]], format: str) -> None:
    white = order.index([255] * 3)
    picture = saved(indexed([white, 1 - white, 1 - white], order), format)
    assert decoded(picture, Classes(2)) == [1, 0, 0]
    assert decoded(picture, Classes(2, 255)) == [1, 0, 0]
    assert decoded(picture, Classes(2, palette=[[255] * 3, [0] * 3])) == [0, 1, 1]
    all_white = saved(indexed([white] * 3, order), format)
    assert decoded(all_white, Classes(2)) == [1, 1, 1]


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "BMP", "IM"])
@pytest.mark.parametrize(
    ("numbers", "greys", "classes"),
    [
        ([1, 0, 1], [255, 0], [0, 1, 0]),
        ([1, 0, 1], [0, 255], [1, 0, 1]),
        ([2, 0, 1], [0, 128, 255], [2, 0, 1]),
        ([1, 0, 1], [50, 200], [1, 0, 1]),
        ([2, 0, 1], [255, 128, 0], None),
    ],
)
def test_palettes_of_greys_mean_the_same_in_every_format(
    format: str, numbers: list[int], greys: list[int], classes: list[int] | None, tmp_path: Path
) -> None:
    """Black and white are the classes 0 and 1; greys that increase with their numbers mean the same as the numbers."""
    file = tmp_path / f"mask.{format.lower()}"
    indexed(numbers, [[grey] * 3 for grey in greys]).save(file, format)
    with opened(file) as picture:
        assert [picture.convert("RGB").getpixel((k, 0))[0] for k in range(3)] == [greys[number] for number in numbers]
        if classes is None:
            with pytest.raises(Refusal, match="has numbers and greys in its palette that denote different classes"):
                decoded(picture, Classes(len(greys)))
        else:
            assert decoded(picture, Classes(len(greys))) == classes


@pytest.mark.parametrize("values", [[0, 255, 255, 0], [0, 0, 0, 255], [255, 255, 255, 0], [255] * 4])
def test_a_black_and_white_mask_is_the_same_from_any_program(values: list[int]) -> None:
    grey = Image.fromarray(np.array([values], np.uint8))
    rgb = grey.convert("RGB")
    for picture in (
        grey,
        rgb,
        saved(grey, "GIF"),
        saved(rgb, "GIF"),
        saved(rgb.quantize(2)),
        saved(rgb.quantize(8)),
        rgb.convert("P"),  # the web-safe palette
        rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=4),
        grey.convert("1"),
        saved(grey.convert("1"), "TIFF"),
        rgb.convert("RGBA"),
        grey.convert("LA"),
    ):
        assert decoded(picture, Classes(2)) == [value // 255 for value in values], picture


def test_greys_are_class_numbers_in_whatever_order_the_palette_has_them() -> None:
    values = [0, 3, 3, 2, 2, 2]
    grey = Image.fromarray(np.array([values], np.uint8))
    for picture in (saved(grey, "GIF"), grey.convert("RGB"), saved(grey.convert("RGB").quantize(4)), grey.convert("P")):
        assert decoded(picture, Classes(4)) == values
    void = Image.fromarray(np.array([[0, 1, 255]], np.uint8))
    assert decoded(saved(void, "GIF"), Classes(3, 255)) == [0, 1, VOID_BYTE]


def test_numbers_count_where_colours_say_nothing() -> None:
    picture = saved(indexed([0, 2, 1, 255], [*VOC, *[[9, 9, 9]] * 251, [224, 224, 192]]))
    for palette in (None, VOC):  # neither has void's colour
        assert decoded(picture, Classes(4, 255, palette)) == [0, 2, 1, VOID_BYTE]
    assert decoded(indexed([0, 1, 2], [[0] * 3, [85] * 3, [170] * 3]), Classes(3)) == [0, 1, 2]  # spread for visibility
    assert decoded(indexed([0, 1, 1], [[0, 0, 0], [1, 1, 1]]), Classes(2, palette=[[0, 0, 0], [255, 0, 0]])) == [
        0,
        1,
        1,
    ]


def test_the_palette_of_the_data_set_counts_more_than_numbers() -> None:
    red, green, blue = [200, 0, 0], [0, 200, 0], [0, 0, 200]
    picture = indexed([0, 1, 2], [blue, red, green])
    assert decoded(picture, Classes(3, palette=[red, green, blue])) == [2, 0, 1]
    assert decoded(picture, Classes(2, 2, palette=[red, green, blue])) == [VOID_BYTE, 0, 1]
    assert decoded(picture, Classes(3)) == [0, 1, 2]
    with pytest.raises(Refusal, match=r"a.png has the colour \[0, 0, 200\], which is not in dataset.palette"):
        decoded(picture, Classes(3, palette=[red, green, [1, 2, 3]]))


def test_grey_masks_follow_a_palette_of_greys() -> None:
    """Otherwise figures would show classes in each other's colours."""
    white_first = Classes(2, palette=[[255] * 3, [0] * 3])
    assert decoded(Image.fromarray(np.array([[0, 255]], np.uint8)), white_first) == [1, 0]
    assert decoded(Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), white_first) == [1, 0]
    black_first = Classes(2, palette=[[0] * 3, [255] * 3])
    for values in ([0, 255], [0, 1]):
        assert decoded(Image.fromarray(np.array([values], np.uint8)), black_first) == [0, 1]
    camvid = Classes(2, palette=[[128] * 3, [128, 0, 0]])
    assert decoded(Image.fromarray(np.array([[0, 1]], np.uint8)), camvid) == [0, 1]


def test_white_on_transparent_black_is_black_and_white() -> None:
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((1, 0), (255, 255, 255, 255))
    assert decoded(saved(picture), Classes(2)) == [0, 1]
    assert decoded(saved(picture), Classes(2, palette=[[0] * 3, [255] * 3])) == [0, 1]


def test_masks_of_one_class_are_refused(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            Image.new("L", (8, 8)).save(tmp_path / folder / f"{number}.png")
    with pytest.raises(Refusal, match="contain only class 0, so there is nothing to learn"):
        MaskFolder(str(tmp_path), 1, [8, 8], 2, num_workers=0).setup()


def test_transparent_pixels_of_a_mask_are_what_is_seen_of_them() -> None:
    red, white, black = [255, 0, 0], [255] * 3, [0] * 3
    for hidden in ([0, 0, 0], [255, 0, 0], [255, 255, 255]):
        picture = Image.fromarray(np.array([[[*red, 255], [*hidden, 0]]], np.uint8))
        assert decoded(picture, Classes(2, palette=[white, red])) == [1, 0]
    picture = Image.fromarray(np.array([[[*red, 255], [*black, 0]]], np.uint8))
    assert decoded(picture, Classes(2, palette=[black, red])) == [1, 0]  # nothing is black there
    cut_out = Image.fromarray(np.array([[[*white, 255], [*black, 0]]], np.uint8))
    assert decoded(cut_out, Classes(2, palette=[black, white])) == [1, 0]
    picture = Image.fromarray(np.array([[[*red, 128], [*red, 255]]], np.uint8))
    with pytest.raises(Refusal, match="has the colour"):
        decoded(picture, Classes(2, palette=[white, red]))


def test_numbers_of_a_pgm_file_are_those_that_stand_in_it(tmp_path: Path) -> None:
    for largest in (3, 255, 300, 65535):
        values = np.array([0, 2, 3], ">u2" if largest > 255 else np.uint8)
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % largest + values.tobytes())
        with opened(tmp_path / "a.pgm") as mask:
            assert decoded(mask, Classes(4)) == [0, 2, 3]


def test_black_and_white_count_among_colours_that_are_not_there() -> None:
    others = [[200, 0, 0], [0, 200, 0]]
    assert decoded(indexed([1, 0, 0], [[255] * 3, [0] * 3, *others]), Classes(2)) == [0, 1, 1]
    assert decoded(indexed([1, 0, 0], [[0] * 3, [255] * 3, *others]), Classes(2)) == [1, 0, 0]
