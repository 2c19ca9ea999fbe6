"""Folders of images: splits, classes, sizes and unreadable files."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny

from scalian_exp.checkpoint import read
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.image_files import read_image
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.data_protocols import check_classes


def save_images(folder: Path, count: int, size: tuple[int, int] = (20, 30)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", size, (index * 10 % 256, 0, 0)).save(folder / f"{index:03}.png")


def test_image_folder_splits_classes_and_reads_by_batches(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / name, 20)
    data = ImageFolder(str(tmp_path), 3, [8, 8], batch_size=10, num_workers=0, held_out=0.2)
    data.setup("fit")
    data.setup("test")
    paths = {split: {str(path) for path in data.splits[split].paths} for split in ("train", "val", "test")}
    assert sum(map(len, paths.values())) == 40
    assert all(3 <= len(paths[split]) <= 13 for split in ("val", "test"))  # 8 each on average
    assert len(set.union(*paths.values())) == 40
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (10, 3, 8, 8)
    assert batch["image"].dtype == torch.uint8
    assert set(batch["label"].tolist()) <= {0, 1}


def test_image_folder_uses_split_folders_unchanged(tmp_path: Path) -> None:
    for index, split in enumerate(("train", "val", "test")):
        save_images(tmp_path / split / "a", index + 1)
    data = ImageFolder(str(tmp_path), 1, [8, 8], num_workers=0)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [1, 2, 3]


def test_image_folder_never_trains_on_the_test_folder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / "train" / name, 10)
    save_images(tmp_path / "test" / "dog", 4)
    data = ImageFolder(str(tmp_path), 1, [8, 8], num_workers=0, held_out=0.2)
    data.setup()
    assert len(data.splits["train"]) + len(data.splits["val"]) == 20
    assert 1 <= len(data.splits["val"]) <= 8  # 4 on average
    assert all("test" in path.parts for path in data.splits["test"].paths)
    assert not any("test" in path.relative_to(tmp_path).parts for path in data.splits["train"].paths)
    assert set(data.splits["test"].labels) == {1}  # dog is the second class of the training images
    save_images(tmp_path / "test" / "fish", 1)
    with pytest.raises(Refusal, match="class 'fish'"):
        ImageFolder(str(tmp_path), 1, [8, 8]).setup()
    (tmp_path / "train").rename(tmp_path / "learned from")
    with pytest.raises(
        Refusal, match=r"has learned from beside test, which may be splits or classes; put every.*train"
    ):
        ImageFolder(str(tmp_path), 1, [8, 8]).setup()
    shutil.rmtree(tmp_path / "learned from")
    with pytest.raises(Refusal, match="no folder train"):
        ImageFolder(str(tmp_path), 1, [8, 8]).setup()


def test_missing_folders_and_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no folder .*dataset\.root"):
        ImageFolder(str(tmp_path / "nowhere"), 3, [8, 8])
    save_images(tmp_path, 2)
    with pytest.raises(Refusal, match="needs more images"):
        ImageFolder(str(tmp_path), 3, [8, 8]).setup()
    with pytest.raises(Refusal, match="in_channels=2"):
        ImageFolder(str(tmp_path), 2, [8, 8])


def test_the_number_of_classes_must_match_the_folders(tmp_path: Path) -> None:
    for name in ("cat", "cow", "dog"):
        save_images(tmp_path / name, 5)
    data = ImageFolder(str(tmp_path), 1, [8, 8], num_classes=3)
    data.setup()
    assert data.class_names == ["cat", "cow", "dog"]
    with pytest.raises(Refusal, match=r"3 classes \(cat, cow, dog\), but dataset.num_classes is 2"):
        ImageFolder(str(tmp_path), 1, [8, 8], num_classes=2).setup()
    assert data.classes_in_labels == 3
    with pytest.raises(Refusal, match="has no subfolders, so its images have no classes"):
        ImageFolder(str(tmp_path / "cat"), 1, [8, 8], num_classes=3).setup()
    ImageFolder(str(tmp_path / "cat"), 1, [8, 8], held_out=0.3).setup()


def test_a_single_class_is_nothing_to_learn(tmp_path: Path) -> None:
    save_images(tmp_path / "photos/cat", 20)
    with pytest.raises(Refusal, match=r"has a single class \(cat\), so .* folder of their own in .*photos\.$"):
        ImageFolder(str(tmp_path / "photos"), 1, [8, 8], num_classes=1).setup()
    save_images(tmp_path / "photos/dog", 20)
    with pytest.raises(Refusal, match=rf"single class \(photos\).*set dataset\.root={tmp_path}/photos\.$"):
        ImageFolder(str(tmp_path), 1, [8, 8], num_classes=1).setup()
    ImageFolder(str(tmp_path), 1, [8, 8]).setup()  # an autoencoder needs no classes
    one = SimpleNamespace(classes_in_labels=1)
    with pytest.raises(Refusal, match="has a single class"):
        check_classes(one, 1, None)
    check_classes(one, None, None)


def test_folders_without_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / "flat" / name, 20)
    (tmp_path / "flat/cow/more").mkdir(parents=True)
    (tmp_path / "flat/cow/.hidden").touch()
    (tmp_path / "flat/.git").mkdir()
    (tmp_path / "flat/same").symlink_to("cat")
    ImageFolder(str(tmp_path / "flat"), 1, [8, 8], num_classes=2).setup()
    output = capsys.readouterr().out
    assert "2 classes (20 cat, 20 dog)" in output
    assert "1 folder without images (cow)" in output
    for split in ("train", "val"):
        save_images(tmp_path / "split" / split / "cat", 20)
        (tmp_path / "split" / split / "cow").mkdir()
    ImageFolder(str(tmp_path / "split"), 1, [8, 8]).setup()
    assert "2 folders without images (train/cow, val/cow)" in capsys.readouterr().out


def test_crop_keeps_proportions_and_resize_does_not(tmp_path: Path) -> None:
    picture = Image.new("L", (40, 20), 0)
    picture.paste(255, (10, 0, 30, 20))  # the middle half is white
    picture.save(tmp_path / "a.png")
    cropped = read_image(tmp_path / "a.png", (1, 20, 20), "crop")
    resized = read_image(tmp_path / "a.png", (1, 20, 20), "resize")
    assert float(cropped.float().mean()) == pytest.approx(255, abs=1)
    assert float(resized.float().mean()) == pytest.approx(127.5, abs=4)


def test_an_unreadable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(Refusal, match="can't be read as an image"):
        read_image(tmp_path / "a.png", (1, 8, 8), "crop")
    with pytest.raises(Refusal, match="is a folder, not an image; give a file inside it"):
        read_image(tmp_path, (1, 8, 8), "crop")
    with pytest.raises(Refusal, match="There is no image file"):
        read_image(tmp_path / "b.png", (1, 8, 8), "crop")


def test_removing_an_image_leaves_the_others_in_their_splits(tmp_path: Path) -> None:
    """Otherwise repairing a folder would move training images into the test split of a resumed run."""
    save_images(tmp_path, 60)

    def splits() -> dict[str, set[str]]:
        data = ImageFolder(str(tmp_path), 1, [8, 8])
        data.setup()
        return {name: {path.name for path in part.paths} for name, part in data.splits.items()}  # type: ignore[attr-defined]

    before = splits()
    assert sum(map(len, before.values())) == 60
    assert 2 <= len(before["test"]) <= 12
    gone = sorted(before["train"])[3]
    (tmp_path / gone).unlink()
    assert splits() == {**before, "train": before["train"] - {gone}}


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", (1, 8, 8), "crop")
    assert pixels.flatten().tolist() == (ramp // 256).flatten().tolist()
    Image.fromarray(ramp.astype(np.int32), mode="I").save(tmp_path / "b.tif")
    with pytest.raises(Refusal, match="32 bits"):
        read_image(tmp_path / "b.tif", (1, 8, 8), "crop")


def test_training_with_worker_processes_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Worker processes request their first batches before the resumed epoch begins."""
    (tmp_path / "photos").mkdir()
    for number in range(20):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(tmp_path / f"photos/{number}.png")
    photos = ["dataset=image_folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=[8,8]"]
    overrides = [*photos, "dataset.num_workers=1", "dataset.batch_size=4", "dataset.cache_gb=0", "test=false"]
    train(tiny("autoencoder", *overrides, "trainer.max_epochs=2"), tmp_path / "straight")
    for epochs in (1, 2):
        train(tiny("autoencoder", *overrides, f"trainer.max_epochs={epochs}"), tmp_path / "parts")
    straight, parts = (read(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("straight", "parts"))
    assert all(torch.equal(straight[name], parts[name]) for name in straight)


def test_a_link_does_not_take_a_training_image_into_the_test(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save_images(tmp_path / split, 5)
    (tmp_path / "test/copy.png").symlink_to("../train/001.png")
    with pytest.raises(Refusal, match=r"train/001.png for train and .*test/copy.png for test are the same file; remo"):
        ImageFolder(str(tmp_path), 1, [8, 8], num_workers=0).setup()
