"""Checks of trainer.* for values and combinations that Lightning accepts silently or refuses too late.

Imports no torch.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.training_length import check_ends

DURATION = re.compile(r"\d+:\d\d:\d\d:\d\d")
UNITS = ("weeks", "days", "hours", "minutes", "seconds")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64")


def whole(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    """Return a check that accepts integers from `low` to `high`, both included."""
    return lambda value: type(value) is int and low <= value <= high


def number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def batches(value: Any) -> bool:
    """Return whether a value is a number of batches or a fraction of them: 1 means one batch, 1.0 all."""
    return whole(1)(value) or (type(value) is float and 0 < value <= 1)


def duration(value: Any) -> bool:
    """Return whether a value is a time above zero, such as 00:12:00:00 or {hours: 12}."""
    if isinstance(value, dict):
        return (
            set(value) <= set(UNITS)
            and all(number(part) and part >= 0 for part in value.values())
            and any(value.values())
        )
    return isinstance(value, str) and bool(DURATION.fullmatch(value)) and bool(value.strip("0:"))


def flag(value: Any) -> bool:
    """Return whether a value is true or false."""
    return isinstance(value, bool)


def nothing(value: Any) -> bool:
    """Return whether a value is null."""
    return value is None


Rule = tuple[Callable[[Any], bool], str]
SHARE = "a whole number of batches from 1, or a fraction above 0 and up to 1.0, which means all"
TIME = "such as 00:12:00:00 (days:hours:minutes:seconds) or {hours: 12}, above zero"
VALUES: dict[str, Rule] = {
    "accelerator": (lambda v: v in ("auto", "cpu", "gpu", "cuda", "mps"), "auto, cpu, gpu, cuda or mps"),
    "num_nodes": (whole(1), "a whole number from 1"),
    "precision": (lambda v: v is None or str(v) in PRECISIONS, f"one of {', '.join(PRECISIONS[:6])}"),
    "max_epochs": (lambda v: v is None or whole(-1)(v), "a whole number from 1, or -1 for no end"),
    "min_epochs": (lambda v: v is None or whole(0)(v), "a whole number from 0, or null"),
    "max_steps": (lambda v: v == -1 or whole(1)(v), "a whole number from 1, or -1 for no limit"),
    "min_steps": (lambda v: v is None or whole(0)(v), "a whole number from 0, or null"),
    "max_time": (lambda v: v is None or duration(v), f"a time {TIME}, or null"),
    "limit_train_batches": (lambda v: v is None or batches(v), SHARE),
    "limit_val_batches": (
        lambda v: v is None or batches(v),
        f"{SHARE}; validation chooses the best checkpoint, so it can't be skipped",
    ),
    "limit_test_batches": (lambda v: v is None or batches(v), f"{SHARE}; to skip the test, use test=false"),
    "limit_predict_batches": (lambda v: v is None or batches(v), SHARE),
    "overfit_batches": (lambda v: v == 0 or batches(v), f"{SHARE}; 0 for ordinary training"),
    "val_check_interval": (
        lambda v: v is None or batches(v) or duration(v),
        f"a whole number of steps from 1, a fraction of an epoch above 0 and up to 1.0, or a time {TIME}",
    ),
    "check_val_every_n_epoch": (lambda v: v is None or whole(1)(v), "a whole number from 1, or null"),
    "num_sanity_val_steps": (lambda v: v is None or whole(-1)(v), "a whole number from 0, or -1 for all batches"),
    "log_every_n_steps": (lambda v: v is None or whole(0)(v), "a whole number from 1, or 0 to log no single steps"),
    "accumulate_grad_batches": (lambda v: v is None or whole(1)(v), "a whole number from 1; 1 steps after every batch"),
    "gradient_clip_val": (lambda v: v is None or (number(v) and v >= 0), "a number above 0, or null for no clipping"),
    "gradient_clip_algorithm": (lambda v: v in (None, "norm", "value"), "norm or value"),
    "deterministic": (lambda v: v is None or flag(v) or v == "warn", "true, false or warn"),
    "benchmark": (lambda v: v is None or flag(v), "true, false or null"),
    "inference_mode": (lambda v: v is None or flag(v), "true or false"),
    "use_distributed_sampler": (lambda v: v is False, "false: the data loaders already divide the batches"),
    "detect_anomaly": (flag, "true or false"),
    "sync_batchnorm": (flag, "true or false"),
    "enable_model_summary": (lambda v: v is None or flag(v), "true or false"),
    "enable_progress_bar": (
        lambda v: v is None or v is True,
        "true; to hide the bar and the line per epoch, use ~callbacks.progress",
    ),
    "enable_checkpointing": (
        lambda v: v is None or v is True,
        "true: a run is used and resumed through its checkpoints",
    ),
    "enable_autolog_hparams": (flag, "true or false"),
    "profiler": (
        lambda v: v in (None, "simple", "advanced", "pytorch") or (isinstance(v, dict) and "_target_" in v),
        "simple, advanced, pytorch, {_target_: <a class>} or null",
    ),
    "reload_dataloaders_every_n_epochs": (whole(0), "a whole number from 0"),
    "fast_dev_run": (
        lambda v: v is None or v is False or v == 0,
        "false; to try a run quickly, use trainer=debug",
    ),
    "barebones": (lambda v: v is False, "false: a run needs its checkpoints and logs"),
    "model_registry": (nothing, "null"),
    "callbacks": (nothing, "left out; choose callbacks by callbacks=… and +callbacks.NAME._target_=…"),
    "logger": (nothing, "left out; choose loggers by logger=… and +logger.NAME._target_=…"),
    "plugins": (nothing, "left out: the package sets its own plugin, which writes checkpoints"),
    "default_root_dir": (nothing, "left out; choose the run folder by hydra.run.dir=…"),
}
"""argument of Lightning's Trainer → a test of its values and their description; see below for strategy and devices"""


