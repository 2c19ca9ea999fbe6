"""A trainer's values are checked before anything is built."""

import re
from typing import Any

import pytest
from tools import composed

from scalian_exp.commandline.experiment import checked
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.trainer_checks import VALUES, check_trainer
from scalian_exp.vocabulary.training_length import announced_steps, check_lengths, remarks

PLAIN_TRAINER = {"max_epochs": 3, "accelerator": "cpu", "devices": 1}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("max_epochs", [1, -1, None], [0, -2, 1.5, True, "ten"]),
        ("max_steps", [-1, 1, 10**6], [0, -2, 1.5, None]),
        ("max_time", [None, "00:12:00:00", {"hours": 12}], ["soon", "12:00", "00:00:00:00", {"hours": 0}, {"h": 1}, 5]),
        ("limit_train_batches", [1, 1.0, 0.5, 20, None], [0, 0.0, -1, 1.5, -0.1, float("nan"), float("inf"), "all"]),
        ("limit_val_batches", [1, 0.5], [0, 0.0, -1, 2.5]),
        ("limit_test_batches", [1, 0.5], [0, 0.0, -1, 2.5]),
        ("overfit_batches", [0, 0.0, 1, 0.5], [-1, 1.5, "one"]),
        ("val_check_interval", [None, 1, 0.5, 1.0, "00:00:10:00"], [0, 0.0, -1, 1.5, "often"]),
        ("check_val_every_n_epoch", [1, 10], [0, -1, 0.5, None]),
        ("num_sanity_val_steps", [0, 2, -1], [-2, 0.5]),
        ("log_every_n_steps", [0, 1, 50], [-1, 0.5]),
        ("accumulate_grad_batches", [None, 1, 4], [0, -1, 1.5, {4: 2}]),
        ("gradient_clip_val", [None, 0, 1, 0.5], [-1, float("inf"), float("nan"), "small"]),
        ("gradient_clip_algorithm", [None, "norm", "value"], ["max"]),
        ("deterministic", [True, False, "warn", None], ["maybe", 1]),
        ("benchmark", [True, None], ["maybe", 1]),
        ("precision", ["32-true", "bf16-mixed", 64, "16", None], ["8-bit", 31]),
        ("accelerator", ["auto", "cpu"], ["tpu", "abacus", None]),
        ("profiler", [None, "simple"], ["slow", 1]),
        ("num_nodes", [1], [0, -1]),
        ("devices", [1, "1", [0], "free"], [0, 2, -2, True, "all", [], [-1], ["x"], 1.5]),
        ("fast_dev_run", [False, 0], [True, 3, -1]),
        ("barebones", [False], [True]),
        ("enable_checkpointing", [True], [False]),
        ("plugins", [None], [["x"]]),
        ("reload_dataloaders_every_n_epochs", [0, 1], [-1]),
    ],
)
def test_a_trainers_values_are_checked_before_anything_is_built(name: str, good: list, bad: list) -> None:
    for value in good:
        check_trainer({**PLAIN_TRAINER, name: value}, {}, weights_given=False)
    for value in bad:
        with pytest.raises(Refusal, match=f"trainer.{name}") as caught:
            check_trainer({**PLAIN_TRAINER, name: value}, {}, weights_given=False)
        assert "\n" not in str(caught.value)


def test_every_argument_of_lightnings_trainer_has_a_rule() -> None:
    takes = signature("pytorch_lightning.Trainer")
    assert takes is not None
    assert set(takes.parameters) - {"strategy", "devices"} == set(VALUES)


def test_zero_epochs_are_only_for_testing_given_weights() -> None:
    check_trainer({**PLAIN_TRAINER, "max_epochs": 0}, {}, weights_given=True)
    with pytest.raises(Refusal, match="init_from=RUN"):
        check_trainer({**PLAIN_TRAINER, "max_epochs": 0}, {}, weights_given=False)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min_epochs": 4}, "trainer.min_epochs=4 is more than trainer.max_epochs=3"),
        ({"min_epochs": 3}, ""),
        ({"min_epochs": 4, "max_epochs": -1}, ""),
        ({"min_epochs": 4, "max_epochs": None}, ""),
        ({"min_steps": 8, "max_steps": 7}, "trainer.min_steps=8 is more than trainer.max_steps=7"),
        ({"min_steps": 8, "max_steps": -1}, ""),
        ({"min_steps": None, "max_steps": 7}, ""),
    ],
)
def test_contradictory_values_of_a_trainer_are_refused(values: dict, sentence: str) -> None:
    trainer = {**PLAIN_TRAINER, **values}
    if not sentence:
        check_trainer(trainer, {}, weights_given=False)
        return
    with pytest.raises(Refusal, match=re.escape(sentence)):
        check_trainer(trainer, {}, weights_given=False)


