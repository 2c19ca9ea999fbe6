"""Mask files of one folder must agree on what their colours and numbers mean."""

from pathlib import Path

import pytest
from mask_pictures import decoded, indexed, saved
from PIL import Image

from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal


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
        assert decoded(saved(indexed(numbers, palette)), Classes(3)) == numbers
        with pytest.raises(Refusal, match=advice):
            decoded(saved(indexed(numbers, palette), "GIF"), Classes(3))
        read = decoded(saved(indexed(numbers, palette), "GIF"), Classes(len(palette), palette=palette))
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
