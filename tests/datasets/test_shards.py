"""Sharded data equals the original data and doesn't stay in memory."""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from tools import composed, tiny

from scalian_exp.build import build
from scalian_exp.datasets.order import ShuffledBatches
from scalian_exp.datasets.shards import FACTS, SPLITS, Shards, sizes_of
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

FAKE = ["dataset.in_channels=1", "dataset.image_size=[16,16]"]


def written(root: Path, folder: Path, *overrides: str) -> None:
    """Run make_shards.py in a subprocess, because litdata starts processes."""
    script = [sys.executable, str(root / "scripts/make_shards.py"), str(folder)]
    subprocess.run([*script, *overrides], check=True, capture_output=True, timeout=200)


def empty_examples(count: int) -> bytes:
    """Return a shard of empty examples: their number, their offsets and the end."""
    return struct.pack(f"<{count + 2}I", count, *[4 * (count + 2)] * (count + 1))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "fake"
    written(Path(__file__).parents[2], folder, "dataset=fake_images")
    return folder


@pytest.mark.slow
def test_shards_hold_the_original_examples(shards: Path) -> None:
    original = build("dataset", OmegaConf.to_container(composed("dataset=fake_images").dataset, resolve=True))
    overrides = ["dataset=shards", f"dataset.root={shards}", *FAKE, "dataset.num_workers=0"]
    again = build("dataset", OmegaConf.to_container(composed(*overrides).dataset, resolve=True))
    for data in (original, again):
        data.setup()
    assert again.classes_in_labels == original.classes_in_labels
    for split in ("train", "val", "test"):
        every = torch.arange(len(original.splits[split]))
        for name, values in original.splits[split][every].items():
            assert torch.equal(again.splits[split][every][name], values)


def test_an_epoch_visits_every_example_once_and_few_shards_at_a_time(tmp_path: Path) -> None:
    shards = [{"chunk_size": size, "filename": f"{size}.bin"} for size in (5, 4, 6)]
    for written in shards:
        (tmp_path / str(written["filename"])).write_bytes(empty_examples(int(written["chunk_size"])))
    (tmp_path / "index.json").write_text(json.dumps({"chunks": shards}))
    from scalian_exp.datasets.shards import ShardedExamples

    data = ShardedExamples(tmp_path, mixed=1)
    order = torch.cat([*ShuffledBatches(data, 4, epoch=1)])
    assert sorted(order.tolist()) == list(range(15))
    shard = (order >= 5).int() + (order >= 9).int()
    assert len(shard.unique_consecutive()) == 3
    assert order.tolist() != torch.cat([*ShuffledBatches(data, 4, epoch=2)]).tolist()
    (tmp_path / "index.json").write_text(json.dumps({"chunks": shards[::-1]}))
    assert data.identity["size"] == 15
    assert ShardedExamples(tmp_path, mixed=2).identity != data.identity  # so a run won't resume on other shards


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_training_on_shards_resumes_bit_for_bit(shards: Path, workers: int, tmp_path: Path) -> None:
    overrides = ["dataset=shards", f"dataset.root={shards}", *FAKE, f"dataset.num_workers={workers}", "test=false"]
    train(tiny("autoencoder", *overrides, "trainer.max_epochs=2"), tmp_path / "straight")
    for epochs in (1, 2):
        train(tiny("autoencoder", *overrides, f"trainer.max_epochs={epochs}"), tmp_path / "parts")
    straight, parts = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("straight", "parts")
    )
    assert all(torch.equal(straight[name], parts[name]) for name in straight)


