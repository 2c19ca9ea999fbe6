"""`trainer.find_batch_size=true` finds the largest batch before a training, and changes nothing else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import differences, tiny

from scalian_exp.api import train as train_in_python
from scalian_exp.build import build
from scalian_exp.checkpoint import read
from scalian_exp.refusal import Refusal
from scalian_exp.run import batch_size, training
from scalian_exp.run.batch_size import found, largest
from scalian_exp.run.network_size import Sketch, sketched
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

FIND = ["trainer.find_batch_size=true", "trainer.max_epochs=2"]


@pytest.mark.parametrize(
    ("room", "most", "size"), [(100, 8192, 64), (64, 8192, 64), (1, 9, 1), (0, 9, 0), (99, 48, 32)]
)
def test_the_largest_power_of_two_that_fits_is_found(room: int, most: int, size: int) -> None:
    for start in (1, 2, 20, 200):
        tried: list[int] = []
        fits = lambda n: tried.append(n) or n <= room  # noqa: B023, E731
        assert largest(fits, most, start) == size  # type: ignore[arg-type]
        assert len(tried) == len(set(tried))
        assert max(tried) <= min(max(2 * size, start, 1), most)


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


def test_a_resumed_run_keeps_the_batch_that_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("vae", *FIND)
    train(config, tmp_path)
    monkeypatch.setattr(batch_size, "found", lambda *_: pytest.fail("it was found already"))
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=3"]))["steps"] == 6
    again = tiny("vae", *FIND, "trainer.max_epochs=4")  # as a cluster starts the same command again
    with caplog.at_level(logging.INFO):
        assert train(again, tmp_path)["steps"] == 8
    assert "trainer.find_batch_size: the run goes on with its own dataset.batch_size=32" in caplog.text
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
    assert found(config, data, sketch, 1, ()) == 8  # 2000 + 800 ≤ 3000 < 2000 + 1600
    monkeypatch.setattr(batch_size, "room", lambda _: (4000, "this machine"))
    with pytest.raises(Refusal, match="Not even a batch of one example"):
        found(config, data, sketch, 1, ())
    data.batch_size = 7
    assert found(config, data, Sketch(None, ""), 1, ()) == 7


def test_data_that_the_task_refuses_are_refused_before_an_estimate() -> None:
    config = tiny("rbm", *FIND)
    config["dataset"] = tiny("autoencoder")["dataset"]  # of grey pixels
    data = build("dataset", config["dataset"])
    data.setup("fit")
    with pytest.raises(Refusal, match="grey pixels"):
        found(config, data, sketched(config), 1, ())


def test_trials_and_training_share_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    @contextmanager
    def devices_of(_: Any) -> Iterator[int]:
        taken.append(1)
        yield 1
        taken.append(-1)

    def stand_in(_config: Any, _data: Any, _sketch: Any, devices: Any, _trust: Any) -> int:
        assert (devices, taken) == (1, [1])
        return 4

    monkeypatch.setattr(training, "devices_of", devices_of)
    monkeypatch.setattr(batch_size, "found", stand_in)
    assert train(tiny("vae", *FIND, "trainer.max_epochs=1"), tmp_path)["steps"] == 12
    assert taken == [1, -1]


def test_errors_of_a_trial_are_the_training_s_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(*_: Any) -> int:
        raise RuntimeError("scatter_add does not have a deterministic implementation, but you set …")

    monkeypatch.setattr(batch_size, "found", stand_in)
    with pytest.raises(Refusal, match=r"trainer\.deterministic=true: scatter_add does not have"):
        train(tiny("vae", *FIND), tmp_path)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="tries batches in one process"):
        train(tiny("vae", *FIND, "trainer/accelerator=ddp_cpu"), tmp_path)
