"""The layout of a user's image folder is recognised or refused, and files left out are reported."""

import os
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from PIL import Image

from scalian_exp.datasets.folder import Files, ImageFolder
from scalian_exp.datasets.folder_splits import given_splits
from scalian_exp.datasets.image_files import FORMATS, NOT_READ
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal


def save(folder: Path, count: int = 6, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (8, 8)).save(folder / f"{number}{suffix}")


def images(root: Path, **arguments: object) -> ImageFolder:
    data = ImageFolder(str(root), 1, [8, 8], num_workers=0, **arguments)  # type: ignore[arg-type]
    data.setup()
    return data


def top_folders(data: ImageFolder) -> dict[str, set[str]]:
    """Return the folders in the root from which each split takes its files."""
    result = {}
    for name, part in data.splits.items():
        assert isinstance(part, Files)
        result[name] = {path.relative_to(data.root).parts[0] for path in part.paths}
    return result


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "dev"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "TEST"), ("training", "testing")])
def test_splits_may_have_any_common_name(val: str, train: str, test: str, tmp_path: Path) -> None:
    for name in (train, val, test):
        save(tmp_path / name / "cat")
    assert top_folders(images(tmp_path)) == {"train": {train}, "val": {val}, "test": {test}}


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (("cat", "dog", "test"), "has cat, dog beside test, which may be splits or classes"),
        (("bus", "car", "train"), "has bus, car beside train, which may be splits or classes"),
        (("train", "test", "more"), "has more beside test, train, which may be"),
        (("train", "val", "valid"), "has two folders for val, val and valid; keep one"),
        (("Train", "training"), "has two folders for train, Train and training"),
        (("val", "test"), "has test, val, but no folder train; add it"),
        (("seg_train", "seg_test"), "has seg_test, seg_train, which look like splits; rename them"),
        (("training_set", "test_set"), "has test_set, training_set, which look like splits"),
        (("trn", "tst"), "has trn, tst, which look like splits"),
        (("training_set", "evaluation_set"), "has evaluation_set, training_set, which look like splits"),
        (("trainset", "testset"), "which look like splits"),
        (("train2017", "val2017"), "which look like splits"),
        (("TrainImages", "TestImages"), "which look like splits"),
        (("unpacked/train", "unpacked/test"), "unpacked has test, train, which look like splits; if they are, give"),
    ],
)
def test_folders_that_may_be_classes_or_splits_are_refused(
    folders: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    for name in folders:
        save(tmp_path / name)
    with pytest.raises(Refusal, match=sentence):
        images(tmp_path)


def test_one_folder_is_not_two_splits(tmp_path: Path) -> None:
    save(tmp_path / "train")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(Refusal, match="are links to the same folder"):
        images(tmp_path)


def test_a_name_that_only_contains_a_splits_name_is_a_class(tmp_path: Path) -> None:
    for name in ("bullet_train", "trainer", "testament", "valley"):
        save(tmp_path / name)
    assert images(tmp_path).class_names == ["bullet_train", "testament", "trainer", "valley"]


def test_a_class_inside_a_split_may_have_a_splits_name(tmp_path: Path) -> None:
    for name in ("bus", "train", "test"):
        save(tmp_path / "train" / name)
    assert images(tmp_path, num_classes=3).class_names == ["bus", "test", "train"]
    (tmp_path / "val").mkdir()
    with pytest.raises(Refusal, match="leaves no images for val"):
        images(tmp_path)


def test_images_beside_folders_are_taken_or_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name)
    save(tmp_path, 4)
    data = images(tmp_path)
    assert sum(map(len, data.splits.values())) == 16
    assert data.class_names == ["", "cat", "dog"]
    with pytest.raises(Refusal, match=r"has images beside the class folders \(cat, dog\)"):
        images(tmp_path, num_classes=3)


def test_images_beside_splits_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "train/cat")
    save(tmp_path / "test/cat")
    save(tmp_path, 2)
    assert top_folders(images(tmp_path)) == {"train": {"train"}, "val": {"train"}, "test": {"test"}}
    assert "left out     2 beside test, train" in capsys.readouterr().out


def test_dev_is_a_class_if_there_is_no_folder_train(tmp_path: Path) -> None:
    for name in ("dev", "prod", "staging"):
        save(tmp_path / name)
    assert images(tmp_path).class_names == ["dev", "prod", "staging"]


def test_a_folder_is_listed_only_until_its_first_image(tmp_path: Path) -> None:
    save(tmp_path / "cat", 3)
    real, listed = os.scandir, list[str]()

    def scandir(folder: Path) -> Any:
        listed.append(Path(folder).name)
        return real(folder)

    (tmp_path / "cat/later").mkdir()
    with patch("os.scandir", scandir):
        assert given_splits(tmp_path, Counter()) == {"train": tmp_path}
    assert "later" not in listed


def test_the_usual_formats_are_tried_first() -> None:
    assert FORMATS[:2] == ["JPEG", "PNG"]
    assert set(FORMATS) == {*Image.OPEN} - NOT_READ


