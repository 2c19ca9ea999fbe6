"""`channels_last=auto` is decided by timed steps at the start of a run, and stays as it was decided."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import yaml
from tools import tiny

from scalian_exp.api import train
from scalian_exp.build import build, build_task
from scalian_exp.refusal import Refusal
from scalian_exp.run import memory_layout, training
from scalian_exp.run.memory_layout import pays
from scalian_exp.run.resume import resumed
from scalian_exp.vocabulary.checks import check_plain


def clock(plain: float, channels_last: float) -> Iterator[float]:
    """Readings of a clock by which steps of the two layouts take so long."""
    now = 0.0
    for seconds in cycle((plain, channels_last)):
        yield now
        now += seconds
        yield now


def decision(config: dict[str, Any], plain: float, channels_last: float) -> bool:
    data, task = build("dataset", config["dataset"]), build_task(config)
    data.setup("fit")
    before, state = {name: v.clone() for name, v in task.state_dict().items()}, torch.get_rng_state()
    readings = clock(plain, channels_last)
    result = pays(config, task, data, lambda: next(readings))
    torch.testing.assert_close(dict(task.state_dict()), before, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None and parameter.is_contiguous() for parameter in task.parameters())
    return result


@pytest.mark.parametrize("model", ["unet", "conv_vae"])
def test_the_faster_layout_is_taken(model: str) -> None:
    assert decision(tiny(model), 1.0, 0.9)
    assert not decision(tiny(model), 1.0, 0.97)  # too little to be sure
    assert not decision(tiny(model), 1.0, 1.5)


@pytest.mark.parametrize("model", ["vae", "gan", "rbm"])
def test_nothing_is_timed_where_nothing_can_be_gained(model: str) -> None:
    """Networks without convolutions, or whose task steps several optimizers itself."""
    assert not decision(tiny(model), 1.0, 0.1)


@pytest.mark.parametrize("fast", [False, True])
def test_a_resumed_run_keeps_the_decision_to_the_bit(fast: bool, tmp_path: Path) -> None:
    config = tiny("unet", "channels_last=auto", "trainer.max_epochs=2")
    with patch.object(memory_layout, "pays", lambda *_: fast):
        training.train(config, tmp_path / "straight")
        training.train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, tmp_path / "parts")
    with patch.object(memory_layout, "pays", lambda *_: not fast):
        plain, folder = resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"])
        assert plain["channels_last"] is fast
        training.train(config, folder)  # even if it is asked to decide again
    runs = [tmp_path / name for name in ("straight", "parts")]
    for run in runs:
        assert yaml.safe_load((run / "config.yaml").read_text())["channels_last"] is fast
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in runs]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    train(config, tmp_path / "straight")  # the finished run is kept


def test_the_layout_is_true_false_or_auto() -> None:
    config = tiny("vae")
    for value in (True, False, "auto"):
        check_plain({**config, "channels_last": value})
    with pytest.raises(Refusal, match="channels_last must be"):
        check_plain({**config, "channels_last": "sometimes"})
