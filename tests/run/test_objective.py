"""What a model optimizes is known from its config, and is what its task monitors once it is built."""

import pytest
from tools import kinds, tiny

from scalian_exp.build import build_task
from scalian_exp.metrics.directions import direction
from scalian_exp.run.objective import objective


@pytest.mark.parametrize("model", kinds())
def test_the_config_tells_what_the_task_monitors(model: str) -> None:
    config = tiny(model)
    task = build_task(config)
    assert objective(config) == (task.monitor, task.mode)
    if better := direction(task.monitor):
        assert task.mode == ("max" if better > 0 else "min")
