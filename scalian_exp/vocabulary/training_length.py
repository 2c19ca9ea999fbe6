"""Checks of a training's length and validation times, against each other and against the data. Imports no torch."""

from typing import Any

from scalian_exp.refusal import Refusal

DEFAULT_EPOCHS = 1000
"""trainer.max_epochs=null, if nothing else ends the training"""
UNITS = ("epochs", "steps")
ENDING = {"EarlyStopping", "Timer"}
"""names of callbacks that end a training, which a minimum length holds off"""
FEW, ENOUGH = 500, 1000
"""numbers of steps: with fewer than the first, most networks are far from trained; the second is a fair start"""


def check_ends(trainer: dict[str, Any]) -> None:
    """Check that minimum and maximum length agree; Lightning would silently obey only one of them.

    Raises:
        Refusal: if a minimum exceeds its maximum.
    """
    for unit in UNITS:
        least, most = trainer.get(f"min_{unit}"), trainer.get(f"max_{unit}")
        if least is not None and most not in (None, -1) and least > most:
            raise Refusal(
                f"trainer.min_{unit}={least} is more than trainer.max_{unit}={most}, at which training ends; lower "
                "the first or raise the second."
            )


def remarks(trainer: dict[str, Any], may_stop_early: bool = False) -> list[str]:
    """Return sentences that tell the user of easily overlooked consequences of a trainer's values.

    Args:
        trainer: the resolved trainer config.
        may_stop_early: whether a callback may end the training before its time.
    """
    sentences = []
    least = [f"trainer.min_{unit}={trainer[f'min_{unit}']}" for unit in UNITS if trainer.get(f"min_{unit}")]
    if least and trainer.get("max_time") is None and not may_stop_early:
        sentences.append(
            f"{' and '.join(least)} lengthens nothing: it holds off early stopping and trainer.max_time, of which this "
            "training has neither; to train longer, raise trainer.max_epochs"
        )
    if trainer.get("max_epochs") == -1 and trainer.get("max_steps", -1) == -1 and trainer.get("max_time") is None:
        sentences.append(
            "trainer.max_epochs=-1: training goes on until a callback or Ctrl-C ends it; what it has learned is kept"
        )
    if part := trainer.get("overfit_batches"):
        unused = [
            f"trainer.{name}={trainer[name]}"
            for name in ("limit_train_batches", "limit_val_batches")
            if trainer.get(name) is not None and repr(trainer[name]) != "1.0"
        ]
        if unused:
            sentences.append(
                f"trainer.overfit_batches={part} sets what to train and validate on; ignored: {' and '.join(unused)}"
            )
    if trainer.get("gradient_clip_algorithm") and not trainer.get("gradient_clip_val"):
        sentences.append("trainer.gradient_clip_algorithm clips nothing: trainer.gradient_clip_val is missing")
    return sentences


def stops_early(callbacks: dict[str, Any] | None) -> bool:
    """Return whether one of the callbacks of a config, by name, may end a training before its time."""
    nodes = [node for node in (callbacks or {}).values() if node]
    return any(str(node.get("_target_")).rpartition(".")[2] in ENDING for node in nodes)


def batches_per_epoch(trainer: dict[str, Any], batches: int) -> int:
    """Return how many of the training split's batches are used in an epoch."""
    for name in ("limit_train_batches", "overfit_batches"):
        if part := trainer.get(name):
            batches = min(batches, int(part * batches) if type(part) is float else part)
    return batches