def check_values(trainer: dict[str, Any]) -> None:
    """Check each value of a trainer config on its own.

    Raises:
        Refusal: if a value can't work.
    """
    for name, value in trainer.items():
        good, wanted = VALUES.get(name, (lambda _: True, ""))
        if not good(value):
            given = "null" if value is None else value
            raise Refusal(f"trainer.{name}={given}: it must be {wanted}.")


def check_amount(trainer: dict[str, Any], weights_given: bool) -> None:
    """Check that there is something to train, and that validation happens at a known time.

    Args:
        trainer: the resolved trainer config.
        weights_given: whether the network starts from another run's weights, which may be tested as they are.

    Raises:
        Refusal: if nothing would be trained, or the time of validation isn't known.
    """
    if trainer.get("max_epochs") == 0 and not weights_given:
        raise Refusal(
            "trainer.max_epochs=0 would train nothing; give 1 or more, or add init_from=RUN to test that run's weights."
        )
    interval = trainer.get("val_check_interval")
    if trainer.get("check_val_every_n_epoch", 1) is None and not whole(1)(interval) and not duration(interval):
        raise Refusal(
            "trainer.check_val_every_n_epoch=null: set the number of steps between validations, "
            "+trainer.val_check_interval=STEPS, or give a number of epochs."
        )


def check_combinations(trainer: dict[str, Any], optimizer: dict[str, Any]) -> None:
    """Refuse combinations of values that would train otherwise than they claim."""
    devices, several = trainer.get("devices", 1), trainer.get("strategy", {})
    if not isinstance(several, dict) or (not several and trainer.get("num_nodes", 1) != 1):
        raise Refusal(
            "trainer.strategy and trainer.num_nodes: to train in several processes, use trainer/accelerator=ddp_cpu, "
            "ddp, fsdp or multinode instead."
        )
    counted = whole(1)(devices) or devices == -1
    listed = isinstance(devices, list) and devices and all(map(whole(0), devices)) and len({*devices}) == len(devices)
    if several and not (counted or listed or devices == "auto"):
        raise Refusal(
            f"trainer.devices={devices}: give the number of processes, auto, or a list of GPUs such as [0,2]."
        )
    alone = (counted and devices == 1) or devices in ("1", "free") or (listed and len(devices) == 1)
    if not several and not alone:
        raise Refusal(
            f"trainer.devices={devices}: to train in several processes, use trainer/accelerator=ddp_cpu, ddp, fsdp or "
            "multinode; with other accelerators, use trainer.devices=1, or [k] for the device with index k."
        )
    if str(several).find("FSDP") >= 0 and trainer.get("gradient_clip_val"):
        raise Refusal(
            "trainer.gradient_clip_val: with trainer/accelerator=fsdp no process knows the gradient's norm; use "
            "trainer/accelerator=ddp or trainer.gradient_clip_val=null."
        )
    # Fused optimizers undo the loss scaling of float16 inside their step: too late for clipping.
    if (
        str(trainer.get("precision")) in ("16", "16-mixed")
        and trainer.get("gradient_clip_val")
        and optimizer.get("fused")
    ):
        raise Refusal(
            "trainer.gradient_clip_val, trainer.precision=16-mixed and model.optimizer.fused=true can't be combined; "
            "use trainer.precision=bf16-mixed or model.optimizer.fused=false."
        )


def check_trainer(trainer: dict[str, Any], optimizer: dict[str, Any], weights_given: bool) -> None:
    """Check a resolved trainer config before anything is built.

    Args:
        trainer: the resolved trainer config.
        optimizer: the model's optimizer node.
        weights_given: whether the network starts from another run's weights (init_from).

    Raises:
        Refusal: if a value can't work, or can't be combined with another one.
    """
    check_values(trainer)
    check_amount(trainer, weights_given)
    check_ends(trainer)
    check_combinations(trainer, optimizer)
