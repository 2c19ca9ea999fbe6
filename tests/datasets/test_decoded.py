"""Images from folders are decoded once, and what is kept of them is what decoding gives."""

import os
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny
from torch import Tensor
from torchvision.transforms import v2

from scalian_exp.datasets import cache, decoded, folder, mask_files
from scalian_exp.datasets.augmentation import RandomCrop, RandomScale
from scalian_exp.datasets.decoded import DecodesOnce
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

COUNT = 30


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/scalian_exp"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(COUNT):
        pixels, mask = noise.integers(0, 256, (9, 13, 3), np.uint8), noise.integers(0, 2, (9, 13), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"data/images/{i:02}.png")
        Image.fromarray(mask).save(tmp_path / f"data/masks/{i:02}.png")
    return tmp_path / "data"


def images(root: Path, **options: Any) -> ImageFolder:
    data = ImageFolder(str(root / "images"), 3, [8, 8], 4, **{"num_workers": 0, "held_out": 0.2, **options})
    data.setup("fit")
    return data


def masks(root: Path, **options: Any) -> MaskFolder:
    data = MaskFolder(str(root), 3, [8, 8], 2, batch_size=4, **{"held_out": 0.2, **options})
    data.setup("fit")
    return data


def epoch(data: DecodesOnce, split: str = "train") -> list[dict[str, Tensor]]:
    return list(data.loader(split))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often this process decodes each file."""
    counts: Counter[str] = Counter()
    original = folder.read_image

    def counting(path: Path, *arguments: Any) -> Tensor:
        counts[path.name] += 1
        return original(path, *arguments)

    def counting_pair(files: Any, pair: Any) -> Any:
        counts[pair[0].path.name] += 1
        return original_pair(files, pair)

    original_pair = mask_files.MaskFiles.opened
    monkeypatch.setattr(folder, "read_image", counting)
    monkeypatch.setattr(mask_files.MaskFiles, "opened", counting_pair)
    return counts


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [images, masks])
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_batches_are_those_without_a_cache(root: Path, make: Any, cache: str, workers: int) -> None:
    streamed, kept = make(root, cache_gb=0), make(root, cache=cache, num_workers=workers)
    assert not streamed.splits["train"].complete
    loader = kept.loader("train")
    for _ in range(3):
        torch.testing.assert_close(list(loader), epoch(streamed), rtol=0, atol=0)
        assert kept.splits["train"].complete
    assert loader.num_workers == 0  # there is nothing left to decode


def test_training_sees_the_same_random_scales_and_crops(root: Path) -> None:
    """They need more pixels than what is left of them: what is kept has the size before augmentation."""
    steps = {"scale": RandomScale(0.5, 2.0), "crop": RandomCrop([6, 6]), "flip": v2.RandomHorizontalFlip()}
    batches = []
    for cache_gb in (0, 1):
        data = masks(root, augmentation=steps, cache_gb=cache_gb)
        data.__class__ = type("Varied", (MaskFolder,), {"varied": True})
        torch.manual_seed(0)
        batches.append([data.prepare(batch) for _ in range(2) for batch in epoch(data)])
    torch.testing.assert_close(*batches, rtol=0, atol=0)
    assert batches[0][0]["image"].shape[2:] == (6, 6)


@pytest.mark.parametrize("make", [images, masks])
def test_each_file_is_decoded_once(root: Path, make: Any, opened: Counter[str]) -> None:
    data = make(root)
    for split in ("train", "val", "test", "train"):
        epoch(data, split)
    assert len(opened) == COUNT
    assert set(opened.values()) == {1}


def test_a_later_run_finds_the_file_of_an_earlier_one(root: Path, opened: Counter[str], cache_folder: Path) -> None:
    first = epoch(images(root, cache="disk"))
    opened.clear()
    torch.testing.assert_close(epoch(images(root, cache="disk")), first, rtol=0, atol=0)
    assert not opened
    assert len(list(cache_folder.glob("*.decoded"))) == 3  # the splits'

    changed = sorted((root / "images").iterdir())[0]
    Image.fromarray(np.zeros((9, 13, 3), np.uint8)).save(changed)
    os.utime(changed, ns=(1, 1))
    again = images(root, cache="disk")
    shown = {split: torch.cat([batch["image"] for batch in epoch(again, split)]) for split in ("train", "val", "test")}
    assert opened[changed.name] == 1
    assert any((part == 0).all((1, 2, 3)).any() for part in shown.values())
    assert len(list(cache_folder.glob("*.decoded"))) == 3  # that of the earlier state is gone

    opened.clear()
    epoch(images(root, cache="disk", fit="resize"))  # another option: other values
    assert opened


@pytest.mark.parametrize("make", [images, masks])
def test_runs_with_other_splits_keep_their_own_files(root: Path, make: Any, cache_folder: Path) -> None:
    for share in (0.2, 0.4, 0.2):
        torch.testing.assert_close(
            *(epoch(make(root, held_out=share, **options)) for options in ({"cache": "disk"}, {"cache_gb": 0}))
        )
    assert len(list(cache_folder.glob("*.decoded"))) == 6


def test_the_share_held_out_is_no_matter_where_folders_make_the_splits(root: Path, opened: Counter[str]) -> None:
    for name in ("val", "test"):
        shutil.copytree(root / "images", root / "splits" / name)
    shutil.copytree(root / "images", root / "splits/train")
    for share in (0.2, 0.4):
        data = ImageFolder(str(root / "splits"), 3, [8, 8], 4, held_out=share, num_workers=0, cache="disk")
        data.setup("fit")
        epoch(data)
    assert set(opened.values()) == {1}


def test_what_an_earlier_version_decoded_is_decoded_again(
    root: Path, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch(images(root, cache="disk"))
    opened.clear()
    monkeypatch.setattr(cache, "DECODING", cache.DECODING + 1)
    epoch(images(root, cache="disk"))
    assert opened


def test_files_that_the_system_does_not_let_go_of_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, while another process uses them."""
    images(root, cache="disk")
    os.utime(sorted((root / "images").iterdir())[0], ns=(1, 1))
    with monkeypatch.context() as windows:
        windows.setattr(Path, "unlink", Mock(side_effect=PermissionError("in use")))
        data = images(root, cache="disk")
    torch.testing.assert_close(epoch(data), epoch(images(root, cache_gb=0)), rtol=0, atol=0)