def steps_per_epoch(trainer: dict[str, Any], batches: int) -> int:
    """Return an epoch's number of steps, given the number of batches of the training split."""
    return -(-batches_per_epoch(trainer, batches) // (trainer.get("accumulate_grad_batches") or 1))


def planned_steps(trainer: dict[str, Any], batches: int) -> int | None:
    """Return a training's number of steps, None if it has no end, given the number of batches of the training split."""
    epochs, most = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if epochs is None:
        epochs = -1 if most > -1 or trainer.get("max_time") else DEFAULT_EPOCHS
    ends = [limit for limit in (epochs * steps_per_epoch(trainer, batches), most) if limit > -1]
    return min(ends, default=None)


def announced_steps(trainer: dict[str, Any], batches: int, epochs_per_layer: int | None = None) -> str | None:
    """Return a sentence about the training's number of steps and, if they are few, how to train longer.

    Args:
        trainer: the resolved trainer config, checked.
        batches: number of batches of the training split.
        epochs_per_layer: the model's `epochs_per_layer`, if it trains several layers one after another.

    Returns:
        None if nothing is trained, or the training has no end.
    """
    steps, per_epoch = planned_steps(trainer, batches), steps_per_epoch(trainer, batches)
    if not steps:
        return None
    rounds = -(-steps // per_epoch)
    epochs = f"{counted(rounds, 'epoch')} of {counted(per_epoch, 'step')}"
    if steps % per_epoch:
        epochs = f"part of an epoch of {counted(per_epoch, 'step')}" if rounds == 1 else f"{epochs}, the last in part"
    sentence = f"{counted(steps, 'step')} in all ({epochs})"
    if steps >= FEW or trainer.get("max_steps", -1) > -1 or takes_part(trainer):
        return sentence
    enough = -(-ENOUGH // per_epoch)
    longer = f"trainer.max_epochs={enough}"
    if epochs_per_layer:
        times = -(-ENOUGH // steps)
        enough = times * rounds
        longer = f"model.epochs_per_layer={times * epochs_per_layer} trainer.max_epochs={enough}"
    return f"{sentence}, which are few: {longer} would make {enough * per_epoch}"


def takes_part(trainer: dict[str, Any]) -> bool:
    """Return whether a training takes only some batches of each epoch, as trainer=debug does."""
    return repr(trainer.get("limit_train_batches")) not in ("1.0", "None") or bool(trainer.get("overfit_batches"))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def check_lengths(trainer: dict[str, Any], sizes: dict[str, int]) -> None:
    """Check fractions and intervals against the data.

    Args:
        trainer: the resolved trainer config.
        sizes: train, val, test → number of batches.

    Raises:
        Refusal: if a fraction is less than one batch, or an interval longer than an epoch.
    """
    names = {"train": "limit_train_batches", "val": "limit_val_batches", "test": "limit_test_batches"}
    for split, name in names.items():
        part = trainer.get(name)
        if type(part) is float and int(part * sizes[split]) < 1:
            raise Refusal(
                f"trainer.{name}={part} of {sizes[split]} batches is less than one; give a larger fraction, or a whole "
                "number of batches."
            )
    steps = batches_per_epoch(trainer, sizes["train"])
    if steps < 1:
        raise Refusal(f"trainer.overfit_batches={trainer['overfit_batches']} is less than one batch; give a number.")
    least, most = trainer.get("min_epochs") or 0, trainer.get("max_steps", -1)
    per_epoch = steps_per_epoch(trainer, sizes["train"])
    if -1 < most < least * per_epoch:
        raise Refusal(
            f"trainer.min_epochs={least} needs {least * per_epoch} steps of this data, but trainer.max_steps={most} "
            "ends training before; give fewer epochs or more steps."
        )
    interval = trainer.get("val_check_interval")
    every_epoch = trainer.get("check_val_every_n_epoch", 1) is not None
    if type(interval) is int and interval > steps and every_epoch:
        raise Refusal(
            f"trainer.val_check_interval={interval} is more than the {steps} steps of an epoch; give a smaller "
            "number, or trainer.check_val_every_n_epoch=null to count steps across epochs."
        )
    epochs = trainer.get("max_epochs")
    if type(interval) is int and not every_epoch and epochs not in (None, -1) and 0 < epochs * steps < interval:
        raise Refusal(
            f"trainer.val_check_interval={interval} is more than the {epochs * steps} batches of the entire training, "
            "which would never be validated; give a smaller number."
        )
    if type(interval) is float and int(interval * steps) < 1:
        raise Refusal(
            f"trainer.val_check_interval={interval} of {steps} steps is less than one step; give a larger fraction."
        )
