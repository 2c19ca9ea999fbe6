"""Training examples drawn so that all classes are equally frequent."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import refused
from interruptions import assert_same
from PIL import Image
from tools import tiny
from torch import Tensor

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.fake import FakeMasks
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.images import InMemoryImages, TensorBatches
from scalian_exp.datasets.order import BalancedOrder, ShuffledBatches, equally_often, members_of
from scalian_exp.datasets.shards import Shards
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

LABELS = torch.tensor([0] * 60 + [2] * 5 + [1] * 20 + [0] * 12 + [2] * 3)
"""72 examples of class 0, 20 of class 1 and 8 of class 2"""


class Unequal(InMemoryImages):
    """Images that encode their own index, with unequally frequent labels."""

    def read(self) -> dict[str, dict[str, Tensor]]:
        images = torch.arange(100).byte().view(-1, 1, 1, 1)
        train, test = {"image": images, "label": LABELS}, {"image": images[:3], "label": LABELS[:3]}
        return {"train": train, "val": dict(test), "test": test}


def epoch(size: int, seed: int = 0) -> list[int]:
    return equally_often(members_of(LABELS), size, torch.Generator().manual_seed(seed)).tolist()


def test_members_of_classes_are_listed_in_order() -> None:
    listed = [indices.tolist() for indices in members_of(LABELS)]
    assert listed == [[*range(60), *range(85, 97)], [*range(65, 85)], [*range(60, 65), *range(97, 100)]]
    assert [indices.tolist() for indices in members_of(torch.tensor([5, 3, 5]))] == [[1], [0, 2]]


@pytest.mark.parametrize("size", [2, 3, 99, 100, 101, 1000])
def test_classes_and_their_examples_are_equally_frequent(size: int) -> None:
    drawn = epoch(size)
    assert len(drawn) == size
    classes = Counter(LABELS[drawn].tolist())
    assert {classes[label] for label in range(3)} <= {size // 3, -(-size // 3)}
    for label, number in ((0, 72), (1, 20), (2, 8)):
        times = Counter(index for index in drawn if LABELS[index] == label)
        quota = classes[label]
        frequencies = [times[index] for index in range(100) if LABELS[index] == label]
        assert set(frequencies) <= {quota // number, -(-quota // number)}


def test_examples_are_drawn_at_random() -> None:
    """Over many epochs, each example of the most frequent class is seen equally often, and the order is mixed."""
    epochs = [epoch(99, seed) for seed in range(400)]
    times = Counter(index for drawn in epochs for index in drawn)
    expected = 400 * 33 / 72  # binomial, with a standard deviation of 10
    assert all(abs(times[index] - expected) < 50 for index in range(60))
    first = Counter(int(LABELS[drawn[0]]) for drawn in epochs)
    assert all(abs(first[label] - 400 / 3) < 50 for label in range(3))  # a standard deviation of 9
    assert epoch(99, 3) == epoch(99, 3) != epoch(99, 4)


def test_images_with_rare_classes_are_drawn_more_often() -> None:
    """An image may have several classes; classes without any image are left out."""
    everywhere, some, one = torch.arange(12), torch.tensor([3, 4, 5]), torch.tensor([7])
    drawn = Counter(
        equally_often([everywhere, one, torch.tensor([]), some], 36, torch.Generator().manual_seed(0)).tolist()
    )
    assert drawn == {**dict.fromkeys(range(12), 1), 7: 13, **dict.fromkeys([3, 4, 5], 5)}


def test_processes_share_an_epoch() -> None:
    order = BalancedOrder(members_of(LABELS), 100)
    alone = [*ShuffledBatches(order, 8, epoch=3)]
    shares = [[*ShuffledBatches(order, 8, 3, rank, 2)] for rank in range(2)]
    for batch, *parts in zip(alone, *shares, strict=True):
        assert torch.equal(batch, torch.cat(parts))
    assert not torch.equal(torch.cat(alone), torch.cat([*ShuffledBatches(order, 8, epoch=4)]))


def test_a_data_module_balances_training_alone() -> None:
    data = Unequal(1, [1, 1], batch_size=10, balanced=True)
    data.setup()
    batches = [*data.train_dataloader()]
    assert len(batches) == 10
    drawn = torch.cat([batch["label"] for batch in batches])
    assert sorted(Counter(drawn.tolist()).values()) == [33, 33, 34]
    assert all(torch.equal(batch["label"], LABELS[batch["index"]]) for batch in batches)
    assert [batch["index"].tolist() for batch in data.test_dataloader()] == [[0, 1, 2]]
    assert torch.cat([batch["index"] for batch in data.loader("train")]).tolist() == list(range(100))


def test_images_are_balanced_by_the_classes_of_their_masks() -> None:
    masks = torch.zeros(20, 4, 4, dtype=torch.uint8)
    masks[4, 0, 0] = masks[9, 3, 3] = 2
    masks[:5, 1] = VOID_BYTE
    data = FakeMasks(1, [4, 4], num_classes=3, batch_size=4, balanced=True)
    data.splits = {"train": TensorBatches({"image": torch.zeros(20, 1, 4, 4, dtype=torch.uint8), "mask": masks})}
    assert [indices.tolist() for indices in data.class_members] == [[*range(20)], [], [4, 9]]
    assert data.class_pixels()[0].tolist() == [20 * 16 - 5 * 4 - 2, 0, 2]
    times = Counter(torch.cat([batch["index"] for batch in data.train_dataloader()]).tolist())
    assert {times[4], times[9]} <= {5, 6}  # five for class 2, and perhaps one for class 0
    assert sum(times.values()) == 20
    assert max(times[index] for index in range(20) if index not in (4, 9)) == 1


def test_a_balanced_training_resumes_inside_an_epoch_bit_for_bit(tmp_path: Path) -> None:
    config = tiny("classifier", "dataset.balanced=true", "trainer.max_epochs=2")
    straight = train(config, tmp_path / "straight")
    train({**config, "trainer": {**config["trainer"], "max_steps": 4}}, tmp_path / "parts")  # three steps an epoch
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_steps=-1"]))
    assert_same(tmp_path / "straight", tmp_path / "parts")
    assert straight["steps"] == 6
    other = train(tiny("classifier", "trainer.max_epochs=2"), tmp_path / "other")
    assert other["test/loss"] != straight["test/loss"]


def test_a_segmentation_network_is_trained_on_balanced_images(tmp_path: Path) -> None:
    metrics = train(tiny("unet", "dataset.balanced=true"), tmp_path / "run")
    assert metrics["status"] == "finished"


def folder_of(root: Path, /, **classes: int) -> Path:
    """Write images into class folders, or directly into the root for a class called `root`."""
    for name, count in classes.items():
        folder = root if name == "root" else root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(folder / f"{name}{index}.png")
    return root


def image_folder(root: Path) -> ImageFolder:
    return ImageFolder(str(root), 3, [8, 8], batch_size=8, num_workers=0, balanced=True)


def test_folders_of_unequal_size_are_balanced(tmp_path: Path) -> None:
    data = image_folder(folder_of(tmp_path, cat=40, dog=6))
    data.setup()
    drawn = torch.cat([batch["label"] for batch in data.train_dataloader()])
    assert abs(2 * int(drawn.sum()) - len(drawn)) <= 1
    assert len(drawn) == len(data.splits["train"])


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [({"root": 20}, "leave dataset.balanced out"), ({"cat": 20}, "nothing to tell apart")],
)
def test_folders_without_classes_are_refused(classes: dict[str, int], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=sentence):
        image_folder(folder_of(tmp_path, **classes)).setup()


def test_data_without_labels_are_refused(tmp_path: Path) -> None:
    message = refused("model=vae", "dataset=mnist_binarized", "+dataset.balanced=true", cwd=tmp_path)
    assert "these have neither labels nor masks; leave it out" in message
    with pytest.raises(Refusal, match="shards are read one after the other"):
        Shards(str(tmp_path), 3, [8, 8], batch_size=8, balanced=True)
    data: Any = Unequal(1, [1, 1], batch_size=10, balanced=True)
    data.setup()
    data.splits["train"].labels = None
    with pytest.raises(Refusal, match=r"dataset\.balanced=true draws training images by their classes"):
        data.train_dataloader()


def test_masks_that_are_void_everywhere_are_refused() -> None:
    data = FakeMasks(3, (8, 8), num_classes=3, train_size=6, val_size=2, test_size=2, batch_size=2, balanced=True)
    data.setup()
    data.splits["train"].examples["mask"].fill_(VOID_BYTE)
    with pytest.raises(Refusal, match="All training masks are void everywhere"):
        data.train_dataloader()