def test_damaged_values_on_disk_are_decoded_again(root: Path, opened: Counter[str], cache_folder: Path) -> None:
    first = epoch(images(root, cache="disk"))
    opened.clear()
    for file in cache_folder.iterdir():
        contents = bytearray(file.read_bytes())
        contents[-1] ^= 1
        file.write_bytes(contents)
    torch.testing.assert_close(epoch(images(root, cache="disk")), first, rtol=0, atol=0)
    assert sum(opened.values()) == 1


def test_what_does_not_fit_is_streamed_and_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = images(root, cache_gb=1e-6)
    assert "would take 6 kB of memory, more than dataset.cache_gb=1e-06" in capsys.readouterr().out
    epoch(data)
    assert not data.splits["train"].complete
    images(root, cache_gb=0)
    assert "would take" not in capsys.readouterr().out


def test_processes_share_the_limit_and_the_cores_of_their_machine(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """30 images of 3×8×8 take 6 kB in each process."""
    monkeypatch.setattr(decoded, "cores", lambda: 2)
    alone: Any = images(root, cache_gb=1e-5, num_workers=1)
    assert alone.splits["train"].cache is not None
    assert alone.loader("train").num_workers == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    images(root, cache_gb=1e-5)
    assert "would take 12 kB of memory in 2 processes" in capsys.readouterr().out
    together: Any = images(root, cache_gb=1e-4, num_workers=1)
    assert together.splits["train"].cache is not None
    assert together.loader("train").num_workers == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_still_named(root: Path, workers: int) -> None:
    for file in (root / "images").iterdir():
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(Refusal, match=r"images/\d\d\.png can't be read as an image"):
        epoch(images(root, num_workers=workers))


@pytest.mark.slow
def test_processes_that_are_not_forked_decode_by_themselves(root: Path) -> None:
    data = images(root)
    batch = data.splits["train"][torch.arange(3)]
    copied = pickle.loads(pickle.dumps(data.splits["train"]))
    torch.testing.assert_close(copied[torch.arange(3)], batch, rtol=0, atol=0)


def test_a_resumed_training_and_one_that_streams_end_with_the_same_weights(root: Path, tmp_path: Path) -> None:
    folder = [f"dataset.root={root / 'images'}", "dataset.held_out=0.2", "dataset.image_size=[8,8]"]
    run = ["dataset=image_folder", *folder, "trainer.max_epochs=2"]
    train(tiny("conv_autoencoder", *run, "dataset.cache_gb=0", "dataset.num_workers=0"), tmp_path / "streamed")
    train(tiny("conv_autoencoder", *run, "dataset.num_workers=2"), tmp_path / "kept")
    train(tiny("conv_autoencoder", *run, "trainer.max_epochs=1", "dataset.num_workers=2"), tmp_path / "resumed")
    train(*resumed([f"resume={tmp_path / 'resumed'}", "trainer.max_epochs=2"]))
    weights = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("streamed", "kept", "resumed")
    ]
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=0)
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=0)
