"""What a model optimizes is known from its config, and is what its task monitors once it is built."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tools import kinds, read_csv, tiny

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


@pytest.mark.parametrize(("metric", "best"), [("loss", min), ("ndcg_at_10", max)])
def test_another_metric_is_monitored_in_its_own_direction(metric: str, best: Any, tmp_path: Path) -> None:
    config = tiny("biased_mf", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=1", "logger=default")
    config["callbacks"]["best"] |= {"monitor": f"val/{metric}"}
    assert objective(config) == (f"val/{metric}", best.__name__)
    found = train(config, tmp_path)["best"]
    seen = [float(row[f"val/{metric}"]) for row in read_csv(tmp_path / "csv/metrics.csv") if row[f"val/{metric}"]]
    assert found == pytest.approx(best(seen))
    assert len({*seen}) > 1


def test_a_metric_of_unknown_direction_needs_a_mode() -> None:
    config = tiny("biased_mf")
    config["callbacks"]["best"] |= {"monitor": "val/novelty"}
    with pytest.raises(Refusal, match=r"adding \+callbacks.best.mode=min or \+callbacks.best.mode=max"):
        objective(config)


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
