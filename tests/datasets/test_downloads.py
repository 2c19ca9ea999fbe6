"""Downloads and data folders: files without a known hash are not kept, and possible pickles are never opened."""

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
import torch
from harm import MARKER, Evil
from torchvision import datasets

from scalian_exp.datasets.cifar import CIFAR10
from scalian_exp.datasets.download import HOST, OnlyEncrypted, fetch, one_at_a_time, retrieve, sources
from scalian_exp.datasets.mnist import MNIST
from scalian_exp.datasets.shards import ShardedExamples
from scalian_exp.refusal import Refusal


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_first_source_with_the_right_file_is_taken(tmp_path: Path) -> None:
    for name in ("wrong", "right"):
        (tmp_path / name).write_text(name)
    urls = [f"file://{tmp_path / name}" for name in ("missing", "wrong", "right")]
    sha256 = hashlib.sha256(b"right").hexdigest()
    target = tmp_path / "data/file"
    with pytest.raises(Refusal, match=r"missing: .*wrong: the download has another hash\); put the file there"):
        fetch(urls[:2], target, sha256)
    assert not list(target.parent.iterdir())
    fetch(urls, target, sha256)
    assert target.read_text() == "right"
    target.write_text("something else")
    with pytest.raises(Refusal, match="broken or a different file"):
        fetch(urls, target, sha256)


def test_addresses_are_encrypted() -> None:
    assert sources("https://a/b", "https://c/b")[:2] == ["https://a/b", "https://c/b"]
    assert all(address.startswith("https://") for address in sources("https://a/b"))
    with pytest.raises(OSError, match="not https"):
        retrieve("http://a/b", Path("x"))
    for elsewhere in ("http://a/b", "file:///etc/passwd"):
        with pytest.raises(OSError, match="not https"):
            OnlyEncrypted().redirect_request(Request("https://a/b"), None, 302, "", {}, elsewhere)


def test_leftovers_of_killed_downloads_are_removed(tmp_path: Path) -> None:
    target, number = tmp_path / "file.zip", 32 * "a"
    target.write_text("x")
    leftovers = [
        f"file.zip.{number}.part",
        f"file.zip.{HOST}.{number}.part",
        "file.zip.part",
        f"file.zip.dead.{number}.part",
    ]
    others = [f"file.zip.other.{number}.part", "file.zip", "file.zip.txt", f"another.zip.{number}.part"]
    for name in (*leftovers, *others):
        (tmp_path / name).write_text("x")
    os.utime(tmp_path / leftovers[-1], (0, 0))
    fetch([], target, hashlib.sha256(b"x").hexdigest())
    assert {path.name for path in tmp_path.iterdir()} == {*others}


def test_shards_of_pickles_are_refused(tmp_path: Path) -> None:
    def index(**config: Any) -> None:
        chunks = [{"chunk_size": 1, "filename": "shard.bin"}]
        (tmp_path / "index.json").write_text(json.dumps({"chunks": chunks, "config": config}))

    (tmp_path / "shard.bin").write_bytes(struct.pack("<3I", 1, 12, 12))  # one empty example
    for harmless in (["no_header_tensor:16", "tensor"], ["int"], [], None):
        index(data_format=harmless)
        assert len(ShardedExamples(tmp_path, mixed=1)) == 1
    for wrong in (["pickle"], ["tensor", "graph:pickle"], ["graph"], ["unknown"], "pickle", [3]):
        index(data_format=wrong)
        with pytest.raises(Refusal, match="could run code when they are opened"):
            ShardedExamples(tmp_path, mixed=1)
    index(data_format=["int"], data_spec=json.dumps([1, {"__enum__": True, "fqn": "os:x", "name": "y"}]))
    with pytest.raises(Refusal, match="names code"):
        ShardedExamples(tmp_path, mixed=1)


def test_mnist_ignores_the_processed_folder(tmp_path: Path) -> None:
    for name in ("training.pt", "test.pt"):
        (tmp_path / "MNIST/processed").mkdir(parents=True, exist_ok=True)
        torch.save((torch.full((9, 28, 28), 7, dtype=torch.uint8), torch.zeros(9)), tmp_path / "MNIST/processed" / name)
    raw = tmp_path / "MNIST/raw"
    raw.mkdir()
    for part, count in (("train", 5), ("t10k", 2)):
        header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(count * 784))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(count))
    data = MNIST(str(tmp_path), 1, [28, 28], val_size=1)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [4, 1, 2]


def test_cifars_pickles_are_opened_only_if_their_hash_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    for name, _ in (*datasets.CIFAR10.train_list, *datasets.CIFAR10.test_list, ("batches.meta", "")):
        (folder / name).write_bytes(pickle.dumps(Evil(Path(MARKER))))
    monkeypatch.setattr(datasets.CIFAR10, "url", f"file://{tmp_path}/nothing")
    with pytest.raises(Refusal, match="missing or broken"):
        CIFAR10(str(tmp_path), 3, [32, 32]).setup()
    assert not Path(MARKER).exists()


def test_a_failed_download_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "old/own").mkdir(parents=True)
    for root, kept in (("new/data", []), ("old", ["old", "old/own"])):
        for file in ("a.gz", "MNIST/raw/a.gz"):
            with pytest.raises(Refusal, match="could not be downloaded"), one_at_a_time(str(tmp_path / root)):
                fetch([f"file://{tmp_path}/nowhere"], tmp_path / root / file, "0")
        assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob(f"{root.split('/')[0]}/**/")) == kept
    fetch([f"file://{__file__}"], tmp_path / "some/part/file", hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    with pytest.raises(Refusal), one_at_a_time(str(tmp_path / "some")):
        fetch([f"file://{tmp_path}/nowhere"], tmp_path / "some/other/file", "0")
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["part"]
