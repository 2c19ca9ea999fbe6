"""Mask files are decoded to the classes they mean, whatever program wrote them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.image_files import opened
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal

VOC = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
"""First colours of PASCAL VOC's palette; void is 224, 224, 192, at 255."""


def indexed(numbers: list[int], palette: list[list[int]]) -> Image.Image:
    image = Image.new("P", (len(numbers), 1))
    image.putdata(numbers)
    image.putpalette([part for colour in palette for part in colour])
    return image


def saved(image: Image.Image, format: str = "PNG") -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, format)
    return Image.open(stream)


def found(image: Image.Image, classes: Classes) -> list[int]:
    return classes(image, Path("a.png")).classes[0].tolist()


@pytest.mark.parametrize("format", ["GIF", "PNG"])
@pytest.mark.parametrize("order", [[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]])
def test_black_is_class_0_wherever_a_program_puts_it_in_its_palette(order: list[list[int]], format: str) -> None:
    white = order.index([255] * 3)
    picture = saved(indexed([white, 1 - white, 1 - white], order), format)
    assert found(picture, Classes(2)) == [1, 0, 0]
    assert found(picture, Classes(2, 255)) == [1, 0, 0]
    assert found(picture, Classes(2, palette=[[255] * 3, [0] * 3])) == [0, 1, 1]
    all_white = saved(indexed([white] * 3, order), format)
    assert found(all_white, Classes(2)) == [1, 1, 1]


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
                found(picture, Classes(len(greys)))
        else:
            assert found(picture, Classes(len(greys))) == classes


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
        assert found(picture, Classes(2)) == [value // 255 for value in values], picture


def test_greys_are_class_numbers_in_whatever_order_the_palette_has_them() -> None:
    values = [0, 3, 3, 2, 2, 2]
    grey = Image.fromarray(np.array([values], np.uint8))
    for picture in (saved(grey, "GIF"), grey.convert("RGB"), saved(grey.convert("RGB").quantize(4)), grey.convert("P")):
        assert found(picture, Classes(4)) == values
    void = Image.fromarray(np.array([[0, 1, 255]], np.uint8))
    assert found(saved(void, "GIF"), Classes(3, 255)) == [0, 1, VOID_BYTE]


def test_numbers_count_where_colours_say_nothing() -> None:
    picture = saved(indexed([0, 2, 1, 255], [*VOC, *[[9, 9, 9]] * 251, [224, 224, 192]]))
    for palette in (None, VOC):  # neither has void's colour
        assert found(picture, Classes(4, 255, palette)) == [0, 2, 1, VOID_BYTE]
    assert found(indexed([0, 1, 2], [[0] * 3, [85] * 3, [170] * 3]), Classes(3)) == [0, 1, 2]  # spread for visibility
    assert found(indexed([0, 1, 1], [[0, 0, 0], [1, 1, 1]]), Classes(2, palette=[[0, 0, 0], [255, 0, 0]])) == [0, 1, 1]


def test_the_palette_of_the_data_set_counts_more_than_numbers() -> None:
    red, green, blue = [200, 0, 0], [0, 200, 0], [0, 0, 200]
    picture = indexed([0, 1, 2], [blue, red, green])
    assert found(picture, Classes(3, palette=[red, green, blue])) == [2, 0, 1]
    assert found(picture, Classes(2, 2, palette=[red, green, blue])) == [VOID_BYTE, 0, 1]
    assert found(picture, Classes(3)) == [0, 1, 2]
    with pytest.raises(Refusal, match=r"a.png has the colour \[0, 0, 200\], which is not in dataset.palette"):
        found(picture, Classes(3, palette=[red, green, [1, 2, 3]]))


def test_grey_masks_follow_a_palette_of_greys() -> None:
    """Otherwise figures would show classes in each other's colours."""
    white_first = Classes(2, palette=[[255] * 3, [0] * 3])
    assert found(Image.fromarray(np.array([[0, 255]], np.uint8)), white_first) == [1, 0]
    assert found(Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), white_first) == [1, 0]
    black_first = Classes(2, palette=[[0] * 3, [255] * 3])
    for values in ([0, 255], [0, 1]):
        assert found(Image.fromarray(np.array([values], np.uint8)), black_first) == [0, 1]
    camvid = Classes(2, palette=[[128] * 3, [128, 0, 0]])
    assert found(Image.fromarray(np.array([[0, 1]], np.uint8)), camvid) == [0, 1]


def test_white_on_transparent_black_is_black_and_white() -> None:
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((1, 0), (255, 255, 255, 255))
    assert found(saved(picture), Classes(2)) == [0, 1]
    assert found(saved(picture), Classes(2, palette=[[0] * 3, [255] * 3])) == [0, 1]


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
        assert found(picture, Classes(2, palette=[white, red])) == [1, 0]
    picture = Image.fromarray(np.array([[[*red, 255], [*black, 0]]], np.uint8))
    assert found(picture, Classes(2, palette=[black, red])) == [1, 0]  # nothing is black there
    cut_out = Image.fromarray(np.array([[[*white, 255], [*black, 0]]], np.uint8))
    assert found(cut_out, Classes(2, palette=[black, white])) == [1, 0]
    picture = Image.fromarray(np.array([[[*red, 128], [*red, 255]]], np.uint8))
    with pytest.raises(Refusal, match="has the colour"):
        found(picture, Classes(2, palette=[white, red]))


def test_numbers_of_a_pgm_file_are_those_that_stand_in_it(tmp_path: Path) -> None:
    for largest in (3, 255, 300, 65535):
        values = np.array([0, 2, 3], ">u2" if largest > 255 else np.uint8)
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % largest + values.tobytes())
        with opened(tmp_path / "a.pgm") as mask:
            assert found(mask, Classes(4)) == [0, 2, 3]


