"""Broken images are found before training begins or, where images are streamed, cost no training."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tools import tiny
from torch import Tensor

from scalian_exp.checkpoint import load
from scalian_exp.datasets import folder
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train, used_completely

SPLITS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    for split in SPLITS:
        (tmp_path / "data" / split).mkdir(parents=True)
        for number in range(6):
            pixels = noise.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / split / f"{split}{number}.png")
    return tmp_path / "data"


def truncate(file: Path) -> bytes:
    contents = file.read_bytes()
    file.write_bytes(contents[:-60])
    return contents


def config(root: Path, *overrides: str) -> dict[str, Any]:
    data = ["dataset=image_folder", f"dataset.root={root}", "dataset.image_size=[8,8]", "dataset.batch_size=4"]
    limits = [f"trainer.limit_{split}_batches=1.0" for split in SPLITS]
    return tiny("conv_autoencoder", *data, *limits, "trainer.max_epochs=1", "dataset.num_workers=0", *overrides)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", SPLITS)
def test_a_broken_image_of_any_split_is_found_before_training(
    root: Path, split: str, workers: int, tmp_path: Path
) -> None:
    truncate(root / split / f"{split}5.png")
    with pytest.raises(Refusal, match=rf"{split}/{split}5\.png can't be read as an image \(.*\); repair or replace"):
        train(config(root, f"dataset.num_workers={workers}"), tmp_path / "run")
    assert not (tmp_path / "run/config.yaml").exists()
    assert not (tmp_path / "run/checkpoints").exists()


def test_images_decoded_ahead_are_not_decoded_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    original = folder.read_image

    def counting(path: Path, *arguments: Any) -> Tensor:
        counts[path.name] += 1
        return original(path, *arguments)

    monkeypatch.setattr(folder, "read_image", counting)
    data = ImageFolder(str(root), 3, [8, 8], 4, num_workers=0)
    data.setup("fit")
    data.decode_ahead(["val", "test"])
    assert sorted(counts) == sorted(f"{split}{number}.png" for split in ("val", "test") for number in range(6))
    data.decode_ahead(SPLITS, (1, 2))  # the second of two processes
    assert sum(counts.values()) == 12 + 3
    for split in SPLITS:
        list(data.loader(split))
    assert set(counts.values()) == {1}
    assert len(counts) == 18
    streamed = ImageFolder(str(root), 3, [8, 8], 4, num_workers=0, cache_gb=0)
    streamed.setup("fit")
    streamed.decode_ahead(SPLITS)
    assert sum(counts.values()) == 18


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_that_fails_after_training_says_how_to_test_again(root: Path, workers: int, tmp_path: Path) -> None:
    file = root / "test/test5.png"
    contents = truncate(file)
    with pytest.raises(Refusal) as caught:
        train(config(root, "dataset.cache_gb=0", f"dataset.num_workers={workers}"), tmp_path / "run")
    sentences = str(caught.value)
    assert sentences.startswith(f"{file} can't be read as an image (")
    assert "repair or replace it. The trained weights are kept; once that is mended, test them with: " in sentences
    assert sentences.endswith(f"scalian-apply run={tmp_path}/run action=evaluate")
    assert "\n" not in sentences
    file.write_bytes(contents)
    load(tmp_path / "run")  # the weights are there


@pytest.mark.parametrize(
    ("length", "test", "splits"),
    [
        ({"max_epochs": 3}, True, ["train", "val", "test"]),
        ({"max_epochs": -1}, False, ["train", "val"]),
        ({"max_epochs": 0}, True, ["val", "test"]),
        ({"max_epochs": 3, "max_steps": 9}, True, ["val", "test"]),  # of 10 batches an epoch
        ({"max_epochs": 3, "max_steps": 10}, True, ["train", "val", "test"]),
    ],
)
def test_short_trainings_do_not_decode_all_training_images(
    length: dict[str, int], test: bool, splits: list[str]
) -> None:
    unlimited = SimpleNamespace(**{f"limit_{split}_batches": 1.0 for split in SPLITS})
    assert used_completely(unlimited, {"trainer": length, "test": test}, 10) == splits


def test_trials_on_a_few_batches_decode_only_those() -> None:
    limits = SimpleNamespace(limit_train_batches=1, limit_val_batches=0.5, limit_test_batches=1.0)
    assert used_completely(limits, {"trainer": {"max_epochs": 3}, "test": True}, 10) == ["test"]
