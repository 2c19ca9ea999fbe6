"""`trainer.find_batch_size=true` finds the largest batch before a training, and changes nothing else."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tools import differences, of_each_kind, tiny

from scalian_exp.api import train as train_in_python
from scalian_exp.build import build
from scalian_exp.checkpoint import read
from scalian_exp.refusal import Refusal
from scalian_exp.run import batch_size
from scalian_exp.run.batch_size import found, largest, trains
from scalian_exp.run.network_size import Sketch, sketched
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.tasks.reconstruction import Reconstruction

FIND = ["trainer.find_batch_size=true", "trainer.max_epochs=2"]


@pytest.mark.parametrize(
    ("room", "most", "size"), [(100, 8192, 64), (64, 8192, 64), (1, 9, 1), (0, 9, 0), (99, 48, 32)]
)
def test_the_largest_power_of_two_that_fits_is_found(room: int, most: int, size: int) -> None:
    tried: list[int] = []
    assert largest(lambda n: tried.append(n) or n <= room, most) == size  # type: ignore[func-returns-value]
    assert max(tried) <= min(2 * max(size, 1), most)


def test_a_run_trains_with_the_batch_that_was_found_as_if_it_had_been_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        train(tiny("vae", *FIND, "dataset.batch_size=3"), tmp_path / "found")
    assert "trainer.find_batch_size: dataset.batch_size=32, by an estimate of " in caplog.text
    assert "; the learning rate stays as it is" in caplog.text
    train(tiny("vae", "trainer.max_epochs=2", "dataset.batch_size=32"), tmp_path / "given")
    one, other = (read(tmp_path / name / "checkpoints/last.ckpt") for name in ("found", "given"))
    for part in ("state_dict", "optimizer_states", "global_step"):  # equal weights and noise from the start
        assert not differences(one[part], other[part], part)
    config = yaml.safe_load((tmp_path / "found/config.yaml").read_text())
    assert (config["dataset"]["batch_size"], config["trainer"]["find_batch_size"]) == (32, False)


def test_a_resumed_run_keeps_the_batch_that_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("vae", *FIND)
    train(config, tmp_path)
    monkeypatch.setattr(batch_size, "found", lambda *_: pytest.fail("it was found already"))
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=3"]))["steps"] == 6
    again = tiny("vae", *FIND, "trainer.max_epochs=4")  # as a cluster starts the same command again
    assert train(again, tmp_path)["steps"] == 8
    assert read(tmp_path / "checkpoints/last.ckpt")["scalian_exp"]["config"]["dataset"]["batch_size"] == 32


def test_python_recognises_the_run(tmp_path: Path) -> None:
    config = tiny("vae", *FIND)
    assert train_in_python(config, tmp_path) == train_in_python(config, tmp_path)
    with pytest.raises(Refusal, match="another config"):
        train_in_python({**config, "seed": 5}, tmp_path)


def test_the_estimate_limits_the_batch_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("autoencoder", *FIND)
    data, sketch = build("dataset", config["dataset"]), sketched(config)
    data.setup("fit")
    monkeypatch.setattr(batch_size, "weights", lambda _: 1000)
    monkeypatch.setattr(batch_size, "gradients", lambda _: 1000)
    monkeypatch.setattr(batch_size, "activations", lambda _task, _data, size: 100 * size)
    monkeypatch.setattr(batch_size, "room", lambda _: (2 * 3000, "this machine"))
    assert found(config, data, sketch) == 8  # 2000 + 800 ≤ 3000 < 2000 + 1600
    monkeypatch.setattr(batch_size, "room", lambda _: (4000, "this machine"))
    with pytest.raises(Refusal, match="Not even a batch of one example"):
        found(config, data, sketch)
    data.batch_size = 7
    assert found(config, data, Sketch(None, "")) == 7


@pytest.mark.parametrize("model", of_each_kind())
def test_every_model_is_tried_by_training_steps_that_change_nothing(model: str) -> None:
    """As on a GPU."""
    config = tiny(model, "trainer.find_batch_size=true")
    data = build("dataset", config["dataset"])
    data.setup("fit")
    before, state = data.batch_size, torch.get_rng_state()
    assert trains(config, data, 8)
    assert data.batch_size == before
    assert data.trainer is None
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_that_fills_the_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Reconstruction.step

    def step(self: Any, batch: Any) -> Any:
        if len(batch["image"]) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, batch)

    monkeypatch.setattr(Reconstruction, "step", step)
    config = tiny("autoencoder")
    data = build("dataset", config["dataset"])
    data.setup("fit")
    assert largest(lambda size: trains(config, data, size), 48) == 16


def test_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="tries batches in one process"):
        train(tiny("vae", *FIND, "trainer/accelerator=ddp_cpu"), tmp_path)