def save_all(root: Path, masks: list[Image.Image], suffix: str = ".png", void: int | None = None) -> MaskFolder:
    for number, mask in enumerate(masks):
        for split in ("train", "val", "test"):
            for kind, picture in (("images", Image.new("L", mask.size)), ("masks", mask)):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
                picture.save(root / split / kind / f"{number}{suffix}")
    return MaskFolder(str(root), 1, [8, 8], 3, void, num_workers=0)


def test_files_whose_palettes_disagree_are_refused_by_name(tmp_path: Path) -> None:
    red, green, blue = [200, 0, 0], [0, 200, 0], [0, 0, 200]
    save_all(tmp_path / "same", [indexed([0, 1], [red, green]), indexed([1, 2], [red, green, blue])]).setup()
    data = save_all(tmp_path / "order", [indexed([0, 1], [red, green]), indexed([0, 1], [green, red])])
    with pytest.raises(
        Refusal, match=r"0.png and .*1.png disagree: the number 0 is \[200, 0, 0\] in the first and \[0, 2"
    ):
        data.setup()
    data = save_all(tmp_path / "shifted", [indexed([0, 1], [red, green]), indexed([2, 2], [blue, blue, green])])
    with pytest.raises(
        Refusal, match=r"disagree: \[0, 200, 0\] is the number 1 in the first and 2 in the second; .*palett"
    ):
        data.setup()
    greys = [indexed([0, 1], [[0] * 3, [2] * 3]), indexed([0, 1], [red, green])]
    data = save_all(tmp_path / "mixed", greys)
    with pytest.raises(Refusal, match=r"0.png encodes the classes in the colours of its palette, but .*1.png"):
        data.setup()


def test_greys_against_the_order_of_their_numbers_are_refused(tmp_path: Path) -> None:
    light, mid, dark = [250] * 3, [100] * 3, [5] * 3
    save_all(tmp_path / "ramp", [indexed([0, 1, 2], [dark, mid, light])]).setup()
    advice = r"0.png has greys that don't increase with their numbers \(\[250, 250, 250\], .*dataset.palette="
    with pytest.raises(Refusal, match=advice):
        save_all(tmp_path / "both", [indexed([0, 1, 1], [light, dark])]).setup()
    with pytest.raises(Refusal, match=advice):  # not visible in a single file
        save_all(tmp_path / "each", [indexed([0, 0], [light]), indexed([1, 1], [dark, dark])]).setup()


def test_colours_that_a_gif_file_orders_are_no_classes(tmp_path: Path) -> None:
    """GIF writers drop unused colours and sort the others, so equal numbers in two files may mean different classes."""
    black, red, green = [0] * 3, [200, 0, 0], [0, 200, 0]
    advice = r"the GIF file, so its numbers need not be the classes; .*: dataset\.palette="
    for numbers, palette in (([0, 1], [red, green]), ([0, 1, 2], [black, red, green]), ([1, 0], [red, [255] * 3])):
        assert found(saved(indexed(numbers, palette)), Classes(3)) == numbers
        with pytest.raises(Refusal, match=advice):
            found(saved(indexed(numbers, palette), "GIF"), Classes(3))
        read = found(saved(indexed(numbers, palette), "GIF"), Classes(len(palette), palette=palette))
        assert read == numbers
    save_all(tmp_path / "two", [indexed([0, 1], [black, red])] * 2, ".gif").setup()
    data = save_all(tmp_path / "other", [indexed([0, 1], [black, red]), indexed([0, 1], [black, green])], ".gif")
    with pytest.raises(Refusal, match=r"0\.gif and .*1\.gif disagree: the number 1 is"):
        data.setup()


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_black_that_is_not_the_first_class_is_refused_or_void(suffix: str, tmp_path: Path) -> None:
    black, red = [0] * 3, [200, 0, 0]
    with pytest.raises(
        Refusal, match=r"Black is the number 1 in the palette of .*0\.\w+\. .*; give the.*dataset.palette="
    ):
        save_all(tmp_path / "class", [indexed([0, 1], [red, black])], suffix).setup()
    void = indexed([0, 1, 3], [red, [0, 200, 0], [0, 0, 200], black])
    save_all(tmp_path / "void", [void], void=3).setup()


def test_black_and_white_count_among_colours_that_are_not_there() -> None:
    others = [[200, 0, 0], [0, 200, 0]]
    assert found(indexed([1, 0, 0], [[255] * 3, [0] * 3, *others]), Classes(2)) == [0, 1, 1]
    assert found(indexed([1, 0, 0], [[0] * 3, [255] * 3, *others]), Classes(2)) == [1, 0, 0]


def test_what_the_numbers_of_a_palette_mean_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = [indexed([0, 2], [[0] * 3, [9] * 3, [200, 0, 0]]), indexed([1, 0], [[0] * 3, [0, 200, 0]])]
    save_all(tmp_path / "colours", masks).setup()
    assert capsys.readouterr().out.count("; classes by palette: 0 [0, 0, 0], 1 [0, 200, 0], 2 [200, 0, 0]\n") == 1
    save_all(tmp_path / "greys", [indexed([0, 1], [[0] * 3, [9] * 3])]).setup()
    assert "palette" not in capsys.readouterr().out


def test_a_split_of_void_alone_is_refused(tmp_path: Path) -> None:
    save_all(tmp_path, [Image.new("L", (4, 4), 1)])
    Image.new("L", (4, 4), 255).save(tmp_path / "test/masks/0.png")
    with pytest.raises(Refusal, match="all masks for test are void everywhere"):
        MaskFolder(str(tmp_path), 1, [8, 8], 3, 255, num_workers=0).setup()
