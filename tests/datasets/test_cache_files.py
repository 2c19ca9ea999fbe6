"""What is kept on disk of a folder's files is found by later runs, and shared by processes that start at once."""

import os
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scalian_exp.datasets import cache
from scalian_exp.datasets.cache import Cache
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.datasets.mask_readings import Checked
from scalian_exp.refusal import Refusal

SPLITS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of ten images, whose masks are numbers in indexed files with colours of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    noise = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(10):
        Image.fromarray(noise.integers(0, 256, (9, 13, 3), np.uint8)).save(tmp_path / f"data/images/{i}.png")
        mask = Image.fromarray(noise.integers(0, 2, (9, 13), np.uint8)).convert("P")
        mask.putpalette([0, 0, 0, 200, 30, 40])
        mask.save(tmp_path / f"data/masks/{i}.png")
    return tmp_path / "data"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that have been opened together with their masks."""
    names: list[str] = []
    original = MaskFiles.opened

    def noted(files: Any, pair: Any) -> Any:
        names.append(pair[0].path.name)
        return original(files, pair)

    monkeypatch.setattr(MaskFiles, "opened", noted)
    return names


def masks(root: Path, **options: Any) -> MaskFolder:
    data = MaskFolder(str(root), 3, [8, 8], 2, batch_size=4, held_out=0.2, **options)
    data.setup("fit")
    return data


def summaries(data: MaskFolder) -> list[list[Checked]]:
    parts: Any = [data.splits[name] for name in SPLITS]
    return [part.check() for part in parts]


def test_a_later_run_knows_the_masks_without_reading_them(root: Path, opened: list[str]) -> None:
    wanted = summaries(masks(root, cache_gb=0))
    assert wanted[0][0].legend == {0: (0, 0, 0), 1: (200, 30, 40)}
    first = [list(masks(root, cache="disk").loader(name)) for name in SPLITS]
    opened.clear()
    later = masks(root, cache="disk")
    assert summaries(later) == wanted
    torch.testing.assert_close([list(later.loader(name)) for name in SPLITS], first, rtol=0, atol=0)
    assert not opened


def test_damaged_summaries_are_read_again(root: Path, opened: list[str], tmp_path: Path) -> None:
    wanted = summaries(masks(root, cache="disk"))
    opened.clear()
    for file in (tmp_path / "cache/scalian_exp").glob("*.json"):
        file.write_text(file.read_text()[:-9])
    assert summaries(masks(root, cache="disk")) == wanted
    assert len(opened) == 10


def test_a_mask_that_has_changed_is_read_again(root: Path, tmp_path: Path) -> None:
    masks(root, cache="disk")
    Image.fromarray(np.full((9, 13), 7, np.uint8)).save(root / "masks/5.png")
    os.utime(root / "masks/5.png", ns=(1, 1))
    with pytest.raises(Refusal, match=r"5.png has the number 7"):
        masks(root, cache="disk")
    assert len(list((tmp_path / "cache/scalian_exp").glob("*.json"))) == 2  # that of the earlier state is gone


def test_processes_that_start_at_once_share_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looks for the file while the first is about to create it."""
    caches: list[Cache] = []
    threads: list[Thread] = []
    replacing = cache.replacing

    def slowly(file: Path) -> Any:
        if not threads:
            threads.append(Thread(target=lambda: caches.append(Cache({"x": (2,)}, 3, file))))
            threads[0].start()
            threads[0].join(0.2)
        return replacing(file)

    monkeypatch.setattr(cache, "replacing", slowly)
    first = Cache({"x": (2,)}, 3, tmp_path / "a.decoded")
    threads[0].join()
    first.put(1, {"x": torch.tensor([4, 5], dtype=torch.uint8)})
    assert not caches[0].lacks(1)