def test_links_are_followed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "root/cat", 20)
    save(tmp_path / "elsewhere/dog", 20)
    (tmp_path / "root/dog").symlink_to(tmp_path / "elsewhere/dog")
    (tmp_path / "root/cat/again").symlink_to(tmp_path / "root")  # a cycle
    (tmp_path / "elsewhere/dog/cats").symlink_to(tmp_path / "root/cat")
    save(tmp_path / "one", 1)
    (tmp_path / "root/cat/linked.png").symlink_to(tmp_path / "one/0.png")
    data = images(tmp_path / "root", num_classes=2)
    paths = [path for part in data.splits.values() for path in part.paths]  # type: ignore[attr-defined]
    assert len(paths) == len(set(paths)) == 41
    output = capsys.readouterr().out
    assert "images of 2 classes (21 cat, 20 dog): train" in output
    assert "left out     2 link to a folder that was already read" in output
    (tmp_path / "root/cat/broken.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(Refusal, match=r"There is no image file .*broken.png"):
        images(tmp_path / "root")


def test_files_that_pillow_cannot_read_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in (".png", ".jfif", ".jpe", ".avif", ".tga", ".jp2", ".WEBP"):
        save(tmp_path / suffix[1:], 3, suffix)
    save(tmp_path / ".ipynb_checkpoints")
    save(tmp_path / "__MACOSX")
    (tmp_path / "png/._0.png").write_bytes(b"what macOS leaves")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "png/vector.eps").write_text("not run")
    (tmp_path / "without").write_text("a suffix")
    os.mkfifo(tmp_path / "png/pipe.png")
    data = images(tmp_path, num_classes=7, held_out=0.2)
    assert sum(map(len, data.splits.values())) == 21
    output = capsys.readouterr().out
    for what in ("3 hidden", "1 .txt (not a supported", "1 .eps (not", "1 without suffix (not", "1 not a regular file"):
        assert what in output
    data.setup("test")
    assert capsys.readouterr().out == ""


def test_pages_of_a_stack_stay_in_one_split(tmp_path: Path) -> None:
    for number in range(8):
        pages = [Image.new("L", (8, 8), 20 * number + page) for page in range(3)]
        pages[0].save(tmp_path / f"{number}.tif", save_all=True, append_images=pages[1:])
    data = images(tmp_path, held_out=0.2)
    assert sum(map(len, data.splits.values())) == 24
    files = [{path.name for path in part.paths} for part in data.splits.values()]  # type: ignore[attr-defined]
    assert sum(map(len, files)) == len(set.union(*files)) == 8
    (tmp_path / "alone").mkdir()
    (tmp_path / "0.tif").rename(tmp_path / "alone/0.tif")
    with pytest.raises(Refusal, match="the pages of a file stay in one split"):
        images(tmp_path / "alone")


def masks(root: Path) -> dict[str, list[Path]]:
    data = MaskFolder(str(root), 1, [8, 8], 2, num_workers=0)
    data.setup()
    result = {}
    for name, part in data.splits.items():
        assert isinstance(part, MaskFiles)
        result[name] = [image for image, _ in part.pairs]
    return result


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
@pytest.mark.parametrize(("first", "second"), [("images", "masks"), ("Images", "labels"), ("img", "annotations")])
def test_common_layouts_of_images_and_masks_are_recognised(
    layout: str, first: str, second: str, tmp_path: Path
) -> None:
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for kind in (first, second):
            save_grey(tmp_path / layout.format(split=split, kind=kind), count)
    assert {name: len(paths) for name, paths in masks(tmp_path).items()} == {"train": 3, "val": 2, "test": 1}


def save_grey(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (8, 8), number % 2).save(folder / f"{number}.png")


def test_ambiguous_folders_of_masks_are_refused(tmp_path: Path) -> None:
    for folder in ("images/train", "images/test", "masks/train"):
        save_grey(tmp_path / folder, 3)
    with pytest.raises(Refusal, match=r"Only one of .*images and .*masks has a folder test"):
        masks(tmp_path)
    save_grey(tmp_path / "masks/test", 3)
    save_grey(tmp_path / "labels", 1)
    with pytest.raises(Refusal, match="has labels and masks: which has the masks"):
        masks(tmp_path)


def test_a_stack_is_paired_with_its_masks_page_by_page(tmp_path: Path) -> None:
    def stack(file: str, values: list[int]) -> None:
        pages = [Image.new("L", (8, 8), value) for value in values]
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        pages[0].save(tmp_path / file, save_all=True, append_images=pages[1:])

    for split in ("train", "val", "test"):
        stack(f"{split}/images/volume.tif", [0, 100, 200])
        stack(f"{split}/masks/volume.tif", [0, 0, 255])
    data = MaskFolder(str(tmp_path), 1, [8, 8], 2, num_workers=0, batch_size=3)
    data.setup()
    batch = next(iter(data.loader("test")))
    assert [int(x) for x in batch["image"][:, 0, 0, 0]] == [0, 100, 200]
    assert [int(x) for x in batch["mask"][:, 0, 0]] == [0, 0, 1]
    stack("val/masks/volume.tif", [0, 255])
    with pytest.raises(Refusal, match=r"volume.tif has 3 pages, but its mask .*volume.tif has 2"):
        MaskFolder(str(tmp_path), 1, [8, 8], 2, num_workers=0).setup()