def test_unexpected_effects_of_a_trainers_values_are_reported() -> None:
    assert remarks(PLAIN_TRAINER) == []
    assert remarks({"max_epochs": -1, "max_steps": 5}) == remarks({"max_epochs": -1, "max_time": "00:01:00:00"}) == []
    (endless,) = remarks({"max_epochs": -1, "max_steps": -1, "max_time": None})
    assert "until a callback or Ctrl-C ends it" in endless
    assert remarks({"max_epochs": 3, "overfit_batches": 1, "limit_train_batches": 1.0}) == []
    (unused,) = remarks({"max_epochs": 3, "overfit_batches": 5, "limit_train_batches": 20, "limit_val_batches": 1})
    assert len(remarks({"max_epochs": 3, "gradient_clip_algorithm": "value"})) == 1
    for least in ("min_steps", "min_epochs"):
        (sentence,) = remarks({"max_epochs": 3, least: 2})
        assert sentence.startswith(f"trainer.{least}=2 lengthens nothing")
        assert remarks({"max_epochs": 3, least: 2}, may_stop_early=True) == []
        assert remarks({"max_epochs": 3, least: 2, "max_time": "00:01:00:00"}) == []
    assert remarks({"max_epochs": 3, "gradient_clip_algorithm": "value", "gradient_clip_val": 1}) == []
    assert unused.endswith("ignored: trainer.limit_train_batches=20 and trainer.limit_val_batches=1")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min_epochs": 3, "max_steps": 29}, "trainer.min_epochs=3 needs 30 steps of this data"),
        ({"min_epochs": 3, "max_steps": 30}, ""),
        ({"min_epochs": 3, "max_steps": 29, "accumulate_grad_batches": 2}, ""),
        ({"val_check_interval": 31, "check_val_every_n_epoch": None}, "31 is more than the 30 batches of the entire"),
        ({"val_check_interval": 31, "check_val_every_n_epoch": None, "max_epochs": -1}, ""),
        ({"limit_test_batches": 0.1}, "limit_test_batches=0.1 of 3 batches is less than one"),
        ({"limit_train_batches": 0.05}, "limit_train_batches=0.05 of 10 batches is less than one"),
        ({"val_check_interval": 11}, "more than the 10 steps of an epoch"),
        ({"val_check_interval": 3, "limit_train_batches": 2}, "more than the 2 steps of an epoch"),
        ({"val_check_interval": 0.05}, "of 10 steps is less than one"),
        ({"overfit_batches": 0.05}, "overfit_batches=0.05 is less than one batch"),
        ({"val_check_interval": 11, "check_val_every_n_epoch": None}, ""),
        ({"val_check_interval": 10, "limit_train_batches": 0.1, "overfit_batches": 0.0}, "more than the 1 steps"),
        ({"val_check_interval": 5, "limit_train_batches": 0.5, "limit_test_batches": 1.0}, ""),
    ],
)
def test_parts_and_intervals_are_compared_with_the_data(values: dict, sentence: str) -> None:
    sizes = {"train": 10, "val": 5, "test": 3}
    if not sentence:
        check_lengths({**PLAIN_TRAINER, **values}, sizes)
        return
    with pytest.raises(Refusal, match=sentence):
        check_lengths({**PLAIN_TRAINER, **values}, sizes)


@pytest.mark.parametrize(
    "taken",
    [
        {"log_every_n_steps": 0},
        {"profiler": {"_target_": "pytorch_lightning.profilers.AdvancedProfiler", "dirpath": "profiles"}},
        {"precision": None},
        {"inference_mode": None},
        {"accumulate_grad_batches": None},
    ],
)
def test_values_that_lightning_accepts_are_not_refused(taken: dict[str, Any]) -> None:
    check_trainer({"max_epochs": 1, **taken}, {}, weights_given=False)


def test_several_checkpoints_need_several_names() -> None:
    for count in (2, -1):
        with pytest.raises(Refusal, match=rf"best\.save_top_k={count}: all of them would be called best\.ckpt"):
            checked(composed(f"+callbacks.best.save_top_k={count}"))
    checked(composed("+callbacks.best.save_top_k=2", "callbacks.best.filename='best-{epoch}'"))
    checked(composed("+callbacks.best.save_top_k=2", "callbacks.best.enable_version_counter=true"))


@pytest.mark.parametrize(
    ("trainer", "batches", "sentence"),
    [
        (
            {"max_epochs": 10},
            4,
            "40 steps in all (10 epochs of 4 steps), which are few: trainer.max_epochs=250 would make 1000",
        ),
        (
            {"max_epochs": 1},
            1,
            "1 step in all (1 epoch of 1 step), which are few: trainer.max_epochs=1000 would make 1000",
        ),
        ({"max_epochs": 10}, 469, "4690 steps in all (10 epochs of 469 steps)"),
        ({"max_epochs": 10}, 50, "500 steps in all (10 epochs of 50 steps)"),
        ({"max_epochs": 9, "accumulate_grad_batches": 4}, 402, "909 steps in all (9 epochs of 101 steps)"),
        ({"max_epochs": 10, "max_steps": 30}, 20, "30 steps in all (2 epochs of 20 steps, the last in part)"),
        ({"max_epochs": -1, "max_steps": 30}, 20, "30 steps in all (2 epochs of 20 steps, the last in part)"),
        ({"max_epochs": 500, "max_steps": 10}, 20, "10 steps in all (part of an epoch of 20 steps)"),
        ({"max_epochs": 3, "max_steps": 10}, 2, "6 steps in all (3 epochs of 2 steps)"),
        ({"max_epochs": 1, "limit_train_batches": 20}, 469, "20 steps in all (1 epoch of 20 steps)"),
        ({"max_epochs": 300, "overfit_batches": 1}, 469, "300 steps in all (300 epochs of 1 step)"),
        ({"max_epochs": -1}, 20, None),
        ({"max_epochs": 0}, 20, None),
        ({"max_epochs": None, "max_time": "00:01:00:00"}, 20, None),
        ({"max_epochs": None}, 2, "2000 steps in all (1000 epochs of 2 steps)"),
    ],
)
def test_a_training_announces_its_steps(trainer: dict[str, Any], batches: int, sentence: str | None) -> None:
    given = {"limit_train_batches": 1.0, "overfit_batches": 0.0, "max_steps": -1, **trainer}
    assert announced_steps(given, batches) == sentence


def test_few_steps_of_several_layers_name_the_epochs_of_each() -> None:
    sentence = announced_steps({"max_epochs": 6}, 10, epochs_per_layer=2)
    assert sentence is not None
    assert sentence.endswith("which are few: model.epochs_per_layer=34 trainer.max_epochs=102 would make 1020")
