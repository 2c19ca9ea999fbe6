"""What a model optimizes is known from its config, and is what its task monitors once it is built."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tools import kinds, tiny

from scalian_exp.build import build_task
from scalian_exp.metrics.directions import direction
from scalian_exp.refusal import Refusal
from scalian_exp.run.objective import Objective, objective, searched
from scalian_exp.run.training import train
from scalian_exp.tasks.reconstruction import Reconstruction


@pytest.mark.parametrize("model", kinds())
def test_the_config_tells_what_the_task_monitors(model: str) -> None:
    config = tiny(model)
    task = build_task(config)
    assert objective(config) == (task.monitor, task.mode)
    if better := direction(task.monitor):
        assert task.mode == ("max" if better > 0 else "min")


def made(network: Any, loss: Any, optimizer: Any) -> Reconstruction:
    """Build a task, in place of its class."""
    return Reconstruction(network, loss, optimizer)


def test_a_function_that_builds_a_task_trains_and_a_search_over_it_must_be_told(tmp_path: Path) -> None:
    config = tiny("autoencoder", "callbacks=early_stopping", "callbacks.figures=null", "test=false")
    config["model"]["_target_"] = f"{__name__}.made"
    assert train(config, tmp_path)["monitor"] == Reconstruction.monitor
    with pytest.raises(Refusal, match="what it monitors is unknown"):
        searched(OmegaConf.create(config))
    config["callbacks"]["best"] |= {"monitor": "val/psnr", "mode": "max"}
    assert searched(OmegaConf.create(config)) == Objective("val/psnr", "max")
