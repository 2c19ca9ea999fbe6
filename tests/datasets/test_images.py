"""Image data: splits, batches and their order, binarisation, published files."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tools import numbered
from torch import Tensor

from scalian_exp.datasets.bundled import Digits, FashionMNISTSample
from scalian_exp.datasets.fake import FakeImages
from scalian_exp.datasets.images import InMemoryImages
from scalian_exp.datasets.mnist import MNIST, BinarizedMNIST
from scalian_exp.datasets.order import BatchesInOrder, ShuffledBatches
from scalian_exp.refusal import Refusal


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


def test_the_order_depends_on_epoch_and_seed() -> None:
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
def test_a_validation_split_must_neither_be_empty_nor_take_everything(size: int) -> None:
    with pytest.raises(Refusal, match=r"dataset\.val_size"):
        Numbered(1, [1, 2], val_size=size).setup()


def test_a_wrong_image_size_is_refused() -> None:
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


def test_a_smaller_training_set_is_always_the_same_subset(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    few = [MNIST(str(tmp_path), 1, [28, 28], val_size=100, train_size=7) for _ in range(2)]
    for data in few:
        data.setup()
    full = MNIST(str(tmp_path), 1, [28, 28], val_size=100)
    full.setup()
    one, two = (data.splits["train"].examples["image"] for data in few)
    assert len(one) == 7
    assert torch.equal(one, two)
    assert all(any(torch.equal(image, other) for other in full.splits["train"].examples["image"]) for image in one)
    assert torch.equal(few[0].splits["val"].examples["image"], full.splits["val"].examples["image"])
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


def test_dynamic_binarisation_redraws_training_images_only(tmp_path: Path) -> None:
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


def test_broken_or_missing_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.mnist.MNIST.mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(Refusal, match=r"missing or broken.*put the four idx files there"):
        MNIST(str(tmp_path), 1, [28, 28]).setup()
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(Refusal, match="delete broken ones"):
        MNIST(str(tmp_path), 1, [28, 28], val_size=100).setup()


def test_the_fixed_binarisation_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(Refusal, match="broken or a different file; delete it"):
        data.prepare_data()
    data.file("test").unlink()
    (source / "binarized_mnist_test.amat").write_text("something else")
    with pytest.raises(Refusal, match="put the file there yourself"):
        data.prepare_data()
    assert sorted(path.name for path in data.file("test").parent.iterdir()) == [
        "binarized_mnist_train.amat",
        "binarized_mnist_valid.amat",
    ]
