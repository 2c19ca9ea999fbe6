"""A checkpoint that changed after it was written is refused, unless its contents are the same."""

import random
from pathlib import Path

import pytest
import torch
from tools import differences, tiny

from scalian_exp.callbacks.provenance import AtomicCheckpoints
from scalian_exp.checkpoint import check_intact, load, read
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.training import train


def flip(file: Path, bit: int) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)


def test_no_flipped_bit_changes_the_loaded_contents(tmp_path: Path) -> None:
    """The bits are those of weights, the config, the pickle and the zip file's own records."""
    train(tiny("autoencoder", "test=false"), tmp_path)
    file, copy = tmp_path / "checkpoints/best.ckpt", tmp_path / "copy.ckpt"
    contents = read(file)
    intact, refused = file.read_bytes(), []
    for bit in random.Random(0).sample(range(8 * len(intact)), 400):
        copy.write_bytes(intact)
        flip(copy, bit)
        try:
            assert not differences(read(copy), contents)
        except Refusal as refusal:
            refused.append(str(refusal))
    assert 100 < len(refused) < 400  # some bits are padding
    assert not any("\n" in sentence for sentence in refused)


def test_every_reader_refuses_a_damaged_checkpoint(tmp_path: Path) -> None:
    """Readers load, resume, initialise another run, and test the best checkpoint."""
    config = tiny("autoencoder")
    train(config, tmp_path)
    for name in ("best", "last"):
        file = tmp_path / f"checkpoints/{name}.ckpt"
        weight = next(values for values in read(file)["state_dict"].values() if values.dim() > 1)
        flip(file, 8 * file.read_bytes().index(weight.numpy().tobytes()) + 30)
    with pytest.raises(Refusal, match=r"best\.ckpt is damaged: .* doesn't match its checksum"):
        load(tmp_path)
    with pytest.raises(Refusal, match=r"best\.ckpt is damaged"):
        start_network_from(torch.nn.Linear(1, 1), None, str(tmp_path))
    with pytest.raises(Refusal, match=r"last\.ckpt is damaged"):
        train({**config, "trainer": {**config["trainer"], "max_epochs": 2}}, tmp_path)
    with pytest.raises(Refusal, match=r"best\.ckpt is damaged"):
        AtomicCheckpoints(tmp_path).load_checkpoint(tmp_path / "checkpoints/best.ckpt")


def test_checksums_are_written_whatever_torchs_setting(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        AtomicCheckpoints(tmp_path).save_checkpoint(
            {"state_dict": {"a": torch.ones(9)}, "scalian_exp": {}}, tmp_path / "a.ckpt"
        )
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    check_intact(tmp_path / "a.ckpt")
