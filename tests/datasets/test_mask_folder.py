"""Folders of images and masks: splits, sizes, and all kinds of broken input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal


def save_pair(folder: Path, name: str, size: tuple[int, int] = (20, 10), colours: bool = False) -> None:
    """Save a mask with three rows of classes (0, 1, 2), and an image of 100 times the class, as JPEG."""
    width, height = size
    labels = np.repeat(np.arange(height) * 3 // height, width).reshape(height, width).astype(np.uint8)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels * 100).convert("RGB").save(folder / f"images/{name}.jpg", quality=95)
    picture = Image.fromarray(labels)
    if colours:
        picture = Image.fromarray(np.array([[10, 0, 0], [0, 20, 0], [0, 0, 30]], np.uint8)[labels])
    picture.save(folder / f"masks/{name}.png")


def folder(root: Path, **arguments: object) -> MaskFolder:
    given = {"in_channels": 3, "image_size": [12, 12], "num_classes": 3, "num_workers": 0, **arguments}
    return MaskFolder(str(root), **given)  # type: ignore[arg-type]


def stems(data: MaskFolder, split: str) -> set[str]:
    part = data.splits[split]
    assert isinstance(part, MaskFiles)
    assert all(image.stem == mask.stem for image, mask in part.pairs)
    return {image.stem for image, _ in part.pairs}


def test_pairs_are_held_out_by_their_names(tmp_path: Path) -> None:
    for index in range(40):
        save_pair(tmp_path, f"{index:02}")
    data = folder(tmp_path, held_out=0.2)
    data.setup()
    before = {split: stems(data, split) for split in ("train", "val", "test")}
    assert sum(map(len, before.values())) == len(set.union(*before.values())) == 40
    assert all(3 <= len(before[split]) <= 14 for split in ("val", "test"))  # 8 each on average
    gone = min(before["train"])
    (tmp_path / f"images/{gone}.jpg").unlink()
    (tmp_path / f"masks/{gone}.png").unlink()
    data = folder(tmp_path, held_out=0.2)
    data.setup()
    assert {split: stems(data, split) for split in before} == {**before, "train": before["train"] - {gone}}


def test_white_that_would_count_as_void_is_refused(tmp_path: Path) -> None:
    for index in range(20):
        save_pair(tmp_path, str(index))
        Image.fromarray(np.eye(10, 20, dtype=np.uint8) * 255).save(tmp_path / f"masks/{index}.png")
    with pytest.raises(Refusal, match="255 is void there; if white is class 1"):
        folder(tmp_path, num_classes=2, ignore_index=255, held_out=0.2).setup()
    folder(tmp_path, num_classes=2, held_out=0.2).setup()


def test_split_folders_are_used_unchanged(tmp_path: Path) -> None:
    for count, split in enumerate(("train", "val", "test"), start=1):
        for index in range(count):
            save_pair(tmp_path / split, f"{split}{index}")
    data = folder(tmp_path)
    data.setup()
    assert {split: stems(data, split) for split in ("train", "val", "test")} == {
        "train": {"train0"}, "val": {"val0", "val1"}, "test": {"test0", "test1", "test2"},
    }  # fmt: skip


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("fit", ["crop", "resize", "pad"])
@pytest.mark.parametrize("size", [(20, 30), (60, 20), (12, 12)])
def test_images_and_masks_of_any_size_stay_aligned(
    fit: str, size: tuple[int, int], colours: bool, tmp_path: Path
) -> None:
    for index in range(3):
        save_pair(tmp_path, str(index), size, colours)
    palette = [[10, 0, 0], [0, 20, 0], [0, 0, 30]] if colours else None
    data = folder(tmp_path, image_size=[24, 24], fit=fit, palette=palette)
    data.setup()
    batch = data.prepare(next(iter(data.train_dataloader())))
    assert batch["image"].shape == (1, 3, 24, 24)
    grey, label = batch["image"][0].mean(0) * 255, batch["mask"][0]
    wrong = (grey - 100 * label.clamp_min(0)).abs() > 25
    assert float(wrong.float().mean()) < 0.2  # the rows where classes meet are blurred
    rows, columns = (label >= 0).any(1).sum(), (label >= 0).any(0).sum()
    width, height = size
    longer = max(size) if fit == "pad" else 0
    assert (int(rows), int(columns)) == ((24, 24) if not longer else (24 * height // longer, 24 * width // longer))
    assert set(label.unique().tolist()) - {-100} == {0, 1, 2}


def test_black_and_white_masks_need_no_further_options(tmp_path: Path) -> None:
    for index in range(3):
        save_pair(tmp_path, str(index))
        Image.fromarray(np.array([[0, 255]] * 2, np.uint8)).resize((20, 10), 0).save(tmp_path / f"masks/{index}.png")
    data = folder(tmp_path, num_classes=2, fit="resize", in_channels=1)
    data.setup()
    batch = data.splits["test"][torch.tensor([0])]
    assert batch["image"].shape == (1, 1, 12, 12)
    assert batch["mask"][0].tolist() == [[0] * 6 + [1] * 6] * 12


def nothing(root: Path) -> None:
    """Change no file; only the arguments are wrong."""


def remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def turn(root: Path) -> None:
    """Save an image rotated by its EXIF tag, beside a mask without the tag."""
    with Image.open(root / "images/1.jpg") as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(root / "images/1.jpg", exif=exif)


def colour(root: Path) -> None:
    with Image.open(root / "masks/1.png") as picture:
        picture.convert("RGB").save(root / "masks/1.png")


@pytest.mark.parametrize(
    ("damage", "arguments", "sentence"),
    [
        (remove("masks/1.png"), {}, r"images/1.jpg has no mask of the same name in .*/masks; add or remove one"),
        (remove("images/1.jpg"), {}, r"masks/1.png has no image of the same name in .*/images"),
        (lambda root: save_pair(root, "sub/4"), {}, None),
        (lambda root: Image.new("L", (20, 10)).save(root / "images/1.png"), {}, r"1.jpg and 1.png have the same name"),
        (lambda root: Image.new("L", (9, 10)).save(root / "masks/1.png"), {}, r"1.jpg has 20×10.*1.png has 9×10"),
        (turn, {}, r"1.jpg has 10×20 pixels, but its mask .*1.png has 20×10"),
        (lambda root: Image.new("L", (20, 10), 7).save(root / "masks/1.png"), {}, r"1.png has the number 7"),
        (nothing, {"num_classes": 2}, "has the number 2, which is not one of the 2 classes"),
        (colour, {}, None),  # grey in three channels
        (lambda root: Image.new("RGB", (20, 10), "red").save(root / "masks/1.png"), {}, r"1.png is in colours"),
        (colour, {"palette": [[0, 0, 0], [1, 1, 1], [3, 3, 3]]}, r"1.png has the colour \[2, 2, 2\]"),
        (lambda root: (root / "masks/1.png").write_bytes(b"x"), {}, "1.png can't be read as an image"),
        (lambda root: (root / "images/1.jpg").write_bytes(b"x"), {}, "1.jpg can't be read as an image"),
        (lambda root: (root / "masks").rename(root / "others"), {}, r"There is no folder .*/masks"),
        (lambda root: (root / "masks").rename(root / "Labels"), {}, None),
        (lambda root: (root / "val").mkdir(), {}, "has images, masks beside val, which may be splits"),
        (nothing, {"held_out": 0.0}, "leaves no images for val and test"),
        (nothing, {"in_channels": 2}, "in_channels=2"),
        (nothing, {"ignore_index": 1}, "ignore_index=1 is one of the classes"),
        (nothing, {"palette": [[0, 0, 0]]}, "palette has 1 colours for 3 classes"),
        (nothing, {"palette": [[0, 0, 0]] * 3}, "palette has a colour twice"),
    ],
)  # fmt: skip
def test_everything_is_checked_before_training(
    damage: Callable[[Path], object], arguments: dict[str, object], sentence: str | None, tmp_path: Path
) -> None:
    for index in range(4):
        save_pair(tmp_path, str(index))
    (tmp_path / "images/sub").mkdir()
    (tmp_path / "masks/sub").mkdir()
    damage(tmp_path)
    if sentence is None:
        folder(tmp_path, **arguments).setup()
        return
    with pytest.raises(Refusal, match=sentence) as caught:
        folder(tmp_path, **arguments).setup()
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no folder .*nowhere; set dataset\.root"):
        folder(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(Refusal, match="leaves no images for train and val and test"):
        folder(tmp_path).setup()


def test_a_link_does_not_take_a_training_image_into_the_test(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in "abc":
            save_pair(tmp_path / split, name)
    for kind, suffix in (("images", ".jpg"), ("masks", ".png")):
        (tmp_path / f"test/{kind}/d{suffix}").symlink_to(tmp_path / f"train/{kind}/a{suffix}")
    with pytest.raises(Refusal, match=r"images/a.jpg for train and .*images/d.jpg for test are the same file; remove"):
        folder(tmp_path).setup()
