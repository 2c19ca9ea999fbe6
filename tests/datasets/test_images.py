"""Image data: splits, batches, order and image folders."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tools import numbered, tiny
from torch import Tensor

from scalian_exp.checkpoint import read
from scalian_exp.datasets.bundled import Digits, FashionMNISTSample
from scalian_exp.datasets.fake import FakeImages
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.image_files import read_image
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.datasets.mnist import MNIST, BinarizedMNIST
from scalian_exp.datasets.order import BatchesInOrder, ShuffledBatches
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


class Numbered(InMemoryImages):
    """Data set whose images encode their own index in two bytes."""

    def read(self) -> dict[str, dict[str, Tensor]]:
        def numbered(first: int, count: int) -> dict[str, Tensor]:
            index = torch.arange(first, first + count)
            return {"image": torch.stack([index // 256, index % 256], 1).byte().view(-1, 1, 1, 2), "label": index}

        return {"train": numbered(0, 1000), "test": numbered(1000, 300)}


def labels(data: InMemoryImages, split: str) -> list[int]:
    return data.splits[split].examples["label"].tolist()


def test_splits_are_disjoint_complete_and_the_same_after_a_second_setup() -> None:
    data = Numbered(1, [1, 2], val_size=200)
    data.prepare_data()
    data.setup("fit")
    first = {split: labels(data, split) for split in ("train", "val", "test")}
    data.prepare_data()
    data.setup("test")
    assert {split: labels(data, split) for split in first} == first
    assert [len(first[split]) for split in first] == [800, 200, 300]
    assert sorted(first["train"] + first["val"] + first["test"]) == list(range(1300))
    torch.manual_seed(99)  # splits depend on the data, not on the run
    again = Numbered(1, [1, 2], val_size=200)
    again.setup()
    assert labels(again, "val") == first["val"]


def test_images_and_labels_stay_together() -> None:
    data = Numbered(1, [1, 2], batch_size=64, val_size=200)
    data.setup()
    seen = []
    for batch in data.train_dataloader():
        pixels = batch["image"].long().flatten(1)
        assert torch.equal(pixels[:, 0] * 256 + pixels[:, 1], batch["label"])
        seen += batch["label"].tolist()
    assert sorted(seen) == labels(data, "train")
    assert seen != sorted(seen)


def test_pixels_become_floats_in_the_unit_range() -> None:
    data = Numbered(1, [1, 2], val_size=200)
    raw = {"image": torch.tensor([[[[0, 255]]]], dtype=torch.uint8)}
    assert data.prepare(raw)["image"].tolist() == [[[[0.0, 1.0]]]]


def test_each_epoch_has_its_order_and_each_seed_its_own() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.manual_seed(seed)
        batches = ShuffledBatches(numbered(20), 6)
        batches.set_epoch(epoch)
        return torch.cat(list(batches)).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6
    for batches in (BatchesInOrder(20, 6), ShuffledBatches(numbered(20), 6)):
        assert [len(batch) for batch in batches] == [6, 6, 6, 2]
        assert len(batches) == 4
    assert torch.cat(list(BatchesInOrder(20, 6))).tolist() == list(range(20))


@pytest.mark.parametrize("size", [0, 1000, 5000])
def test_a_validation_split_must_leave_and_take_something(size: int) -> None:
    with pytest.raises(Refusal, match=r"dataset\.val_size"):
        Numbered(1, [1, 2], val_size=size).setup()


def test_facts_that_are_wrong_are_told() -> None:
    with pytest.raises(Refusal, match=r"correct dataset\.in_channels and dataset\.image_size"):
        Digits(1, [28, 28], val_size=10).setup()


def test_the_embedded_sample_is_balanced() -> None:
    data = FashionMNISTSample(1, [28, 28], val_size=1000)
    data.setup()
    train, val = (data.splits[split].examples["label"] for split in ("train", "val"))
    assert torch.bincount(torch.cat([train, val])).tolist() == [600] * 10
    assert torch.bincount(data.splits["test"].examples["label"]).tolist() == [100] * 10


def test_digits_have_17_grey_levels() -> None:
    data = Digits(1, [8, 8], val_size=200)
    data.setup()
    images = torch.cat([data.splits[split].examples["image"] for split in ("train", "val", "test")])
    assert len(images) == 1797
    assert len(images.unique()) == 17
    assert int(images.max()) == 255


def test_fake_binary_images_are_binary() -> None:
    data = FakeImages(2, [9, 7], binary=True)
    data.setup()
    assert data.splits["train"].examples["image"].unique().tolist() == [0, 255]


def test_fewer_training_images_are_the_same_ones_each_time(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    few = [MNIST(str(tmp_path), 1, [28, 28], val_size=100, train_size=7) for _ in range(2)]
    for data in few:
        data.setup()
    whole = MNIST(str(tmp_path), 1, [28, 28], val_size=100)
    whole.setup()
    one, two = (data.splits["train"].examples["image"] for data in few)
    assert len(one) == 7
    assert torch.equal(one, two)
    assert all(any(torch.equal(image, other) for other in whole.splits["train"].examples["image"]) for image in one)
    assert torch.equal(few[0].splits["val"].examples["image"], whole.splits["val"].examples["image"])
    with pytest.raises(Refusal, match=r"dataset\.train_size=100000 is more than the"):
        MNIST(str(tmp_path), 1, [28, 28], val_size=100, train_size=100_000).setup()


def write_mnist(root: Path) -> None:
    folder = root / "MNIST/raw"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 300), ("t10k", 100)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = np.array([0x803, count, 28, 28], ">u4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = np.array([0x801, count], ">u4").tobytes()
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(i % 10 for i in range(count)))


def test_dynamic_binarisation_draws_training_anew_and_evaluation_once(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    first = MNIST(str(tmp_path), 1, [28, 28], val_size=100, resample_binary=True)
    second = MNIST(str(tmp_path), 1, [28, 28], val_size=100, resample_binary=True)
    grey = MNIST(str(tmp_path), 1, [28, 28], val_size=100)
    for data in (first, second, grey):
        data.setup()
    for split in ("val", "test"):
        drawn = first.splits[split].examples["image"]
        assert drawn.unique().tolist() == [0, 255]
        assert torch.equal(drawn, second.splits[split].examples["image"])
    expected = float(grey.splits["test"].examples["image"].float().mean())
    assert float(first.splits["test"].examples["image"].float().mean()) == pytest.approx(expected, abs=2)

    class Training:
        lightning_module = torch.nn.Linear(1, 1)
        lightning_module.dtype = torch.float32
        training = True
        fit_loop = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
        global_rank, world_size = 0, 1
        overfit_batches = 0

    first.trainer = Training()  # type: ignore[assignment]
    batch = next(iter(first.train_dataloader()))
    x, y = (first.prepare(dict(batch))["image"] for _ in range(2))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(x, y)


def test_broken_or_missing_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.mnist.MNIST.mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(Refusal, match=r"missing or broken.*put the four idx files there"):
        MNIST(str(tmp_path), 1, [28, 28]).setup()
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(Refusal, match="delete broken ones"):
        MNIST(str(tmp_path), 1, [28, 28], val_size=100).setup()


def test_the_fixed_binarisation_is_read_and_its_files_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    hashes, bits = {}, {}
    for part, count in (("train", 5), ("valid", 3), ("test", 2)):
        bits[part] = np.random.default_rng(count).integers(0, 2, (count, 784))
        text = "\n".join(" ".join(map(str, row)) for row in bits[part]) + "\n"
        (source / f"binarized_mnist_{part}.amat").write_text(text)
        hashes[part] = hashlib.sha256(text.encode()).hexdigest()
    monkeypatch.setattr(BinarizedMNIST, "url", f"file://{source}/")
    monkeypatch.setattr(BinarizedMNIST, "hashes", hashes)
    data = BinarizedMNIST(str(target), 1, [28, 28], val_size=3)
    data.prepare_data()
    data.prepare_data()
    data.setup()
    smaller = BinarizedMNIST(str(target), 1, [28, 28], val_size=1)
    smaller.setup()
    assert [len(smaller.splits[split]) for split in ("train", "val", "test")] == [7, 1, 2]
    few = BinarizedMNIST(str(target), 1, [28, 28], val_size=1, train_size=4)
    few.setup()
    assert [len(few.splits[split]) for split in ("train", "val", "test")] == [4, 1, 2]
    with pytest.raises(Refusal, match="more than the 3 validation images"):
        BinarizedMNIST(str(target), 1, [28, 28], val_size=4).setup()
    for split, part in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert np.array_equal(data.splits[split].examples["image"].flatten(1).numpy(), bits[part] * 255)
    data.file("test").write_text("0 1\n")
    with pytest.raises(Refusal, match="broken or another file; delete it"):
        data.prepare_data()
    data.file("test").unlink()
    (source / "binarized_mnist_test.amat").write_text("something else")
    with pytest.raises(Refusal, match="put the file there yourself"):
        data.prepare_data()
    assert sorted(path.name for path in data.file("test").parent.iterdir()) == [
        "binarized_mnist_train.amat",
        "binarized_mnist_valid.amat",
    ]


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


def test_image_folder_takes_split_folders_as_they_are(tmp_path: Path) -> None:
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


def test_image_folder_refusals(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no folder .*dataset\.root"):
        ImageFolder(str(tmp_path / "nowhere"), 3, [8, 8])
    save_images(tmp_path, 2)
    with pytest.raises(Refusal, match="needs more images"):
        ImageFolder(str(tmp_path), 3, [8, 8]).setup()
    with pytest.raises(Refusal, match="in_channels=2"):
        ImageFolder(str(tmp_path), 2, [8, 8])


def test_the_number_of_classes_must_be_that_of_the_folders(tmp_path: Path) -> None:
    for name in ("cat", "cow", "dog"):
        save_images(tmp_path / name, 5)
    data = ImageFolder(str(tmp_path), 1, [8, 8], num_classes=3)
    data.setup()
    assert data.class_names == ["cat", "cow", "dog"]
    with pytest.raises(Refusal, match=r"3 classes \(cat, cow, dog\), but dataset.num_classes is 2"):
        ImageFolder(str(tmp_path), 1, [8, 8], num_classes=2).setup()
    assert data.classes_found == 3
    with pytest.raises(Refusal, match="has no subfolders, so its images have no classes"):
        ImageFolder(str(tmp_path / "cat"), 1, [8, 8], num_classes=3).setup()
    ImageFolder(str(tmp_path / "cat"), 1, [8, 8], held_out=0.3).setup()


def test_crop_keeps_proportions_and_resize_does_not(tmp_path: Path) -> None:
    picture = Image.new("L", (40, 20), 0)
    picture.paste(255, (10, 0, 30, 20))  # the middle half is white
    picture.save(tmp_path / "a.png")
    cropped = read_image(tmp_path / "a.png", (1, 20, 20), "crop")
    resized = read_image(tmp_path / "a.png", (1, 20, 20), "resize")
    assert float(cropped.float().mean()) == pytest.approx(255, abs=1)
    assert float(resized.float().mean()) == pytest.approx(127.5, abs=4)


def test_an_unreadable_image_is_told(tmp_path: Path) -> None:
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


def test_training_with_loader_processes_resumes_to_the_bit(tmp_path: Path) -> None:
    """Worker processes request their first batches before the resumed epoch begins."""
    (tmp_path / "photos").mkdir()
    for number in range(20):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(tmp_path / f"photos/{number}.png")
    photos = ["dataset=image_folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=[8,8]"]
    words = [*photos, "dataset.num_workers=1", "dataset.batch_size=4", "test=false"]
    train(tiny("autoencoder", *words, "trainer.max_epochs=2"), tmp_path / "whole")
    for epochs in (1, 2):
        train(tiny("autoencoder", *words, f"trainer.max_epochs={epochs}"), tmp_path / "parts")
    whole, parts = (read(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