def test_folders_without_valid_shards_are_refused(tmp_path: Path) -> None:
    config = tiny("autoencoder", "dataset=shards", f"dataset.root={tmp_path / 'shards'}")
    with pytest.raises(Refusal, match=r"shards\.json"):
        train(config, tmp_path / "run")
    for split in ("train", "val", "test"):
        (tmp_path / "shards" / split).mkdir(parents=True)
        (tmp_path / "shards" / split / "index.json").write_text('{"chunks": []}')
    (tmp_path / "shards/shards.json").write_text('{"image": [1, 16, 16], "classes": 0}')
    with pytest.raises(Refusal, match=r"correct dataset\.in_channels"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


READ = """
import re, sys
from pathlib import Path
from scalian_exp.datasets.shards import Shards
data = Shards(sys.argv[1], in_channels=3, image_size=[64, 64], batch_size=64)
data.setup()
private = lambda: int(re.search(r"Anonymous: *([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) // 1024
batches = iter(data.loader("train", shuffle=True))
next(batches)
before, sizes, most = private(), [], 0
for batch in batches:
    sizes.append(batch["image"].numel())
    most = max(most, private())
print(sum(sizes) // 2**20, most - before)
"""


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    """Shards that are truncated, lengthened, swapped or empty are refused before training."""
    intact = struct.pack("<5I", 3, 20, 24, 28, 32) + bytes(range(12))
    index = {"chunks": [{"chunk_size": 3, "chunk_bytes": len(intact), "filename": "chunk-0-0.bin"}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    shard = tmp_path / "chunk-0-0.bin"
    shard.write_bytes(intact)
    assert sizes_of(tmp_path) == [3]
    for damaged in (intact[:-1], intact[:22] + intact[27:], intact + b"0", intact[:9], b"", empty_examples(2)):
        shard.write_bytes(damaged)
        with pytest.raises(Refusal, match=r"chunk-0-0\.bin is damaged: it doesn't have the 3 examples"):
            sizes_of(tmp_path)


@pytest.mark.slow
def test_written_shards_are_complete_and_truncated_ones_are_refused(shards: Path, tmp_path: Path) -> None:
    copied = tmp_path / "shards"
    shutil.copytree(shards, copied)
    config = tiny("autoencoder", "dataset=shards", f"dataset.root={copied}", *FAKE)
    (shard,) = (copied / "test").glob("*.bin")
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(Refusal, match=rf"test/{shard.name} is damaged"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(root: Path, tmp_path: Path) -> None:
    """Reading a quarter of a gigabyte takes less than 16 MB, not counting memory-mapped files."""
    fake = ["dataset=fake_images", "dataset.in_channels=3", "dataset.image_size=[64,64]", "dataset.train_size=22000"]
    written(root, tmp_path / "large", *fake)
    result = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "large")], check=True, capture_output=True)
    size, growth = map(int, result.stdout.split())
    assert size > 250
    assert growth < 16


@pytest.mark.slow
def test_a_segmentation_trains_on_shards_with_masks(root: Path, tmp_path: Path) -> None:
    written(root, tmp_path / "masks", "dataset=fake_masks")
    overrides = ["dataset=mask_shards", f"dataset.root={tmp_path / 'masks'}", "dataset.image_size=[40,48]"]
    metrics = train(tiny("unet", *overrides, "dataset.num_classes=4"), tmp_path / "run")
    assert metrics["status"] == "finished"


@pytest.mark.parametrize("name", [FACTS, "train/index.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", "{}", '{"image": 5, "classes": 2}', '{"chunks": [5]}'])
def test_damaged_index_files_are_refused(name: str, text: str, tmp_path: Path) -> None:
    pytest.importorskip("litdata")
    for split in SPLITS:
        (tmp_path / split).mkdir()
        (tmp_path / split / "shard").write_bytes(empty_examples(3))
        (tmp_path / split / "index.json").write_text('{"chunks": [{"chunk_size": 3, "filename": "shard"}]}')
    (tmp_path / FACTS).write_text('{"image": [1, 8, 8], "classes": 2}')
    data = Shards(str(tmp_path), 1, [8, 8], batch_size=4)
    data.setup()
    assert len(data.splits["train"]) == 3
    (tmp_path / name).write_text(text)
    with pytest.raises(Refusal, match=f"{name} is damaged: .*make_shards"):
        Shards(str(tmp_path), 1, [8, 8], batch_size=4).setup()
    (tmp_path / name).unlink()
    with pytest.raises(Refusal, match=f"has no {name}"):
        Shards(str(tmp_path), 1, [8, 8], batch_size=4).setup()
