"""Configs of a sweep's jobs as they were started, compared with what their overrides compose today."""

from pathlib import Path
from typing import Any

import pytest
from tools import tiny

from scalian_exp.sweep.changes import differences, updated_config
from scalian_exp.sweep.resume import check_jobs


def test_differences_are_listed_leaf_by_leaf() -> None:
    before: Any = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert differences(before, {"a": {"b": 1, "c": [1, 2]}, "d": None}) == []
    assert differences(before, {"a": {"b": 2, "c": [1, 2], "e": 5}}) == [
        "a.b: 1 → 2",
        "a.e: nothing → 5",
        "d: None → nothing",
    ]
    check_jobs(Path("no such folder"), "train")


def test_values_that_earlier_versions_left_implicit_differ_only_if_they_meant_something_else() -> None:
    saving = {"_target_": "scalian_exp.callbacks.step_checkpoints.StepCheckpoints", "every_minutes": 10}
    stopping = {"_target_": "pytorch_lightning.callbacks.EarlyStopping"}
    network = {"_target_": "scalian_exp.networks.deeplab.LargeFOV", "num_classes": 3}
    task = {"_target_": "scalian_exp.tasks.segmentation.Segmentation", "network": network}
    data = {"_target_": "scalian_exp.datasets.folder.ImageFolder", "root": "photos"}
    before = {"model": task, "dataset": data, "callbacks": {}, "logger": {"csv": {"_target_": "theirs"}}}

    def changes(**other: Any) -> list[str]:
        now = before | {"logger": {"csv": {"_target_": "ours"}}, "callbacks": {"checkpoint": saving}} | other
        return differences(updated_config(before, now), now)

    assert changes() == []
    assert changes(dataset=data | {"background": [255, 255, 255]}, model=task | {"decay_biases": True}) == []
    assert changes(dataset=data | {"background": [0, 0, 0]}) == ["dataset.background: (255, 255, 255) → [0, 0, 0]"]
    assert changes(model=task | {"decay_biases": False}) == ["model.decay_biases: True → False"]
    resized = {value: task | {"network": network | {"torchvision_resize": value}} for value in (True, False)}
    assert changes(model=resized[True]) == []
    assert changes(model=resized[False]) == ["model.network.torchvision_resize: True → False"]
    assert changes(callbacks={"stop": stopping}) == [f"callbacks.stop: nothing → {stopping}"]
    assert changes(seed=1) == ["seed: nothing → 1"]


def test_the_sum_of_two_losses_of_version_0_1_is_todays_sum_of_named_parts() -> None:
    now = tiny("unet", "loss=cross_entropy_dice")
    cross, dice = ({"_target_": part["loss"]["_target_"]} for part in now["loss"]["part"].values())
    loss = {"_target_": "scalian_exp.losses.segmentation.WeightedSum", "fits": now["loss"]["fits"]}

    def changes(**parts: Any) -> list[str]:
        before = {**now, "loss": {**loss, "first": cross, "second": dice, "weights": [1.0, 1.0], **parts}}
        return differences(updated_config(before, now), now)

    assert changes() == []
    assert changes(weights=[1.0, 0.5]) == ["loss.part.dice.weight: 0.5 → 1.0"]
    assert changes(first=dice)[0].startswith(
        "loss.part.cross_entropy.loss._target_: scalian_exp.losses.segmentation.Dice"
    )


@pytest.mark.parametrize("custom", [{}, {"weights": [1.0, 2.0]}, {"first": 1, "second": 2, "weights": [1.0, 2.0]}])
def test_a_custom_sum_of_losses_is_compared_as_it_is(custom: dict[str, Any]) -> None:
    now = tiny("unet", "loss=cross_entropy_dice")

    def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        return differences(updated_config({**now, "loss": before}, {**now, "loss": after}), {**now, "loss": after})

    before, after = ({"_target_": "mine.WeightedSum", "part": {"a": {"of": 1}, "b": b}, **custom} for b in (1, 2))
    assert changes(before, after) == ["loss.part.b: 1 → 2"]
    assert "loss._target_: mine.WeightedSum → scalian_exp.losses.segmentation.Sum" in changes(before, now["loss"])


def test_optimizer_defaults_that_only_todays_configs_state_are_no_difference() -> None:
    before = {"_target_": "torch.optim.SGD", "lr": 0.1}
    configs = [{"model": {"optimizer": node}, "callbacks": {}, "logger": {}} for node in (before, before)]

    def changes(**stated: Any) -> list[str]:
        configs[1] = {**configs[0], "model": {"optimizer": before | stated}}
        return differences(updated_config(configs[0], configs[1]), configs[1])

    assert changes(momentum=0.0, weight_decay=0.0, fused=None) == []
    assert changes(momentum=0.9) == ["model.optimizer.momentum: 0 → 0.9"]
